"""Sources at the edge: no rows, one row, one class, one-sided classes, odd ids, hostile names."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from spark_ml_audit.arrow.types import type_name
from tests.datasets import Dataset
from tests.engine.test_oracle_cli import ESTIMATES, check_classes
from tests.lake import Lake
from tests.oracle import oracle_audit

SCHEMA = "id string, labels array<string>, pred_probs array<double>"
HOSTILE = [
    "'; DROP TABLE runs; --",
    "</script><img src=x onerror=alert(1)>",
    'a`b"c\\d',
    "new\nline\ttab",
    "emoji 🏷️ é",
    "${jndi:ldap://x}",
    "x" * 300,
    "null",
]


@pytest.mark.matrix
def test_a_source_without_rows_is_no_error(lake: Lake) -> None:
    source = lake.write(lake.frame([], SCHEMA, ["x", "y"]))
    result = lake.audit(source__path=source)
    assert result["num_rows"] == result["num_audited"] == 0
    assert result["health"] is None
    assert any("no rows" in warning for warning in result["warnings"])
    (run,) = lake.rows(result, "runs")
    assert run["health"] is None
    tables = lake.contents(result)
    assert tables["examples"] == tables["tag_issues"] == tables["quarantine"] == []
    assert [row["num_given"] for row in tables["classes"]] == [0, 0]
    assert {row["label_noise"] for row in tables["classes"]} == {None}
    lake.audit(source__path=source, gate__min_rows=1, audit__filter_by="low_self_confidence", expect=3)


def test_a_source_where_nothing_can_be_audited(lake: Lake) -> None:
    rows = [("a", None, [0.1, 0.2]), ("b", ["x"], None), (None, ["x"], [0.1, 0.2])]
    source = lake.write(lake.frame(rows, SCHEMA, ["x", "y"]))
    result = lake.audit(source__path=source, gate__max_quarantined_fraction=1.0)
    assert (result["num_rows"], result["num_audited"]) == (3, 0)
    assert (result["num_unlabelled"], result["num_quarantined"]) == (1, 2)
    assert result["health"] is None
    assert any("No row could be audited" in warning for warning in result["warnings"])


def test_one_row_and_one_class(lake: Lake) -> None:
    source = lake.write(lake.frame([("only", [], [0.9])], SCHEMA, ["x"]))
    result = lake.audit(source__path=source, audit__filter_by="predicted_neq_given")
    (example,) = lake.rows(result, "examples")
    assert example["missing_tags"] == example["suggested_tags"] == ["x"]
    assert [row["issue_rank"] for row in lake.rows(result, "issues")] == [1]
    assert example["label_quality_score"] == pytest.approx(0.1)


def test_classes_on_every_row_and_on_none_and_constant_probabilities(lake: Lake) -> None:
    rng = np.random.default_rng(4)
    probs = np.column_stack([rng.random(30), rng.random(30), np.full(30, 0.5), np.zeros(30), np.ones(30)])
    labels = [[0, 2, *([3] if i % 2 else [4])] for i in range(30)]
    data = Dataset("one-sided", labels, probs)
    source = lake.write(lake.dataset_frame(data, HOSTILE[:5]))
    result = lake.audit(source__path=source)
    truth = oracle_audit(labels, probs)
    found = sorted(lake.rows(result, "classes"), key=lambda row: row["class_index"])
    check_classes(found, truth, HOSTILE[:5], within=1e-12)
    # nothing can be said of a tag that all rows carry, or none
    assert [row["trust"] for row in found] == ["unknown", "unknown", "unknown", "weak", "weak"]
    assert all(row[name] is None for row in found[:3] for name in ESTIMATES)
    assert result["num_label_issues"] == int(truth.is_label_issue.sum())
    assert any("given to no row" in warning for warning in result["warnings"])
    assert any("given to every row" in warning for warning in result["warnings"])


@pytest.mark.matrix
def test_hostile_tag_names_are_data_everywhere(lake: Lake) -> None:
    rng = np.random.default_rng(5)
    probs = rng.random((40, len(HOSTILE)))
    labels = [[int(k) for k in np.flatnonzero(row)] for row in rng.random(probs.shape) < 0.4]
    data = Dataset("hostile", labels, probs)
    # folders may be called anything, too
    source = lake.path("it's `odd`; DROP TABLE runs; -- é")
    lake.write(lake.dataset_frame(data, HOSTILE), to=source)
    result = lake.audit(source__path=source, output__path=lake.path("out' OR '1'='1 `x` <b>"))
    assert result["delivered"], result["warnings"]
    rows = sorted(lake.rows(result, "examples"), key=lambda row: row["id"])
    assert [row["given_tags"] for row in rows] == [[HOSTILE[k] for k in tags] for tags in labels]
    assert {row["tag"] for row in lake.rows(result, "classes")} == set(HOSTILE)


DATES = [datetime.date(2026, 1, 2), datetime.date(1969, 12, 31), datetime.date(2026, 1, 10)]
IDS: list[tuple[str, list[Any]]] = [
    ("binary", [b"\x80", b"\x7f", b"\x7f\x00", b""]),
    ("date", [*DATES, datetime.date(1, 1, 1)]),
    ("smallint", [10, -2, 9, 0]),
    ("string", ["é", "z", "\U0001f3f7", "\uffee"]),
]


@pytest.mark.parametrize(("kind", "ids"), IDS, ids=[kind for kind, _ in IDS])
def test_ids_keep_name_and_type_and_break_ties_in_their_own_order(
    lake: Lake, kind: str, ids: list[Any]
) -> None:
    name = {"binary": "Key.x", "date": "place", "smallint": "n`o", "string": "schlüssel"}[kind]
    quoted = "`" + name.replace("`", "``") + "`"
    # every row has the same score; one id is there twice
    twice = [
        *ids,
        {"binary": b"\x01", "date": datetime.date(2000, 1, 1), "smallint": 77, "string": "twice"}[kind],
    ]
    rows = [(value, [], [0.9, 0.8]) for value in [*twice, twice[-1]]]
    source = lake.write(lake.frame(rows, SCHEMA.replace("id string", f"{quoted} {kind}"), ["x", "y"]))
    result = lake.audit(
        source__path=source, source__id=name, audit__filter_by="predicted_neq_given", expect=3
    )
    found = sorted(lake.rows(result, "issues"), key=lambda row: row["issue_rank"])
    plain = [bytes(row[name]) if kind == "binary" else row[name] for row in found]
    assert plain == sorted(ids, key=lambda value: value.encode() if isinstance(value, str) else value)
    assert [row["issue_rank"] for row in found] == [1, 2, 3, 4]
    for table in ("examples", "issues", "tag_issues", "quarantine"):
        assert type_name(lake.table(result["tables"][table]).schema.field(name).type) == kind
    assert len(lake.rows(result, "quarantine")) == 2


def test_odd_column_names_are_columns_and_nothing_else(lake: Lake) -> None:
    rows = [("a", ["x"], [0.2, 0.4], 1), ("b", [], [0.9, 0.1], 2), ("b", [], [0.9, 0.1], 3)]
    schema = "`the.id` string, `given``tags` array<string>, `p.π` array<double>, `x.y` int"
    source = lake.write(lake.frame(rows, schema))
    columns = {"source.id": "the.id", "source.labels": "given`tags", "source.pred_probs": "p.π"}
    result = lake.audit({"source.path": source, "source.classes": ["x", "y"], **columns}, expect=3)
    assert [row["the.id"] for row in lake.rows(result, "examples")] == ["a"]
    assert {row["the.id"] for row in lake.rows(result, "quarantine")} == {"b"}
    error = lake.refuse({"source.path": source, **columns, "source.labels": "given"}, command="check")
    assert "given`tags" in error["fix"]


@pytest.mark.spark
def test_texts_in_sql_are_literals_and_read_no_settings(spark: Any) -> None:
    from spark_ml_audit.lake.places import literal_in

    # Spark puts a setting in the place of ${name}, also within quotes
    texts = [*HOSTILE, "${spark.app.name}", "$", "\\u0024{spark.app.name}", "'", "\\", "\\'", "it''s", "%_"]
    for text in texts:
        assert spark.sql(f"SELECT {literal_in('spark', text)} AS found").collect()[0]["found"] == text
