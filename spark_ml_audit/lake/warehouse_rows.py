"""Rows as a SQL warehouse takes them: one text of JSON per statement, each column cast to its type there.

The connector binds at most 255 values to a statement, one megabyte in all, and no bytes among them
(databricks-sql-connector, docs/parameters.md; its own list of types has none for bytes). One text holds any
number of rows below that size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from spark_ml_audit.arrow.types import is_binary, is_string, type_name
from spark_ml_audit.engines.columns import quote
from spark_ml_audit.errors import InputError

MOST_VALUES = 200
"""Values of one statement, below the 255 that the connector binds."""

MOST_CHARACTERS = 900_000
"""Characters of one statement's values, all of them ASCII, below the megabyte that the connector binds."""

_WHOLE = {pa.int8(): "TINYINT", pa.int16(): "SMALLINT", pa.int32(): "INT", pa.int64(): "BIGINT"}
_OTHER = {pa.float32(): "FLOAT", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN"}


def sql_type(kind: Any, name: str) -> str:
    """What a SQL warehouse calls an Arrow type.

    Args:
        kind: The type.
        name: Of the column, for messages.

    Raises:
        InputError: No table of a warehouse is written with such a column.

    Example:
        >>> sql_type(pa.int16(), "id"), sql_type(pa.large_string(), "id"), sql_type(pa.date64(), "id")
        ('SMALLINT', 'STRING', 'DATE')
        >>> sql_type(pa.decimal128(10, 2), "id"), sql_type(pa.timestamp("us", tz="UTC"), "when")
        ('DECIMAL(10,2)', 'TIMESTAMP')
    """
    if kind in _WHOLE or kind in _OTHER:
        return {**_WHOLE, **_OTHER}[kind]
    if is_string(kind) or kind == pa.string_view():
        return "STRING"
    if is_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "BINARY"
    if pa.types.is_date(kind):
        return "DATE"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "TIMESTAMP_NTZ"
    raise InputError(
        f"the column '{name}' is {type_name(kind)}, which is not written by a SQL warehouse.",
        key="serve.warehouse",
        fix="Use an id that is a text, a whole number, a date or bytes.",
    )


def typed(expression: str, kind: str) -> str:
    """A text in SQL as a value of a type; bytes are hex digits.

    >>> typed("s.c0", "BIGINT"), typed(":p0", "BINARY")
    ('CAST(s.c0 AS BIGINT)', 'unhex(:p0)')
    """
    return f"unhex({expression})" if kind == "BINARY" else f"CAST({expression} AS {kind})"


def as_text(value: Any) -> str | None:
    """A value as the text that `typed` reads.

    >>> as_text(b"~t"), as_text(7), as_text(True), as_text(None)
    ('7E74', '7', 'true', None)
    """
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.hex().upper()
    return str(value).lower() if isinstance(value, bool) else str(value)


def json_parts(rows: pa.Table, most: int = MOST_CHARACTERS) -> Iterator[str]:
    """Rows as JSON lists of objects with the texts c0, c1 and so on, each list of so many characters.

    Args:
        rows: The rows.
        most: Characters of a list; one row alone may be longer.

    Example:
        >>> list(json_parts(pa.table({"id": [1, 2], "tag": ["war", None]}), most=30))
        ['[{"c0":"1","c1":"war"}]', '[{"c0":"2"}]']
    """
    part: list[str] = []
    size = 0
    for record in rows.to_pylist():
        texts = {f"c{place}": as_text(value) for place, value in enumerate(record.values())}
        known = {name: text for name, text in texts.items() if text is not None}
        line = json.dumps(known, separators=(",", ":"))
        if part and size + len(line) + 2 > most:
            yield f"[{','.join(part)}]"
            part, size = [], 0
        part.append(line)
        size += len(line) + 1
    if part:
        yield f"[{','.join(part)}]"


def rows_in_sql(parameter: str, kinds: Mapping[str, str]) -> str:
    r"""A query that gives the rows of such a list.

    Args:
        parameter: Marker of the text.
        kinds: Column -> its type in SQL.

    Example:
        >>> print(rows_in_sql(":p0", {"id": "INT"}).replace(" FROM", "\nFROM"))
        SELECT CAST(r.c0 AS INT) AS `id`
        FROM (SELECT explode(from_json(:p0, 'ARRAY<STRUCT<c0: STRING>>')) AS r)
    """
    cells = [f"{typed(f'r.c{k}', kind)} AS {quote(name)}" for k, (name, kind) in enumerate(kinds.items())]
    fields = ", ".join(f"c{place}: STRING" for place in range(len(kinds)))
    read = f"explode(from_json({parameter}, 'ARRAY<STRUCT<{fields}>>')) AS r"
    return f"SELECT {', '.join(cells)} FROM (SELECT {read})"


def chunks(values: Sequence[Any], most: int = MOST_VALUES) -> Iterator[Sequence[Any]]:
    """Values, so many at a time.

    >>> list(chunks([1, 2, 3], 2))
    [[1, 2], [3]]
    """
    for start in range(0, len(values), most):
        yield values[start : start + most]
