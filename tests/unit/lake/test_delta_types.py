"""Types of Delta's log, of Arrow and of DuckDB, and what the log says of files."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from spark_ml_audit.lake.delta_types import (
    UnsupportedError,
    arrow_schema,
    delta_fields,
    fits,
    to_arrow,
    to_delta,
    to_duckdb,
)

NESTED = pa.struct(
    [("a.b", pa.list_(pa.decimal128(5, 2))), ("m", pa.map_(pa.string(), pa.list_(pa.date32())))]
)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (pa.string(), "VARCHAR"),
        (pa.binary(), "BLOB"),
        (pa.bool_(), "BOOLEAN"),
        (pa.int8(), "TINYINT"),
        (pa.int16(), "SMALLINT"),
        (pa.int32(), "INTEGER"),
        (pa.int64(), "BIGINT"),
        (pa.float32(), "FLOAT"),
        (pa.float64(), "DOUBLE"),
        (pa.date32(), "DATE"),
        (pa.timestamp("us", tz="UTC"), "TIMESTAMPTZ"),
        (pa.timestamp("us"), "TIMESTAMP"),
        (pa.decimal128(38, 10), "DECIMAL(38,10)"),
        (pa.list_(pa.list_(pa.string())), "VARCHAR[][]"),
        (NESTED, 'STRUCT("a.b" DECIMAL(5,2)[], "m" MAP(VARCHAR, DATE[]))'),
    ],
)
def test_types_there_and_back(kind: Any, name: str) -> None:
    assert to_arrow(json.loads(json.dumps(to_delta(kind)))) == kind
    assert to_duckdb(kind) == name


@pytest.mark.parametrize("kind", [pa.time64("us"), pa.duration("us"), pa.float16(), pa.list_(pa.uint8())])
def test_what_delta_lacks_is_refused_by_column(kind: Any) -> None:
    with pytest.raises(UnsupportedError, match="column 'odd': Delta has no type for"):
        delta_fields(pa.schema([("fine", pa.string()), ("odd", kind)]))


@pytest.mark.parametrize(
    "kind",
    ["variant", "interval", {"type": "udt", "class": "x"}, {"type": "array", "elementType": "geometry"}],
)
def test_what_is_not_known_is_refused_by_column(kind: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"column 'odd': its type '.*' is not known here"):
        arrow_schema([{"name": "odd", "type": kind, "nullable": True, "metadata": {}}])


def test_metadata_of_columns_are_texts_and_deltas_own_stay_out() -> None:
    metadata = {"classes": '["é"]', "delta.columnMapping.id": 1, "count": 3}
    schema = arrow_schema([{"name": "a", "type": "string", "nullable": False, "metadata": metadata}])
    assert schema.field("a").metadata == {b"classes": '["é"]'.encode(), b"count": b"3"}
    (field,) = delta_fields(schema, {"a": {"say": "x"}, "gone": {"say": "y"}})
    assert field == {"name": "a", "type": "string", "nullable": True, "metadata": {"say": "x"}}


@pytest.mark.parametrize(
    ("kind", "wanted", "does"),
    [
        (pa.int8(), pa.int64(), True),
        (pa.int64(), pa.int32(), False),
        (pa.int32(), pa.float64(), True),
        (pa.int32(), pa.float32(), False),
        (pa.float64(), pa.float32(), False),
        (pa.string(), pa.int64(), False),
        (pa.list_(pa.float32()), pa.list_(pa.float64()), True),
        (pa.struct([("x", pa.int32())]), pa.struct([("y", pa.string()), ("x", pa.int64())]), True),
        (pa.struct([("z", pa.int32())]), pa.struct([("x", pa.int64())]), False),
        (pa.timestamp("us"), pa.timestamp("us", tz="UTC"), False),
    ],
)
def test_only_what_loses_nothing_fits(kind: Any, wanted: Any, does: bool) -> None:
    assert fits(kind, wanted) is does
