"""Which cells and rows are flagged, by any filter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spark_ml_audit.arrays.label_lists import IntArray
from spark_ml_audit.arrays.labelled import Labelled, RowBlock
from spark_ml_audit.kernels.cutoffs import EXAMPLE_FILTERS, Cutoffs, flagged_cells
from spark_ml_audit.kernels.lowest_confidence import doubted_cells, lowest_confidence_cutoffs
from spark_ml_audit.kernels.resolve import PruneOptions
from spark_ml_audit.kernels.rules import low_score_measure

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FlaggedCells:
    """Flagged cells of all rows, by row.

    Attributes:
        rows: Their rows.
        cols: Their classes.
        given: Whether the label was given, so that it is extraneous; else it is missing.
    """

    rows: IntArray
    cols: IntArray
    given: BoolArray


def cell_cutoffs(data: Labelled, filter_by: str, options: PruneOptions, joint: IntArray | None) -> Cutoffs:
    """The cut-offs of every class, as `find_multilabel_issues_per_class` flags.

    An example-level filter is here applied class by class: as many cells as confident learning flags, those
    of lowest self-confidence, whatever the prediction says.
    """
    resolution = data.resolve(options, joint)
    if filter_by not in EXAMPLE_FILTERS:
        return resolution.cutoffs
    doubted = find_cells(data, doubted_cells(data.pred_probs.shape[1], data.pred_probs.dtype))
    probs = data.pred_probs[doubted.rows, doubted.cols]
    scores = np.where(doubted.given, probs, np.subtract(1, probs))
    counts = resolution.num_missing + resolution.num_extraneous
    return lowest_confidence_cutoffs(counts, doubted.cols, scores)


def find_cells(data: Labelled, cutoffs: Cutoffs) -> FlaggedCells:
    """The cells that some cut-offs flag."""

    def find(block: RowBlock) -> tuple[IntArray, IntArray, BoolArray]:
        missing, missing_cols, extra, extra_cols = flagged_cells(
            block.pred_probs, block.rows, block.cols, cutoffs
        )
        given = np.repeat([False, True], [len(missing), len(extra)])
        rows, cols = np.concatenate([missing, extra]), np.concatenate([missing_cols, extra_cols])
        return rows + block.start, cols, given

    none = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.bool_))
    rows, cols, given = zip(none, *data.map(find), strict=True)
    return FlaggedCells(np.concatenate(rows), np.concatenate(cols), np.concatenate(given))


def cell_mask(data: Labelled, cutoffs: Cutoffs) -> BoolArray:
    """Whether the cut-offs flag the cell, shape (n, K)."""

    def mark(block: RowBlock) -> BoolArray:
        flags = np.zeros(block.pred_probs.shape, dtype=np.bool_)
        missing, missing_cols, extra, extra_cols = flagged_cells(
            block.pred_probs, block.rows, block.cols, cutoffs
        )
        flags[missing, missing_cols] = True
        flags[extra, extra_cols] = True
        return flags

    return data.fill(np.empty(data.pred_probs.shape, dtype=np.bool_), mark)


def row_mask(data: Labelled, filter_by: str, cutoffs: Cutoffs) -> BoolArray:
    """Whether the row has an issue, shape (n,).

    Args:
        data: The rows.
        filter_by: With an example-level filter as many rows are flagged as the cut-offs say, those with the
            lowest scores.
        cutoffs: Of the filter; of confident learning for an example-level one.
    """

    def mark(block: RowBlock) -> BoolArray:
        flags = np.zeros(len(block.pred_probs), dtype=np.bool_)
        missing, _, extra, _ = flagged_cells(block.pred_probs, block.rows, block.cols, cutoffs)
        flags[missing] = True
        flags[extra] = True
        return flags

    flags = data.fill(np.empty(len(data.pred_probs), dtype=np.bool_), mark)
    if filter_by not in EXAMPLE_FILTERS:
        return flags
    count = np.count_nonzero(flags)
    if not count:
        return flags
    scores = data.fill(
        np.empty(len(flags), dtype=np.float64),
        lambda block: low_score_measure(block.pred_probs, block.rows, block.cols),
    )
    lowest: BoolArray = scores <= np.partition(scores, count - 1)[count - 1]
    return lowest
