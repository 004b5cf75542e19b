"""What a correction by the decisions so far would change: counted before anything is written."""

from __future__ import annotations

from collections import Counter
from typing import Any

from spark_ml_audit.app.queues import ROW
from spark_ml_audit.app.records import id_as_text
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.app.votes import ABSENT, PRESENT
from spark_ml_audit.text import for_page

_SHOWN_ROWS, _SHOWN_TAGS = 12, 50
_LETTERS = 200


def planned_changes(session: ReviewSession) -> dict[str, Any]:
    """What a corrected copy would change, by class and in some rows; and how much a merge would.

    A copy leaves out the rows that people excluded, whatever else was decided of them; a merge changes their
    labels as those of all others, and leaves them in.
    """
    with session.lock:
        settled = [
            (cell, standing.verdict)
            for cell, votes in session.state.votes.items()
            if votes and cell[1] != ROW and (standing := session.state.standing(cell)) is not None
        ]
        given = {row: _given(session, row) for row in {cell[0] for cell, _ in settled}}
        out = {row: session.index.id_of(row) for row in session.state.excluded}
    session.contents.read(list(out.values()))
    excluded = {row for row, row_id in out.items() if session.contents.get(row_id) is not None}
    changes = []
    for (row, code), verdict in settled:
        own = given[row]
        if own is not None and verdict in (PRESENT, ABSENT) and (verdict == PRESENT) != (code in own):
            changes.append((row, code, "added" if verdict == PRESENT else "removed"))
    copied = [change for change in changes if change[0] not in out]
    classes = Counter((code, side) for _, code, side in copied)
    rows: dict[int, dict[str, list[int]]] = {}
    for row, code, side in copied:
        rows.setdefault(row, {"added": [], "removed": []})[side].append(code)
    shown = sorted(rows)[:_SHOWN_ROWS]
    session.contents.read([session.index.id_of(row) for row in shown])
    by_class = Counter(code for _, code, _ in copied).most_common(_SHOWN_TAGS)
    return {
        **_counted(copied),
        "excluded": len(excluded),
        "merge": _counted(changes),
        "classes": [
            {
                "tag": for_page(session.classes[code], 200),
                "added": classes[code, "added"],
                "removed": classes[code, "removed"],
            }
            for code, _ in by_class
        ],
        "some": [_shown(session, row, rows[row]) for row in shown],
    }


def _counted(changes: list[tuple[int, int, str]]) -> dict[str, int]:
    sides = Counter(side for _, _, side in changes)
    return {
        "rows": len({row for row, _, _ in changes}),
        "added": sides["added"],
        "removed": sides["removed"],
    }


def _given(session: ReviewSession, row: int) -> set[int] | None:
    """The tags a row was given; None where nobody knows any more."""
    if row < session.index.num_issues:
        return set(session.index.given.of(row))
    content = session.contents.get(session.index.id_of(row))
    return None if content is None else set(content.given)


def _shown(session: ReviewSession, row: int, changed: dict[str, list[int]]) -> dict[str, Any]:
    content = session.contents.get(session.index.id_of(row))
    given = _given(session, row) or set()
    text = next((value for value in content.values.values() if value), "") if content is not None else ""

    def names(codes: Any) -> list[str]:
        return [for_page(session.classes[code], 200) for code in sorted(codes)]

    return {
        "id": for_page(id_as_text(session.index.id_of(row)), 200),
        "text": for_page(text or "", _LETTERS),
        "kept": names(given - set(changed["removed"])),
        **{side: names(codes) for side, codes in changed.items()},
    }
