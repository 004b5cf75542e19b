"""The order of rows in tables that are held in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from spark_ml_audit.frames.issues import RANK
from spark_ml_audit.lake.schemas import CLASSES, DUPLICATES, ISSUES, TAG_ISSUES

if TYPE_CHECKING:
    from spark_ml_audit.engines.in_hand import Held

_SORTED_BY = {
    ISSUES: (RANK,),
    TAG_ISSUES: (RANK, "rank_in_row"),
    CLASSES: ("class_index",),
    DUPLICATES: ("group_id",),
}


def in_order(name: str, table: pa.Table, id_name: str, held: Held | None) -> pa.Table:
    """A table of a result in its order: by rank or class, else as the source's rows follow each other.

    Args:
        name: Of the table.
        table: Its rows in any order.
        id_name: Name of the id column.
        held: The source's rows; None where they are not in hand: by id then.

    Example:
        >>> from spark_ml_audit.engines.in_hand import hold
        >>> source, found = pa.table({"id": ["b", "a"]}), pa.table({"id": ["a", "b"], "score": [0.1, 0.9]})
        >>> in_order("examples", found, "id", hold(source)).column("score").to_pylist()
        [0.9, 0.1]
    """
    by = _SORTED_BY.get(name)
    if by is not None:
        more = [(id_name, "ascending")] if name == DUPLICATES else []
        return table.sort_by([*((column, "ascending") for column in by), *more])
    if held is None:
        return table.sort_by(id_name)
    return held.in_order(table, id_name)
