"""Rows that cannot be audited: every reason, its precedence, its words, and what the gate makes of them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.lake import Lake

SCHEMA = "id string, labels array<string>, pred_probs array<double>, extra struct<`a.b`:int,when:timestamp>"
CLASSES = ["x", "y", "z"]
GOOD = [0.2, 0.3, 0.9]
NAN, INF = math.nan, math.inf

# id, labels, probabilities, reason (None: audited, "": unlabelled), part of the detail
CASES: list[tuple[str | None, list[Any] | None, list[Any] | None, str | None, str]] = [
    ("good-1", ["x"], GOOD, None, ""),
    ("good-2", [], GOOD, None, ""),
    ("good-3", ["z", "x"], [0.0, 1.0, -0.0], None, ""),
    ("unlabelled", None, GOOD, "", ""),
    (None, ["x"], GOOD, "id_null", "'id' is null"),
    ("twice", ["x"], GOOD, "id_duplicate", "'twice' occurs more than once"),
    ("twice", ["y"], GOOD, "id_duplicate", "'twice' occurs more than once"),
    ("null-tag", ["x", None], GOOD, "labels_malformed", "a null among 2"),
    ("unknown", ["x", "other"], GOOD, "label_unknown", "'other' is not among the 3"),
    ("repeated", ["y", "x", "y"], GOOD, "label_repeated", "'y' is given more than once"),
    ("no-probs", ["x"], None, "probs_null", "'pred_probs' is null"),
    ("null-prob", ["x"], [0.1, None, 0.2], "probs_null", "'y' is null"),
    ("short", ["x"], [0.1, 0.2], "probs_length", "2 probabilities for 3 classes"),
    ("long", ["x"], [0.1, 0.2, 0.3, 0.4], "probs_length", "4 probabilities"),
    ("none-at-all", ["x"], [], "probs_length", "0 probabilities"),
    ("nan", ["x"], [0.1, 0.2, NAN], "probs_nan", "'z' is NaN"),
    ("infinite", ["x"], [INF, 0.2, 0.3], "probs_infinite", "'x' is inf"),
    ("minus-infinite", ["x"], [0.1, -INF, 0.3], "probs_infinite", "'y' is -inf"),
    ("above", ["x"], [0.1, 1.0000001, 0.3], "probs_range", "'y' is 1.0000001"),
    ("below", ["x"], [-1e-12, 0.1, 0.3], "probs_range", "'x' is -1e-12"),
    # the first reason in the order of the contract is named
    (None, ["other", None], [NAN], "id_null", "null"),
    ("thrice", ["other"], None, "id_duplicate", "'thrice'"),
    ("thrice", None, GOOD, "id_duplicate", "'thrice'"),
    ("thrice", ["x"], GOOD, "id_duplicate", "'thrice'"),
    ("malformed-first", ["other", None, "x", "x"], None, "labels_malformed", "a null"),
    ("unknown-first", ["other", "x", "x"], [NAN], "label_unknown", "'other'"),
    ("repeated-first", ["x", "x"], None, "label_repeated", "'x'"),
    ("null-first", ["x"], [NAN, None], "probs_null", "null"),
    ("length-first", ["x"], [NAN, INF], "probs_length", "2 probabilities"),
    ("nan-first", ["x"], [INF, NAN, 7.0], "probs_nan", "'y' is NaN"),
    ("infinite-first", ["x"], [7.0, INF, 0.5], "probs_infinite", "'y' is inf"),
    ("unlabelled-but-faulty", None, [0.1, NAN, 0.2], "probs_nan", "'y' is NaN"),
]  # fmt: skip


@pytest.mark.matrix
def test_every_reason_is_found_named_and_explained(lake: Lake) -> None:
    rows = [(*case[:3], (i, None)) for i, case in enumerate(CASES)]
    source = lake.write(lake.frame(rows, SCHEMA, CLASSES))
    result = lake.audit(source__path=source, expect=3)
    assert result["status"] == "gate_failed"
    found = lake.rows(result, "quarantine")
    rejected = [(i, case) for i, case in enumerate(CASES) if case[3]]
    by_row = {json.loads(row["row"])["extra"]["a.b"]: row for row in found}
    assert by_row.keys() == {i for i, _ in rejected}
    assert len(found) == len(rejected)
    for i, (id_value, labels, probs, reason, said) in rejected:
        row = by_row[i]
        assert (row["id"], row["reason"]) == (id_value, reason), CASES[i]
        assert said in row["detail"], (row["detail"], said)
        source_row = json.loads(row["row"])
        assert source_row.keys() == {"id", "labels", "pred_probs", "extra"}
        assert source_row["id"] == id_value
        assert source_row["labels"] == labels
        assert source_row["extra"] == {"a.b": i, "when": None}
        shown = {NAN: "NaN", INF: "Infinity", -INF: "-Infinity"}
        expected = None if probs is None else [shown.get(p, "NaN" if p != p else p) for p in probs]
        assert source_row["pred_probs"] == expected
    assert {row["id"] for row in lake.rows(result, "examples")} == {"good-1", "good-2", "good-3"}
    assert result["num_rows"] == len(CASES)
    assert (result["num_audited"], result["num_unlabelled"]) == (3, 1)
    assert result["num_quarantined"] == len(rejected)
    (gate,) = [gate for gate in result["gates"] if gate["name"] == "max_quarantined_fraction"]
    assert gate == {
        "name": "max_quarantined_fraction",
        "passed": False,
        "value": len(rejected) / len(CASES),
        "limit": 0.0,
        "severity": "fail",
        "detail": "",
    }
    (run,) = lake.rows(result, "runs")
    assert run["num_quarantined"] == len(rejected)


def test_a_gate_that_allows_rejected_rows_lets_the_run_pass(lake: Lake) -> None:
    rows = [("a", ["x"], GOOD), ("b", ["nope"], GOOD), ("c", [], GOOD), ("d", [], GOOD)]
    source = lake.write(
        lake.frame(rows, "id string, labels array<string>, pred_probs array<double>", CLASSES)
    )
    passed = lake.audit(source__path=source, gate__max_quarantined_fraction=0.25)
    assert passed["num_quarantined"] == 1
    assert any("quarantine" in warning for warning in passed["warnings"])
    failed = lake.audit(source__path=source, gate__max_quarantined_fraction=None, gate__min_rows=5, expect=3)
    assert [gate["name"] for gate in failed["gates"] if not gate["passed"]] == ["min_rows"]


def test_thousands_of_repeated_ids_are_all_rejected(lake: Lake) -> None:
    rows = [(i % 1250, ["x"], GOOD) for i in range(2500)] + [(9999, ["y"], GOOD)]
    frame = lake.frame(rows, "id int, labels array<string>, pred_probs array<double>")
    result = lake.audit(source__path=lake.write(frame), source__classes=CLASSES, expect=3)
    assert (result["num_audited"], result["num_quarantined"], result["num_rows"]) == (1, 2500, 2501)
    found = lake.rows(result, "quarantine")
    assert {row["reason"] for row in found} == {"id_duplicate"}
    assert len(found) == 2500
    assert [row["id"] for row in lake.rows(result, "examples")] == [9999]


def test_binary_ids_and_columns_per_tag_are_set_aside_with_the_id_of_the_row(lake: Lake) -> None:
    # what every format makes of faulty values: tests/unit/arrow/test_decode.py
    schema = "id binary, a int, b int, c int, p double, q double, r double"
    rows = [
        (b"good", 1, 0, 1, *GOOD),
        (b"none", None, None, None, *GOOD),
        (b"half", 1, None, 0, *GOOD),
        (b"above", 1, 0, 0, 0.1, 0.2, 1.5),
    ]
    settings = {"source.labels": ["a", "b", "c"], "source.pred_probs": ["p", "q", "r"]}
    source = lake.write(lake.frame(rows, schema))
    result = lake.audit({"source.path": source, "source.classes": CLASSES, **settings}, expect=3)
    (example,) = lake.rows(result, "examples")
    assert (bytes(example["id"]), example["given_tags"]) == (b"good", ["x", "z"])
    assert result["num_unlabelled"] == 1
    found = {bytes(row["id"]): (row["reason"], row["detail"]) for row in lake.rows(result, "quarantine")}
    assert found.keys() == {b"half", b"above"}
    assert found[b"half"][0] == "labels_malformed"
    assert found[b"above"] == ("probs_range", "the probability of 'z' is 1.5")


def test_hundreds_of_repeated_binary_ids_are_all_rejected(lake: Lake) -> None:
    rows = [(b"id %d" % (i % 500), ["x"], GOOD) for i in range(1000)] + [(b"once", ["y"], GOOD)]
    frame = lake.frame(rows, "id binary, labels array<string>, pred_probs array<double>")
    result = lake.audit(source__path=lake.write(frame), source__classes=CLASSES, expect=3)
    assert (result["num_audited"], result["num_quarantined"]) == (1, 1000)
    found = lake.rows(result, "quarantine")
    assert {row["reason"] for row in found} == {"id_duplicate"}
    assert {bytes(row["id"]) for row in found} == {b"id %d" % i for i in range(500)}
    assert [bytes(row["id"]) for row in lake.rows(result, "examples")] == [b"once"]


@pytest.mark.parametrize(("most", "known"), [(2, 9), (3, 9), (1, 2)])
def test_many_repeated_ids_and_a_null_are_found_alike(
    lake: Lake, most: int, known: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # up to so many travel as literals, more as a table, and still more are found anew by every pass
    monkeypatch.setattr("spark_ml_audit.frames.ingest._MAX_LITERAL_IDS", most)
    monkeypatch.setattr("spark_ml_audit.frames.ingest._MAX_KNOWN_IDS", known)
    ids = ["a", "b", "c", "a", "b", "c", "d", None, None]
    source = lake.write(lake.frame([(value, ["x"], GOOD, None) for value in ids], SCHEMA, CLASSES))
    result = lake.audit(source__path=source, gate__max_quarantined_fraction=1.0)
    assert [row["id"] for row in lake.rows(result, "examples")] == ["d"]
    reasons = sorted((row["id"] or "", row["reason"]) for row in lake.rows(result, "quarantine"))
    assert reasons == [("", "id_null")] * 2 + [(value, "id_duplicate") for value in "aabbcc"]
