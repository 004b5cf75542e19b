"""Values of every type as a person reads them."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pyarrow as pa
import pytest

from spark_ml_audit.report.texts import as_texts

NOON = datetime.datetime(2026, 3, 1, 12, 0, 0, 120_000)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (pa.string(), "a" * 12, "a" * 10),
        (pa.large_string(), "ä", "ä"),
        (pa.bool_(), True, "true"),
        (pa.int64(), -(2**63), "-922337203"),
        (pa.float32(), 0.1, "0.1"),
        (pa.float64(), 0.1, "0.1"),
        (pa.float64(), float("nan"), "NaN"),
        (pa.float32(), float("-inf"), "-Infinity"),
        (pa.decimal128(5, 2), decimal.Decimal("1.50"), "1.50"),
        (pa.binary(), b"\x00\xff", "00FF"),
        (pa.date32(), datetime.date(2026, 3, 1), "2026-03-01"),
        (pa.list_(pa.float32()), [0.1, None], "0.1, null"),
        (pa.list_(pa.bool_()), [False], "false"),
        (pa.list_(pa.binary()), [b"\x0a"], "0A"),
        (pa.list_(pa.string()), [], ""),
        (pa.list_(pa.list_(pa.int8())), [[1], None], "[[1],null]"),
        (pa.struct([("a", pa.int8())]), {"a": 1}, '{"a":1}'),
        (pa.map_(pa.string(), pa.int8()), [("k", 1)], '{"k":1}'),
    ],
)
def test_each_type_has_its_text(kind: Any, value: Any, text: str) -> None:
    values = pa.array([value, None, value], kind)
    assert as_texts(values, 10) == [text, None, text]
    assert as_texts(values.slice(1), 10) == [None, text]


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata"])
def test_times_are_in_utc_whatever_the_zone(zone: str | None) -> None:
    values = pa.array([NOON, NOON.replace(microsecond=0)], pa.timestamp("us")).cast(pa.timestamp("us", zone))
    assert as_texts(values, 100) == ["2026-03-01 12:00:00.12", "2026-03-01 12:00:00"]
