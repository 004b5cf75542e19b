"""Flagged cells in the order in which they are worth looking at: tags to add, and tags to remove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.arrow.order_scores import CellOrder
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column
from spark_ml_audit.frames.issues import RANK
from spark_ml_audit.kernels.learned_order import LearnedOrder, averaged
from spark_ml_audit.kernels.usefulness import EXTRANEOUS_SIDE, MISSING_SIDE, Usefulness, usefulness

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.kernels.profile import IntArray
    from spark_ml_audit.outcomes.records import ClassRow

LISTS = {MISSING: MISSING_SIDE, EXTRANEOUS: EXTRANEOUS_SIDE}
"""Direction of a list -> its place in the arrays of `kernels.usefulness`."""

_WRONG = "wrong_chance"
_ORDER = ("list_tier", "usefulness", "class_index", ID)
_DESCENDING = [False, True, False, False]
_ARROW_ORDER = [
    (name, "descending" if down else "ascending") for name, down in zip(_ORDER, _DESCENDING, strict=True)
]


def class_usefulness(
    classes: Sequence[ClassRow], judged: IntArray | None = None, right: IntArray | None = None
) -> Usefulness:
    """What puts the cells of a run in order, from its class table and what people decided.

    Args:
        classes: The class table, in class order.
        judged: Decided flagged cells by class and direction, shape (K, 2); None without decisions.
        right: Those that were right.
    """

    def figures(values: list[float | None]) -> np.ndarray:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    return usefulness(
        figures([row.auc for row in classes]),
        figures([row.average_precision for row in classes]),
        [row.trust for row in classes],
        judged,
        right,
    )


def first_cells(
    engine: Engine,
    tag_issues: Frame,
    id_name: str,
    classes: Sequence[ClassRow],
    order: Usefulness,
    limit: int,
    *,
    without: Frame | None = None,
    learned: LearnedOrder | None = None,
) -> pa.Table:
    """The cells most worth looking at, `limit` of each direction at most, in their order.

    Args:
        engine: What runs the frame.
        tag_issues: Flagged cells of one run.
        id_name: Name of its id column.
        classes: Its class table.
        order: From `class_usefulness`.
        limit: Cells of each list.
        without: Columns id and tag of cells to leave out; None for none.
        learned: What decisions taught about the chance that a cell is wrong: half of the order then.

    Returns:
        Columns issue, position (from 1, within its list), id, tag, class_index, pred_prob, issue_rank, trust;
        first the missing tags, then the extraneous ones.
    """
    cells = tag_issues.select(column(id_name).alias(ID), "tag", "issue", "pred_prob", RANK)
    if without is not None:
        cells = cells.join(without, on=[ID, "tag"], how="anti")
    taught = None if learned is None else CellOrder(learned, tuple(row.tag for row in classes))
    parts = [_first(engine, cells, classes, order, direction, limit, taught) for direction in LISTS]
    found = engine.collect(nw.concat(parts))  # bounded by the limit
    lists = []
    for direction in LISTS:
        own = found.filter(pc.equal(found.column("issue"), direction)).sort_by(_ARROW_ORDER)
        lists.append(own.append_column("position", pa.array(range(1, own.num_rows + 1), pa.int32())))
    trust = pa.array([row.trust for row in classes], pa.string())
    whole = pa.concat_tables(lists)
    return whole.append_column("trust", trust.take(whole.column("class_index").combine_chunks())).select(
        ["issue", "position", ID, "tag", "class_index", "pred_prob", RANK, "trust"]
    )


def _first(
    engine: Engine,
    cells: Frame,
    classes: Sequence[ClassRow],
    order: Usefulness,
    direction: str,
    limit: int,
    taught: CellOrder | None,
) -> Frame:
    side = LISTS[direction]
    about = engine.from_arrow(
        pa.table(
            {
                "tag": pa.array([row.tag for row in classes], pa.string()),
                "class_index": pa.array(range(len(classes)), pa.int32()),
                "list_tier": pa.array(order.tier[:, side]),
                "list_weight": pa.array(order.weight[:, side]),
            }
        )
    )
    probability = nw.col("pred_prob")
    confidence = probability if direction == MISSING else 1.0 - probability
    own = cells.filter(nw.col("issue") == direction).join(about, on="tag", how="inner")
    ranked = own.with_columns((nw.col("list_weight") * confidence).alias("usefulness"))
    kept = (ID, "tag", "issue", "pred_prob", RANK, "class_index", "list_tier", "usefulness")
    if taught is not None:
        ranked = _with_wrong(engine, ranked.select(*kept), taught)
        half = averaged(nw.col("usefulness"), nw.col(_WRONG))
        ranked = ranked.with_columns(half.alias("usefulness"))
    return ranked.select(*kept).sort(*_ORDER, descending=_DESCENDING).head(limit)


def _with_wrong(engine: Engine, cells: Frame, taught: CellOrder) -> Frame:
    """Cells with the chance, as learned, that their given value is wrong."""
    kept = tuple(cells.collect_schema().names())

    def run(batches: Batches) -> Batches:
        for batch in batches:
            wrong = taught.wrong(*(batch.column(name) for name in ("tag", "issue", "pred_prob")))
            yield pa.RecordBatch.from_arrays([*batch.columns, wrong], names=[*batch.schema.names, _WRONG])

    return engine.map_batches(cells, run, keep=kept, add=pa.schema([(_WRONG, pa.float64())]))
