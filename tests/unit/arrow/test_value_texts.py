"""Values as Spark's cast to string writes them."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.arrow.value_texts import number_text, value_texts

NOON = datetime(2026, 1, 2, 3, 4, 5, 100_000, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([Decimal("1.0"), Decimal(0)], pa.decimal128(12, 7)), ["1.0000000", "0.0000000"]),
        (pa.array([date(2026, 1, 2), None]), ["2026-01-02", None]),
        (pa.array([NOON], pa.timestamp("us", tz="UTC")), ["2026-01-02 03:04:05.1"]),
        (pa.array([NOON.replace(microsecond=0)], pa.timestamp("us", tz="UTC")), ["2026-01-02 03:04:05"]),
        (pa.array([b"\x00\xffA"]), ["\x00�A"]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array([[0.1, None], [], None], pa.list_(pa.float32())), ["[0.1, null]", "[]", None]),
        (pa.array([{"a": 1, "b": None}, None]), ["{1, null}", None]),
        (
            pa.array([[("k", 1.5), ("z", None)], None], pa.map_(pa.string(), pa.float64())),
            ["{k -> 1.5, z -> null}", None],
        ),
        (pa.array([[("a", [1, 2])]], pa.map_(pa.string(), pa.list_(pa.int8()))), ["{a -> [1, 2]}"]),
        (pa.array([[{"q": True}]]), ["[{true}]"]),
        (pa.array(["as is\n"]), ["as is\n"]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_values_are_written_as_spark_writes_them(values, expected):
    assert value_texts(values) == expected
    if len(values) > 1:
        assert value_texts(values.slice(1)) == expected[1:]
    assert value_texts(pa.chunked_array([values, values])) == expected * 2


@pytest.mark.parametrize("single", [False, True])
def test_numbers_read_back_as_they_were(single):
    kind = np.float32 if single else np.float64
    bits = np.random.default_rng(0).integers(0, 256, (2000, kind().nbytes), dtype=np.uint8)
    for value in bits.view(kind).ravel().tolist():
        text = number_text(value, single=single)
        assert kind(text.replace("Infinity", "inf")) == kind(value) or np.isnan(value)
