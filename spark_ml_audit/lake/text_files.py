"""Files of texts (CSV, TSV, JSON Lines), put once into a Parquet file that every engine reads.

Whatever the engine, the same code takes the lines apart and decides the types. A file is read in blocks, so
that memory does not grow with it; what was found is said in notes.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spark_ml_audit.arrow.csv_texts import Dialect, batches_of, check_text, dialect_of
from spark_ml_audit.arrow.json_lines import json_batches
from spark_ml_audit.arrow.text_kinds import TYPES, Noticed, Role, as_kind, join, kind_of, settled
from spark_ml_audit.config.source import ROW_NUMBER
from spark_ml_audit.errors import InputError
from spark_ml_audit.text import show

_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_SHOWN_TEXT = 60


@dataclass(frozen=True)
class TextFiles:
    """What is to be read.

    Attributes:
        files: The files, in order.
        root: Folder below which folders named column=value are columns.
        format: csv, tsv or jsonl.
        roles: Column -> what it is for; others may be anything.
        numbered: Whether rows get a number, from 0, in the order of files and rows.
    """

    files: tuple[Path, ...]
    root: Path
    format: str
    roles: Mapping[str, Role] = field(default_factory=dict)
    numbered: bool = False


@dataclass
class _Found:
    """What is known of the files after some batches."""

    kinds: dict[str, str] = field(default_factory=dict)
    num_rows: int = 0
    empty_labels: int = 0
    num_bad: dict[str, int] = field(default_factory=dict)
    first_bad: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Batch:
    """Rows of one file, columns of its folders included.

    Attributes:
        rows: Arrow record batch.
        parsed: Columns whose texts may mean something else.
        roles: Column -> what it is for.
        file: Name of the file.
        first_row: Number of its first row in the file.
        number: And among all rows.
    """

    rows: Any
    parsed: frozenset[str]
    roles: Mapping[str, Role]
    file: str
    first_row: int
    number: int

    def role(self, name: str) -> Role:
        return self.roles.get(name, Role())


def to_parquet(source: TextFiles, target: Path) -> list[str]:
    """Put the rows of files into one Parquet file.

    Args:
        source: The files.
        target: File to write.

    Returns:
        What was found, one sentence each.

    Raises:
        InputError: A file cannot be read as it is; the message names file and line.
    """
    # where types turn out wider than what had been written, again with those that fit all
    found = _write(source, target, {}) or _write(source, target, _scan(source)) or _Found()
    return [*found.notes, *_said_of_values(found, source)]


def _write(source: TextFiles, target: Path, kinds: dict[str, str]) -> _Found | None:
    """Write what is read; None where a later batch did not fit the types of what was written."""
    found, is_known, writer = _Found(kinds=dict(kinds)), bool(kinds), None
    try:
        for batch, own, fitted in _converted(source, found):
            if not batch.rows.num_rows:  # a header
                found.kinds = _joined(found.kinds, own, batch)
                continue
            if fitted is None and (writer is not None or is_known):
                return None
            if fitted is None:
                found.kinds = _joined(found.kinds, own, batch)
            table, reading = fitted or _convert(batch, found.kinds)
            if writer is None:
                writer = _open_writer(target, table.schema)
            writer.write_table(table)
            _tally(found, batch, reading)
        if writer is None:
            writer = _open_writer(target, _schema(found.kinds, source.roles, numbered=source.numbered))
    finally:
        if writer is not None:
            writer.close()
    return found


def _open_writer(target: Path, schema: pa.Schema) -> Any:
    return pq.ParquetWriter(
        target, schema, compression="snappy", use_dictionary=False, write_statistics=False
    )


def _scan(source: TextFiles) -> dict[str, str]:
    """The kinds of all columns, from all rows."""
    found = _Found()
    for batch in _batches(source, found):
        found.kinds = _joined(found.kinds, _kinds(batch), batch)
    return found.kinds


def _kinds(batch: _Batch) -> dict[str, str]:
    columns = zip(batch.rows.schema.names, batch.rows.columns, strict=True)
    return {name: kind_of(values, batch.role(name), parse=name in batch.parsed) for name, values in columns}


def _joined(kinds: Mapping[str, str], own: Mapping[str, str], batch: _Batch) -> dict[str, str]:
    joined = dict(kinds)
    for name, kind in own.items():
        joined[name] = join(joined.get(name, "null"), kind, batch.role(name))
    return joined


def _converted(source: TextFiles, found: _Found) -> Iterator[tuple[_Batch, dict[str, str], Any]]:
    """Batches in order, each with its kinds and, where these fit what is known so far, converted.

    Some are at work beside each other: Arrow does most of it without Python's lock.
    """

    def work(batch: _Batch, known: dict[str, str]) -> tuple[dict[str, str], Any]:
        own = _kinds(batch)
        fits = bool(known) and _joined(known, own, batch) == known
        return own, _convert(batch, known) if fits else None

    threads = max(1, min(4, os.cpu_count() or 1))
    waiting: deque[tuple[_Batch, dict[str, str], Future[Any]]] = deque()

    def finished() -> tuple[_Batch, dict[str, str], Any]:
        batch, known, future = waiting.popleft()
        own, made = future.result()
        if made is None and found.kinds != known:  # what is known has grown meanwhile
            own, made = work(batch, dict(found.kinds))
        return batch, own, made

    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="spark-ml-audit-texts") as pool:
        try:
            for batch in _batches(source, found):
                known = dict(found.kinds)
                waiting.append((batch, known, pool.submit(work, batch, known)))
                # the first batch tells the types that the others are tried with
                if len(waiting) > threads or set(known.values()) <= {"null"}:
                    yield finished()
            while waiting:
                yield finished()
        finally:
            for _, _, future in waiting:
                future.cancel()


def _schema(kinds: Mapping[str, str], roles: Mapping[str, Role], *, numbered: bool) -> pa.Schema:
    fields = [pa.field(name, TYPES[settled(kind, roles.get(name, Role()))]) for name, kind in kinds.items()]
    return pa.schema([*fields, *([pa.field(ROW_NUMBER, pa.int64())] if numbered else [])])


def _convert(batch: _Batch, kinds: Mapping[str, str]) -> tuple[Any, Noticed]:
    reading, arrays = Noticed(), []
    names = batch.rows.schema.names
    for name, found in kinds.items():
        role = batch.role(name)
        kind = settled(found, role)
        if name in names:
            values = batch.rows.column(names.index(name))
            values = as_kind(values, kind, role, name, reading, parse=name in batch.parsed)
        else:
            values = pa.nulls(batch.rows.num_rows, TYPES[kind])
        arrays.append(values)
    schema = _schema(kinds, batch.roles, numbered=batch.number >= 0)
    if batch.number >= 0:
        arrays.append(pa.array(np.arange(batch.number, batch.number + batch.rows.num_rows)))
    return pa.Table.from_arrays(arrays, schema=schema), reading


# ---- files to batches ------------------------------------------------------------------------------


def opener(file: Path) -> Callable[[], IO[bytes]]:
    """What opens a file anew, decompressed."""
    if file.name.lower().endswith(".gz"):
        return lambda: cast("IO[bytes]", gzip.open(file, "rb"))
    return lambda: file.open("rb", buffering=1 << 20)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"'{file.name}' cannot be read: {error}.",
            key="source.path",
            fix="Check the file, its permissions and, where it is compressed, that it is whole.",
        ) from error


def _batches(source: TextFiles, found: _Found) -> Iterator[_Batch]:
    read = _csv_batches if source.format in ("csv", "tsv") else _json_batches
    found.notes.clear()
    number, num_read = 0, 0
    for file, read_rows, parsed, roles in read(source, found):
        if file is not None:
            num_read += 1
            name, first_row, folders = file.name, 0, _folders(source.root, file)
        rows = _with_folders(read_rows, folders, name)
        if source.numbered and ROW_NUMBER in rows.schema.names:
            raise InputError(
                f"'{name}' has a column '{ROW_NUMBER}' already.",
                key="source.row_numbers",
                fix=f"Leave source.row_numbers out and set source.id to {ROW_NUMBER}, or rename the column.",
            )
        yield _Batch(
            rows, parsed | frozenset(folders), roles, name, first_row, number if source.numbered else -1
        )
        first_row += rows.num_rows
        number += rows.num_rows
    if not num_read:
        shown = source.files[0].name if len(source.files) == 1 else str(source.root)
        raise InputError(
            f"'{shown}' is empty: it has neither a header nor a row.",
            key="source.path",
            fix="Check that it was written in full.",
        )


_Read = Iterator["tuple[Path | None, Any, frozenset[str], Mapping[str, Role]]"]


def _csv_batches(source: TextFiles, found: _Found) -> _Read:
    first: tuple[str, Dialect] | None = None
    for file in source.files:
        opened = opener(file)
        known = "\t" if source.format == "tsv" else first[1].delimiter if first else None
        with _reading(file):
            dialect = dialect_of(opened, file.name, known)
        if dialect is None:
            continue
        if first is None:
            first = (file.name, dialect)
            roles = _with_comma(source.roles, dialect)
            found.notes += _said_of_dialect(file.name, dialect, source.format)
        _check_header(first, file.name, dialect)
        with _reading(file):
            check_text(opened, file.name, dialect)
        names = frozenset(dialect.names)
        # a header alone still names the columns
        schema = pa.schema([(name, pa.string()) for name in dialect.names])
        yield file, _no_rows(schema), names, roles
        with _reading(file):
            for batch in batches_of(opened, file.name, dialect):
                yield None, batch, names, roles


def _no_rows(schema: pa.Schema) -> Any:
    return pa.RecordBatch.from_arrays([pa.array([], item.type) for item in schema], schema=schema)


def _json_batches(source: TextFiles, found: _Found) -> _Read:
    parsed = frozenset(name for name, role in source.roles.items() if role.name in ("labels", "probs"))
    ids = frozenset(name for name, role in source.roles.items() if role.name == "id")
    roles = {name: replace(role, null_is_empty=False) for name, role in source.roles.items()}
    for file in source.files:
        begun: Path | None = file
        with _reading(file):
            for batch in json_batches(opener(file), file.name, ids):
                yield begun, batch, parsed, roles
                begun = None


def _with_comma(roles: Mapping[str, Role], dialect: Dialect) -> dict[str, Role]:
    comma = dialect.delimiter != ","
    return {name: replace(role, decimal_comma=comma) for name, role in roles.items()}


def _check_header(first: tuple[str, Dialect], name: str, dialect: Dialect) -> None:
    known = first[1].names
    if set(known) == set(dialect.names):
        return
    lacks = [column for column in known if column not in dialect.names]
    more = [column for column in dialect.names if column not in known]
    said = f"lacks the column {show(lacks[0])}" if lacks else f"has the column {show(more[0])}"
    raise InputError(
        f"'{name}' {said}, unlike '{first[0]}'.",
        key="source.path",
        fix="Give all files the same header, or name those that have it by a pattern (tags/2024*.csv).",
    )


def _folders(root: Path, file: Path) -> dict[str, str | None]:
    """Columns that a file has from the folders that it is in."""
    parts = file.relative_to(root).parts[:-1] if file.is_relative_to(root) else ()
    pairs = [part.partition("=") for part in parts if "=" in part]
    return {unquote(name): None if value == _HIVE_NULL else unquote(value) for name, _, value in pairs}


def _with_folders(rows: Any, folders: Mapping[str, str | None], file: str) -> Any:
    for name, value in folders.items():
        if name in rows.schema.names:
            raise InputError(
                f"the column {show(name)} is in '{file}' and in the name of its folder.",
                key="source.path",
                fix="Rename one of them.",
            )
        constant = pa.array([value], pa.string()).take(pa.array(np.zeros(rows.num_rows, dtype=np.int64)))
        rows = pa.RecordBatch.from_arrays([*rows.columns, constant], names=[*rows.schema.names, name])
    return rows


# ---- what is said ----------------------------------------------------------------------------------


def _tally(found: _Found, batch: _Batch, reading: Noticed) -> None:
    found.num_rows += batch.rows.num_rows
    found.empty_labels += reading.empty_labels
    for name, bad in reading.bad.items():
        found.num_bad[name] = found.num_bad.get(name, 0) + int(bad.sum())
        place = int(np.flatnonzero(bad)[0])
        text = str(batch.rows.column(batch.rows.schema.names.index(name))[place].as_py())
        short = text if len(text) <= _SHOWN_TEXT else text[:_SHOWN_TEXT] + "..."
        row = batch.first_row + place + 1
        found.first_bad.setdefault(name, f"row {row} of '{batch.file}' has {show(short)}")


def _said_of_dialect(name: str, dialect: Dialect, wanted: str) -> list[str]:
    said = []
    if dialect.delimiter != {"csv": ",", "tsv": "\t"}[wanted]:
        mark = "tab" if dialect.delimiter == "\t" else f"'{dialect.delimiter}'"
        said.append(f"delimiter: {mark}, from the header and first rows of '{name}'")
    unnamed = [column for column, own in zip(dialect.names, dialect.header, strict=True) if not own]
    if unnamed:
        said.append(f"columns without a name in the header of '{name}' are called {', '.join(unnamed)}")
    return said


def _said_of_values(found: _Found, source: TextFiles) -> list[str]:
    said = []
    for name, role in source.roles.items():
        kind = found.kinds.get(name, "text")
        if role.name == "labels" and found.empty_labels:
            meant = "'not annotated'" if role.empty_is_null else "'no tags'"
            said.append(
                f"empty_labels: {found.empty_labels} empty texts of column '{name}' mean {meant} "
                "(source.empty_labels: no_tags | not_annotated)"
            )
        if kind == "comma":
            said.append(f"column '{name}' has numbers with a decimal comma")
        if name in found.num_bad:
            what = "object" if kind == "map" else "list"
            said.append(
                f"{found.num_bad[name]} texts of column '{name}' are no {what} that can be read, and their "
                f"rows will be in quarantine: {found.first_bad[name]}"
            )
    return said
