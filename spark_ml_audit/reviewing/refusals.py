"""Rows of a file of decisions that are set aside, in words: line, what is wrong, value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.reviewing.spreadsheet import PLACE, WHERE
from spark_ml_audit.reviewing.votes import TAG, VERDICT, WHEN
from spark_ml_audit.text import show

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame

REASON = "reason"
_PASSED = ("", "blank", "known")
_SHOWN = 20
_SAID = {
    "verdict_unknown": (
        VERDICT,
        "is no verdict",
    ),
    "id_unknown": (ID, "names no audited row"),
    "tag_unknown": (TAG, "is no class of the audit"),
    "when_unreadable": (WHEN, "is no time"),
}


def faulty_rows(judged: Frame) -> Frame:
    """The rows that are neither decisions, nor blank, nor known."""
    return judged.filter(~nw.col(REASON).is_in(_PASSED))


def refusals_of(engine: Engine, judged: Frame) -> tuple[str, ...]:
    """The first rows set aside, in words.

    Args:
        engine: Runs the frame.
        judged: Rows as read, with their reasons.
    """
    names = (ID, TAG, VERDICT, WHEN)
    told = faulty_rows(judged).select(PLACE, WHERE, REASON, *names)
    found = rows_of(engine, told.sort(PLACE, ID, TAG).head(_SHOWN))
    return tuple(said_of(row) for row in found)


def said_of(row: dict[str, Any]) -> str:
    """A row set aside, in words.

    >>> said_of({"reason": "tag_unknown", "_where": "line 7", "tag": "dramma", "id": 3})
    "line 7: tag 'dramma' is no class of the audit"
    """
    name, said = _SAID[row[REASON]]
    where = row[WHERE] or f"the row of id {show(row[ID])}"
    return f"{where}: {name} {show(row[name])} {said}"
