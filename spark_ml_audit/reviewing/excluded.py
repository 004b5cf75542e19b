"""Rows that people have excluded: they are left out of corrected copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import is_empty
from spark_ml_audit.engines.columns import names_of
from spark_ml_audit.lake.schemas import DECISIONS
from spark_ml_audit.reviewing.tables import with_plain_id
from spark_ml_audit.reviewing.votes import (
    BULK_ID,
    DECISION_ID,
    EXCLUDED,
    KIND,
    ROW,
    UNDOES,
    VERDICT,
    WHEN,
    without_undone,
)

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun


def excluded_rows(tables: OutputTables, run: FinishedRun) -> Frame | None:
    """The ids of the rows whose newest decision of kind row says exclude; None where there are none.

    Of two at the same time include stands.

    Args:
        tables: The output.
        run: An audit of it, for the name of the id.
    """
    known = tables.existing(DECISIONS)
    if known is None or not {KIND, DECISION_ID, BULK_ID, UNDOES} <= set(names_of(known)):
        return None
    own = with_plain_id(without_undone(known), run.id_name).filter(nw.col(KIND) == ROW)
    marked = own.select(ID, VERDICT, WHEN).with_columns(nw.col(WHEN).max().over(ID).alias("last_when"))
    newest = marked.filter(nw.col(WHEN) == nw.col("last_when"))
    stands = newest.group_by(ID).agg(nw.col(VERDICT).max().alias(VERDICT))
    found = stands.filter(nw.col(VERDICT) == EXCLUDED).select(ID)
    return None if is_empty(tables.engine, found) else found
