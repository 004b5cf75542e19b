"""Which format a source has where the config leaves it to its name and content. No engine is asked."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from spark_ml_audit.config.paths import is_pattern, local_path, without_endings
from spark_ml_audit.engines.files import PARQUET_ENDINGS, local_files
from spark_ml_audit.errors import InputError
from spark_ml_audit.lake.places import Place
from spark_ml_audit.text import redact

if TYPE_CHECKING:
    from spark_ml_audit.config import PlaceConfig

TEXT_FORMATS = frozenset({"csv", "tsv", "jsonl"})
"""Formats of texts, which are parsed here and not by the engines."""

ENDINGS = {
    "parquet": PARQUET_ENDINGS,
    "csv": (".csv", ".csv.gz"),
    "tsv": (".tsv", ".tab", ".tsv.gz", ".tab.gz"),
    "jsonl": (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz"),
}
"""Format -> how the names of its files end."""

_DELTA_LOG = "_delta_log"
_PARQUET_MAGIC = b"PAR1"
_LOOK_BYTES = 1 << 16


def format_of(config: PlaceConfig) -> str:
    """The format of a source: as configured, else by its name and content.

    Args:
        config: The `source` section.

    Returns:
        delta, parquet, csv, tsv or jsonl; delta for what cannot be seen from here and has no telling name,
        and for tables, whose catalog knows better.

    Raises:
        InputError: Its files are of several formats, or of none that is known (key `source.format`).

    Example:
        >>> from spark_ml_audit.config import PlaceConfig
        >>> format_of(PlaceConfig(path="s3://lake/tags.csv")), format_of(PlaceConfig(table="main.tags"))
        ('csv', 'delta')
    """
    if config.format != "auto":
        return config.format
    return "delta" if config.path is None else format_of_path(config.path)


def format_of_path(path: str, key: str = "source.format") -> str:
    """The format of what is at a path, by name and content (see `format_of`).

    Args:
        path: A file, a folder or a pattern.
        key: Config key that could say it, for messages.

    Raises:
        InputError: As `format_of`.
    """
    place = local_path(Place(path, is_path=True).address)
    if place is None:
        return format_of_name(path) or "delta"
    if place.is_dir() and (place / _DELTA_LOG).is_dir():
        return "delta"
    if is_pattern(str(place)) and not place.exists():
        _refuse_tables(path, place, key)
    files = local_files(str(place))
    if not files:
        return format_of_name(path) or "delta"
    found = Counter(name for file in files if (name := format_of_name(file.name)) is not None)
    if len(found) > 1:
        counts = ", ".join(f"{count} {name}" for name, count in sorted(found.items()))
        raise InputError(
            f"'{path}' holds files of several formats: {counts}.",
            key=key,
            fix="Say which are meant by source.format, or by a pattern such as 'tags/*.csv'.",
        )
    return next(iter(found), None) or _format_of_content(files[0], path, key)


def format_of_name(name: str) -> str | None:
    """The format that the end of a name tells, if it does.

    >>> format_of_name("tags.CSV.gz"), format_of_name("part-00000")
    ('csv', None)
    """
    lowered = name.lower().rstrip("/")
    return next((found for found, ends in ENDINGS.items() if lowered.endswith(ends)), None)


def missing_path(path: str) -> str | None:
    """That nothing is at a path, if that is so as far as this machine sees.

    >>> missing_path("/no/such/films"), missing_path("s3://lake/films")
    ("there is no file or folder '/no/such/films'.", None)
    """
    local = local_path(Place(path, is_path=True).address)
    if local is None or is_pattern(str(local)) or local.exists():
        return None
    return f"there is no file or folder '{path}'."


def nearest_name(path: str) -> str:
    """A question after what is named nearly so, where nothing is at a local path; "" where nothing is near.

    Args:
        path: As it was given; what is suggested is beside it.
    """
    if missing_path(path) is None:
        return ""
    local = local_path(Place(path, is_path=True).address)
    here: list[str] = []
    with suppress(OSError):
        here = sorted(os.listdir(local.parent if local is not None else "."), reverse=True)
    shown = [name for name in here if not name.startswith((".", "_"))]
    known = {without_endings(name).casefold(): name for name in shown}
    known |= {name.casefold(): name for name in shown}
    wanted = Path(path).name[:200].casefold()
    near = get_close_matches(wanted, known, n=1, cutoff=0.7)
    # in full, however long: it is there to be copied
    return f"Did you mean {redact(str(Path(path).with_name(known[near[0]])))!r}? " if near else ""


def files_of_format(files: Sequence[Path], wanted: str) -> list[Path]:
    """The files whose names say that they are of a format; all of them where no name does.

    >>> [file.name for file in files_of_format([Path("a.csv"), Path("README.md")], "csv")]
    ['a.csv']
    """
    named = [file for file in files if format_of_name(file.name) == wanted]
    return named or list(files)


def _refuse_tables(path: str, place: Path, key: str) -> None:
    tables = sorted(str(log.parent) for log in _matches(f"{place}/{_DELTA_LOG}") if log.is_dir())
    if tables:
        raise InputError(
            f"the pattern '{path}' matches the Delta table '{tables[0]}'.",
            key="source.path" if key == "source.format" else key,
            fix="Name one Delta table by its folder; patterns are for files.",
        )


def _matches(pattern: str) -> list[Path]:
    from glob import glob

    return [Path(found) for found in glob(pattern)]


def _format_of_content(file: Path, path: str, key: str) -> str:
    try:
        with file.open("rb") as stream:
            begin = stream.read(_LOOK_BYTES)
    except OSError as error:
        raise InputError(
            f"'{file}' cannot be read: {error.strerror or error}.", key=key, fix="Check its permissions."
        ) from error
    if begin.startswith(_PARQUET_MAGIC):
        return "parquet"
    text = begin.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"{"):
        return "jsonl"
    line = text.split(b"\n", 1)[0]
    if b"\0" not in begin and b"\t" in line:
        return "tsv"
    if b"\0" not in begin and (b"," in line or b";" in line):
        return "csv"
    raise InputError(
        f"the format of '{path}' is told neither by the name of '{file.name}' nor by what is in it.",
        key=key,
        fix="Set source.format to delta, parquet, csv, tsv or jsonl.",
    )
