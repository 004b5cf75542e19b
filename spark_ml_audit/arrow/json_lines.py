"""JSON Lines: one object per line, as Arrow batches. Types are JSON's own: a text of digits stays a text.

Blocks of lines go through Arrow's reader where what it gives can be trusted, and else through Python's.
"""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Container, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import json as arrow_json

from spark_ml_audit.arrow.csv_texts import Opened
from spark_ml_audit.arrow.text_kinds import LISTS
from spark_ml_audit.arrow.types import is_list
from spark_ml_audit.errors import InputError
from spark_ml_audit.text import show

_BLOCK = 8 << 20
_LOOK_ROWS = 20
_INT64 = (-(1 << 63), (1 << 63) - 1)
_MAP = pa.map_(pa.string(), pa.float64())


def json_batches(open_file: Opened, name: str, ids: Container[str] = ()) -> Iterator[Any]:
    r"""The rows of a file, in batches; objects of numbers become maps, other nested values JSON texts.

    Args:
        open_file: Opens the file anew, its bytes decompressed.
        name: Of the file, for messages.
        ids: Columns that name rows: an integer keeps its digits, and a float is refused.

    Raises:
        InputError: A line is no JSON object, or the file is not UTF-8; with the line.

    Example:
        >>> text = b'{"id": 1, "tags": ["a"], "p": {"a": 0.5}}\n\n{"id": "x", "p": null}\n'
        >>> (batch,) = json_batches(lambda: io.BytesIO(text), "tags.jsonl")
        >>> batch.to_pylist()[1]
        {'id': 'x', 'tags': None, 'p': None}
        >>> [str(kind) for kind in batch.schema.types]
        ['string', 'list<item: string>', 'map<string, double>']
    """
    with open_file() as stream:
        line = 1
        while block := stream.read(_BLOCK):
            if line == 1:
                block = block.removeprefix(codecs.BOM_UTF8)
                _check_begin(block, name)
            block += stream.readline()
            found = _by_arrow(block)
            if found is None or any(
                item.name in ids and pa.types.is_floating(item.type) for item in found.schema
            ):
                found = _by_python(block, name, line, ids)
            if found.num_rows:
                yield found
            line += block.count(b"\n")


def _check_begin(block: bytes, name: str) -> None:
    if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"'{name}' is UTF-16, not UTF-8.", key="source.path", fix="Save it as UTF-8.")
    begun = block.lstrip()
    if begun.startswith(b"["):
        line = 1 + block[: len(block) - len(begun)].count(b"\n")
        raise InputError(
            f"line {line} of '{name}' is no object: it begins a list.", key="source.path", fix=_ONE_LIST
        )


def _by_arrow(block: bytes) -> Any:
    """A block as Arrow reads it; None where that may not be what is written."""
    rows = [row for row in block.split(b"\n", _LOOK_ROWS)[:_LOOK_ROWS] if row.strip()]
    try:
        hints = _hints([json.loads(row) for row in rows])
        table = _read(block, hints)
        dates = {item.name: kind for item in table.schema if (kind := _undated(item.type)) is not None}
        if dates:
            table = _read(block, hints | dates)
    except (ValueError, RecursionError, pa.ArrowNotImplementedError):
        return None
    hinted = {*hints, *dates}
    columns = {
        item.name: _plain(table.column(item.name).combine_chunks(), hinted=item.name in hinted)
        for item in table.schema
    }
    is_odd = not columns or any(column is None for column in columns.values())
    num_rows = sum(1 for row in block.split(b"\n") if row.strip())
    return None if is_odd or table.num_rows != num_rows else pa.RecordBatch.from_pydict(columns)


def _read(block: bytes, hints: dict[str, Any]) -> pa.Table:
    table = arrow_json.read_json(
        io.BytesIO(block),
        arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
        arrow_json.ParseOptions(newlines_in_values=False, explicit_schema=pa.schema(list(hints.items()))),
    )
    # fails among others at bytes that are not UTF-8
    table.validate(full=True)
    if any(_undated(item.type) is not None for item in table.schema if item.name in hints):
        raise ValueError
    return table


def _hints(rows: list[Any]) -> dict[str, Any]:
    """Types of columns that hold texts, or lists of them: Arrow would take texts for dates."""
    found: dict[str, Any] = {}
    for row in rows:
        if not isinstance(row, dict):
            raise ValueError
        for name, value in row.items():
            if isinstance(value, str):
                found.setdefault(name, pa.string())
            elif isinstance(value, list) and any(isinstance(item, str) for item in value):
                found.setdefault(name, pa.list_(pa.string()))
    return found


def _undated(kind: Any) -> Any:
    if pa.types.is_timestamp(kind):
        return pa.string()
    return pa.list_(pa.string()) if is_list(kind) and pa.types.is_timestamp(kind.value_type) else None


def _plain(column: Any, *, hinted: bool) -> Any:
    """A column in a type that kinds are known for; None where Python has to read it."""
    kind = column.type
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.nulls(0, kind)
    if pa.types.is_struct(kind):
        return _map_of(column)
    if is_list(kind):
        inner = kind.value_type
        if pa.types.is_nested(inner) or (not hinted and column.values.null_count):
            return None
        return column.cast(pa.list_(inner))
    return column


def _map_of(column: Any) -> Any:
    """Objects of numbers that all have the same keys as maps."""
    fields = column.flatten()
    numbers = all(pa.types.is_integer(field.type) or pa.types.is_floating(field.type) for field in fields)
    nulls = column.null_count
    if not fields or not numbers or any(field.null_count != nulls for field in fields):
        return None
    mask = column.is_null().to_numpy(zero_copy_only=False)
    values = np.column_stack(
        [field.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)[~mask] for field in fields]
    )
    names = pa.array([item.name for item in column.type])
    width = len(fields)
    codes = np.tile(np.arange(width), len(values))
    offsets = np.concatenate([[0], np.cumsum(np.where(mask, 0, width))]).astype(np.int32)
    # a null offset makes a null map
    begins = pa.array(offsets, mask=np.append(mask, [False]))
    return pa.MapArray.from_arrays(begins, names.take(pa.array(codes)), pa.array(values.ravel()))


# ---- by Python -------------------------------------------------------------------------------------


def _by_python(block: bytes, name: str, first_line: int, ids: Container[str] = ()) -> Any:
    rows = [
        _row(text, name, line, ids)
        for line, text in enumerate(block.split(b"\n"), start=first_line)
        if text.strip()
    ]
    names = list(dict.fromkeys(key for row in rows for key in row))
    arrays = [_array([row.get(key) for row in rows]) for key in names]
    if not names:
        return pa.RecordBatch.from_pydict({})
    return pa.RecordBatch.from_arrays(arrays, names=names)


def _row(text: bytes, name: str, line: int, ids: Container[str]) -> dict[str, Any]:
    try:
        row = json.loads(text.decode("utf-8"), object_pairs_hook=_object)
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"line {line} of '{name}' is not UTF-8 (byte 0x{text[error.start]:02x}); it may be Latin-1.",
            key="source.path",
            fix="Save it as UTF-8, then try again.",
        ) from None
    except (ValueError, RecursionError) as error:
        said = str(error).split(": line ")[0] if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError(
            f"line {line} of '{name}' is no JSON: {said[:200]}.",
            key="source.path",
            fix="Write one object per line, without commas between them.",
        ) from None
    if not isinstance(row, dict):
        is_list_of_all = isinstance(row, list)
        raise InputError(
            f"line {line} of '{name}' is no object: {show(row)}.",
            key="source.path",
            fix=_ONE_LIST if is_list_of_all else 'Write one object per line, such as {"id": 1}.',
        )
    for key, value in row.items():
        if key in ids and isinstance(value, float):
            raise InputError(
                f"line {line} of '{name}' has the number {value} in column {show(key)}, which names rows.",
                key="source.id",
                fix="Write its values as texts or integers; pandas makes integers with gaps floats.",
            )
    return row


_ONE_LIST = (
    "Write one object per line, no list around them (pandas: to_json(path, orient='records', lines=True))."
)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object names a key twice")
    return found


def _array(values: list[Any]) -> Any:
    """Values of a column in the narrowest type that holds all; JSON texts where there is none."""
    kinds = {_kind(value) for value in values if value is not None}
    if kinds - {"list"} and kinds <= LISTS:
        kinds.discard("list")
    wanted = _TYPES.get(frozenset(kinds))
    if wanted is None and kinds <= LISTS:
        rows = [None if row is None else [None if x is None else _text(x) for x in row] for row in values]
        return pa.array(rows, pa.list_(pa.string()))
    if wanted is None:
        return pa.array([None if value is None else _text(value) for value in values], pa.string())
    if wanted == _MAP:
        pairs = [None if row is None else [(key, _double(x)) for key, x in row.items()] for row in values]
        return pa.array(pairs, _MAP)
    if wanted == pa.float64():
        values = [_double(value) for value in values]
    elif wanted == pa.list_(pa.float64()):
        values = [None if row is None else [_double(x) for x in row] for row in values]
    return pa.array(values, wanted)


def _double(value: float | None) -> float | None:
    """Arrow refuses integers that doubles have no digits for."""
    return None if value is None else float(value)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if _INT64[0] <= value <= _INT64[1] else "json"
    if isinstance(value, float | str):
        return "float" if isinstance(value, float) else "text"
    if isinstance(value, dict):
        numbers = all(item is None or _kind(item) in ("int", "float") for item in value.values())
        return "map" if numbers else "json"
    inner = {_kind(item) for item in value if item is not None}
    if inner == {"int", "float"}:
        inner = {"float"}
    if not inner:
        return "list"
    single = inner <= {"bool", "int", "float", "text"} and len(inner) == 1
    return f"{next(iter(inner))}s" if single else "json"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_TYPES: dict[frozenset[str], Any] = {
    frozenset(): pa.null(),
    frozenset({"bool"}): pa.bool_(),
    frozenset({"int"}): pa.int64(),
    frozenset({"float"}): pa.float64(),
    frozenset({"int", "float"}): pa.float64(),
    frozenset({"text"}): pa.string(),
    frozenset({"map"}): _MAP,
    frozenset({"list"}): pa.list_(pa.null()),
    frozenset({"bools"}): pa.list_(pa.bool_()),
    frozenset({"ints"}): pa.list_(pa.int64()),
    frozenset({"floats"}): pa.list_(pa.float64()),
    frozenset({"ints", "floats"}): pa.list_(pa.float64()),
    frozenset({"texts"}): pa.list_(pa.string()),
}
"""Kinds of a column's values -> its Arrow type."""
