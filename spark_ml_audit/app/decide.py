"""What a person decided, from the page into the table: checked, written, and taken in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from spark_ml_audit.app.decided import DecisionRecord
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.config.review import MAX_SAMPLE
from spark_ml_audit.errors import InputError
from spark_ml_audit.reviewing.decision_table import Decision
from spark_ml_audit.reviewing.votes import ADJUDICATED, EXCLUDED, INCLUDED, ROW, SINGLE, UNDO, VERDICTS

_DRAWS = ("first-look", "random", "certify")
_MOST_CELLS = 500
_MOST_NOTE = 2000
_MOST_ID = 100
_EARLIEST = datetime(2000, 1, 1, tzinfo=timezone.utc)


def decide(session: ReviewSession, sent: Mapping[str, Any], who: str) -> list[str]:
    """Write one decision of a person, on a row or on some of its cells.

    Args:
        session: The review.
        sent: decision_id, id (text of the row's id), cells (pairs of tag and verdict) or row (exclude or
            include), and note, sample, adjudicated, when (ISO) if there are any.
        who: The person.

    Returns:
        decision_id of every record. Sent again, nothing changes.

    Raises:
        InputError: It cannot be used; nothing is written.
    """
    name = _text(sent, "decision_id", _MOST_ID)
    if not name:
        raise InputError("a decision needs an id of its own.", key="decision_id")
    row = session.row_of(_text(sent, "id", 100_000), hold=True)
    row_id = session.index.id_of(row)
    shared: dict[str, Any] = {
        "who": who,
        "when": _moment(sent.get("when")),
        "note": _text(sent, "note", _MOST_NOTE) or None,
    }
    sample = _text(sent, "sample", 300)
    if sent.get("row") is not None:
        verdict = sent["row"]
        if verdict not in (EXCLUDED, INCLUDED):
            raise InputError(f"row is {str(verdict)[:80]!r}, not exclude or include.", key="row")
        decisions = [Decision(row_id, None, verdict, decision_id=f"{name}.0", kind=ROW, **shared)]
    else:
        kind = ADJUDICATED if sent.get("adjudicated") else SINGLE
        drawn = session.drawn_in(sample)
        decisions = [
            Decision(
                row_id,
                tag,
                verdict,
                decision_id=f"{name}.{k}",
                kind=kind,
                sample_id=sample if (row, session.codes[tag]) in drawn else None,
                **shared,
            )
            for k, (tag, verdict) in enumerate(_cells(session, sent.get("cells")))
        ]
    is_new = session.reader.append(decisions)
    session.take([_record(item, session) for item in decisions])
    if is_new:
        session.wrote()
    return [item.decision_id for item in decisions]


def take_back(session: ReviewSession, names: object, who: str) -> list[str]:
    """Take decisions of a person back, those of them that there are.

    Args:
        session: The review.
        names: decision_id of every record, or bulk_id of an acceptance.
        who: The person.

    Raises:
        InputError: They are no ids, or none of them is of a decision.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise InputError("decisions are taken back by their ids.", key="undo")
    names = names[:_MOST_CELLS]
    if not all(map(session.state.knows, names)):
        session.refresh()  # another server may have written it a moment ago
    known = [name for name in names if session.state.knows(name)]
    if names and not known:
        raise InputError(f"there is no decision {names[0][:80]!r} to take back.", key="undo")
    is_new = [session.reader.undo(name, who) for name in known]
    now = datetime.now(timezone.utc)
    session.take(
        [DecisionRecord(None, None, None, who, now, UNDO, f"undo-{name}", undoes=name) for name in known]
    )
    if any(is_new):
        session.wrote()
    return known


def drawing_of(sent: Mapping[str, Any]) -> dict[str, Any]:
    """What a page asks to be drawn, as keys of the section `sample`.

    Raises:
        InputError: It is drawn in no such way.
    """
    how, size = sent.get("how"), sent.get("size", 100)
    if how not in _DRAWS or not isinstance(size, int) or isinstance(size, bool):
        raise InputError(f"a sample is drawn as one of {', '.join(_DRAWS)}.", key="how")
    more = {name: str(sent.get(name)) for name in ("tag", "direction")} if how == "certify" else {}
    return {"how": how, "size": min(max(size, 1), MAX_SAMPLE), **more}


def _record(item: Decision, session: ReviewSession) -> DecisionRecord:
    return DecisionRecord(
        item.id, item.tag, item.verdict, item.who, item.when, item.kind, item.decision_id,
        sample_id=item.sample_id, run_id=session.reader.run.run_id, note=item.note,
    )  # fmt: skip


def _cells(session: ReviewSession, sent: object) -> list[tuple[str, str]]:
    if not isinstance(sent, list) or not sent or len(sent) > _MOST_CELLS:
        raise InputError(f"a decision is on 1 to {_MOST_CELLS} tags.", key="cells")
    found: dict[str, str] = {}
    for pair in sent:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise InputError("each cell is a tag and a verdict.", key="cells")
        tag, verdict = pair
        if tag not in session.codes:
            raise InputError(f"there is no tag {tag[:80]!r}.", key="cells")
        if verdict not in VERDICTS:
            raise InputError(f"the verdict {verdict[:80]!r} is none of {', '.join(VERDICTS)}.", key="cells")
        found[tag] = verdict
    return list(found.items())


def _text(sent: Mapping[str, Any], key: str, longest: int) -> str:
    value = sent.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest:
        raise InputError(f"{key} is no text of at most {longest:,} characters.", key=key)
    return value.encode("utf-8", "replace").decode("utf-8")


def _moment(value: object) -> datetime:
    """When it was decided: as the page says, which may have had no connection for a while."""
    now = datetime.now(timezone.utc)
    if not isinstance(value, str):
        return now
    try:
        told = datetime.fromisoformat(value.replace("Z", "+00:00"))
        told = (told if told.tzinfo else told.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        return now
    return max(min(told, now), _EARLIEST)
