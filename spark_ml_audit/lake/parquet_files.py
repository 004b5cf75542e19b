"""The files of a Parquet source: its identity, for want of versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pathlib import Path

    from spark_ml_audit.engines.base import Frame

_SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
_Files = Iterable[tuple[str, int, int]]


def files_digest(frame: Frame | None, files: Sequence[Path]) -> str | None:
    """Digest of names, sizes and times of a source's files, the same on every engine.

    Args:
        frame: Its rows; asked for the files where none can be seen from here.
        files: Those that can.

    Returns:
        The digest; None where there are no files to be seen.
    """
    about = _about(files) if files or frame is None else _files_of_spark(frame)
    listed = sorted(f"{name}\0{size}\0{time}" for name, size, time in about)
    if not listed:
        return None
    text = "\n".join(listed)
    return f"files-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _about(files: Sequence[Path]) -> _Files:
    for file in files:
        found = file.stat()
        yield str(file), found.st_size, found.st_mtime_ns // 1_000_000


def _files_of_spark(frame: Frame) -> _Files:
    native: Any = frame.to_native()
    columns = ("file_path", "file_size", "file_modification_time")
    try:
        rows = native.select(*[f"_metadata.{name}" for name in columns]).distinct().collect()
    except Exception:  # noqa: BLE001 - a view or another format has no file metadata
        return []
    return [(unquote(urlparse(row[0]).path), row[1], _milliseconds(row[2])) for row in rows]


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def classes_of_files(files: Sequence[Path]) -> str | None:
    """The class list that files hold in the metadata of their schema, as it is written there: a JSON list.

    Args:
        files: The files; the first tells.
    """
    found = (pq.read_schema(files[0]).metadata or {}).get(b"classes") if files else None
    return None if found is None else found.decode("utf-8", "replace")


def with_column_metadata(schema: pa.Schema, files: Sequence[Path]) -> pa.Schema:
    """A schema with what the files record with their columns: Arrow's own words, or Spark's.

    Args:
        schema: Of the rows, as the engine tells it.
        files: The files; nothing is added without any.
    """
    if not files:
        return schema
    written = pq.read_schema(files[0])
    known = {item.name: dict(item.metadata or {}) for item in written}
    for item in json.loads((written.metadata or {}).get(_SPARK_SCHEMA, b"{}")).get("fields", ()):
        texts = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in item.get("metadata", {}).items()
        }
        known.setdefault(item["name"], {}).update(
            {key.encode(): text.encode() for key, text in texts.items()}
        )
    fields = [
        item.with_metadata({**known.get(item.name, {}), **(item.metadata or {})} or None) for item in schema
    ]
    return pa.schema(fields)
