"""Arrow schemas as SQL writes them, and rows of plain values in their types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

_TYPES = {
    "string": pa.string(),
    "binary": pa.binary(),
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
_NAME = re.compile(r"\s*(?:`((?:[^`]|``)*)`|([^\s:<>,`]+))\s*:?\s*")


def schema_of(text: str) -> Any:
    """The Arrow schema of a column list.

    >>> schema_of("id string, `a.b` map<string, array<float>>, s struct<x: int, `y:z`: decimal(5, 2)>")
    id: string
    a.b: map<string, list<item: float>>
      child 0, entries: struct<key: string not null, value: list<item: float>> not null
          child 0, key: string not null
          child 1, value: list<item: float>
              child 0, item: float
    s: struct<x: int32, y:z: decimal128(5, 2)>
      child 0, x: int32
      child 1, y:z: decimal128(5, 2)
    """
    return pa.schema([_field(part) for part in _parts(text)])


def table_of(rows: Sequence[Sequence[Any]], schema: Any) -> Any:
    """Rows as an Arrow table; a struct's value is a tuple, a map's a dictionary."""
    columns = [
        pa.array([_plain(row[place], field.type) for row in rows], field.type)
        for place, field in enumerate(schema)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _parts(text: str) -> list[str]:
    """What stands between the commas of the outermost level."""
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == "`"
        if not quoted:
            depth += (letter in "<(") - (letter in ">)")
        if letter == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _field(text: str) -> Any:
    found = _NAME.match(text)
    assert found, text
    name = found[2] if found[1] is None else found[1].replace("``", "`")
    return pa.field(name, _type(text[found.end() :].strip()))


def _type(text: str) -> Any:
    kind, _, inner = text.partition("<")
    inner = inner.strip().removesuffix(">")
    if kind == "array":
        return pa.list_(_type(inner))
    if kind == "map":
        return pa.map_(*[_type(part.strip()) for part in _parts(inner)])
    if kind == "struct":
        return pa.struct([_field(part) for part in _parts(inner)])
    if kind.startswith("decimal"):
        return pa.decimal128(*[int(digits) for digits in re.findall(r"\d+", kind)])
    return _TYPES[kind]


def _plain(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if pa.types.is_list(kind):
        return [_plain(item, kind.value_type) for item in value]
    if pa.types.is_map(kind):
        return [(key, _plain(item, kind.item_type)) for key, item in value.items()]
    if pa.types.is_struct(kind):
        return {field.name: _plain(item, field.type) for field, item in zip(kind, value, strict=True)}
    return value
