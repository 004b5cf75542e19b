"""The one difference to cleanlab's flags that is allowed: cells that tie with the last one flagged."""

from __future__ import annotations

import numpy as np


def assert_cells_equal_but_for_ties(
    ours: np.ndarray, theirs: np.ndarray, given: np.ndarray, probs: np.ndarray, *, both_sides: bool = False
) -> int:
    """Every cell that only one flags ties, by q - p in the dtype, with the least suspicious that ours flags.

    Args:
        ours: Flags, shape (n, K).
        theirs: Likewise.
        given: Given labels, shape (n, K).
        probs: Probabilities.
        both_sides: Whether given and not given labels of a class are ranked together.

    Returns:
        How many cells differ.
    """
    confidence = np.where(given, probs, 1 - probs)
    margin = confidence - (1 - confidence)
    different = np.argwhere(ours != theirs)
    for row, k in different:
        side = ours[:, k] & (both_sides | (given[:, k] == given[row, k]))
        assert side.any(), (row, k)
        assert margin[row, k] == margin[side, k].max(), (row, k, probs[row, k])
    return len(different)


def assert_same_order(ours: np.ndarray, theirs: np.ndarray, scores: np.ndarray, slack: float) -> None:
    """Both hold the same indices, by increasing score; equal scores may change places."""
    assert sorted(ours) == sorted(theirs)
    np.testing.assert_allclose(scores[ours], scores[theirs], rtol=0, atol=slack)
    assert (np.diff(scores[ours]) >= 0).all()
