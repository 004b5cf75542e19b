"""Scores of cells and rows, block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.arrays.label_lists import IntArray
from spark_ml_audit.arrays.labelled import Labelled, RowBlock
from spark_ml_audit.kernels.cell_scores import adjust_pred_probs, cell_scores
from spark_ml_audit.kernels.float_keys import FloatArray
from spark_ml_audit.kernels.label_quality import ema
from spark_ml_audit.kernels.profile import Thresholds

FloatRows = npt.NDArray[np.float64]


def thresholds_if(data: Labelled, adjust: bool) -> Thresholds | None:
    """The class thresholds by which probabilities are adjusted; None where they are not."""
    return data.profile().thresholds() if adjust else None


def scores_of_cells(block: RowBlock, method: str, thresholds: Thresholds | None) -> FloatArray:
    """Cell scores of a block, shape (m, K)."""
    probs = block.pred_probs
    if thresholds is not None:
        probs = adjust_pred_probs(probs, thresholds.present, thresholds.absent)
    return cell_scores(probs, block.rows, block.cols, method)


def scores_of_rows(
    data: Labelled,
    method: str,
    thresholds: Thresholds | None,
    aggregate: Callable[[FloatArray], FloatRows] = ema,
) -> FloatRows:
    """Example scores of all rows, shape (n,)."""
    return data.fill(
        np.empty(len(data.pred_probs), dtype=np.float64),
        lambda block: aggregate(scores_of_cells(block, method, thresholds)),
    )


def ranked_rows(
    data: Labelled, is_issue: npt.NDArray[np.bool_], method: str, thresholds: Thresholds | None
) -> IntArray:
    """Indices of the rows with an issue, lowest score first, equal ones by index; no other row is scored."""

    def score(block: RowBlock) -> FloatRows:
        wanted = is_issue[block.start : block.stop]
        if not wanted.any():
            return np.zeros(0, dtype=np.float64)
        kept = wanted[block.rows]
        position = np.cumsum(wanted) - 1
        some = RowBlock(
            block.start,
            block.stop,
            block.pred_probs[wanted],
            position[block.rows[kept]],
            block.cols[kept],
        )
        return ema(scores_of_cells(some, method, thresholds))

    scores = np.concatenate([np.zeros(0), *data.map(score)])
    indices: IntArray = np.flatnonzero(is_issue)
    return indices[np.argsort(scores, kind="stable")]


def scores_of_some_cells(
    probs: FloatArray,
    given: npt.NDArray[np.bool_],
    cols: IntArray,
    method: str,
    thresholds: Thresholds | None,
) -> FloatArray:
    """Cell scores of single cells, shape (m,) like the rest."""
    if thresholds is not None:
        probs = adjust_pred_probs(probs, thresholds.present[cols], thresholds.absent[cols])
    there = np.flatnonzero(given)
    scores: npt.NDArray[Any] = cell_scores(probs[np.newaxis], np.zeros_like(there), there, method)[0]
    return scores
