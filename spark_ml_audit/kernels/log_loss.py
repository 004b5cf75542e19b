"""Log loss of predicted probabilities, as integers that add up.

Unlike ranks and squares, the loss of a cell that is surely wrong has no bound, and the histogram of a profile
says too little of probabilities near 1. So it is summed cell by cell: every loss, of a probability cut to
[`CLIP`, 1 - `CLIP`], is rounded to a multiple of 2**-24, and integers add up to the same sum in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.float_keys import FloatArray
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.records import Records, make_records

CLIP = 1e-6
"""Probabilities are cut to [CLIP, 1 - CLIP]: a cell that is surely wrong costs 13.8, not infinitely much."""

SLOT = -9
"""Slot of a class's sums among records; no slot of a `ClassProfile`."""

_UNIT_BITS = 24  # 2**33 rows of loss 13.8 stay within int64
_BLOCK_CELLS = 1 << 17


@dataclass(frozen=True)
class LogLoss:
    """Mean log loss of K classes' probabilities against given tags; NaN where there is no row.

    Attributes:
        by_class: Mean of -log p where the tag was given and -log(1 - p) where not, shape (K,).
        of_prior: The same of every class's share of rows as constant p (its entropy), shape (K,).
        macro: Mean over the classes with rows of both kinds.
        macro_of_prior: The same of the shares.
        micro: Mean over all cells.

    Example:
        >>> probs = np.array([[0.5], [0.25]])
        >>> sums = loss_sums(probs, rows=np.array([0]), cols=np.array([0]))
        >>> found = log_loss_of(sums, num_present=np.array([1]), num_rows=2)
        >>> round(found.macro, 4), round(found.macro_of_prior, 4)
        (0.4904, 0.6931)
    """

    by_class: npt.NDArray[np.float64]
    of_prior: npt.NDArray[np.float64]
    macro: float
    macro_of_prior: float
    micro: float

    def summary(self) -> dict[str, float | None]:
        """Return the overall figures by name; None where undefined."""
        found = {
            "macro_log_loss": self.macro,
            "micro_log_loss": self.micro,
            "macro_log_loss_of_prior": self.macro_of_prior,
        }
        return {name: None if np.isnan(value) else float(value) for name, value in found.items()}


def loss_sums(pred_probs: FloatArray, rows: IntArray, cols: IntArray) -> IntArray:
    """Sums of the losses of a batch, in units of 2**-24.

    Args:
        pred_probs: Shape (n, K), values in [0, 1].
        rows: Row of each given tag, ascending.
        cols: Class of each given tag, same length.

    Returns:
        Sums where the tag was given and where it was not, shape (2, K).

    Example:
        >>> sums = loss_sums(np.array([[0.5, 1.0]]), rows=np.array([0]), cols=np.array([0]))
        >>> (sums / 2**24).round(2).tolist()
        [[0.69, 0.0], [0.0, 13.82]]
    """
    num_classes = pred_probs.shape[1]
    sums: IntArray = np.zeros((2, num_classes), dtype=np.int64)
    step = max(_BLOCK_CELLS // max(num_classes, 1), 1)
    for start in range(0, len(pred_probs), step):
        block = np.clip(pred_probs[start : start + step].astype(np.float64), CLIP, 1 - CLIP)
        first, last = np.searchsorted(rows, [start, start + len(block)])
        at, of = rows[first:last] - start, cols[first:last]
        present, absent = _units(-np.log(block[at, of])), _units(-np.log1p(-block))
        np.add.at(sums[0], of, present)
        sums[1] += absent.sum(axis=0)
        np.subtract.at(sums[1], of, absent[at, of])
    return sums


def row_losses(pred_probs: FloatArray, given: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Mean log loss of every row's cells, shape (n,).

    Args:
        pred_probs: Shape (n, K), values in [0, 1].
        given: Given tags, shape (n, K).

    Example:
        >>> given = np.array([[True, False], [True, False]])
        >>> row_losses(np.array([[0.5, 0.5], [1.0, 0.0]]), given).round(2).tolist()
        [0.69, 0.0]
    """
    cut = np.clip(pred_probs.astype(np.float64), CLIP, 1 - CLIP)
    losses: npt.NDArray[np.float64] = -np.log(np.where(given, cut, 1 - cut)).mean(axis=1)
    return losses


def loss_records(sums: IntArray) -> Records:
    """The sums as records, which add up over batches."""
    return make_records(np.arange(sums.shape[1]), SLOT, sums[0], sums[1])


def sums_of_records(records: Records, num_classes: int) -> IntArray:
    """The sums of added up records of any batches, shape (2, K); other records are passed over."""
    sums: IntArray = np.zeros((2, num_classes), dtype=np.int64)
    mine = (records["slot"] == SLOT) & (records["class_index"] >= 0)
    index = records["class_index"][mine]
    sums[0, index], sums[1, index] = records["a"][mine], records["b"][mine]
    return sums


def log_loss_of(sums: IntArray, num_present: IntArray, num_rows: int) -> LogLoss:
    """The mean losses.

    Args:
        sums: From `loss_sums`, added up, shape (2, K).
        num_present: Rows each tag was given to, shape (K,).
        num_rows: Rows in all.
    """
    if not num_rows:
        nothing = np.full(len(num_present), np.nan)
        return LogLoss(nothing, nothing, np.nan, np.nan, np.nan)
    by_class = sums.sum(axis=0) / (2.0**_UNIT_BITS * num_rows)
    share = num_present / num_rows
    of_prior = -(_x_log_x(share) + _x_log_x(1 - share))
    both = (num_present > 0) & (num_present < num_rows)
    macro, prior = (
        float(values[both].mean()) if both.any() else float("nan") for values in (by_class, of_prior)
    )
    return LogLoss(by_class, of_prior, macro, prior, float(by_class.mean()))


def _units(losses: npt.NDArray[np.float64]) -> IntArray:
    return np.rint(np.ldexp(losses, _UNIT_BITS)).astype(np.int64)


def _x_log_x(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return values * np.log(np.where(values > 0, values, 1.0))
