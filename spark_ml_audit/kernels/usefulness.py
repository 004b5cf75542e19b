"""In what order flagged cells are worth a person's minute: tags to add and tags to remove, each by itself.

Without decisions a cell's usefulness is the model's confidence that the given value is wrong, p where the tag
is not given and 1 - p where it is, times how reliable the class is in that direction: its average precision
for tags to add (how often the largest p of the class are right), its AUC for tags to remove (how seldom a
row that carries the tag ranks below one that does not). Trusted classes come before weak ones, and these
before unknown ones (see `trust`).

People's decisions correct that: the share of right flags of every class and direction, drawn towards the
share of the direction as a whole (the posterior mean of a beta-binomial whose prior weighs as much as
`PRIOR_DECISIONS` decisions), scales the usefulness. A class with `ENOUGH_DECISIONS` or more in a direction
is known by them, whatever its trust.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.trust_levels import TRUST

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PRIOR_DECISIONS = 10
"""Decisions that the share of a direction counts for in that of a class."""

ENOUGH_DECISIONS = 5
"""Decisions from which they, and not the model's trust, place a class."""

MISSING_SIDE, EXTRANEOUS_SIDE = 0, 1
"""Positions of the directions in the arrays below."""


@dataclass(frozen=True, eq=False)
class Usefulness:
    """What puts flagged cells in order: by tier, then by weight times the confidence that they are wrong.

    Attributes:
        tier: 0 first, int64, shape (K, 2): [class, direction], missing and extraneous.
        weight: In [0, ...), float64, shape (K, 2).
    """

    tier: IntArray
    weight: FloatArray


def usefulness(
    auc: FloatArray,
    average_precision: FloatArray,
    trust: list[str | None],
    judged: IntArray | None = None,
    right: IntArray | None = None,
) -> Usefulness:
    """What puts the flagged cells of K classes in order (see the module text).

    Args:
        auc: Of each class, shape (K,); NaN where unknown.
        average_precision: The same.
        trust: Of each class; None in runs of versions that did not look: as if it were good.
        judged: Decided flagged cells, shape (K, 2): [class, direction]; None without decisions.
        right: Those of them whose given value is wrong, as the flag says; same shape.

    Example:
        >>> found = usefulness(np.array([0.9, 0.6]), np.array([0.8, 0.1]), ["good", "weak"])
        >>> found.tier.tolist(), found.weight.tolist()
        ([[0, 0], [1, 1]], [[0.8, 0.9], [0.1, 0.6]])
        >>> judged, right = np.array([[10, 0], [10, 0]]), np.array([[2, 0], [8, 0]])
        >>> found = usefulness(np.array([0.9, 0.6]), np.array([0.8, 0.1]), ["good", "weak"], judged, right)
        >>> found.tier.tolist(), found.weight.round(2).tolist()
        ([[0, 0], [0, 1]], [[0.56, 0.9], [0.13, 0.6]])
    """
    weight = np.stack([average_precision, auc], axis=1).astype(np.float64)
    # a class that nothing is known of is taken to be as the others are on the average
    known = np.isfinite(weight)
    mean = np.where(
        known.any(axis=0), np.where(known, weight, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), 1
    )
    weight = np.where(known, weight, mean)
    places = [0 if name is None else TRUST.index(name) for name in trust]
    tier = np.repeat(np.array(places, dtype=np.int64)[:, None], 2, axis=1)
    if judged is not None and right is not None:
        weight = weight * pooled_precision(judged, right) / _of_direction(judged, right)
        tier = np.where(judged >= ENOUGH_DECISIONS, 0, tier)
    return Usefulness(tier, weight)


def pooled_precision(judged: IntArray, right: IntArray) -> FloatArray:
    """Share of right flags by class and direction, drawn towards the direction's; shape (K, 2).

    Args:
        judged: Decided flagged cells, shape (K, 2).
        right: Those whose given value is wrong.

    Example:
        >>> pooled_precision(np.array([[0, 0], [10, 0]]), np.array([[0, 0], [10, 0]])).round(3).tolist()
        [[0.917, 0.5], [0.958, 0.5]]
    """
    prior: FloatArray = _of_direction(judged, right)
    found: FloatArray = (right + PRIOR_DECISIONS * prior) / (judged + PRIOR_DECISIONS)
    return found


def _of_direction(judged: IntArray, right: IntArray) -> FloatArray:
    """The mean of the posterior of a direction's share, from a uniform prior; shape (2,)."""
    found: FloatArray = (right.sum(axis=0) + 1) / (judged.sum(axis=0) + 2)
    return found
