"""Arrow types of columns: what kind they are, and how users write them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

_NAMES = {
    pa.string(): "string",
    pa.large_string(): "string",
    pa.binary(): "binary",
    pa.large_binary(): "binary",
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): "date",
    pa.null(): "void",
}


def type_name(kind: Any) -> str:
    """A type as SQL writes it.

    >>> type_name(pa.list_(pa.float32())), type_name(pa.map_(pa.string(), pa.float64()))
    ('array<float>', 'map<string,double>')
    """
    name = _NAMES.get(kind, str(kind))
    if is_list(kind):
        name = f"array<{type_name(kind.value_type)}>"
    elif pa.types.is_map(kind):
        name = f"map<{type_name(kind.key_type)},{type_name(kind.item_type)}>"
    elif pa.types.is_struct(kind):
        name = f"struct<{','.join(f'{item.name}:{type_name(item.type)}' for item in kind)}>"
    elif pa.types.is_decimal(kind):
        name = f"decimal({kind.precision},{kind.scale})"
    elif pa.types.is_timestamp(kind):
        name = "timestamp" if kind.tz else "timestamp_ntz"
    return name


def is_list(kind: Any) -> bool:
    """Whether a column holds lists."""
    checks = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(check(kind) for check in checks)


def is_string(kind: Any) -> bool:
    """Whether a column holds texts."""
    return kind in (pa.string(), pa.large_string())


def is_binary(kind: Any) -> bool:
    """Whether a column holds bytes."""
    return kind in (pa.binary(), pa.large_binary())


def is_integral(kind: Any) -> bool:
    """Whether a column holds whole numbers."""
    return bool(pa.types.is_integer(kind))


def is_floating(kind: Any) -> bool:
    """Whether a column holds numbers with a fraction, decimals included."""
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def is_number(kind: Any) -> bool:
    """Whether a column holds numbers."""
    return is_integral(kind) or is_floating(kind)


def nullable(kind: Any) -> Any:
    """A type without the promise that what is in it is never null: promises differ where data do not.

    >>> nullable(pa.list_(pa.field("element", pa.string(), nullable=False))) == pa.list_(pa.string())
    True
    """
    if pa.types.is_list(kind):
        return pa.list_(nullable(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(item.name, nullable(item.type)) for item in kind])
    return kind
