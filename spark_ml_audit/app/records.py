"""The table of decisions as records."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from spark_ml_audit.app.decided import DecisionRecord
from spark_ml_audit.arrow.decision_values import ids_of, times_of, verdicts_of
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.reviewing.votes import SINGLE

_TEXTS = ("tag", "who", "kind", "decision_id", "undoes", "bulk_id", "sample_id", "run_id", "note")
_CONTENT = ("id", "tag", "verdict", "who", "when", "note", "sample_id")


def records_of(table: Any, id_name: str, id_type: Any) -> list[DecisionRecord]:
    """The rows of a table of decisions as records, those of older versions and of files among them.

    Args:
        table: Arrow table; all columns but the id, tag and verdict may be missing.
        id_name: Column that names a row; `id` is taken too.
        id_type: Arrow type of the ids.

    Example:
        >>> table = pa.table({"film": [7], "tag": ["war"], "verdict": [" Present "], "who": ["ann"]})
        >>> (record,) = records_of(table, "film", pa.int64())
        >>> record.id, record.verdict, record.kind, record.when
        (7, 'present', 'single', None)
    """
    own = id_name if id_name in table.column_names else ID
    nothing: list[Any] = [None] * table.num_rows
    columns: dict[str, list[Any]] = {
        name: table.column(name).to_pylist() if name in table.column_names else nothing for name in _TEXTS
    }
    columns["id"] = ids_of(_whole(table, own), id_type).to_pylist()
    columns["verdict"] = verdicts_of(_whole(table, "verdict")).to_pylist()
    has_times = "when" in table.column_names
    columns["when"] = times_of(_whole(table, "when")).to_pylist() if has_times else nothing
    columns["kind"] = [kind or SINGLE for kind in columns["kind"]]
    names = list(columns)
    found = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(names, values, strict=True))
        if not row["decision_id"]:  # what was imported from a file: its content tells it apart
            row["decision_id"] = "file:" + repr([row[name] for name in _CONTENT])
        found.append(DecisionRecord(**row))
    return found


def _whole(table: Any, name: str) -> Any:
    values = table.column(name)
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def id_from_text(text: str, id_type: Any) -> Any:
    r"""The id that a page names by its text; None where there can be no such id.

    >>> id_from_text("12", pa.int64()), id_from_text("00FF", pa.binary()), id_from_text("x", pa.int8())
    (12, b'\x00\xff', None)
    """
    return ids_of(pa.array([text], pa.string()), id_type)[0].as_py()


def id_as_text(value: Any) -> str:
    """An id as a page names it; bytes as hex.

    >>> id_as_text(b"~t"), id_as_text(12)
    ('7E74', '12')
    """
    return value.hex().upper() if isinstance(value, bytes) else str(value)
