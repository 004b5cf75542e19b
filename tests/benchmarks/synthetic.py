"""The synthetic multi-label sets of the paper on which the published label quality score was chosen.

Thyagarajan, Snorrason, Northcutt and Mueller, "Identifying Incorrect Annotations in Multi-Label
Classification Data" (2022, arXiv 2211.13895, section 5), with what the text leaves open taken from the
authors' published parameters (github.com/cleanlab/multilabel-error-detection-benchmarks: params.yaml, and the
order in which random numbers are drawn). The code is our own; the random numbers are drawn in that order by
NumPy's legacy generator, so the sets are the very same where scikit-learn draws as it did then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.datasets import make_multilabel_classification
from sklearn.model_selection import train_test_split

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

SEEDS = tuple(range(10))
# At most this many tags of a row are wrong.
_MOST_ERRORS = 3
# 1 minus a class's mean probability of being annotated rightly is drawn from this gamma distribution.
_GAMMA_SHAPE, _GAMMA_SCALE = 2.0, 0.01


@dataclass(frozen=True)
class Recipe:
    """Size of a group of sets.

    Attributes:
        rows: Rows made, those held out included.
        held_out: Rows held out: the paper measures accuracy on them, we do not use them.
        features: Numeric features.
        classes: K.
        tags: Mean of the Poisson distribution of tags per row.
    """

    rows: int
    held_out: int
    features: int
    classes: int
    tags: int


RECIPES = {
    "small": Recipe(rows=6000, held_out=1000, features=3, classes=4, tags=2),
    "large": Recipe(rows=37_500, held_out=7500, features=20, classes=50, tags=5),
}


@dataclass(frozen=True, eq=False)
class SyntheticSet:
    """The training part of a set.

    Attributes:
        features: Bag of words over its Euclidean length, shape (N, features).
        truth: True tags, shape (N, K).
        given: Tags with the errors put in, shape (N, K).
    """

    features: Floats
    truth: Bools
    given: Bools


def make_set(size: str, seed: int) -> SyntheticSet:
    """Make one set.

    Args:
        size: A key of `RECIPES`.
        seed: One of `SEEDS` for the paper's sets.

    Example:
        >>> found = make_set("small", 0)
        >>> found.given.shape, round(float((found.truth != found.given).any(axis=1).mean()), 3)
        ((5000, 4), 0.373)
    """
    recipe = RECIPES[size]
    random = np.random.RandomState(seed)
    kept = _kept(random, recipe.classes)
    words, tags = make_multilabel_classification(
        n_samples=recipe.rows,
        n_features=recipe.features,
        n_classes=recipe.classes,
        n_labels=recipe.tags,
        length=500,
        random_state=random,
    )
    features = words / np.linalg.norm(words, axis=1, keepdims=True)
    features, _, tags, _ = train_test_split(features, tags, test_size=recipe.held_out, random_state=seed)
    truth = tags.astype(bool)
    # Each class has a generator of its own; the last one goes on to choose the cells that are flipped.
    rates = np.empty((recipe.classes, 2))
    for k, mean_kept in enumerate(kept):
        random = np.random.RandomState(seed + k)
        rates[k] = 1 - _shared(random, 2 * mean_kept)
    return SyntheticSet(features, truth, _with_errors(random, truth, rates))


def _kept(random: np.random.RandomState, classes: int) -> Floats:
    """Mean probability of each class that a cell is annotated rightly, over absent and present."""
    kept = 1 - random.gamma(_GAMMA_SHAPE, _GAMMA_SCALE, size=classes)
    # The classes with the most errors get some more: 1/(2K) off for the worst, less for the next ones.
    place = np.arange(classes)
    kept[np.argsort(kept)] *= 1 - np.exp(-(place**2) / classes) / (2 * classes)
    return np.maximum(kept, 1 - kept)


def _shared(random: np.random.RandomState, total: float) -> Floats:
    """Probabilities that an absent and a present cell are annotated rightly, adding up to `total`."""
    shared: Floats = random.dirichlet(np.ones(2)) * total
    while shared.max() > 1:
        least = shared.min() + (shared.max() - 1)
        moved = (1 - least) * random.rand()
        low, high = np.argmin(shared), np.argmax(shared)
        shared[low], shared[high] = least + moved, 1 - moved
    return shared


def _with_errors(random: np.random.RandomState, truth: Bools, rates: Floats) -> Bools:
    """Flip, class by class, the share of absent and present cells that `rates` (K, 2) says.

    Rows that have `_MOST_ERRORS` errors are left alone by the classes that follow.
    """
    given = truth.copy()
    for k in range(truth.shape[1]):
        open_rows = np.flatnonzero((given != truth).sum(axis=1) < _MOST_ERRORS)
        column = truth[open_rows, k]
        for value in (False, True):
            cells = np.flatnonzero(column == value)
            number = int(rates[k, int(value)] * (len(cells) / len(column)) * len(column))
            if 0 < number <= len(cells):
                given[open_rows[random.choice(cells, number, replace=False)], k] = not value
    return given
