"""Corrections in every label format, in a copy and in place; guarded, recorded, taken back byte for byte."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from pyspark.sql import functions as F

from spark_ml_audit import correct, undo
from spark_ml_audit.engines.choose import engine_of
from spark_ml_audit.errors import AuditError, ConfigError, InputError
from spark_ml_audit.reviewing.label_changes import (
    APPLIED,
    BEFORE,
    CHANGE_TYPE,
    PLANNED,
    compare_rows,
    corrected_rows,
    label_columns,
    plan_rows,
)
from spark_ml_audit.reviewing.merge import merge_plan
from tests.lake import Lake

pytestmark = pytest.mark.spark

TAGS = ["b", "a", "c`, x"]
CHANGES = {
    "r1": [(1, "a", "removed"), (2, "c`, x", "added")],
    "r2": [(0, "b", "removed")],
    "r3": [(0, "b", "added"), (1, "a", "added")],
}
SCHEMA = (
    "id string, names array<string>, `in.dex` array<smallint>, hot array<boolean>, ones array<double>, "
    "text string, c0 boolean, `c 1` int, c2 double"
)
SOURCE: list[tuple[Any, ...]] = [
    ("r1", ["a", "b"], [1, 0], [True, True, False], [1.0, 1.0, 0.0], "a|b", True, 1, 0.0),
    ("r2", ["b"], [0], [True, False, False], [1.0, 0.0, 0.0], "  b ", True, 0, 0.0),
    ("r3", [], [], [False] * 3, [0.0, 0.0, 0.0], "", False, 0, 0.0),
    ("r4", ["c`, x", "a"], [2, 1], [False, True, True], [0.0, 1.0, 1.0], "c`, x| a", False, 1, 1.0),
    ("r5", None, None, None, None, None, None, None, None),
]
# format -> label columns, and what the changed rows hold afterwards
FORMATS: dict[str, tuple[str, tuple[str, ...], list[tuple[Any, ...]]]] = {
    "names": ("names", ("names",), [(["b", "c`, x"],), ([],), (["b", "a"],)]),
    "indices": ("indices", ("in.dex",), [([0, 2],), ([],), ([0, 1],)]),
    "booleans": ("multi_hot", ("hot",), [([True, False, True],), ([False] * 3,), ([True, True, False],)]),
    "doubles": ("multi_hot", ("ones",), [([1.0, 0.0, 1.0],), ([0.0] * 3,), ([1.0, 1.0, 0.0],)]),
    "delimited": ("delimited", ("text",), [("b|c`, x",), ("",), ("b|a",)]),
    "columns": ("columns", ("c0", "c 1", "c2"), [(True, 0, 1.0), (False, 0, 0.0), (True, 1, 0.0)]),
}


@pytest.fixture(scope="module")
def mixed(house: Lake) -> str:
    """A table with the same tags in every format; names that Delta maps."""
    frame = house.frame(SOURCE, SCHEMA)
    return house.write(frame, **{"delta.columnMapping.mode": "name"})


def contents(frame: Any) -> list[tuple[Any, ...]]:
    return sorted(map(tuple, frame.collect()))


@pytest.mark.parametrize("name", FORMATS)
def test_labels_keep_their_format_and_come_back_exactly(house: Lake, mixed: str, name: str) -> None:
    labels_format, columns, expected = FORMATS[name]
    source = house.table(mixed)
    original = contents(source)
    labels = label_columns(source, "id", columns, labels_format, "|")
    changes = house.spark.createDataFrame(
        [
            (row, [(k, tag, action, "decision", None, None, None, None) for k, tag, action in cells])
            for row, cells in CHANGES.items()
        ],
        f"id string, changes array<{CHANGE_TYPE.simpleString()}>",
    )
    rows = plan_rows(source, labels, changes).collect()
    schema = f"id string, before string, after string, changes array<{CHANGE_TYPE.simpleString()}>"
    plan = house.spark.createDataFrame(rows, schema)
    planned = compare_rows(plan, source, labels, BEFORE, PLANNED)
    places = [source.columns.index(column) for column in columns]

    copy = contents(corrected_rows(source, labels, planned))
    assert [tuple(row[k] for k in places) for row in copy[:3]] == expected
    assert copy[3:] == original[3:]
    others = [k for k in range(len(source.columns)) if k not in places]
    assert [[row[k] for k in others] for row in copy] == [[row[k] for k in others] for row in original]

    restored = plan.select("id", *[value.alias(f"l{k}") for k, value in enumerate(labels.unpacked(BEFORE))])
    assert contents(restored) == [tuple(row[k] for k in (0, *places)) for row in original[:3]]
    if name not in ("names", "columns"):  # a MERGE costs seconds; delimited texts meet it below
        return
    engine = engine_of(source)
    written = plan.withColumn("status", F.lit(PLANNED))
    merged = merge_plan(engine, mixed, labels, written)
    assert {row["status"] for row in merged.collect()} == {APPLIED}
    assert contents(house.table(mixed)) == copy
    merge_plan(engine, mixed, labels, written, undo=True)
    assert contents(house.table(mixed)) == original


def test_vectors_are_refused_with_a_way_out(house: Lake) -> None:
    from pyspark.ml.functions import array_to_vector

    frame = house.frame([("a", [1.0, 0.0])], "id string, v array<double>")
    with_vector = frame.select("id", array_to_vector("v").alias("v"))
    with pytest.raises(InputError, match="which cannot be corrected"):
        label_columns(with_vector, "id", ("v",), "multi_hot", ",")


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
            rows.append((cell["key"], cell["tag"], verdict, "ann", f"2026-{day} 12:00:00", ""))
    rows += [
        (900, "a", "present", "ann", "2026-06-01 12:00:00", ""),
        (12345, "a", "present", "ann", "2026-06-01 12:00:00", ""),
        (1, "zzz", "present", "ann", "2026-06-01 12:00:00", ""),
        (1, "a", "maybe", "ann", "2026-06-01 12:00:00", ""),
    ]
    frame = house.frame(rows, "id long, tag string, verdict string, who string, when string, note string")
    frame = frame.withColumn("when", F.col("when").cast("timestamp"))
    frame.write.format("delta").save(house.path("decisions"))
    # somebody else works on the source meanwhile
    table = f"delta.`{audited['source']}`"
    house.spark.sql(f"UPDATE {table} SET tags = 'b,a,c' WHERE key = {stale['key']}")
    house.spark.sql(f"INSERT INTO {table} VALUES (1000, 'a', array(0.5D, 0.5D, 0.5D))")
    return {"right": right, "revised": revised, "stale": stale, "confirmed": confirmed, "torn": torn}


def labels_of(house: Lake, where: str) -> dict[int, str]:
    return {row["key"]: row["tags"] for row in house.table(where).collect()}


def changed(tags: str, cell: dict[str, Any]) -> str:
    parts = [tag for tag in tags.split(",") if tag and tag != cell["tag"]]
    return ",".join([*parts, cell["tag"]] if cell["issue"] == "missing" else parts)


SET_ASIDE = {"contradictory": 1, "row_not_audited": 2, "tag_unknown": 1, "unsure": 1, "verdict_unknown": 1}


@pytest.mark.matrix
def test_decisions_correct_a_copy_and_leave_rows_that_changed(house, audited, decided):
    done = correct(house.path("out"), decisions=house.path("decisions"), spark=house.spark)
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
        correct(
            house.path("out"),
            accept_above=0.9,
            to=house.path("decisions"),
            spark=house.spark,
        )
    with pytest.raises(ConfigError, match="is the source itself"):
        correct(house.path("out"), accept_above=0.9, to=audited["source"], spark=house.spark)


@pytest.mark.matrix
def test_merge_is_recorded_repeated_without_effect_and_undone(house, audited, decided):
    before = labels_of(house, audited["source"])
    options = {"decisions": house.path("decisions"), "accept_above": 0.85, "mode": "merge"}
    outcome = house.run("correct", {f"correct.{name}": value for name, value in options.items()})
    assert outcome.exit_code == 0, outcome.stderr
    done = outcome.json
    after = labels_of(house, audited["source"])
    assert {key for key in before if before[key] != after[key]} == {
        row["key"]
        for row in house.table(house.path("out/corrections"))
        .where(f"correction_id = '{done['correction_id']}' AND status = 'applied'")
        .collect()
    }
    recorded = [
        row.asDict()
        for row in house.table(house.path("out/corrections"))
        .where(f"correction_id = '{done['correction_id']}'")
        .collect()
    ]
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
    again = correct(house.path("out"), correction_id=done["correction_id"], spark=house.spark, **options)
    assert again.already_finished
    assert house.versions({"tables": {"source": audited["source"]}}) == version

    # a row that somebody changed after the correction stays theirs
    theirs = decided["right"]["key"]
    house.spark.sql(f"UPDATE delta.`{audited['source']}` SET tags = 'c,a,b' WHERE key = {theirs}")
    back = undo(done["correction_id"], house.path("out"), spark=house.spark)
    assert (back.num_stale, back.num_rows_changed) == (1, done["num_rows_changed"] - 1)
    assert labels_of(house, audited["source"]) == {**before, theirs: "c,a,b"}
    assert undo(done["correction_id"], house.path("out"), spark=house.spark).already_finished


def test_a_correction_killed_after_the_merge_is_completed_by_its_retry(house, audited, decided, monkeypatch):
    from spark_ml_audit.outcomes.runs import new_run_id
    from spark_ml_audit.reviewing import correction_record

    correction_id = new_run_id()
    options = {"decisions": False, "accept_above": 0.85, "mode": "merge"}

    def die(*arguments: Any, **named: Any) -> None:
        raise AuditError("killed")

    monkeypatch.setattr(correction_record, "change_rows", die)
    with pytest.raises(AuditError, match="killed"):
        correct(house.path("out"), correction_id=correction_id, spark=house.spark, **options)
    monkeypatch.undo()
    merged = labels_of(house, audited["source"])
    with pytest.raises(ConfigError, match="was begun with another config"):
        correct(
            house.path("out"),
            correction_id=correction_id,
            spark=house.spark,
            **{**options, "accept_above": 0.9},
        )
    done = correct(house.path("out"), correction_id=correction_id, spark=house.spark, **options)
    assert done.num_rows_changed > 0
    assert labels_of(house, audited["source"]) == merged
    runs = house.table(house.path("out/correction_runs")).where(f"correction_id = '{correction_id}'")
    assert runs.count() == 1
