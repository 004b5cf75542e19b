"""The issues of an audit from its `examples`: the rows with an issue by rank, and their flagged cells.

No row is audited again for them: `examples` holds the flagged cells of each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.encode import FLAGGED_CELLS
from spark_ml_audit.arrow.lists import lengths_of, places_of, rows_of_lists
from spark_ml_audit.arrow.order_scores import ORDER_SCORE, CellOrder
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column, in_frame
from spark_ml_audit.kernels.profile import IntArray

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame

RANK, SCORE = "issue_rank", "label_quality_score"

_KEPT = (SCORE, "given_tags", "suggested_tags", "missing_tags", "extraneous_tags", "flagged_cells")
_CELL_FIELDS = pa.schema(list(FLAGGED_CELLS.value_type))
_CELLS = pa.schema([*_CELL_FIELDS, ("rank_in_row", pa.int32())])


def issues_frame(engine: Engine, examples: Frame, id_name: str, histogram: IntArray) -> Frame:
    """One row per row with an issue, worst first: by score, then id.

    Args:
        engine: Runs the frame.
        examples: Rows of `examples`.
        id_name: Name of the id column.
        histogram: Rows with an issue by score, in equal bins over [0, 1].
    """
    kept = [column(id_name), *[nw.col(name) for name in _KEPT]]
    issues = examples.filter(nw.col("is_label_issue")).select(*kept)
    return engine.ranked(issues, (SCORE, id_name), RANK, histogram).select(RANK, *kept)


def tag_issues_frame(
    engine: Engine, issues: Frame, id_name: str, *kept: str, learned: CellOrder | None = None
) -> Frame:
    """One row per flagged cell: the rank of its row, id, tag, issue, pred_prob, cell_score.

    `rank_in_row` numbers a row's flagged cells from its surest error; every row with a cell has a 1. Where an
    order was learned from decisions, `order_score` says how much a cell is worth a look.

    Args:
        engine: Runs the frame.
        issues: Rows of `issues`.
        id_name: Name of the id column.
        *kept: Columns of the row to repeat for each of its cells.
        learned: The order that was learned; None for none.
    """
    repeated = (RANK, in_frame(id_name), *kept)
    added = _CELLS if learned is None else _CELLS.append(pa.field(ORDER_SCORE, pa.float64()))

    def run(batches: Batches) -> Batches:
        for batch in batches:
            lists = batch.column("flagged_cells")
            rows, places = rows_of_lists(lists), places_of(lengths_of(lists))
            cells = lists.flatten()
            values = [cells.field(name) for name in _CELL_FIELDS.names]
            scores = [] if learned is None else [learned.scores(*values[:3])]
            yield pa.RecordBatch.from_arrays(
                [
                    *[batch.column(name).take(pa.array(rows)) for name in repeated],
                    *values,
                    pa.array((places + 1).astype(np.int32)),
                    *scores,
                ],
                names=[*repeated, *added.names],
            )

    cells = engine.map_batches(issues.select(*repeated, "flagged_cells"), run, keep=repeated, add=added)
    return cells.select(RANK, in_frame(id_name), *added.names, *kept)
