"""The rule of standing decisions, beside the same rule in plain Python: any people, times and kinds."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest

from spark_ml_audit.engines.base import Engine, rows_of
from spark_ml_audit.reviewing.decisions import check_decisions, standing_decisions

NOON = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
CLASSES = ("a", "b")
SCHEMA = pa.schema(
    [
        ("id", pa.string()), ("tag", pa.string()), ("verdict", pa.string()), ("who", pa.string()),
        ("when", pa.timestamp("us", tz="UTC")), ("note", pa.string()), ("decision_id", pa.string()),
        ("kind", pa.string()), ("bulk_id", pa.string()), ("undoes", pa.string()),
    ]
)  # fmt: skip


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"id": "r", "tag": "a", "decision_id": f"d{number}", **more}


def plain_rule(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What stands of one cell, as the rule is written."""
    undone = {item["undoes"] for item in rows if item.get("kind") == "undo"}
    held = [
        item
        for item in rows
        if item.get("kind") != "undo"
        and not {item.get("decision_id"), item.get("bulk_id")} & (undone - {None})
    ]
    levels = {"adjudicated": 2, "bulk": 0}
    good = [item for item in held if item["verdict"] in ("present", "absent", "unsure")]
    if not held:
        return {}
    if not good:
        return {"state": "verdict_unknown", "verdict": None}

    def newest(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        last = max(item["when"] or datetime.min.replace(tzinfo=timezone.utc) for item in items)
        return [item for item in items if (item["when"] or datetime.min.replace(tzinfo=timezone.utc)) == last]

    top = max(levels.get(item.get("kind") or "", 1) for item in good)
    votes = []
    for who in {item["who"] for item in good}:
        for level in (0, 1, 2):
            own = [
                item for item in good if item["who"] == who and levels.get(item.get("kind") or "", 1) == level
            ]
            if own:
                last = newest(own)
                said = {item["verdict"] for item in last}
                votes.append((level, said.pop() if len(said) == 1 else None, last[0]["when"]))
    own_votes = [vote for level, vote, _ in votes if level == 1]
    present, absent = own_votes.count("present"), own_votes.count("absent")
    counted = [{"verdict": vote, "when": when} for level, vote, when in votes if level == top and vote]
    if top == 1 and present != absent:
        winner = "present" if present > absent else "absent"
        counted = [item for item in counted if item["verdict"] == winner]
    elif top == 1 and present:
        counted = [item for item in counted if item["verdict"] != "unsure"]
    said = {item["verdict"] for item in newest(counted)} if counted else set()
    verdict = said.pop() if len(said) == 1 else None
    disputed = bool(present and absent and top != 2)
    return {"state": "standing" if verdict else "contradictory", "verdict": verdict, "is_disputed": disputed}


def stands(engine: Engine, rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    columns = {name: [item.get(name) for item in rows] for name in SCHEMA.names}
    frame = engine.from_arrow(pa.table(columns, schema=SCHEMA))
    checked = check_decisions(engine, frame, "id", pa.string(), "decisions")
    return {
        (found["id"], found["tag"]): found
        for found in rows_of(engine, standing_decisions(engine, checked, CLASSES))
    }


def test_any_decisions_stand_by_the_rule_as_it_is_written(engine: Engine) -> None:
    rng = random.Random(7)
    numbers = itertools.count()
    cells: dict[str, list[dict[str, Any]]] = {}
    for cell in range(400):
        own = [
            row(
                next(numbers),
                id=f"r{cell}",
                verdict=rng.choice(["present", "absent", "unsure", "present", "absent", "perhaps"]),
                who=rng.choice(["ann", "bob", "cem", None]),
                when=rng.choice([None, *(NOON + timedelta(hours=hour) for hour in range(4))]),
                kind=rng.choice(["single", None, "single", "single", "bulk", "adjudicated"]),
                bulk_id=rng.choice([None, None, f"b{cell}"]),
            )
            for _ in range(rng.randrange(1, 8))
        ]
        if rng.random() < 0.5:
            undoes = rng.choice([item["decision_id"] for item in own] + [f"b{cell}"])
            own.append(row(next(numbers), id=None, tag=None, kind="undo", undoes=undoes, when=NOON))
        cells[f"r{cell}"] = own
    everything = [item for own in cells.values() for item in own]
    rng.shuffle(everything)
    # what is written twice counts once
    found = stands(engine, everything + rng.sample(everything, 300))
    seen = set()
    for cell, own in cells.items():
        wanted = plain_rule(own)
        got = found.get((cell, "a"), {})
        assert {name: got.get(name) for name in wanted} == wanted, (own, got)
        assert bool(wanted) == bool(got)
        seen.add((wanted.get("state"), wanted.get("verdict"), wanted.get("is_disputed")))
    assert len(seen) >= 7


@pytest.mark.parametrize(
    ("rows", "verdict", "basis"),
    [
        ([("present", "ann", 0, None), ("absent", "ann", 1, None)], "absent", "agreed"),
        ([("present", "ann", 0, None), ("absent", "bob", 1, None)], "absent", "newest"),
        (
            [("present", "ann", 0, None), ("present", "bob", 1, None), ("absent", "cem", 2, None)],
            "present",
            "majority",
        ),
        ([("present", "ann", 0, None), ("unsure", "bob", 2, None)], "present", "agreed"),
        (
            [("present", "ann", 0, None), ("present", "bob", 1, None), ("absent", "dee", 0, "adjudicated")],
            "absent",
            "adjudicated",
        ),
        ([("present", "ann", 5, "bulk")], "present", "bulk"),
        ([("present", "ann", 5, "bulk"), ("absent", "bob", 0, None)], "absent", "agreed"),
        ([("present", "ann", 0, None), ("absent", "bob", 0, None)], None, None),
    ],
)
def test_what_stands_and_why(
    engine: Engine, rows: list[tuple[Any, ...]], verdict: str | None, basis: str | None
) -> None:
    told = [
        row(k, verdict=said, who=who, when=NOON + timedelta(hours=hour), kind=kind)
        for k, (said, who, hour, kind) in enumerate(rows)
    ]
    for order in (told, told[::-1]):
        (found,) = stands(engine, order).values()
        assert (found["verdict"], found["basis"]) == (verdict, basis)


def test_records_on_whole_rows_are_no_verdicts_on_cells(engine: Engine) -> None:
    told = [row(1, tag=None, verdict="exclude", who="ann", when=NOON, kind="row")]
    assert stands(engine, told) == {}
