"""Texts with columns (CSV, TSV): their dialect, their faults, and their rows as Arrow batches of texts.

Arrow's reader takes lines apart but is lenient with quotes: what it would read in another way than it was
meant is looked for before, and is refused with its line.
"""

from __future__ import annotations

import codecs
import csv
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from spark_ml_audit.errors import InputError
from spark_ml_audit.text import show

Opened = Callable[[], "IO[bytes]"]

DELIMITERS = (",", ";", "\t", "|")
_LOOK_BYTES = 1 << 18
_LOOK_ROWS = 100
_BLOCK = 8 << 20
_LARGEST_BLOCK = 1 << 30
_NEWLINES = (10, 13)
_SAVE_AS = (
    "Save it as UTF-8 (pandas: to_csv(..., encoding='utf-8'); iconv -f latin1 -t utf-8), then try again."
)


@dataclass(frozen=True)
class Dialect:
    """How a text with columns is written.

    Attributes:
        delimiter: Between cells.
        header: Names of the columns, as they are written.
    """

    delimiter: str
    header: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; one without a name, as pandas writes its index, gets one by its place.

        >>> Dialect(",", ("", "labels")).names
        ('unnamed_0', 'labels')
        """
        return tuple(name or f"unnamed_{place}" for place, name in enumerate(self.header))


def dialect_of(open_file: Opened, name: str, delimiter: str | None = None) -> Dialect | None:
    r"""The delimiter and header of a file; None of an empty one.

    Args:
        open_file: Opens the file anew, its bytes decompressed.
        name: Of the file, for messages.
        delimiter: What it is known to be; None: the one by which the first rows are as wide as the header.

    Raises:
        InputError: The file is no text, or its header names a column twice.

    Example:
        >>> dialect_of(lambda: io.BytesIO(b"id;text\n1;a, b\n"), "tags.csv")
        Dialect(delimiter=';', header=('id', 'text'))
    """
    with open_file() as stream:
        begin = stream.read(_LOOK_BYTES + 1)
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise _not_utf8(name, "it begins as UTF-16 does")
    if not begin.removeprefix(codecs.BOM_UTF8).strip():
        return None
    # what is cut off may be half a character, or half a row
    text = begin.decode("utf-8-sig", "ignore")
    cut = len(begin) > _LOOK_BYTES
    tried = [delimiter] if delimiter is not None else DELIMITERS
    found = {mark: _first_rows(text, mark, cut=cut) for mark in tried}
    best = max(tried, key=lambda mark: _how_regular(found[mark]))
    header = tuple(found[best][0])
    dialect = Dialect(best, header)
    seen: set[str] = set()
    for column in dialect.names:
        if column in seen:
            raise InputError(
                f"the header of '{name}' names the column {show(column)} twice.",
                key="source.path",
                fix="Give every column a name of its own.",
            )
        seen.add(column)
    return dialect


def _first_rows(text: str, delimiter: str, *, cut: bool) -> list[list[str]]:
    csv.field_size_limit(sys.maxsize)
    rows: list[list[str]] = []
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        if row:
            rows.append(row)
        if len(rows) > _LOOK_ROWS:
            return rows
    return rows[:-1] if cut and len(rows) > 1 else rows


def _how_regular(rows: list[list[str]]) -> tuple[bool, int]:
    """More than one cell in all rows alike; then, the number of cells of the header."""
    width = len(rows[0])
    return (width > 1 and all(len(row) == width for row in rows), width)


def check_text(open_file: Opened, name: str, dialect: Dialect) -> None:
    r"""Refuse what is not UTF-8, and quotes that hide ends of cells or rows.

    Args:
        open_file: As in `dialect_of`.
        name: Of the file, for messages.
        dialect: Of the file.

    Raises:
        InputError: With the line.

    Example:
        >>> text = b'id,text\n1,"a\n2,b\n'
        >>> try:
        ...     check_text(lambda: io.BytesIO(text), "tags.csv", dialect_of(lambda: io.BytesIO(text), ""))
        ... except InputError as error:
        ...     print(error.message)
        line 2 of 'tags.csv' opens a quote that is never closed.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    quotes, previous, regular, line = 0, ord("\n"), True, 1
    edges = np.array([*_NEWLINES, ord(dialect.delimiter), ord('"')], dtype=np.uint8)
    with open_file() as stream:
        begin = True
        while block := stream.read(_BLOCK):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                bad = line + block[: max(0, error.start)].count(b"\n")
                raise _not_utf8(name, f"byte 0x{error.object[error.start]:02x} on line {bad}") from None
            line += block.count(b"\n")
            if begin:
                block, begin = block.removeprefix(codecs.BOM_UTF8), False
            if block and regular:
                count, regular = _quotes_regular(block, quotes, previous, edges)
                quotes += count
            previous = block[-1] if block else previous
    if decoder.getstate()[0]:
        raise _not_utf8(name, "it ends within a character")
    if not regular or quotes % 2:
        _check_strictly(open_file, name, dialect)


def _quotes_regular(block: bytes, before: int, previous: int, edges: Any) -> tuple[int, bool]:
    """Number of quotes, and whether all open after and close before an end of a cell (or pair up)."""
    codes = np.frombuffer(block, dtype=np.uint8)
    if previous == ord('"') and before % 2 == 0 and codes[0] not in edges:
        return 0, False  # closed by the last byte of the block before
    places = np.flatnonzero(codes == ord('"'))
    if not len(places):
        return 0, True
    opens = (np.arange(len(places)) + before) % 2 == 0
    left = np.where(places > 0, codes[places - 1], previous)
    right = codes[np.minimum(places + 1, len(codes) - 1)]
    # what follows the last byte is in the next block
    beyond = places == len(codes) - 1
    fits = np.where(opens, np.isin(left, edges), np.isin(right, edges) | beyond)
    return len(places), bool(fits.all())


def _check_strictly(open_file: Opened, name: str, dialect: Dialect) -> None:
    csv.field_size_limit(sys.maxsize)
    with open_file() as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, delimiter=dialect.delimiter, strict=True)
        begun = 1
        try:
            for _ in rows:
                begun = rows.line_num + 1
        except csv.Error as error:
            is_open = "unexpected end" in str(error)
            said = "opens a quote that is never closed" if is_open else "has text after a closing quote"
            raise InputError(
                f"line {begun if is_open else rows.line_num} of '{name}' {said}.",
                key="source.path",
                fix='Put a cell that holds a quote in quotes, and write the quote twice: "5"" nails".',
            ) from None


def batches_of(open_file: Opened, name: str, dialect: Dialect) -> Iterator[Any]:
    r"""The rows of a checked file, in batches of texts; a cell with nothing in it, quotes neither, is null.

    Args:
        open_file: As in `dialect_of`.
        name: Of the file, for messages.
        dialect: Of the file.

    Raises:
        InputError: A row has more or fewer cells than the header; with the line.

    Example:
        >>> text = b'id,tags\r\n01,"a,\nb"\r\n02,\r\n'
        >>> (batch,) = batches_of(lambda: io.BytesIO(text), "tags.csv", Dialect(",", ("id", "tags")))
        >>> batch.to_pylist()
        [{'id': '01', 'tags': 'a,\nb'}, {'id': '02', 'tags': None}]
    """
    yield from _in_blocks(open_file, name, dialect, _BLOCK, 0)


def _in_blocks(open_file: Opened, name: str, dialect: Dialect, size: int, done: int) -> Iterator[Any]:
    """The rows from one on; from where a row is longer than a block, in larger ones."""
    try:
        for batch in _batches(open_file, dialect, size, done):
            done += batch.num_rows
            yield batch
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error) and not _has_rows(open_file, dialect):
            return  # a header without an end of line
        if "straddl" not in str(error) or size >= _LARGEST_BLOCK:
            raise _ragged(open_file, name, dialect, str(error)) from None
    else:
        return
    yield from _in_blocks(open_file, name, dialect, min(8 * size, _LARGEST_BLOCK), done)


def _batches(open_file: Opened, dialect: Dialect, size: int, skip: int) -> Iterator[Any]:
    header, names = list(dialect.header), list(dialect.names)
    options = (
        arrow_csv.ReadOptions(use_threads=False, block_size=size),
        arrow_csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
        arrow_csv.ConvertOptions(
            check_utf8=False,
            column_types={column: pa.string() for column in header},
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )
    with open_file() as stream, arrow_csv.open_csv(pa.PythonFile(stream, "r"), *options) as reader:
        for batch in reader:
            left = min(skip, batch.num_rows)
            skip -= left
            if batch.num_rows > left:
                yield batch.slice(left).rename_columns(names)


def _has_rows(open_file: Opened, dialect: Dialect) -> bool:
    csv.field_size_limit(sys.maxsize)
    with open_file() as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        rows = filter(None, csv.reader(text, delimiter=dialect.delimiter))
        next(rows, None)
        return next(rows, None) is not None


def _ragged(open_file: Opened, name: str, dialect: Dialect, reason: str) -> InputError:
    """The first row that has another number of cells than the header, as an error."""
    width = len(dialect.header)
    csv.field_size_limit(sys.maxsize)
    with open_file() as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, delimiter=dialect.delimiter)
        begun = 1
        for row in rows:
            if row and len(row) != width:
                return InputError(
                    f"line {begun} of '{name}' has {len(row)} cells, its header {width}.",
                    key="source.path",
                    fix=f"Put cells that hold {dialect.delimiter!r} or line ends in quotes.",
                )
            begun = rows.line_num + 1
    return InputError(f"'{name}' cannot be read: {reason}.", key="source.path", fix="Mend the file.")


def _not_utf8(name: str, found: str) -> InputError:
    return InputError(
        f"'{name}' is not UTF-8: {found}; it may be Latin-1 (Windows-1252) or UTF-16.",
        key="source.path",
        fix=_SAVE_AS,
    )
