"""The files of a Parquet source: its identity, for want of versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.parquet as pq

from spark_ml_audit.config.paths import scheme_of
from spark_ml_audit.engines.files import local_files

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.lake.places import Place

_SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
_Files = Iterable[tuple[str, int, int]]


def files_digest(engine: Engine, frame: Frame, place: Place) -> str | None:
    """Digest of names, sizes and times of a source's files, the same on every engine.

    Args:
        engine: What reads the source.
        frame: Its rows.
        place: Where it is.

    Returns:
        The digest; None where there are no files to be seen.
    """
    files: _Files
    if place.is_path and scheme_of(place.address) in ("", "file"):
        files = _local_files(place.address)
    else:
        files = _files_of_spark(frame)
    listed = sorted(f"{name}\0{size}\0{time}" for name, size, time in files)
    if not listed:
        return None
    text = "\n".join(listed)
    return f"files-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _local_files(address: str) -> _Files:
    for file in local_files(address):
        about = file.stat()
        yield str(file), about.st_size, about.st_mtime_ns // 1_000_000


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


def with_column_metadata(schema: pa.Schema, place: Place) -> pa.Schema:
    """A schema with what the files record with their columns: Arrow's own words, or Spark's.

    Args:
        schema: Of the rows, as the engine tells it.
        place: Where the files are; nothing is added for a place that is not local.
    """
    if not place.is_path or scheme_of(place.address) not in ("", "file"):
        return schema
    files = local_files(place.address)
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
