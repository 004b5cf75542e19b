"""Statistics of data files as the log writes them: never a bound that leaves a value out."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from spark_ml_audit.lake.delta_rs_files import indexed_columns, statistics_of

UTC, LOCAL = pa.timestamp("us", tz="UTC"), pa.timestamp("us")


def bounds(kind: Any, least: str, largest: str, **more: str) -> Any:
    """Least and largest value that the log tells of a column."""
    about = {"min": least, "max": largest, "null_count": "1", **more}
    found = json.loads(statistics_of(7, {"a.b": about}, pa.schema([("a.b", kind)])))
    assert found["numRecords"] == 7
    assert found["nullCount"] == {"a.b": 1}
    return found["minValues"].get("a.b"), found["maxValues"].get("a.b")


@pytest.mark.parametrize(
    ("kind", "told", "wanted"),
    [
        (pa.int64(), ("-9223372036854775808", "9223372036854775807"), (-(2**63), 2**63 - 1)),
        (pa.float64(), ("-0.0", "1e+300"), (0.0, 1e300)),
        (pa.float64(), ("-inf", "1.0"), (None, None)),
        (pa.float32(), ("0.1", "0.2"), (None, None)),
        (pa.string(), ("", "é\n'\""), ("", "é\n'\"")),
        (pa.string(), ("a" * 32, "z" * 32), ("a" * 32, "z" * 32)),
        (pa.string(), ("a" * 40, "z" * 40), ("a" * 32, "z" * 32 + "\U0010ffff")),
        (pa.string(), ("a", "z" * 32 + "\U0010ffff" * 2), (None, None)),
        (pa.date32(), ("0001-01-01", "9999-12-31"), ("0001-01-01", "9999-12-31")),
        (pa.date32(), ("0044-03-15 (BC)", "2020-01-01"), (None, None)),
        (pa.date32(), ("2020-01-01", "infinity"), (None, None)),
        (
            UTC,
            ("1969-12-31 23:59:59.999999+00", "2020-09-13 12:26:40.123456+00"),
            ("1969-12-31T23:59:59.999Z", "2020-09-13T12:26:40.124Z"),
        ),
        (
            UTC,
            ("2020-01-01 00:00:00+00", "2020-01-01 00:00:00.5+00"),
            ("2020-01-01T00:00:00.000Z", "2020-01-01T00:00:00.500Z"),
        ),
        (
            LOCAL,
            ("2020-01-01 00:00:00", "2020-12-31 23:59:59.9999"),
            ("2020-01-01T00:00:00.000", "2021-01-01T00:00:00.000"),
        ),
        (UTC, ("2020-01-01 00:00:00+00", "9999-12-31 23:59:59.999999+00"), (None, None)),
        (UTC, ("0044-03-15 (BC) 00:00:00+00", "2020-01-01 00:00:00+00"), (None, None)),
        (pa.decimal128(5, 2), ("1.10", "2.20"), (None, None)),
        (pa.binary(), ("00", "FF"), (None, None)),
        (pa.bool_(), ("0", "1"), (None, None)),
    ],
)  # fmt: skip
def test_bounds(kind: Any, told: tuple[str, str], wanted: tuple[Any, Any]) -> None:
    assert bounds(kind, *told) == wanted


def test_a_column_with_nan_has_no_bounds() -> None:
    assert bounds(pa.float64(), "0.5", "0.5", nan_count="1", has_nan="true") == (None, None)
    assert bounds(pa.float64(), "0.5", "0.5", nan_count="0", has_nan="false") == (0.5, 0.5)


def test_columns_that_are_all_null_or_unknown_have_no_bounds() -> None:
    schema = pa.schema([("a", pa.string()), ("b", pa.string()), ("s", pa.struct([("x", pa.int64())]))])
    found = json.loads(statistics_of(2, {"a": {"null_count": "2"}, "s": {"null_count": "0"}}, schema))
    assert found == {"numRecords": 2, "minValues": {}, "maxValues": {}, "nullCount": {"a": 2}}


def test_as_many_columns_as_the_table_says() -> None:
    schema = pa.schema([(f"c{k}", pa.int64()) for k in range(40)])
    assert len(indexed_columns(schema, {})) == 32
    assert indexed_columns(schema, {"delta.dataSkippingNumIndexedCols": "2"}).names == ["c0", "c1"]
    assert len(indexed_columns(schema, {"delta.dataSkippingNumIndexedCols": "0"})) == 0
    assert len(indexed_columns(schema, {"delta.dataSkippingNumIndexedCols": "-1"})) == 40
