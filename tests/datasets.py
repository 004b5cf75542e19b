"""Small multi-label data sets that provoke what real ones do rarely: ties, saturation, empty sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = (
    "plain",
    "quantised",
    "forest",
    "saturated",
    "near_saturated",
    "constant",
    "rare",
    "one_sided",
    "near_half",
    "empty_rows",
    "tiny",
    "single_class",
)


@dataclass(frozen=True)
class Dataset:
    """Given tags as lists of class indices beside p, shape (n, K), float32 or float64."""

    name: str
    labels: list[list[int]]
    pred_probs: np.ndarray

    @property
    def given(self) -> np.ndarray:
        """Given tags as a bool matrix, shape (n, K)."""
        given = np.zeros(self.pred_probs.shape, dtype=bool)
        for i, tags in enumerate(self.labels):
            given[i, tags] = True
        return given

    def columns(self, keep: np.ndarray) -> Dataset:
        """The same examples with some of the classes, renumbered."""
        return from_arrays(self.name, self.given[:, keep], self.pred_probs[:, keep])


def from_arrays(name: str, given: np.ndarray, pred_probs: np.ndarray) -> Dataset:
    """Data set of a bool matrix of given tags and its probabilities."""
    labels = [[int(k) for k in np.flatnonzero(row)] for row in given]
    return Dataset(name, labels, np.ascontiguousarray(pred_probs))


def make_dataset(seed: int, kind: str | None = None, dtype: str | None = None) -> Dataset:
    """One data set; the seed decides everything not given, and all kinds and dtypes come up in turn."""
    rng = np.random.default_rng(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    dtype = dtype or ("float32", "float64")[seed // len(KINDS) % 2]
    n, num_classes = int(rng.integers(20, 160)), int(rng.integers(2, 6))
    if kind == "tiny":
        n = int(rng.integers(1, 8))
    if kind == "single_class":
        num_classes = 1

    prevalence = rng.beta(1, 2, size=num_classes)
    if kind == "rare":
        prevalence = rng.integers(1, 4, size=num_classes) / n
    truth = rng.random((n, num_classes)) < prevalence
    noise = rng.random(num_classes) * 0.3
    given = truth ^ (rng.random((n, num_classes)) < noise * np.where(truth, 1.0, rng.random()))
    skill = rng.uniform(0.3, 3.0, size=num_classes)
    p = 1 / (1 + np.exp(-(skill * np.where(truth, 2, -2) + rng.normal(size=(n, num_classes)) * 1.5)))

    if kind == "quantised":
        p = np.round(p * 8) / 8
    elif kind == "forest":
        p = np.round(p * 100) / 100
    elif kind == "saturated":
        p = np.where(p > 0.7, 1.0, np.where(p < 0.3, 0.0, p))
    elif kind == "near_saturated":
        p = np.where(p > 0.5, 1 - (1 - p) ** 8, p**8)
    elif kind == "constant":
        p = np.broadcast_to(rng.choice([0.0, 1e-7, 0.3, 0.5, 0.9, 1.0], size=num_classes), p.shape)
    elif kind == "one_sided":
        given[:, 0] = bool(seed // len(KINDS) // 2 % 2)
        given[:, -1] = False
    elif kind == "near_half":
        p = 0.5 + rng.integers(-40, 41, size=p.shape) * 2.0**-25 * rng.choice([1, 4, 16], size=p.shape)
    elif kind == "empty_rows":
        given[rng.random(n) < 0.6] = False
    return from_arrays(f"{kind}-{dtype}-{seed}", given, p.astype(dtype))
