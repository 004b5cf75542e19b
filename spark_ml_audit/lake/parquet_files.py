"""The files of a Parquet source: its identity, for want of versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.parquet as pq

from spark_ml_audit.config.source import CLASSES_METADATA
from spark_ml_audit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from spark_ml_audit.engines.base import Frame

_SPARK_SCHEMA = b"org.apache.spark.sql.parquet.row.metadata"
# Footers are read at once where files are far away.
_READERS = 8
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


def schemas_of(files: Sequence[Path]) -> list[pa.Schema]:
    """The schemas that files hold, in their order; no rows are read.

    Args:
        files: Parquet files.
    """
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(pq.read_schema, files))


def classes_of_files(written: Sequence[pa.Schema]) -> str | None:
    """The class list that files hold in the metadata of their schema, as it is written there: a JSON list.

    Args:
        written: Schemas of the files; the first with a list tells.
    """
    found = (_classes_of(schema, None) for schema in written)
    return next((text for text in found if text is not None), None)


def check_one_order(files: Sequence[Path], written: Sequence[pa.Schema], column: str | None) -> None:
    """Refuse files whose metadata names the classes differently: no one list is that of all their rows.

    Args:
        files: The files.
        written: Their schemas.
        column: Its metadata goes before that of the schema; None to leave columns out.

    Raises:
        InputError: Two files hold different lists (key `source.classes`).
    """
    first: tuple[Path, object] | None = None
    for file, schema in zip(files, written, strict=True):
        text = _classes_of(schema, column)
        if text is None:
            continue
        listed = _listed(text)
        if first is None:
            first = (file, listed)
        elif listed != first[1]:
            raise InputError(
                f"the metadata '{CLASSES_METADATA}' of '{first[0]}' and of '{file}' list different classes, "
                "or the same in another order.",
                key="source.classes",
                fix="Write the files anew with one list and the probabilities in its order, or audit them "
                "one by one.",
            )


def with_column_metadata(schema: pa.Schema, written: Sequence[pa.Schema]) -> pa.Schema:
    """A schema with what the files record with their columns: Arrow's own words, or Spark's.

    Args:
        schema: Of the rows, as the engine tells it.
        written: Schemas of the files, the first going before others; nothing is added without any.
    """
    known: dict[str, dict[bytes, bytes]] = {}
    for one in reversed(written):
        for name, words in _recorded(one).items():
            known.setdefault(name, {}).update(words)
    fields = [
        item.with_metadata({**known.get(item.name, {}), **(item.metadata or {})} or None) for item in schema
    ]
    return pa.schema(fields) if written else schema


def _recorded(written: pa.Schema) -> dict[str, dict[bytes, bytes]]:
    known = {item.name: dict(item.metadata or {}) for item in written}
    for item in json.loads((written.metadata or {}).get(_SPARK_SCHEMA, b"{}")).get("fields", ()):
        texts = {
            key: value if isinstance(value, str) else json.dumps(value)
            for key, value in item.get("metadata", {}).items()
        }
        known.setdefault(item["name"], {}).update(
            {key.encode(): text.encode() for key, text in texts.items()}
        )
    return known


def _classes_of(schema: pa.Schema, column: str | None) -> str | None:
    key = CLASSES_METADATA.encode()
    of_column = None if column is None else _recorded(schema).get(column, {}).get(key)
    found = (schema.metadata or {}).get(key) if of_column is None else of_column
    return None if found is None else found.decode("utf-8", "replace")


def _listed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
