"""What a person decided, from the page into the table: checked, written, and taken in."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from spark_ml_audit.app.decided import DecisionRecord
from spark_ml_audit.app.queues import DIRECTIONS
from spark_ml_audit.app.sent import (
    MOST_ID,
    MOST_NAME,
    MOST_TAG,
    RUN,
    Sent,
    one_of,
    plain_text,
    text_of,
    whole_of,
)
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.config.review import MAX_SAMPLE
from spark_ml_audit.errors import InputError
from spark_ml_audit.reviewing.decision_table import Decision
from spark_ml_audit.reviewing.votes import ADJUDICATED, EXCLUDED, INCLUDED, ROW, SINGLE, UNDO, VERDICTS
from spark_ml_audit.text import show

_DRAWS = ("first-look", "random", "certify")
_MOST_CELLS = 500
_MOST_ID = 100
_EARLIEST = datetime(2000, 1, 1, tzinfo=timezone.utc)


def decide(session: ReviewSession, sent: Sent, who: str) -> list[str]:
    """Write one decision of a person, on a row or on some of its cells.

    Args:
        session: The review.
        sent: decision_id, id (text of the row's id), cells (pairs of tag and verdict) or row (exclude or
            include), and note, sample, adjudicated, when (ISO), run_id (the run that the page shows) if
            there are any.
        who: The person.

    Returns:
        decision_id of every record. Sent again, nothing changes.

    Raises:
        OtherRunError: It is about another run than the one that is served; nothing is written.
        InputError: It cannot be used; nothing is written.
    """
    run_id = text_of(sent, RUN, MOST_NAME)
    reader, decisions = session.steady(
        lambda: (session.answering(run_id), _decisions(session, sent, who)), run_id
    )
    is_new = reader.append(decisions)
    session.took(reader, [_record(item, reader.run.run_id) for item in decisions], is_new=is_new)
    return [item.decision_id for item in decisions]


def _decisions(session: ReviewSession, sent: Sent, who: str) -> list[Decision]:
    """What is to be written, checked."""
    name = text_of(sent, "decision_id", _MOST_ID)
    if not name:
        raise InputError("a decision needs an id of its own.", key="decision_id")
    row = session.row_of(text_of(sent, "id", MOST_ID), hold=True)
    row_id = session.index.id_of(row)
    shared: dict[str, Any] = {
        "who": who,
        "when": _moment(sent.get("when")),
        "note": text_of(sent, "note") or None,
    }
    sample = text_of(sent, "sample", MOST_NAME)
    drawn = session.drawn_in(sample)
    if sent.get("row") is not None:
        verdict = one_of(sent, "row", (EXCLUDED, INCLUDED))
        answers = sample if any(place == row for place, _ in drawn) else None
        row_decision = Decision(
            row_id, None, verdict, decision_id=f"{name}.0", kind=ROW, sample_id=answers, **shared
        )
        return [row_decision]
    kind = ADJUDICATED if sent.get("adjudicated") is True else SINGLE
    return [
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


def take_back(session: ReviewSession, names: object, who: str, run_id: str = "") -> list[str]:
    """Take decisions of a person back, those of them that there are.

    Args:
        session: The review.
        names: decision_id of every record, or bulk_id of an acceptance.
        who: The person.
        run_id: The run that the page shows; "" where it does not say.

    Raises:
        OtherRunError: They are of another run than the one that is served.
        InputError: They are no ids, or none of them is of a decision.
    """
    reader = session.answering(run_id)
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise InputError("decisions are taken back by their ids.", key="undo")
    names = [plain_text(name) for name in names[:_MOST_CELLS]]
    if not all(map(session.state.knows, names)):
        session.refresh()  # another server may have written it a moment ago
    known = [name for name in names if session.state.knows(name)]
    if names and not known:
        raise InputError(f"there is no decision {show(names[0])} to take back.", key="undo")
    is_new = [reader.undo(name, who) for name in known]
    now = datetime.now(timezone.utc)
    records = [
        DecisionRecord(None, None, None, who, now, UNDO, f"undo-{name}", undoes=name) for name in known
    ]
    session.took(reader, records, is_new=any(is_new))
    return known


def drawing_of(sent: Sent) -> dict[str, Any]:
    """What a page asks to be drawn, as keys of the section `sample`.

    Raises:
        InputError: It is drawn in no such way.
    """
    how, size = one_of(sent, "how", _DRAWS), whole_of(sent, "size", 100, MAX_SAMPLE)
    more: dict[str, Any] = {}
    if how == "certify":
        more = {"tag": text_of(sent, "tag", MOST_TAG), "direction": one_of(sent, "direction", DIRECTIONS)}
    return {"how": how, "size": size, **more}


def _record(item: Decision, run_id: str) -> DecisionRecord:
    return DecisionRecord(
        item.id, item.tag, item.verdict, item.who, item.when, item.kind, item.decision_id,
        sample_id=item.sample_id, run_id=run_id, note=item.note,
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
            raise InputError(f"there is no tag {show(tag)}.", key="cells")
        if verdict not in VERDICTS:
            raise InputError(f"the verdict {show(verdict)} is none of {', '.join(VERDICTS)}.", key="cells")
        found[tag] = verdict
    return list(found.items())


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
