"""Types of DuckDB that a Delta table lacks, and what stands for them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from spark_ml_audit.arrow.types import is_list

_PLAIN = {
    "hugeint": "BIGINT",
    "uhugeint": "BIGINT",
    "utinyint": "SMALLINT",
    "usmallint": "INTEGER",
    "uinteger": "BIGINT",
    "ubigint": "DECIMAL(20,0)",
    "timestamp_ns": "TIMESTAMP",
    "timestamp_ms": "TIMESTAMP",
    "timestamp_s": "TIMESTAMP",
    "enum": "VARCHAR",
    "uuid": "VARCHAR",
    "time": "VARCHAR",
    "interval": "VARCHAR",
    "bit": "VARCHAR",
    "bignum": "VARCHAR",
    '"null"': "VARCHAR",
}


def quoted(name: str) -> str:
    """An identifier, as SQL writes it for DuckDB and for delta-rs."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """A text, as SQL writes it for DuckDB and for delta-rs."""
    return "'" + value.replace("'", "''") + "'"


def known_schema(schema: pa.Schema) -> pa.Schema:
    """A schema with types that DuckDB reads: it has no half-precision numbers."""
    return pa.schema([item.with_type(_known(item.type)) for item in schema], schema.metadata)


def _known(kind: Any) -> Any:
    if pa.types.is_float16(kind):
        return pa.float32()
    if is_list(kind):
        element = _known(kind.value_type)
        return kind if element == kind.value_type else pa.list_(element)
    return kind


def plain_type(kind: Any) -> str | None:
    """The type in whose form a column is handed on, in SQL; None if it can stay as it is.

    Args:
        kind: DuckDB type of the column.
    """
    name = str(kind.id).lower()
    if name in _PLAIN:
        return _PLAIN[name]
    if name in ("list", "array"):
        (child, *_) = kind.children
        inner = plain_type(child[1])
        return f"{inner or child[1]}[]" if inner or name == "array" else None
    if name == "map":
        key, value = (item[1] for item in kind.children)
        plain = plain_type(key), plain_type(value)
        return f"MAP({plain[0] or key}, {plain[1] or value})" if any(plain) else None
    if name == "struct":
        fields = [(item, child, plain_type(child)) for item, child in kind.children]
        if not any(plain for _, _, plain in fields):
            return None
        inside = ", ".join(f"{quoted(item)} {plain or child}" for item, child, plain in fields)
        return f"STRUCT({inside})"
    return None
