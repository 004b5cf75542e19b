"""Types of a Delta table's columns: as its log writes them, as Arrow has them, as DuckDB's SQL names them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import pyarrow as pa

from spark_ml_audit.engines.duckdb_types import quoted

DeltaField: TypeAlias = dict[str, Any]
"""A column in the log: name, type, nullable, metadata."""


class UnsupportedError(Exception):
    """What only Spark can do with a table, or nobody."""


# as the log writes them, as Arrow has them, as DuckDB names them
_PLAIN: tuple[tuple[str, pa.DataType, str], ...] = (
    ("string", pa.string(), "VARCHAR"),
    ("binary", pa.binary(), "BLOB"),
    ("boolean", pa.bool_(), "BOOLEAN"),
    ("byte", pa.int8(), "TINYINT"),
    ("short", pa.int16(), "SMALLINT"),
    ("integer", pa.int32(), "INTEGER"),
    ("long", pa.int64(), "BIGINT"),
    ("float", pa.float32(), "FLOAT"),
    ("double", pa.float64(), "DOUBLE"),
    ("date", pa.date32(), "DATE"),
    ("timestamp", pa.timestamp("us", tz="UTC"), "TIMESTAMPTZ"),
    ("timestamp_ntz", pa.timestamp("us"), "TIMESTAMP"),
    ("void", pa.null(), "VARCHAR"),
)
_TO_ARROW = {name: arrow for name, arrow, _ in _PLAIN}
_TO_DELTA = {arrow: name for name, arrow, _ in _PLAIN}
_TO_DUCKDB = {arrow: duckdb for _, arrow, duckdb in _PLAIN}
_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")
# What may become what without a loss.
_WIDER = {
    pa.int8(): (pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()),
    pa.int16(): (pa.int32(), pa.int64(), pa.float32(), pa.float64()),
    pa.int32(): (pa.int64(), pa.float64()),
    pa.float32(): (pa.float64(),),
}


def to_arrow(kind: Any) -> pa.DataType:
    """The Arrow type of a type of the log.

    Raises:
        UnsupportedError: There is none.

    >>> to_arrow({"type": "array", "elementType": "decimal(5,2)", "containsNull": True})
    ListType(list<item: decimal128(5, 2)>)
    """
    if isinstance(kind, str) and kind in _TO_ARROW:
        return _TO_ARROW[kind]
    if isinstance(kind, str) and (decimal := _DECIMAL.fullmatch(kind)):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    nested = kind.get("type") if isinstance(kind, Mapping) else None
    if nested == "array":
        return pa.list_(to_arrow(kind["elementType"]))
    if nested == "map":
        return pa.map_(to_arrow(kind["keyType"]), to_arrow(kind["valueType"]))
    if nested == "struct":
        return pa.struct([(item["name"], to_arrow(item["type"])) for item in kind["fields"]])
    raise UnsupportedError(f"its type '{nested or kind}' is not known here")


def to_delta(kind: pa.DataType) -> Any:
    """The type of the log for an Arrow type; what is in it may be null.

    Raises:
        UnsupportedError: There is none.

    >>> to_delta(pa.map_(pa.string(), pa.float32()))
    {'type': 'map', 'keyType': 'string', 'valueType': 'float', 'valueContainsNull': True}
    """
    if kind in _TO_DELTA:
        return _TO_DELTA[kind]
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind):
        return {"type": "array", "elementType": to_delta(kind.value_type), "containsNull": True}
    if pa.types.is_map(kind):
        key, value = to_delta(kind.key_type), to_delta(kind.item_type)
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
    if pa.types.is_struct(kind):
        return {"type": "struct", "fields": [_field(item.name, item.type, {}) for item in kind]}
    raise UnsupportedError(f"Delta has no type for {kind}")


def to_duckdb(kind: pa.DataType) -> str:
    """The type that DuckDB calls an Arrow type of `to_arrow`.

    >>> to_duckdb(pa.struct([("a.b", pa.list_(pa.int8()))]))
    'STRUCT("a.b" TINYINT[])'
    """
    if kind in _TO_DUCKDB:
        return _TO_DUCKDB[kind]
    if pa.types.is_list(kind):
        return f"{to_duckdb(kind.value_type)}[]"
    if pa.types.is_map(kind):
        return f"MAP({to_duckdb(kind.key_type)}, {to_duckdb(kind.item_type)})"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{quoted(item.name)} {to_duckdb(item.type)}' for item in kind)})"
    return f"DECIMAL({kind.precision},{kind.scale})"


def delta_fields(
    schema: pa.Schema, metadata: Mapping[str, Mapping[str, str]] | None = None
) -> list[DeltaField]:
    """Columns for the log, all nullable.

    Args:
        schema: Names and Arrow types.
        metadata: Column -> what is recorded with it.

    Raises:
        UnsupportedError: Delta has no such type; the message names the column.
    """
    found = []
    for item in schema:
        with _named_in_errors(item.name):
            found.append(_field(item.name, item.type, dict((metadata or {}).get(item.name, {}))))
    return found


def arrow_schema(fields: Sequence[DeltaField]) -> pa.Schema:
    """Columns of the log with Arrow types; metadata as texts, without what is Delta's own.

    Raises:
        UnsupportedError: A type is not known; the message names the column.
    """
    found = []
    for item in fields:
        metadata = item.get("metadata") or {}
        texts = {key: str(value) for key, value in metadata.items() if not key.startswith("delta.")}
        with _named_in_errors(item["name"]):
            found.append(pa.field(item["name"], to_arrow(item["type"]), metadata=texts or None))
    return pa.schema(found)


def fits(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of a type become those of another without a loss.

    >>> fits(pa.list_(pa.int32()), pa.list_(pa.int64())), fits(pa.int64(), pa.float64())
    (True, False)
    """
    if kind == wanted or wanted in _WIDER.get(kind, ()):
        return True
    if pa.types.is_list(kind) and pa.types.is_list(wanted):
        return fits(kind.value_type, wanted.value_type)
    if pa.types.is_struct(kind) and pa.types.is_struct(wanted):
        known = {item.name: item.type for item in wanted}
        return all(item.name in known and fits(item.type, known[item.name]) for item in kind)
    return False


@contextmanager
def _named_in_errors(name: str) -> Iterator[None]:
    try:
        yield
    except UnsupportedError as error:
        raise UnsupportedError(f"column '{name}': {error}") from error


def _field(name: str, kind: pa.DataType, metadata: Mapping[str, str]) -> DeltaField:
    return {"name": name, "type": to_delta(kind), "nullable": True, "metadata": dict(metadata)}
