"""Rows on their way into a Delta table: files by DuckDB, and what the log says of each."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from spark_ml_audit.arrow.types import type_name
from spark_ml_audit.engines.columns import column, in_frame
from spark_ml_audit.errors import InputError
from spark_ml_audit.lake.delta_types import fits

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.engines.embedded import EmbeddedEngine, WrittenFile

LOG = "_delta_log"
"""Folder of a table's log, in the table's own."""

_USUALLY_INDEXED = 32
"""Columns with statistics where a table does not say how many."""

_LONGEST_TEXT = 32
# No text that begins the same is greater, unless it goes on with this very character.
_GREATEST_CHARACTER = "\U0010ffff"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?(?:\+00(?::?00)?)?")


def indexed_columns(schema: pa.Schema, properties: Mapping[str, str]) -> pa.Schema:
    """The columns whose least and largest values the files of a table tell."""
    count = int(properties.get("delta.dataSkippingNumIndexedCols", _USUALLY_INDEXED))
    return schema if count < 0 else pa.schema(list(schema)[:count])


def add_actions(files: Sequence[WrittenFile], indexed: pa.Schema) -> list[AddAction]:
    """What a commit says of new files, each straight in the table's folder."""
    return [
        AddAction(
            path=quote(Path(file.path).name),
            size=file.num_bytes,
            partition_values={},
            modification_time=os.stat(file.path).st_mtime_ns // 1_000_000,
            data_change=True,
            stats=statistics_of(file.num_rows, file.statistics, indexed),
        )
        for file in files
    ]


def statistics_of(num_rows: int, known: Mapping[str, Mapping[str, str]], indexed: pa.Schema) -> str:
    """The statistics of a file as the log writes them; what is not sure is left out.

    Args:
        num_rows: Rows of the file.
        known: Column -> texts min, max, null_count, as DuckDB gives them.
        indexed: Columns to tell of.

    >>> known = {"n": {"min": "1", "max": "3", "null_count": "0"}}
    >>> statistics_of(3, known, pa.schema([("n", pa.int64()), ("tags", pa.list_(pa.string()))]))
    '{"numRecords": 3, "minValues": {"n": 1}, "maxValues": {"n": 3}, "nullCount": {"n": 0}}'
    """
    least: dict[str, Any] = {}
    largest: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for item in indexed:
        about = known.get(item.name, {})
        if "null_count" in about and not pa.types.is_struct(item.type):
            nulls[item.name] = int(about["null_count"])
        # NaN is the largest number to Spark, and in no statistics of DuckDB
        if "min" in about and "max" in about and about.get("nan_count", "0") == "0":
            bounds = _bounds(about["min"], about["max"], item.type)
            if bounds is not None:
                least[item.name], largest[item.name] = bounds
    return json.dumps(
        {"numRecords": num_rows, "minValues": least, "maxValues": largest, "nullCount": nulls},
        ensure_ascii=False,
    )


def _bounds(least: str, largest: str, kind: pa.DataType) -> tuple[Any, Any] | None:
    """Least and largest value of a file as JSON has them; None for a type or value without."""
    if pa.types.is_integer(kind):
        return int(least), int(largest)
    if pa.types.is_float64(kind):
        numbers = float(least), float(largest)
        return numbers if all(map(math.isfinite, numbers)) else None
    if pa.types.is_string(kind):
        end = _shortened(largest)
        return None if end is None else (least[:_LONGEST_TEXT], end)
    if pa.types.is_date(kind):
        return (least, largest) if _DATE.fullmatch(least) and _DATE.fullmatch(largest) else None
    if pa.types.is_timestamp(kind):
        first, last = _milliseconds(least, up=False), _milliseconds(largest, up=True)
        zone = "Z" if kind.tz else ""
        return None if first is None or last is None else (first + zone, last + zone)
    return None


def _shortened(largest: str) -> str | None:
    """A text not less than the one given, and short."""
    if len(largest) <= _LONGEST_TEXT:
        return largest
    if largest[_LONGEST_TEXT] == _GREATEST_CHARACTER:
        return None
    return largest[:_LONGEST_TEXT] + _GREATEST_CHARACTER


def _milliseconds(text: str, *, up: bool) -> str | None:
    """A time as the log writes it, to the millisecond below or above."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    micros = int((found[2] or "").ljust(6, "0"))
    time = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S") + timedelta(milliseconds=micros // 1000)
    if up and micros % 1000:
        try:
            time += timedelta(milliseconds=1)
        except OverflowError:
            return None
    return time.isoformat(timespec="milliseconds")


# ---- rows on their way into a table ----------------------------------------------------------------


class StagedRows:
    """Rows that are files in a table's folder before a commit names them, written once whatever its retries.

    As a context it removes them in the end, but for those that a commit names after all.

    Args:
        engine: What writes them.
        frame: The rows.
        folder: The table's folder.
        in_order: Whether files shall follow each other in the order of the rows.

    Attributes:
        schema: Of the rows.
    """

    def __init__(self, engine: EmbeddedEngine, frame: Frame, folder: Path, *, in_order: bool) -> None:
        self._engine, self._frame, self._folder, self._in_order = engine, frame, folder, in_order
        self.schema = engine.schema(frame)
        self._written: list[tuple[pa.Schema, list[WrittenFile]]] = []

    def __enter__(self) -> StagedRows:
        return self

    def __exit__(self, *error: object) -> None:
        files = [file for _, files in self._written for file in files]
        named = _named_by_commits(self._folder) if files else ""
        for file in files:
            if named is not None and quote(Path(file.path).name) not in named:
                Path(file.path).unlink(missing_ok=True)

    def keep(self, files: Sequence[WrittenFile]) -> None:
        """Take files for committed."""
        self._written = [(schema, known) for schema, known in self._written if known is not files]

    def fitted(self, known: pa.Schema) -> pa.Schema:
        """The columns as a table that has some of them spells and types them.

        Args:
            known: The table's columns.

        Raises:
            InputError: The table's type cannot hold the values.
        """
        by_name = {item.name.lower(): item for item in known}
        found = []
        for item in self.schema:
            own = by_name.get(item.name.lower(), item)
            if not fits(item.type, own.type):
                raise InputError(
                    f"column '{own.name}' of '{self._folder}' is {type_name(own.type)}, "
                    f"new rows have {type_name(item.type)}.",
                    fix="Write them to another table.",
                )
            found.append(pa.field(own.name, own.type))
        return pa.schema(found)

    def files(self, schema: pa.Schema) -> list[WrittenFile]:
        """The rows as files with these columns, see `fitted`."""
        for written, files in self._written:
            if written == schema:
                return files
        files = self._engine.write_parquet(self._as(schema), str(self._folder), in_order=self._in_order)
        self._written.append((schema, files))
        return files

    @contextmanager
    def read_back(self, schema: pa.Schema | None = None) -> Iterator[Callable[[], pa.RecordBatchReader]]:
        """The rows as a stream that can be opened again; what they are made of runs once."""
        wanted = schema or self.schema
        with self._engine.limits.spill_folder("rows") as folder:
            files = self._engine.write_parquet(self._as(wanted), folder, in_order=self._in_order)
            yield lambda: pa.RecordBatchReader.from_batches(wanted, _batches(files, wanted))

    def _as(self, schema: pa.Schema) -> Frame:
        kinds = nw.Schema.from_arrow(schema)
        columns = []
        for own, item in zip(self.schema, schema, strict=True):
            value = column(own.name)
            value = value if own.type == item.type else value.cast(kinds[item.name])
            columns.append(value.alias(in_frame(item.name)))
        return self._frame.select(columns)


def _batches(files: Sequence[WrittenFile], schema: pa.Schema) -> Iterator[Any]:
    for file in files:
        for batch in pq.ParquetFile(file.path).iter_batches():
            columns = [column.cast(kind) for column, kind in zip(batch.columns, schema.types, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _named_by_commits(folder: Path) -> str | None:
    """What all commits say; None if they cannot be read, so that nothing may be taken for uncommitted."""
    try:
        return "".join(file.read_text(encoding="utf-8") for file in (folder / LOG).glob("*.json"))
    except OSError:
        return None
