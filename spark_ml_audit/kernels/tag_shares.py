"""Whether new rows get about as many tags as the labelled rows did, or far more or fewer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FACTOR = 2.0
"""What is less than this many times as often, or as seldom, is not far off."""

_STANDARD_ERRORS = 3.0
_LEVEL = 0.001

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def is_mean_far_off(
    mean: float, variance: float, num_rows: int, expected: float, num_expected_from: int
) -> bool:
    """Whether a mean number of tags per row differs by `FACTOR` or more, and by more than chance allows.

    Chance: three standard errors of the difference. The variance of a row's number of tags is that of the new
    rows, but at least the expected mean (as of rare, independent tags): new rows that all get none have none.

    Args:
        mean: Tags per new row.
        variance: Variance of their number.
        num_rows: New rows.
        expected: Tags per labelled row.
        num_expected_from: Labelled rows.

    Example:
        >>> is_mean_far_off(0.5, 0.5, 20, expected=2.0, num_expected_from=5000)
        True
        >>> is_mean_far_off(0.5, 0.5, 4, expected=1.2, num_expected_from=5000)  # four rows say little
        False
    """
    if not num_rows or not num_expected_from or expected <= 0:
        return False
    if expected / FACTOR < mean < expected * FACTOR:
        return False
    error = np.sqrt(max(variance, expected) * (1 / num_rows + 1 / num_expected_from))
    return bool(abs(mean - expected) > _STANDARD_ERRORS * error)


def far_off_classes(
    counts: IntArray, num_rows: int, expected: FloatArray, num_expected_from: int
) -> npt.NDArray[np.bool_]:
    """Classes whose share of the new rows is far off, by the same factor and beyond chance.

    Chance: the exact test of two Poisson rates (given both counts together, one is binomial), at a level of
    0.001 shared among the classes that are given.

    Args:
        counts: New rows with each tag, shape (K,).
        num_rows: New rows.
        expected: Share of the labelled rows with each tag, shape (K,); 0: never given, not compared.
        num_expected_from: Labelled rows.

    Returns:
        Shape (K,).

    Example:
        >>> expected = np.array([0.1, 0.1, 0.001, 0.0])
        >>> far_off_classes(np.array([90, 12, 1, 0]), 100, expected, 1000).tolist()
        [True, False, False, False]
    """
    given = expected > 0
    if not num_rows or not num_expected_from or not given.any():
        return np.zeros(len(expected), dtype=bool)
    from scipy.stats import binom

    share = counts / num_rows
    apart = (share >= FACTOR * expected) | (share <= expected / FACTOR)
    before = np.rint(expected * num_expected_from).astype(np.int64)
    both, part = counts + before, num_rows / (num_rows + num_expected_from)
    # the chance of so many, or so few, of both together among the new rows
    tail = np.minimum(binom.sf(counts - 1, both, part), binom.cdf(counts, both, part))
    return np.asarray(given & apart & (tail < _LEVEL / 2 / int(given.sum())))
