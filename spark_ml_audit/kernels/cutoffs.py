"""Decision cuts of every class as keys: what is confident, what may be flagged, where the tails begin.

Every rounded comparison of the method is monotone in p, so each is one key per class
(see `float_keys.first_key_where`). A *cut* c splits cells into ``key < c`` and ``key >= c``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.blocks import abreast, wide_blocks
from spark_ml_audit.kernels.confident_joint import COMPARISON_MARGIN
from spark_ml_audit.kernels.float_keys import FloatArray, KeyArray, first_key_where, from_keys, one_key
from spark_ml_audit.kernels.profile import Thresholds

EXAMPLE_FILTERS = ("low_self_confidence", "low_normalized_margin")


@dataclass(frozen=True)
class ConfidentCuts:
    """The confident joint as cuts, shape (K,) each.

    Attributes:
        present: A cell with ``key >= present`` is guessed "tag present".
        absent: A cell with ``key < absent`` is guessed "tag absent". Cells between are not counted.
        at_threshold: First key with p >= t1 - 1e-6.
        beyond_threshold: First key where q >= t0 - 1e-6 no longer holds.
    """

    present: KeyArray
    absent: KeyArray
    at_threshold: KeyArray
    beyond_threshold: KeyArray


def confident_cuts(thresholds: Thresholds, dtype: npt.DTypeLike) -> ConfidentCuts:
    """Where the guesses of the confident joint change (Confident Learning, section 3.1).

    A cell confident both ways goes to the larger of p and q, a tie to "absent".

    >>> thresholds = Thresholds(present=np.array([0.8]), absent=np.array([0.6]))
    >>> cuts = confident_cuts(thresholds, np.float64)
    >>> cut_values(cuts.present, np.float64).round(3).tolist()  # from here on "present"
    [0.8]
    >>> cut_values(cuts.absent, np.float64).round(3).tolist()  # below "absent"
    [0.4]
    """
    size = len(thresholds.present)
    margin = np.array(COMPARISON_MARGIN, dtype=dtype)
    t1, t0 = thresholds.present.astype(dtype), thresholds.absent.astype(dtype)
    at = first_key_where(lambda p: p >= t1 - margin, size, dtype)
    beyond = first_key_where(lambda p: ~((1 - p) >= t0 - margin), size, dtype)
    larger = first_key_where(lambda p: p > 1 - p, size, dtype)
    split = np.clip(larger, at, np.maximum(at, beyond))
    overlap = at < beyond
    return ConfidentCuts(
        present=np.where(overlap, split, at),
        absent=np.where(overlap, split, beyond),
        at_threshold=at,
        beyond_threshold=beyond,
    )


def disagreement_cuts(size: int, dtype: npt.DTypeLike) -> tuple[KeyArray, KeyArray]:
    """Where the prediction disagrees with the given tag by more than 1e-6.

    The reference adds 1e-6 to the given side and takes the larger, a tie being "absent": strict where a
    tag may be missing, not strict where one may be extraneous.

    Returns:
        First key with p > q + 1e-6 (a tag may be missing), and first key where q >= p + 1e-6 no longer
        holds (below it a tag may be extraneous); shape (size,) each.

    Example:
        >>> for cuts in disagreement_cuts(1, np.float64):
        ...     print(cut_values(cuts, np.float64).round(7).tolist())
        [0.5000005]
        [0.4999995]
    """
    margin = np.array(COMPARISON_MARGIN, dtype=dtype)
    missing = first_key_where(lambda p: p > (1 - p) + margin, size, dtype)
    extraneous = first_key_where(lambda p: ~((1 - p) >= p + margin), size, dtype)
    return missing, extraneous


@dataclass(frozen=True)
class Cutoffs:
    """The finished audit: a table of K rows that a stateless map applies to any row.

    Attributes:
        dtype: The probabilities' dtype name.
        missing: A tag not given is flagged when p >= this; float array of the dtype, 2 = never. Holds the
            cut-off and the disagreement rule together.
        extraneous: A given tag is flagged when p <= this; -1 = never.
        score_at_most: With an example-level filter, the rows with an EMA score up to this are flagged.
    """

    dtype: str
    missing: FloatArray
    extraneous: FloatArray
    score_at_most: float | None = None


def flagged_cells(
    pred_probs: FloatArray, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64], cutoffs: Cutoffs
) -> tuple[npt.NDArray[np.int64], ...]:
    """Cells that the cut-offs flag in a batch.

    Args:
        pred_probs: Shape (n, K) in the cut-offs' dtype.
        rows: Row of each given tag, ascending; cols: its class, ascending within the row.
        cols: See rows.
        cutoffs: The two cut-offs per class.

    Returns:
        missing_rows, missing_cols, extraneous_rows, extraneous_cols; each pair in row, class order.

    Example:
        >>> cutoffs = Cutoffs("float64", missing=np.array([0.8, 2.0]), extraneous=np.array([0.1, 0.3]))
        >>> pred_probs = np.array([[0.9, 0.2], [0.4, 0.9]])
        >>> found = flagged_cells(pred_probs, np.array([0, 1]), np.array([1, 0]), cutoffs)
        >>> [part.tolist() for part in found]  # row 0 lacks tag 0 and should not have tag 1
        [[0], [0], [0], [1]]
    """
    num_classes = pred_probs.shape[1]
    pred_probs = np.ascontiguousarray(pred_probs)
    given = rows * num_classes + cols
    high = np.empty(pred_probs.shape, dtype=np.bool_).ravel()
    limits = abreast(cutoffs.missing)
    for start, block in wide_blocks(pred_probs):
        out = high[start : start + block.size].reshape(block.shape)
        np.greater_equal(block, limits[: block.shape[1]], out=out)
    high[given] = False
    missing_rows, missing_cols = np.divmod(np.flatnonzero(high), num_classes)
    low = pred_probs.ravel()[given] <= cutoffs.extraneous[cols]
    return missing_rows, missing_cols, rows[low], cols[low]


def cut_values(cuts: KeyArray, dtype: npt.DTypeLike) -> FloatArray:
    """Cuts as probabilities for ``p >= value``; cuts above the key of 1 become 2 (never).

    >>> cuts = first_key_where(lambda p: p >= np.array([0.25, 1.5]), 2, np.float64)
    >>> cut_values(cuts, np.float64).tolist()
    [0.25, 2.0]
    """
    top = one_key(dtype)
    values: npt.NDArray[Any] = from_keys(np.minimum(cuts, top), dtype).copy()
    values[cuts > top] = 2
    return values


def last_values_below(cuts: KeyArray, dtype: npt.DTypeLike) -> FloatArray:
    """Largest probability below each cut, for ``p <= value``; -1 (never) where the cut is 0.

    >>> cuts = first_key_where(lambda p: p > np.array([0.25, -1.0]), 2, np.float64)
    >>> last_values_below(cuts, np.float64).tolist()
    [0.25, -1.0]
    """
    values: npt.NDArray[Any] = from_keys(np.maximum(cuts - 1, 0), dtype).copy()
    values[cuts <= 0] = -1
    return values
