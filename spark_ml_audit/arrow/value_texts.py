"""Values as texts that people read: the words that Spark's cast to string uses, on every engine."""

from __future__ import annotations

import math
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.types import is_list

# Between these, Java writes a number without an exponent.
_PLAIN_FROM, _PLAIN_BELOW = 1e-3, 1e7


def number_text(value: float, *, single: bool = False) -> str:
    """A number with a fraction as Java writes it: the fewest digits that tell it apart.

    Args:
        value: The number.
        single: Whether its type is float and not double.

    Example:
        >>> number_text(1.0), number_text(0.1), number_text(1e7), number_text(-0.0005)
        ('1.0', '0.1', '1.0E7', '-5.0E-4')
        >>> number_text(float(np.float32(0.1)), single=True)
        '0.1'
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    exact = np.float32(value) if single else np.float64(value)
    if value == 0 or _PLAIN_FROM <= abs(value) < _PLAIN_BELOW:
        return np.format_float_positional(exact, unique=True, trim="0")
    digits, exponent = np.format_float_scientific(exact, unique=True, trim="0").split("e")
    return f"{digits}E{int(exponent)}"


def value_texts(values: Any) -> list[str | None]:
    """The values of an Arrow array as texts, nulls kept.

    >>> value_texts(pa.array([0.5, None, 2e10]))
    ['0.5', None, '2.0E10']
    >>> value_texts(pa.array([["a", None], []]))
    ['[a, null]', '[]']
    >>> value_texts(pa.array([{"x": True, "y": datetime(2026, 6, 1, 12)}]))
    ['{true, 2026-06-01 12:00:00}']
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    kind = values.type
    if is_list(kind):
        parts = _spelled(value_texts(pc.list_flatten(values)))
        return _joined(parts, values, "[", "]")
    if pa.types.is_map(kind):
        pair = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        values = values.cast(pa.list_(pair))
        columns = pc.list_flatten(values).flatten()
        keys, items = (_spelled(value_texts(column)) for column in columns)
        return _joined([f"{key} -> {item}" for key, item in zip(keys, items, strict=True)], values, "{", "}")
    if pa.types.is_struct(kind):
        fields = [_spelled(value_texts(column)) for column in values.flatten()]
        rows = [f"{{{', '.join(row)}}}" for row in zip(*fields, strict=True)]
        return [
            text if there else None for text, there in zip(rows, pc.is_valid(values).to_pylist(), strict=True)
        ]
    single = pa.types.is_float32(kind)
    return [None if value is None else _value_text(value, single=single) for value in values.to_pylist()]


def _spelled(texts: list[str | None]) -> list[str]:
    return ["null" if text is None else text for text in texts]


def _joined(parts: list[str], values: Any, begin: str, end: str) -> list[str | None]:
    """The parts of each list between brackets."""
    found: list[str | None] = []
    first = 0
    for length in pc.list_value_length(values).to_pylist():
        if length is None:
            found.append(None)
            continue
        found.append(f"{begin}{', '.join(parts[first : first + length])}{end}")
        first += length
    return found


def _value_text(value: Any, *, single: bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return number_text(value, single=single)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        text = value.replace(tzinfo=None).isoformat(" ")
        return text.rstrip("0") if "." in text else text
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
