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
    if known is None:
        return None
    found = excluded_ids(with_plain_id(known, run.id_name))
    return None if found is None or is_empty(tables.engine, found) else found


def excluded_ids(decisions: Frame) -> Frame | None:
    """The ids of the rows that a table of decisions excludes; None where it knows no decisions on rows.

    Args:
        decisions: The table, its id column called `id`.
    """
    if not {KIND, DECISION_ID, BULK_ID, UNDOES, VERDICT, WHEN} <= set(names_of(decisions)):
        return None
    own = without_undone(decisions).filter(nw.col(KIND) == ROW)
    marked = own.select(ID, VERDICT, WHEN).with_columns(nw.col(WHEN).max().over(ID).alias("last_when"))
    newest = marked.filter(nw.col(WHEN) == nw.col("last_when"))
    stands = newest.group_by(ID).agg(nw.col(VERDICT).max().alias(VERDICT))
    return stands.filter(nw.col(VERDICT) == EXCLUDED).select(ID)
