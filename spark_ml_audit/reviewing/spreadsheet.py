"""Samples as CSV that no spreadsheet runs as a formula, and back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_ml_audit.errors import ConfigError

# A cell that starts with one of these is read as a formula (OWASP, "CSV injection"). The quote that
# disarms it is itself escaped, so that reading back is exact.
_DANGEROUS = "=+-@\t\r'"


def disarm(value: str) -> str:
    """A text as a spreadsheet shows it and never runs it."""
    return f"'{value}" if value[:1] and value[0] in _DANGEROUS else value


def rearm(value: Column) -> Column:
    """What `disarm` made of a text, turned back; other texts stay as they are."""
    return F.regexp_replace(value, r"^'(?=[=+\-@\t\r'])", "")


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
