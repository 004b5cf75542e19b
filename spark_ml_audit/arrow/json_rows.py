"""Rows of Arrow structs as JSON, for tables that keep whatever a row held."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.types import is_list


def json_rows(rows: Any, names: Sequence[str]) -> Any:
    """Arrow string array with a JSON object per row, nulls written out.

    Args:
        rows: Struct array.
        names: Names of its fields as users know them.

    Example:
        >>> probs = pa.array([0.1, 2], pa.float32())
        >>> rows = pa.StructArray.from_arrays([pa.array([1, None]), probs], ["a", "b"])
        >>> json_rows(rows, ["id", "p"]).to_pylist()
        ['{"id":1,"p":0.1}', '{"id":null,"p":2.0}']
    """
    return json_objects(rows.flatten(), names, nulls=True)


def json_objects(columns: Sequence[Any], names: Sequence[str], *, nulls: bool) -> Any:
    """Arrow string array with a JSON object per row of some columns.

    Args:
        columns: Arrow arrays of one length.
        names: Their names in the objects.
        nulls: Whether nulls are written out, else left out.

    Example:
        >>> json_objects([pa.array([1, None]), pa.array(["a", "b"])], ["id", "tag"], nulls=False).to_pylist()
        ['{"id":1,"tag":"a"}', '{"tag":"b"}']
    """
    rows = zip(*[_plain(values) for values in columns], strict=True)
    objects = (
        {name: value for name, value in zip(names, row, strict=True) if nulls or value is not None}
        for row in rows
    )
    return pa.array([_dumps(found) for found in objects], pa.string())


def json_texts(values: Any) -> list[str | None]:
    """Values of an Arrow array as JSON, None for null.

    >>> json_texts(pa.array([{"a": 1, "b": None}, None]))
    ['{"a":1,"b":null}', None]
    """
    return [None if value is None else _dumps(value) for value in _plain(values)]


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(values: Any) -> list[Any]:
    convert = _converter(values.type)
    return [None if value is None else convert(value) for value in values.to_pylist()]


def _converter(kind: Any) -> Callable[[Any], Any]:
    """How a value of a type is written."""
    if is_list(kind):
        element = _nullable(_converter(kind.value_type))
        return lambda value: [element(item) for item in value]
    if pa.types.is_map(kind):
        item_of = _nullable(_converter(kind.item_type))
        return lambda value: {_key(key): item_of(item) for key, item in value}
    if pa.types.is_struct(kind):
        fields = {item.name: _nullable(_converter(item.type)) for item in kind}
        return lambda value: {name: fields[name](item) for name, item in value.items()}
    if pa.types.is_float32(kind):
        # as many digits as the number has, not as its double
        return lambda value: _number(float(str(np.float32(value))))
    return _scalar


def _nullable(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _key(value: Any) -> str:
    found = _scalar(value)
    return found if isinstance(found, str) else json.dumps(found)


def _number(value: float) -> Any:
    # JSON has no word for these
    return value if math.isfinite(value) else {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")


def _scalar(value: Any) -> Any:
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return _time(value) if isinstance(value, (datetime.date, datetime.time)) else value


def _time(value: datetime.date | datetime.time) -> str:
    if not isinstance(value, datetime.datetime):
        return value.isoformat()
    if value.tzinfo is None:
        return value.isoformat(timespec="milliseconds")
    utc = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='milliseconds')}Z"
