"""Sections of a report, read by either engine."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest

from spark_ml_audit.engines.base import Engine, from_records
from spark_ml_audit.lake.schemas import ESTIMATES_SCHEMA
from spark_ml_audit.report.findings import duplicate_section, review_section
from spark_ml_audit.report.page import ReasonCount
from spark_ml_audit.report.queries import ReportFrames, ShownTexts, quarantine_reasons

TAGS = pa.list_(pa.field("element", pa.string(), nullable=False))
DUPLICATES = pa.schema(
    [
        ("run_id", pa.string()),
        ("a.b", pa.binary()),
        ("group_id", pa.int64()),
        ("similarity", pa.float64()),
        ("kind", pa.string()),
        ("given_tags", TAGS),
        ("differing_tags", TAGS),
    ]
)
QUARANTINE = pa.schema([("reason", pa.string()), ("detail", pa.string())])
pytestmark = pytest.mark.matrix


def frames(engine: Engine, **given: Any) -> ReportFrames:
    none = engine.from_arrow(QUARANTINE.empty_table())
    source = pa.table({"a.b": pa.array([b"\x01", b"\x02"]), "the `text`": ["one", None], "n.o": [1.5, 2]})
    chosen = {"examples": none, "issues": none, "quarantine": none, "source": engine.from_arrow(source)}
    return ReportFrames(engine, **(chosen | given), id="a.b", show=("the `text`", "n.o"))


def test_the_newest_review_is_shown(engine: Engine) -> None:
    now = datetime(2026, 5, 1, 12, 0, 0, 1, tzinfo=timezone.utc)
    row = {
        "run_id": "r",
        "sample_id": "s",
        "direction": "both",
        "low": 0.1,
        "confidence": 0.95,
        "num_judged": 7,
    }
    rows = [
        {**row, "estimated_at": when, "quantity": quantity, "estimate": estimate}
        for when, quantity, estimate in [
            (now - timedelta(microseconds=1), "recall", 0.5),
            (now, "recall", 0.6),
            (now, "num_errors", 9.0),
        ]
    ]
    found = review_section(engine, from_records(engine, rows, ESTIMATES_SCHEMA))
    assert found is not None
    section = found.section(ShownTexts(frames(engine), ()))
    assert section.rows == (
        ("num errors", "both", 9.0, 0.1, None, None),
        ("recall", "both", 0.6, 0.1, None, None),
    )
    assert "7 judged cells of random sample s of run r" in section.intro[0]
    assert review_section(engine, from_records(engine, [], ESTIMATES_SCHEMA)) is None


def test_duplicates_come_by_their_least_similarity(engine: Engine) -> None:
    rows = [
        {
            "a.b": b"\x01",
            "group_id": 5,
            "similarity": 0.8,
            "kind": "near",
            "given_tags": ["x"],
            "differing_tags": [],
        },
        {
            "a.b": b"\x02",
            "group_id": 5,
            "similarity": 1.0,
            "kind": "near",
            "given_tags": [],
            "differing_tags": ["x"],
        },
        {
            "a.b": b"\x04",
            "group_id": 9,
            "similarity": 0.9,
            "kind": "near",
            "given_tags": [],
            "differing_tags": None,
        },
        {
            "a.b": b"\x03",
            "group_id": 9,
            "similarity": 0.9,
            "kind": "near",
            "given_tags": [],
            "differing_tags": [],
        },
    ]
    duplicates = from_records(engine, rows, DUPLICATES)
    own = frames(engine, duplicates=duplicates)
    found = duplicate_section(own, duplicates, 2)
    assert found.ids == (b"\x03", b"\x04", b"\x01", b"\x02")
    section = found.section(ShownTexts(own, found.ids))
    assert section.rows == (
        (1, "03", None, None, "near", 0.9, (), ()),
        (1, "04", None, None, "near", 0.9, (), ()),
        (2, "01", "one", "1.5", "near", 0.8, ("x",), ()),
        (2, "02", None, "2.0", "near", 1.0, (), ("x",)),
    )


def test_reasons_come_with_a_detail_that_is_cut(engine: Engine) -> None:
    rows = [("probs_nan", None), ("label_unknown", "b"), ("label_unknown", "a" * 5000), ("id_null", "c")]
    rejected = [dict(zip(QUARANTINE.names, row, strict=True)) for row in rows]
    own = frames(engine, quarantine=from_records(engine, rejected, QUARANTINE))
    assert quarantine_reasons(own) == (
        ReasonCount("label_unknown", 2, "a" * 1001),
        ReasonCount("id_null", 1, "c"),
        ReasonCount("probs_nan", 1, ""),
    )
