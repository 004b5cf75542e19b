"""Corrections in every label format, in a copy and in place; guarded, recorded, taken back byte for byte."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from spark_ml_audit import correct, undo
from spark_ml_audit.engines.base import VECTOR
from spark_ml_audit.errors import AuditError, ConfigError, InputError
from spark_ml_audit.reviewing.label_changes import label_columns
from tests.lake import Lake
from tests.sql_types import table_of

TAGS = ["b", "a", "c`, x"]
CHANGES = {
    "r1": [("a", "removed"), ("c`, x", "added")],
    "r2": [("b", "removed")],
    "r3": [("b", "added"), ("a", "added")],
}
SCHEMA = (
    "id string, names array<string>, `in.dex` array<smallint>, hot array<boolean>, ones array<double>, "
    "text string, c0 boolean, `c``1` int, c2 double, pred_probs array<float>"
)
P = [0.5] * 3
SOURCE: list[tuple[Any, ...]] = [
    ("r1", ["a", "b"], [1, 0], [True, True, False], [1.0, 1.0, 0.0], "a|b", True, 1, 0.0, P),
    ("r2", ["b"], [0], [True, False, False], [1.0, 0.0, 0.0], "  b ", True, 0, 0.0, P),
    ("r3", [], [], [False] * 3, [0.0, 0.0, 0.0], "", False, 0, 0.0, P),
    ("r4", ["c`, x", "a"], [2, 1], [False, True, True], [0.0, 1.0, 1.0], "c`, x| a", False, 1, 1.0, P),
    ("r5", None, None, None, None, None, None, None, None, P),
]
SOONEST = ("names", "columns")
# format -> label columns, and what the changed rows hold afterwards
FORMATS: dict[str, tuple[str, tuple[str, ...], list[tuple[Any, ...]]]] = {
    "names": ("names", ("names",), [(["b", "c`, x"],), ([],), (["b", "a"],)]),
    "indices": ("indices", ("in.dex",), [([0, 2],), ([],), ([0, 1],)]),
    "booleans": ("multi_hot", ("hot",), [([True, False, True],), ([False] * 3,), ([True, True, False],)]),
    "doubles": ("multi_hot", ("ones",), [([1.0, 0.0, 1.0],), ([0.0] * 3,), ([1.0, 1.0, 0.0],)]),
    "delimited": ("delimited", ("text",), [("b|c`, x",), ("",), ("b|a",)]),
    "columns": ("columns", ("c0", "c`1", "c2"), [(True, 0, 1.0), (False, 0, 0.0), (True, 1, 0.0)]),
}


DECISIONS = "id long, tag string, verdict string, who string, when timestamp, note string"


def noon(day: str) -> datetime:
    return datetime.fromisoformat(f"2026-{day} 12:00:00+00:00")


def contents(lake: Lake, path: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row.values()) for row in lake.records(path))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.matrix] * (name in SOONEST)) for name in FORMATS]
)
def test_labels_keep_their_format_and_come_back_exactly(lake: Lake, name: str) -> None:
    labels_format, columns, expected = FORMATS[name]
    source, out = lake.write(lake.frame(SOURCE, SCHEMA, TAGS)), lake.path("out")
    original, names = contents(lake, source), lake.table(source).column_names
    settings = {
        "source.labels": columns[0] if len(columns) == 1 else list(columns),
        "source.labels_format": labels_format,
        "source.labels_delimiter": "|",
    }
    lake.audit({"source.path": source, "output.path": out, **settings})
    says = {"added": "present", "removed": "absent"}
    decisions = [
        (row, tag, says[action], "ann", noon("06-01"), "")
        for row, cells in CHANGES.items()
        for tag, action in cells
    ]
    decided = lake.write(lake.frame(decisions, DECISIONS.replace("id long", "id string")))

    done = lake.call(correct, out, decisions=decided)
    copy, places = contents(lake, done.target), [names.index(column) for column in columns]
    assert [tuple(row[k] for k in places) for row in copy[:3]] == expected
    assert copy[3:] == original[3:]
    others = [k for k in range(len(names)) if k not in places]
    assert [[row[k] for k in others] for row in copy] == [[row[k] for k in others] for row in original]

    merged = lake.call(correct, out, decisions=decided, mode="merge")
    assert (merged.num_rows_changed, merged.num_stale) == (3, 0)
    assert contents(lake, source) == copy
    lake.call(undo, merged.correction_id, out)
    assert contents(lake, source) == original


def test_vectors_are_refused_with_a_way_out() -> None:
    vector = pa.field("v", pa.list_(pa.float64()), metadata={VECTOR: b"1"})
    schema = pa.schema([pa.field("id", pa.string()), vector])
    with pytest.raises(InputError, match="which cannot be corrected"):
        label_columns(schema, "id", ("v",), "multi_hot", ",")


@pytest.fixture(scope="module")
def audited(house: Lake) -> dict[str, Any]:
    """An audited source, changed since, and decisions of every sort on it."""
    rng = np.random.default_rng(3)
    truth = rng.random((120, 3)) < 0.4
    given = truth ^ (rng.random(truth.shape) < 0.08)
    probs = np.clip(np.where(truth, 0.9, 0.1) + rng.normal(size=truth.shape) * 0.05, 0.001, 0.999)
    rows = [
        (i, ",".join(TAGS[k] for k in np.flatnonzero(given[i])).replace("c`, x", "c"), probs[i].tolist())
        for i in range(120)
    ]
    rows.append((900, None, [0.5] * 3))
    house.settings = {"output.path": house.path("out")}
    source = house.write(house.frame(rows, "key int, tags string, pred_probs array<double>", ["b", "a", "c"]))
    columns = {"source.id": "key", "source.labels": "tags", "source.path": source}
    result = house.audit(columns)
    issues = sorted(house.rows(result, "tag_issues"), key=lambda row: row["cell_score"])
    return {
        **result,
        "source": source,
        "issues": issues,
        "tags_before": {row[0]: row[1] for row in rows},
    }


@pytest.fixture(scope="module")
def decided(house: Lake, audited: dict[str, Any]) -> dict[str, Any]:
    """Decisions on the surest cells: right, confirmed, unsure, contradictory, outdated, unknown."""
    right, confirmed, unsure, torn, revised, stale = [
        cell
        for n, cell in enumerate(audited["issues"])
        if n == 0 or cell["key"] != audited["issues"][n - 1]["key"]
    ][:6]
    says = {"missing": ("present", "absent"), "extraneous": ("absent", "present")}
    rows: list[tuple[Any, ...]] = []
    for cell, verdicts in (
        (right, [(0, "06-01")]),
        (confirmed, [(1, "06-01")]),
        (unsure, [(None, "06-01")]),
        (torn, [(0, "06-01"), (1, "06-01")]),
        (revised, [(1, "06-01"), (0, "06-02")]),
        (stale, [(0, "06-01")]),
    ):
        for which, day in verdicts:
            verdict = "unsure" if which is None else says[cell["issue"]][which]
            rows.append((cell["key"], cell["tag"], verdict, "ann", noon(day), ""))
    rows += [
        (900, "a", "present", "ann", noon("06-01"), ""),
        (12345, "a", "present", "ann", noon("06-01"), ""),
        (1, "zzz", "present", "ann", noon("06-01"), ""),
        (1, "a", "maybe", "ann", noon("06-01"), ""),
    ]
    house.write(house.frame(rows, DECISIONS), to=house.path("decisions"))
    # somebody else works on the source meanwhile
    source = DeltaTable(audited["source"])
    source.update(predicate=f"key = {stale['key']}", new_values={"tags": "b,a,c"})
    more = table_of([(1000, "a", [0.5] * 3)], house.table(audited["source"]).schema)
    house.write(more, to=audited["source"], mode="append")
    return {"right": right, "revised": revised, "stale": stale, "confirmed": confirmed, "torn": torn}


def labels_of(house: Lake, where: str) -> dict[int, str]:
    return {row["key"]: row["tags"] for row in house.records(where)}


def corrected_by(house: Lake, table: str, correction_id: str) -> list[dict[str, Any]]:
    return [row for row in house.records(house.path(f"out/{table}")) if row["correction_id"] == correction_id]


def changed(tags: str, cell: dict[str, Any]) -> str:
    parts = [tag for tag in tags.split(",") if tag and tag != cell["tag"]]
    return ",".join([*parts, cell["tag"]] if cell["issue"] == "missing" else parts)


SET_ASIDE = {"contradictory": 1, "row_not_audited": 2, "tag_unknown": 1, "unsure": 1, "verdict_unknown": 1}


@pytest.mark.matrix
def test_decisions_correct_a_copy_and_leave_rows_that_changed(house, audited, decided):
    done = house.call(correct, house.path("out"), decisions=house.path("decisions"))
    assert (done.num_rows_changed, done.num_stale, done.num_gone) == (2, 1, 0)
    assert done.set_aside == SET_ASIDE
    now, copy = labels_of(house, audited["source"]), labels_of(house, done.target)
    expected = dict(now)
    for name in ("right", "revised"):
        key = decided[name]["key"]
        expected[key] = changed(now[key], decided[name])
    assert copy == expected
    assert copy[decided["stale"]["key"]] == "b,a,c"
    assert copy[900] is None
    assert house.table(done.target).schema == house.table(audited["source"]).schema
    with pytest.raises(ConfigError, match="holds a table that no correction wrote"):
        house.call(correct, house.path("out"), accept_above=0.9, to=house.path("decisions"))
    with pytest.raises(ConfigError, match="is the source itself"):
        house.call(correct, house.path("out"), accept_above=0.9, to=audited["source"])


@pytest.mark.matrix
def test_merge_is_recorded_repeated_without_effect_and_undone(house, audited, decided):
    before = labels_of(house, audited["source"])
    options = {"decisions": house.path("decisions"), "accept_above": 0.85, "mode": "merge"}
    outcome = house.run("correct", {f"correct.{name}": value for name, value in options.items()})
    assert outcome.exit_code == 0, outcome.stderr
    done = outcome.json
    after = labels_of(house, audited["source"])
    recorded = corrected_by(house, "corrections", done["correction_id"])
    assert {key for key in before if before[key] != after[key]} == {
        row["key"] for row in recorded if row["status"] == "applied"
    }
    assert done["num_tags_added"] + done["num_tags_removed"] == sum(
        row["status"] == "applied" for row in recorded
    )
    reasons = {row["key"]: row for row in recorded}
    right = reasons[decided["right"]["key"]]
    assert (right["decided_by"], right["reason"], right["source_version"]) == ("ann", "decision", "0")
    assert json.loads(right["labels_before"])["l0"] == before[right["key"]]
    assert json.loads(right["labels_after"])["l0"] == after[right["key"]]
    # a person's word keeps the machine away, whatever it says
    spoken = {(decided[name]["key"], decided[name]["tag"]) for name in ("confirmed", "torn")}
    assert not spoken & {(row["key"], row["tag"]) for row in recorded}
    sure = {
        (row["key"], row["tag"])
        for row in audited["issues"]
        if (row["pred_prob"] if row["issue"] == "missing" else 1 - row["pred_prob"]) >= 0.85
    }
    auto = {(row["key"], row["tag"]) for row in recorded if row["reason"] == "auto"}
    assert auto
    assert auto <= sure
    assert {row["status"] for row in recorded if row["key"] == decided["stale"]["key"]} == {"stale"}

    version = house.versions({"tables": {"source": audited["source"]}})
    again = house.call(correct, house.path("out"), correction_id=done["correction_id"], **options)
    assert again.already_finished
    assert house.versions({"tables": {"source": audited["source"]}}) == version

    # a row that somebody changed after the correction stays theirs
    theirs = decided["right"]["key"]
    DeltaTable(audited["source"]).update(predicate=f"key = {theirs}", new_values={"tags": "c,a,b"})
    back = house.call(undo, done["correction_id"], house.path("out"))
    assert (back.num_stale, back.num_rows_changed) == (1, done["num_rows_changed"] - 1)
    assert labels_of(house, audited["source"]) == {**before, theirs: "c,a,b"}
    assert house.call(undo, done["correction_id"], house.path("out")).already_finished


def test_a_correction_killed_after_the_merge_is_completed_by_its_retry(house, audited, decided, monkeypatch):
    from spark_ml_audit.outcomes.runs import new_run_id
    from spark_ml_audit.reviewing import correction_record

    correction_id = new_run_id()
    options = {"decisions": False, "accept_above": 0.85, "mode": "merge"}

    def die(*arguments: Any, **named: Any) -> None:
        raise AuditError("killed")

    monkeypatch.setattr(correction_record, "change_rows", die)
    with pytest.raises(AuditError, match="killed"):
        house.call(correct, house.path("out"), correction_id=correction_id, **options)
    monkeypatch.undo()
    merged = labels_of(house, audited["source"])
    other = {**options, "accept_above": 0.9}
    with pytest.raises(ConfigError, match="was begun with another config"):
        house.call(correct, house.path("out"), correction_id=correction_id, **other)
    done = house.call(correct, house.path("out"), correction_id=correction_id, **options)
    assert done.num_rows_changed > 0
    assert labels_of(house, audited["source"]) == merged
    assert len(corrected_by(house, "correction_runs", correction_id)) == 1
