"""What a page shows of one item of a queue: the row, its tags with what is known of them, what is like it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spark_ml_audit.app.contents import RowContents
from spark_ml_audit.app.queues import ROW, Queue, QueueFilter
from spark_ml_audit.app.reader import RowContent
from spark_ml_audit.app.records import id_as_text
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.app.votes import Vote, newest_of_each, standing_vote
from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.outcomes.base import plain
from spark_ml_audit.reviewing.votes import BULK
from spark_ml_audit.text import for_page, harmless

_AHEAD = 24
_MOST_LIKE = 6
_LIKE_LETTERS = 400
_NEAR, _MOST_NEAR = 0.3, 3
_KEPT_BY_TEXTS = "\t\n\u200c\u200d"


def card_of(session: ReviewSession, queue: Queue, at: int, asked: QueueFilter) -> dict[str, Any]:
    """One item of a queue as JSON-able data.

    Args:
        session: The review.
        queue: The queue.
        at: Place of the item.
        asked: Filter of the queue.
    """
    items = queue.items
    row, code = int(items.rows[at]), int(items.classes[at])
    ahead = [int(item) for item in items.rows[at + 1 : at + 1 + _AHEAD]]
    following = [session.index.id_of(item) for item in dict.fromkeys(ahead) if item != row]
    row_id = session.index.id_of(row)
    content = session.contents.get(row_id, following)
    with session.lock:
        votes = session.state.votes_of(row)
        tags = _tags(session, row, code, content, asked, votes)
        card = {
            "id": id_as_text(row_id),
            "row": row,
            "at": at,
            "done": bool(queue.done[at]),
            "question": session.tag_of(code) or None,
            "blind": asked.blind,
            "values": [] if content is None else _values(content.values),
            "gone": content is None,
            "tags": tags,
            "excluded": row in session.state.excluded,
            "ambiguity": _score(session.index.ambiguity, row),
            "outlier": _score(session.index.outlier, row),
        }
    if not asked.blind:
        card["like"] = like_rows(session, row, session.contents)
    return card


def _values(values: Mapping[str, str | None]) -> list[list[str | None]]:
    return [
        [for_page(name, 200), None if text is None else harmless(text, _KEPT_BY_TEXTS)]
        for name, text in values.items()
    ]


def _score(scores: Any, row: int) -> float | None:
    score = float(scores[row])
    return None if np.isnan(score) else round(score, 4)


def _tags(
    session: ReviewSession,
    row: int,
    code: int,
    content: RowContent | None,
    asked: QueueFilter,
    votes: Mapping[int, list[Vote]],
) -> list[dict[str, Any]]:
    """The tags of a row: those it was given and those that are proposed, and of each what is known."""
    index = session.index
    start, end = index.cells.offsets[row], index.cells.offsets[row + 1]
    flags = dict(zip(index.cells.of(row), range(int(start), int(end)), strict=True))
    given = list(content.given if content is not None else index.given.of(row))
    if asked.blind:
        # what was flagged is not to be told from what was not, nor what was given where that is asked
        context = [_tag(session, other, None, {}) | {"given": True} for other in given if other != code]
        question = [] if code == ROW else [_tag(session, code, None, {}) | {"asked": True, "given": False}]
        return [*question, *context]
    doubtful = index.doubtful.get(row, ())
    listed = dict.fromkeys((*flags, *(item for item in (code,) if item >= 0), *given, *doubtful, *votes))
    listed.pop(ROW, None)
    near = _near(content, listed)
    found = []
    for other in (*listed, *near):
        place = flags.get(other)
        flag = None if place is None else MISSING if index.missing[place] else EXTRANEOUS
        tag = _tag(session, other, content, votes) | {"given": other in given, "flag": flag}
        is_asked = flag is not None if flags else other in doubtful
        tag["asked"] = other == code if code != ROW else is_asked
        tag["near"] = other in near
        if flag is not None and tag["prob"] is None and place is not None:
            tag["prob"] = round(float(index.pred_prob[place]), 6)
        found.append(tag)
    return found


def _near(content: RowContent | None, listed: Mapping[int, None]) -> list[int]:
    """Tags that are neither given nor flagged, and not far from it."""
    if content is None:
        return []
    order = np.argsort(-content.pred_probs, kind="stable")[: len(listed) + _MOST_NEAR]
    likely = [int(code) for code in order if content.pred_probs[code] >= _NEAR and int(code) not in listed]
    return likely[:_MOST_NEAR]


def _tag(
    session: ReviewSession, code: int, content: RowContent | None, votes: Mapping[int, list[Vote]]
) -> dict[str, Any]:
    own = votes.get(code, [])
    standing = standing_vote(own) if own else None
    return {
        "tag": session.classes[code],
        "shown": for_page(session.classes[code], 200),
        "prob": None if content is None else round(float(content.pred_probs[code]), 6),
        "flag": None,
        "asked": False,
        "near": False,
        "stands": None if standing is None else standing.verdict,
        "disputed": standing is not None and standing.is_disputed,
        "votes": [_vote(vote) for vote in sorted(newest_of_each(own), key=lambda vote: vote.moment)],
    }


def _vote(vote: Vote) -> dict[str, Any]:
    return {
        "who": for_page(vote.who or ("bulk" if vote.kind == BULK else "somebody"), 80),
        "verdict": vote.verdict,
        "kind": vote.kind,
        "when": None if vote.when is None else vote.when.isoformat(timespec="seconds"),
        "note": None if vote.note is None else for_page(vote.note, 500),
    }


def like_rows(session: ReviewSession, row: int, contents: RowContents) -> list[dict[str, Any]]:
    """Near-duplicates of a row, those with other tags first."""
    index = session.index
    group = int(index.group[row])
    if group < 0:
        return []
    others = [int(other) for other in np.flatnonzero(index.group == group) if other != row]
    ids = [index.id_of(other) for other in others[: 4 * _MOST_LIKE]]
    contents.read(ids)
    own = contents.get(index.id_of(row))
    mine = set(own.given if own is not None else ())
    found = []
    for other, row_id in zip(others, ids, strict=False):
        content = contents.get(row_id)
        if content is None:
            continue
        given = set(content.given)
        text = next((value for value in content.values.values() if value), "") or ""
        found.append(
            {
                "id": for_page(id_as_text(row_id), 200),
                "row": other,
                "text": for_page(text, _LIKE_LETTERS),
                "more": [for_page(session.classes[code], 200) for code in sorted(given - mine)],
                "fewer": [for_page(session.classes[code], 200) for code in sorted(mine - given)],
            }
        )
    found.sort(key=lambda item: not (item["more"] or item["fewer"]))
    return list(plain(found[:_MOST_LIKE]))
