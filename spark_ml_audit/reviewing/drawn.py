"""How far drawn cells count as evidence, judged or not: what nobody answers must not better a proof.

Whoever could draw one sample after the other, look at each, and answer the ones that look right would prove
what is not so. So a sample that is being answered counts up to its last judged cell, and one that was put
aside for another counts to its end: what nobody answered of it counts as wrong, until somebody does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

from spark_ml_audit.reviewing.votes import TAG

_RANDOM = "random"
_BEFORE_ALL = datetime.min.replace(tzinfo=timezone.utc)


def reached_cells(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells that count as evidence; each once, as drawn from the largest set.

    Args:
        rows: Flagged cells of blind samples: sample_id, how, position, id, tag, issue, floor, drawn_at (null
            in samples of older versions), is_judged.

    Example:
        >>> cell = {"how": "certify", "tag": "war", "issue": "missing", "drawn_at": None, "is_judged": None}
        >>> first = [{**cell, "sample_id": "a", "position": k, "id": k, "floor": None} for k in (1, 2, 3)]
        >>> first[0]["is_judged"] = True
        >>> len(reached_cells(first))
        1
        >>> now = datetime(2026, 6, 1, tzinfo=timezone.utc)
        >>> other = {**cell, "sample_id": "b", "position": 1, "id": 9, "floor": 0.9, "drawn_at": now}
        >>> len(reached_cells([*first, other]))
        3
    """
    last: dict[str, int] = {}
    for row in rows:
        if row["is_judged"]:
            last[row["sample_id"]] = max(last.get(row["sample_id"], 0), row["position"])
    aside = put_aside(rows)
    found: dict[tuple[Any, str, str], dict[str, Any]] = {}
    for row in rows:
        if row["sample_id"] not in aside and row["position"] > last.get(row["sample_id"], 0):
            continue
        key = (row["id"], row[TAG], row["issue"])
        known = found.get(key)
        if known is None or (row["floor"] or 0) < (known["floor"] or 0):
            found[key] = row
    return list(found.values())


def put_aside(rows: Sequence[dict[str, Any]]) -> frozenset[str]:
    """Samples after which another one was drawn instead.

    Of samples to certify by: one of the same class and direction from another `sample.above`. From the same
    one a further sample goes on in the same order, with what was left unanswered first. Of random samples:
    any other.

    Args:
        rows: As of `reached_cells`.
    """
    samples: dict[str, tuple[tuple[Any, ...], float | None, datetime]] = {}
    for row in rows:
        is_random = row["how"] == _RANDOM
        group = (_RANDOM,) if is_random else (row["how"], row[TAG], row["issue"])
        samples[row["sample_id"]] = (
            group,
            None if is_random else row["floor"] or 0,
            row["drawn_at"] or _BEFORE_ALL,
        )
    return frozenset(
        name
        for name, (group, floor, moment) in samples.items()
        if any(
            group == other and moment < later and (floor is None or floor != theirs)
            for other, theirs, later in samples.values()
        )
    )
