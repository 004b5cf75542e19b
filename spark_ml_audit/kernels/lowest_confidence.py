"""In every class the cells of lowest self-confidence, as two cut-offs per class.

A given tag has self-confidence p, a tag not given 1 - p; the n lowest of both sides end at one score.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.cutoffs import Cutoffs, cut_values
from spark_ml_audit.kernels.float_keys import FloatArray, first_key_where

IntArray = npt.NDArray[np.int64]


def doubted_cells(size: int, dtype: npt.DTypeLike) -> Cutoffs:
    """Cut-offs that flag every cell whose self-confidence is at most one half.

    >>> doubted_cells(2, "float64").missing.tolist(), doubted_cells(2, "float64").extraneous.tolist()
    ([0.5, 0.5], [0.5, 0.5])
    """
    half: FloatArray = np.full(size, 0.5, dtype=dtype)
    return Cutoffs(np.dtype(dtype).name, half, half)


def lowest_confidence_cutoffs(counts: IntArray, cols: IntArray, scores: FloatArray) -> Cutoffs:
    """Cut-offs that flag the cells of lowest self-confidence in each class, those that tie with the last too.

    Args:
        counts: How many to flag in each class, shape (K,).
        cols: Class of each cell that may be flagged: of every class at least as many as it flags, and all
            that score lower than these.
        scores: Their self-confidence, float32 or float64.

    Example:
        >>> cols, scores = np.array([0, 0, 1, 0]), np.array([0.25, 0.125, 0.25, 0.375])
        >>> cutoffs = lowest_confidence_cutoffs(np.array([2, 0]), cols, scores)
        >>> cutoffs.missing.tolist(), cutoffs.extraneous.tolist()  # 2 and -1: never
        ([0.75, 2.0], [0.25, -1.0])
    """
    dtype = scores.dtype
    order = np.lexsort((scores, cols))
    starts = np.searchsorted(cols[order], np.arange(len(counts)))
    limits = np.full(len(counts), -1, dtype=dtype)
    some = counts > 0
    limits[some] = scores[order[starts[some] + counts[some] - 1]]
    missing = first_key_where(lambda p: (1 - p) <= limits, len(counts), dtype)
    return Cutoffs(dtype.name, cut_values(missing, dtype), limits)
