"""Files that the page hands out: decisions, the list of flagged cells with verdicts, the clean table."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spark_ml_audit.app.records import id_as_text
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.arrow.value_texts import value_texts
from spark_ml_audit.reviewing.spreadsheet import write_csv

FORMATS = {"csv": "text/csv; charset=utf-8", "parquet": "application/vnd.apache.parquet"}
_RECORD = (
    "tag",
    "verdict",
    "who",
    "when",
    "note",
    "kind",
    "decision_id",
    "undoes",
    "bulk_id",
    "sample_id",
    "run_id",
)
_DECISION_TYPES = {"when": pa.timestamp("us", tz="UTC")}


def decisions_table(session: ReviewSession) -> Any:
    """All records of decisions as an Arrow table."""
    records = session.reader.decisions()
    columns: dict[str, Any] = {
        session.reader.run.id_name: pa.array([record.id for record in records], session.reader.id_type)
    }
    for name in _RECORD:
        kind = _DECISION_TYPES.get(name, pa.string())
        columns[name] = pa.array([getattr(record, name) for record in records], kind)
    return pa.table(columns)


def list_table(session: ReviewSession) -> Any:
    """The flagged cells with what was decided of them as an Arrow table, worst rows first."""
    with session.lock:
        index, state = session.index, session.state
        cells = list(zip(index.cells.rows.tolist(), index.cells.codes.tolist(), strict=True))
        standing = [state.standing(cell) for cell in cells]
        votes = [state.votes.get(cell, ()) for cell in cells]
    names = pa.array(session.classes, pa.string())
    issue = pa.array([MISSING if missing else EXTRANEOUS for missing in index.missing.tolist()])
    return pa.table(
        {
            session.reader.run.id_name: index.ids.take(pa.array(index.cells.rows)),
            "tag": names.take(pa.array(index.cells.codes)),
            "issue": issue,
            "pred_prob": pa.array(index.pred_prob),
            "verdict": pa.array([None if item is None else item.verdict for item in standing], pa.string()),
            "disputed": pa.array([item is not None and item.is_disputed for item in standing]),
            "who": pa.array([_joined(", ", {vote.who for vote in own}) for own in votes], pa.string()),
            "note": pa.array([_joined(" / ", {vote.note for vote in own}) for own in votes], pa.string()),
        }
    )  # fmt: skip


def _joined(between: str, texts: set[str | None]) -> str | None:
    return between.join(sorted(text for text in texts if text)) or None


def as_file(table: Any, kind: str) -> bytes:
    """An Arrow table as the content of a file; CSV without what a spreadsheet would run.

    >>> table = pa.table({"id": ["=1+1"], "tags": [["war", "drama"]]})
    >>> print(as_file(table, "csv").decode("utf-8-sig").strip())
    id,tags
    '=1+1,"war, drama"
    """
    with tempfile.TemporaryDirectory(prefix="spark-ml-audit-") as folder:
        file = Path(folder, f"table.{kind}")
        if kind == "parquet":
            pq.write_table(table, file)
        else:
            write_csv(str(file), table.column_names, _lines(table))
        return file.read_bytes()


def _lines(table: Any) -> list[tuple[Any, ...]]:
    return list(zip(*(_texts(column) for column in table.columns), strict=True))


def _texts(column: Any) -> Iterator[str | None]:
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_list(values.type) and pa.types.is_string(values.type.value_type):
        return iter([None if row is None else ", ".join(map(str, row)) for row in values.to_pylist()])
    if pa.types.is_binary(values.type):
        return iter([None if value is None else id_as_text(value) for value in values.to_pylist()])
    return iter(value_texts(values))
