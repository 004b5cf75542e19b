"""Samples as CSV that no spreadsheet runs as a formula, and back."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from spark_ml_audit.config.paths import local_path
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.reviewing.asked import cells_of_line, is_line_per_row

# A cell that starts with one of these is read as a formula (OWASP, "CSV injection"), in some languages also
# with the full-width ones. The quote that disarms it is itself escaped, so that reading back is exact.
_DANGEROUS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20'"
_DISARMED = re.compile(f"'(?=[{re.escape(_DANGEROUS)}])")
# A spreadsheet whose cells are parted by another mark than the comma takes what follows that mark, or a line
# break, for a cell of its own, whatever quotes are around it: it is disarmed there in the same way.
_BREAK = r'([;|\t\r\n][ "]*)'
_WITHIN = "=+\\-@\uff1d\uff0b\uff0d\uff20'"
_DANGEROUS_WITHIN = re.compile(f"{_BREAK}(?=[{_WITHIN}])")
_DISARMED_WITHIN = re.compile(f"{_BREAK}'(?=[{_WITHIN}])")
# Characters of a cell that is read: Python stops at 131,072, and a sample shows whole texts of the source.
_MAX_CELL = 1 << 30
_DELIMITERS = (",", ";", "\t", "|")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

WHERE, PLACE = "_where", "_place"
"""Columns of what is read: where a row begins, for people, and its number in all files."""


def disarm(value: str) -> str:
    """A text as a spreadsheet shows it and never runs it, whatever parts its cells.

    >>> disarm("=1+1"), disarm("dear; =1+1"), disarm("1; 2")
    ("'=1+1", "dear; '=1+1", '1; 2')
    """
    within = _DANGEROUS_WITHIN.sub(r"\1'", value)
    return f"'{within}" if within[:1] and within[0] in _DANGEROUS else within


def rearm(value: str) -> str:
    """What `disarm` made of a text, turned back; other texts stay as they are.

    >>> rearm(disarm("=1+1")), rearm("'quoted'"), rearm(disarm("'quoted'"))
    ('=1+1', "'quoted'", "'quoted'")
    """
    whole = value[1:] if _DISARMED.match(value) else value
    return _DISARMED_WITHIN.sub(r"\1", whole)


def read_csv(place: str) -> pa.Table:
    """A table that people filled in, as CSV with a header; every column as text, empty cells as null.

    What stands between cells (comma, semicolon, tab or bar) is read off the header. Texts are UTF-8, UTF-16
    with its mark, or else Windows-1252, as spreadsheets save them.

    Args:
        place: Path or address of the file, or of a folder of such files.

    Returns:
        Its columns, and `WHERE` and `PLACE`.

    Raises:
        OSError: There is no such file, or it cannot be read.
        csv.Error: It is no CSV; the message names the line.
    """
    names: dict[str, None] = {}
    rows: list[dict[str, str]] = []
    where: list[str] = []
    limit = csv.field_size_limit(_MAX_CELL)  # of the whole process
    try:
        found = files_at(place)
        for name, content in found:
            suffix = f" of {name}" if len(found) > 1 else ""
            header, lines = _cells(text_of(content))
            names |= dict.fromkeys(header)
            for number, line in lines:
                # a line may end early: what it lacks is empty
                row = {column: rearm(cell) for column, cell in zip(header, line, strict=False) if cell}
                at = f"line {number}{suffix}"
                if is_line_per_row(header):
                    for answer, cell in cells_of_line(row, header):
                        rows.append(cell)
                        where.append(f"{at}, verdict_{answer}")
                else:
                    rows.append(row)
                    where.append(at)
            if is_line_per_row(header):
                names |= dict.fromkeys(("tag", "verdict"))
    finally:
        csv.field_size_limit(limit)
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in names}
    places = pa.array(range(len(rows)), pa.int64())
    return pa.table({**columns, WHERE: pa.array(where, pa.string()), PLACE: places})


def delimiter_of(header: str) -> str:
    """What stands between the cells of a header: that by which one is a verdict, then that of most cells.

    >>> delimiter_of("id;tag;verdict"), delimiter_of('"a;b",tag,verdict'), delimiter_of("id")
    (';', ',', ',')
    """

    def judge(mark: str) -> tuple[bool, int]:
        cells = next(csv.reader([header], delimiter=mark), [])
        return any(cell.startswith("verdict") for cell in cells), len(cells)

    return max(_DELIMITERS, key=judge)


def _cells(text: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header of a text, and its rows that are not empty, each with the line where it begins."""
    file, before = io.StringIO(text, newline=""), 0
    begin = file.readline()
    mark = re.fullmatch(r"sep=(.)\s*", begin)  # a line by which Excel is told
    if mark is None:
        file.seek(0)
    else:
        before = 1
    # as spreadsheets write it: quotes doubled, line breaks within quotes
    delimiter = mark[1] if mark else delimiter_of(begin)
    lines = csv.reader(file, delimiter=delimiter, strict=True)
    header = [rearm(name) for name in next(lines, [])]
    rows, number = [], lines.line_num + before + 1
    try:
        for line in lines:
            if line:
                rows.append((number, line))
            number = lines.line_num + before + 1
    except csv.Error as error:
        raise csv.Error(f"the row that begins on line {number}: {error}") from None
    return header, rows


def text_of(content: bytes) -> str:
    r"""The text of a file as spreadsheets save it.

    >>> text_of("é".encode("cp1252")), text_of("é".encode("utf-8-sig")), text_of("é".encode("utf-16"))
    ('é', 'é', 'é')
    """
    if content.startswith(_UTF16):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        is_utf8 = content.startswith(codecs.BOM_UTF8)
        return content.decode("utf-8-sig" if is_utf8 else "cp1252", "replace")


def files_at(place: str) -> list[tuple[str, bytes]]:
    """Name and content of a file, or of all files of a folder.

    Raises:
        OSError: There is none, or it cannot be read.
    """
    own = local_path(place)
    filesystem, path = (fs.LocalFileSystem(), str(own)) if own is not None else fs.FileSystem.from_uri(place)
    paths = [path]
    if filesystem.get_file_info(path).type == fs.FileType.Directory:
        files = filesystem.get_file_info(fs.FileSelector(path))
        shown = [file for file in files if file.is_file and not file.base_name.startswith(("_", "."))]
        paths = sorted(file.path for file in shown)
    found = []
    for name in paths:
        with filesystem.open_input_stream(name) as stream:
            found.append((name.rsplit("/", 1)[-1], stream.read()))
    return found


def write_csv(path: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a small table as CSV (UTF-8 with a byte-order mark, which spreadsheets need).

    Raises:
        ConfigError: The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([disarm(name) for name in header])
    for row in rows:
        writer.writerow(["" if value is None else disarm(str(value)) for value in row])
    return write_file(path, text.getvalue().encode("utf-8-sig"))


def write_file(path: str, content: bytes) -> str:
    """Write a file that people fill in, its folder too.

    Raises:
        ConfigError: It cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    except OSError as error:
        raise ConfigError(
            f"the file '{path}' cannot be written: {error.strerror}.",
            key="sample.csv",
            fix="Give the path of a file that can be written.",
        ) from error
    return str(target)
