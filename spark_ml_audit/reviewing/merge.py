"""Corrected labels put into a table that belongs to somebody else, guarded by what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.errors import InputError, reason_of
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.source import newest_version
from spark_ml_audit.reviewing.label_changes import (
    AFTER,
    APPLIED,
    BEFORE,
    CHANGES,
    PLANNED,
    STATUS,
    LabelColumns,
    compare_rows,
)

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame


def merge_plan(engine: Engine, place: str, labels: LabelColumns, plan: Frame, *, undo: bool = False) -> Frame:
    """Change the planned rows in place; the plan with the status that every row has now.

    Args:
        engine: What writes the table.
        place: The table.
        labels: Its label columns.
        plan: Rows with id, before, after and status.
        undo: Whether the labels before come back instead.

    Raises:
        InputError: The table cannot be written.
    """
    is_planned = nw.col(STATUS) == PLANNED
    planned = plan.filter(is_planned)
    _merge_labels(engine, place, labels, planned, undo=undo)
    now = newest_version(engine, place, "correct.mode")
    expected = BEFORE if undo else AFTER
    final = compare_rows(engine, planned, now.frame, labels, expected=expected, good=APPLIED)
    others = plan.filter(~is_planned).select(ID, BEFORE, AFTER, CHANGES, STATUS)
    return nw.concat([final, others], how="vertical")


def _merge_labels(engine: Engine, place: str, labels: LabelColumns, plan: Frame, *, undo: bool) -> None:
    """Replace the labels of the planned rows that still have the labels the plan knows, in one transaction.

    Rows changed meanwhile do not match and stay as they are; a transaction that lost a race against another
    writer is tried again on what that one left. Doing it twice changes nothing.
    """
    first, second = (AFTER, BEFORE) if undo else (BEFORE, AFTER)
    rows = labels.unpacked(engine, plan, **{first: "old_", second: "new_"}).rename({ID: "row_id"})
    try:
        delta_table(engine, Place.of(place)).update(rows, labels.id, labels.names)
    except Exception as error:
        raise InputError(
            f"the labels of '{place}' could not be changed: {reason_of(error)}.",
            key="correct.mode",
            fix="Check that the table is a Delta table you may write; mode copy leaves it as it is.",
        ) from error
