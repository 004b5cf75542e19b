"""Label columns as JSON and back: the text in which a correction keeps a row's labels, and compares them.

The text is what Spark's `to_json` makes of the columns l0, l1, ..., nulls written out: plans that older
versions wrote are understood, and labels compare the same whichever engine looks at them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.types import is_list
from spark_ml_audit.arrow.value_texts import number_text

_ESCAPED = {code: f"\\u{code:04X}" for code in range(32)} | {
    ord(character): f"\\{letter}" for character, letter in zip('\b\t\n\f\r"\\', 'btnfr"\\', strict=True)
}


def label_key(position: int) -> str:
    """Key of a label column in the JSON."""
    return f"l{position}"


def quoted_text(value: str) -> str:
    r"""A text as JSON, other alphabets as they are.

    >>> print(quoted_text('film "noir"\x1f'))
    "film \"noir\"\u001F"
    """
    return f'"{value.translate(_ESCAPED)}"'


def pack_labels(columns: Sequence[Any]) -> Any:
    """The label columns of each row as one JSON object.

    Args:
        columns: Arrow arrays of the label columns, in their order.

    Returns:
        Arrow array of texts, none null.

    Example:
        >>> pack_labels([pa.array([["a", "b"], None]), pa.array([1.0, 0.0])]).to_pylist()
        ['{"l0":["a","b"],"l1":1.0}', '{"l0":null,"l1":0.0}']
    """
    keyed = [[f'"{label_key(k)}":{text}' for text in _texts(column)] for k, column in enumerate(columns)]
    return pa.array([f"{{{','.join(parts)}}}" for parts in zip(*keyed, strict=True)], pa.string())


def unpack_labels(texts: Any, types: Sequence[Any]) -> list[Any]:
    """The label columns from what `pack_labels` made of them.

    Args:
        texts: Arrow array of the JSON.
        types: Arrow types of the columns.

    Returns:
        Arrow arrays of these types.

    Example:
        >>> kinds = [pa.list_(pa.int16()), pa.bool_()]
        >>> [column.to_pylist() for column in unpack_labels(pa.array(['{"l0":[2,0],"l1":null}']), kinds)]
        [[[2, 0]], [None]]
    """
    # by way of doubles, a decimal would lose digits
    decoder = json.JSONDecoder(parse_float=Decimal if any(_is_decimal(kind) for kind in types) else None)
    rows = [{} if text is None else decoder.decode(text) for text in texts.to_pylist()]
    found = []
    for k, kind in enumerate(types):
        key = label_key(k)
        found.append(pa.array([_typed(row.get(key), kind) for row in rows], kind))
    return found


def _texts(values: Any) -> list[str]:
    """Each value of an array as JSON."""
    kind = values.type
    if is_list(kind):
        parts = _texts(pc.list_flatten(values))
        found, first = [], 0
        for length in pc.list_value_length(values).to_pylist():
            if length is None:
                found.append("null")
                continue
            found.append(f"[{','.join(parts[first : first + length])}]")
            first += length
        return found
    if pa.types.is_floating(kind):
        single = pa.types.is_float32(kind)
        return ["null" if value is None else _number(value, single=single) for value in values.to_pylist()]
    # few tags, many rows: each is written once
    encoded = values.dictionary_encode()
    words = [_word(value) for value in encoded.dictionary.to_pylist()]
    return ["null" if code is None else words[code] for code in encoded.indices.to_pylist()]


def _number(value: float, *, single: bool) -> str:
    text = number_text(value, single=single)
    return text if text[-1].isdigit() else f'"{text}"'  # JSON has no numbers that are none


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, Decimal)) else quoted_text(str(value))


def _typed(value: Any, kind: Any) -> Any:
    if value is None:
        return None
    if is_list(kind):
        return [_typed(item, kind.value_type) for item in value]
    if pa.types.is_floating(kind):
        return float(value)
    return Decimal(value) if _is_decimal(kind) else value


def _is_decimal(kind: Any) -> bool:
    return bool(pa.types.is_decimal(kind.value_type if is_list(kind) else kind))
