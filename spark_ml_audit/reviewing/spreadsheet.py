"""Samples as CSV that no spreadsheet runs as a formula, and back."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from spark_ml_audit.config.paths import local_path
from spark_ml_audit.errors import ConfigError

# A cell that starts with one of these is read as a formula (OWASP, "CSV injection"). The quote that
# disarms it is itself escaped, so that reading back is exact.
_DANGEROUS = "=+-@\t\r'"
_DISARMED = re.compile(f"'(?=[{re.escape(_DANGEROUS)}])")
# Characters of a cell that is read: Python stops at 131,072, and a sample shows whole texts of the source.
_MAX_CELL = 1 << 30


def disarm(value: str) -> str:
    """A text as a spreadsheet shows it and never runs it."""
    return f"'{value}" if value[:1] and value[0] in _DANGEROUS else value


def rearm(value: str) -> str:
    """What `disarm` made of a text, turned back; other texts stay as they are.

    >>> rearm(disarm("=1+1")), rearm("'quoted'"), rearm(disarm("'quoted'"))
    ('=1+1', "'quoted'", "'quoted'")
    """
    return value[1:] if _DISARMED.match(value) else value


def read_csv(place: str) -> pa.Table:
    """A table that people filled in, as CSV with a header; every column as text, empty cells as null.

    Args:
        place: Path or address of the file, or of a folder of such files.

    Raises:
        OSError: There is no such file, or it cannot be read.
        csv.Error: It is no CSV.
    """
    names: dict[str, None] = {}
    rows: list[dict[str, str]] = []
    limit = csv.field_size_limit(_MAX_CELL)  # of the whole process
    try:
        for text in _texts_at(place):
            # as spreadsheets write it: quotes doubled, line breaks within quotes
            lines = csv.reader(io.StringIO(text, newline=""), strict=True)
            header = [rearm(name) for name in next(lines, [])]
            names |= dict.fromkeys(header)
            # a line may end early: what it lacks is empty
            cells = (zip(header, line, strict=False) for line in lines if line)
            rows += [{name: rearm(cell) for name, cell in row if cell} for row in cells]
    finally:
        csv.field_size_limit(limit)
    return pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in names})


def _texts_at(place: str) -> list[str]:
    own = local_path(place)
    filesystem, path = (fs.LocalFileSystem(), str(own)) if own is not None else fs.FileSystem.from_uri(place)
    paths = [path]
    if filesystem.get_file_info(path).type == fs.FileType.Directory:
        files = filesystem.get_file_info(fs.FileSelector(path))
        shown = [file for file in files if file.is_file and not file.base_name.startswith(("_", "."))]
        paths = sorted(file.path for file in shown)
    texts = []
    for name in paths:
        with filesystem.open_input_stream(name) as stream:
            texts.append(stream.read().decode("utf-8-sig", "replace"))
    return texts


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
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.getvalue().encode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"the file '{path}' cannot be written: {error.strerror}.",
            key="sample.csv",
            fix="Give the path of a file that can be written.",
        ) from error
    return str(target)
