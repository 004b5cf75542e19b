"""Label quality of a single cell: how far one probability supports one given or withheld tag.

A batch is a dense (n, K) matrix of p, the predicted probability that a tag applies, and the positions
`rows`, `cols` of the given tags. q = 1 - p is always taken in the matrix's own dtype, as the
thresholds and filters do. Low scores are likely errors. Methods: Northcutt et al., "Confident
Learning" (2021), Kuan and Mueller, "Model-agnostic label quality scoring" (2022).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCORE_FLOOR = 1e-6
"""Divisors of the entropy score are clipped below here."""

_BLOCK_CELLS = 1 << 14

FloatArray = NDArray[np.floating[Any]]
IndexArray = NDArray[np.integer[Any]]


def self_confidence(pred_probs: FloatArray, rows: IndexArray, cols: IndexArray) -> FloatArray:
    """Probability of what was given: p where the tag was given, q = 1 - p elsewhere.

    Args:
        pred_probs: Probabilities that each tag applies, shape (n, K), float32 or float64.
        rows: Row of each given tag, shape (number of given tags,).
        cols: Class of each given tag, same shape.

    Returns:
        Scores in [0, 1], shape (n, K), in the dtype of `pred_probs`.

    Example:
        >>> pred_probs = np.array([[0.9, 0.2], [0.3, 0.6]])
        >>> self_confidence(pred_probs, rows=np.array([0, 1]), cols=np.array([0, 0])).round(2).tolist()
        [[0.9, 0.8], [0.3, 0.4]]
    """
    scores = np.subtract(1, pred_probs)
    scores[rows, cols] = pred_probs[rows, cols]
    return scores


def confidence_weighted_entropy(
    pred_probs: FloatArray, rows: IndexArray, cols: IndexArray
) -> NDArray[np.float64]:
    """Entropy of (q, p) in bits over the self-confidence, rescaled so that low means likely wrong.

    With e = entropy / max(self-confidence, 1e-6) the score is ln(e + 1) / max(e, 1e-6). A p of exactly
    0 or 1 has no entropy and scores 0, the worst, even where the tag agrees: kept because the
    reference implementation does so.

    Args:
        pred_probs: Probabilities that each tag applies, shape (n, K), float32 or float64.
        rows: Row of each given tag, shape (number of given tags,).
        cols: Class of each given tag, same shape.

    Returns:
        Scores in [0, 1], shape (n, K).

    Example:
        >>> pred_probs, cols = np.array([[0.9], [0.5], [0.1]]), np.array([0, 0, 0])
        >>> confidence_weighted_entropy(pred_probs, rows=np.array([0, 1, 2]), cols=cols).round(2).tolist()
        [[0.8], [0.55], [0.37]]
    """
    # Contiguous blocks: numpy may take logarithms of strided data by another routine, and a score must
    # not depend on how its batch lies in memory.
    present = np.ascontiguousarray(pred_probs)
    confidence = self_confidence(present, rows, cols).ravel()
    present = present.ravel()
    scores = np.empty(present.size, dtype=np.float64)
    for start in range(0, present.size, _BLOCK_CELLS):
        block = slice(start, start + _BLOCK_CELLS)
        scores[block] = _weighted_entropy(present[block], confidence[block])
    return scores.reshape(pred_probs.shape)


def _weighted_entropy(present: FloatArray, confidence: FloatArray) -> NDArray[np.float64]:
    entropy = _x_log_x(np.subtract(1, present)) + _x_log_x(present)
    entropy /= -np.log(2.0)
    entropy /= np.maximum(confidence.astype(np.float64), SCORE_FLOOR)
    divisor = np.maximum(entropy, SCORE_FLOOR)
    entropy += 1.0
    scores: NDArray[np.float64] = np.log(entropy)
    scores /= divisor
    return scores


def _x_log_x(x: FloatArray) -> NDArray[np.float64]:
    """Return x ln x, with 0 ln 0 = 0."""
    exact = x.astype(np.float64)
    product = np.log(np.where(exact > 0, exact, 1.0))
    product *= exact
    return np.asarray(product, dtype=np.float64)


# For a two-way problem (s - (1 - s) + 1) / 2 is s itself, so the margin needs no formula of its own.
_METHODS: dict[str, Callable[[FloatArray, IndexArray, IndexArray], FloatArray]] = {
    "self_confidence": self_confidence,
    "normalized_margin": self_confidence,
    "confidence_weighted_entropy": confidence_weighted_entropy,
}

CELL_SCORES = tuple(_METHODS)
"""Names of the cell scores."""


def cell_scores(
    pred_probs: FloatArray, rows: IndexArray, cols: IndexArray, method: str = "self_confidence"
) -> FloatArray:
    """Score every cell of a batch; a cell's score depends on that cell alone.

    Args:
        pred_probs: Probabilities that each tag applies (for adjusted scores the result of
            `adjust_pred_probs`), shape (n, K), float32 or float64.
        rows: Row of each given tag, shape (number of given tags,).
        cols: Class of each given tag, same shape.
        method: One of `CELL_SCORES`.

    Returns:
        Scores in [0, 1], 0 worst, shape (n, K): in the dtype of `pred_probs` for self-confidence and
        margin, float64 for the entropy.

    Raises:
        ValueError: If the method is unknown.

    Example:
        >>> pred_probs, given = np.array([[0.9, 0.6]]), (np.array([0]), np.array([0]))
        >>> for method in CELL_SCORES:
        ...     print(method, cell_scores(pred_probs, *given, method).round(2).tolist())
        self_confidence [[0.9, 0.4]]
        normalized_margin [[0.9, 0.4]]
        confidence_weighted_entropy [[0.8, 0.51]]
    """
    try:
        score = _METHODS[method]
    except KeyError:
        raise ValueError(f"score is {method!r}: choose one of {', '.join(CELL_SCORES)}") from None
    return score(pred_probs, rows, cols)


def adjust_pred_probs(pred_probs: FloatArray, t1: FloatArray, t0: FloatArray) -> FloatArray:
    """Correct p for over- or under-confidence of each class by its confident thresholds.

    (q, p) becomes (q - t0 + m, p - t1 + m) over their sum, m = max(t0, t1); of the pair the second is
    returned, the first is 1 minus it. Only for self-confidence and margin, not for the entropy.

    Args:
        pred_probs: Probabilities that each tag applies, shape (n, K), float32 or float64.
        t1: Thresholds of the present side, shape (K,).
        t0: Thresholds of the absent side, shape (K,).

    Returns:
        Adjusted probabilities in [0, 1], shape (n, K), in the dtype of `pred_probs`.

    Example:
        >>> t1, t0 = np.array([0.5, 0.9]), np.array([0.9, 0.5])  # p is low throughout, then high
        >>> adjust_pred_probs(np.array([[0.5, 0.5]]), t1, t0).round(2).tolist()
        [[0.64, 0.36]]
    """
    dtype = pred_probs.dtype
    present_threshold = np.asarray(t1, dtype=dtype)
    absent_threshold = np.asarray(t0, dtype=dtype)
    largest = np.maximum(present_threshold, absent_threshold)
    absent = np.subtract(1, pred_probs)
    absent -= absent_threshold
    absent += largest
    present = pred_probs - present_threshold
    present += largest
    absent += present
    present /= absent
    return np.asarray(present)
