"""Names as texts: paths, addresses, dotted names of tables, names of columns; what each is and may be."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Two characters at least before the colon, so that a Windows drive is a path.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")


def scheme_of(text: str) -> str:
    """The scheme of an address in lower case; nothing for a path.

    >>> scheme_of("abfss://tags@lake/audits"), scheme_of("audits/tags")
    ('abfss', '')
    """
    found = _SCHEME.match(text)
    return found[1].lower() if found else ""


def is_path(place: str) -> bool:
    """Whether a text names a folder or file and not a table of a catalog.

    >>> is_path("./decisions"), is_path("main.quality.decisions")
    (True, False)
    """
    return "/" in place or "\\" in place


def absolute(path: str) -> str:
    """Complete a relative path from the working directory; addresses and absolute paths stay as they are.

    Delta's SQL takes absolute paths only, and a JVM may have another working directory.

    >>> absolute("abfss://tags@lake/audits"), absolute("/data/tags"), os.path.isabs(absolute("tags"))
    ('abfss://tags@lake/audits', '/data/tags', True)
    """
    return path if scheme_of(path) or os.path.isabs(path) else os.path.abspath(path)


def local_path(path: str) -> Path | None:
    """The place of a path for programs other than Spark; None where they cannot reach it.

    On Databricks a path without a scheme is one of the file system DBFS, but for Volumes and workspace files;
    elsewhere that file system is out of reach.

    >>> local_path("s3://bucket/audits") is None
    True
    """
    scheme = scheme_of(path)
    if scheme == "file":
        return Path(unquote(urlsplit(path).path))
    on_databricks = "DATABRICKS_RUNTIME_VERSION" in os.environ
    if scheme == "dbfs" and on_databricks:
        path = "/" + path[len("dbfs:") :].lstrip("/")
    elif scheme:
        return None
    elif not on_databricks:
        return Path(absolute(path))
    if path.startswith(("/Volumes/", "/Workspace/")):
        return Path(path)
    return Path("/dbfs" + path) if on_databricks and path.startswith("/") and Path("/dbfs").is_dir() else None


_ENDINGS = frozenset(
    {
        "parquet", "pq", "parq", "csv", "tsv", "tab", "txt", "json", "jsonl", "ndjson", "delta", "arrow",
        "feather", "gz", "gzip", "zst", "zstd", "bz2", "xz", "snappy", "lz4",
    }
)  # fmt: skip
_WILD = frozenset("*?[")


def is_pattern(text: str) -> bool:
    """Whether a path may stand for several.

    >>> is_pattern("data/*.parquet"), is_pattern("data/tags.parquet")
    (True, False)
    """
    return not _WILD.isdisjoint(text)


def source_keys(text: str) -> dict[str, str]:
    """The key and value of the `source` section for a source that is named without saying which.

    A path is what has a slash, a pattern, the ending of a file of data, or is there; else it is a table.

    >>> source_keys("tags.parquet"), source_keys("main.quality.tags")
    ({'path': 'tags.parquet'}, {'table': 'main.quality.tags'})
    """
    is_there = False
    with suppress(OSError, ValueError):
        is_there = Path(text).exists()
    by_name = is_path(text) or bool(scheme_of(text)) or is_pattern(text) or without_endings(text) != text
    return {"path": text} if is_there or by_name else {"table": text}


def name_of_source(source: Mapping[str, object]) -> str:
    """What a source is called for short: a file without its endings, a folder, the last part of a table.

    Of predictions it is the name of their folder, of a pattern that of the folder of its files.

    Args:
        source: The keys path or table.

    Example:
        >>> for place in ("data/tags.csv.gz", "data/2026/*.parquet", "audits/films/predictions", "s3://lake/tags/"):
        ...     print(name_of_source({"path": place}))
        tags
        2026
        films
        tags
        >>> name_of_source({"table": "main.quality.`my tags`"})
        'my_tags'
    """
    path, table = source.get("path"), source.get("table")
    if isinstance(path, str) and path:
        name = _name_of_path(path)
    elif isinstance(table, str):
        name = (split_identifier(table) or (table,))[-1]
    else:
        name = ""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "source"


def _name_of_path(path: str) -> str:
    whole = path if scheme_of(path) else absolute(path)
    parts = [part for part in re.split(r"[/\\]", whole) if part not in ("", ".")]
    several = is_pattern(path)
    while parts and is_pattern(parts[-1]):
        parts.pop()
    if not several and len(parts) > 1 and parts[-1] == "predictions":
        parts.pop()
    name = parts[-1] if parts else ""
    # hive-partitioned folders are named by what is in them
    while "=" in name and len(parts) > 1:
        parts.pop()
        name = parts[-1]
    return without_endings(name)


def without_endings(name: str) -> str:
    """A name without the endings of files of data.

    >>> without_endings("tags.v2.csv.gz")
    'tags.v2'
    """
    while "." in name[1:] and name.rpartition(".")[2].lower() in _ENDINGS:
        name = name.rpartition(".")[0]
    return name


_REFUSED_BY_DELTA = " ,;{}()\n\t="


def refused_by_delta(column: str) -> str | None:
    """The first character of a column name that Delta tables refuse; None where there is none.

    >>> refused_by_delta("photo id"), refused_by_delta("photo_id")
    (' ', None)
    """
    return next((char for char in column if char in _REFUSED_BY_DELTA), None)


def split_identifier(name: str) -> tuple[str, ...] | None:
    """Split a dotted SQL name into its parts; backticks protect dots and spaces.

    Args:
        name: For example ``catalog.schema.table`` or ``main.`my.schema`.t``.

    Returns:
        The parts without their backticks, or None where the name is not well formed.

    >>> split_identifier("main.`my.schema`.t")
    ('main', 'my.schema', 't')
    """
    parts = re.findall(r"`(?:[^`]|``)+`|[^.`\s]+|\.", name)
    if "".join(parts) != name or len(parts) % 2 == 0:
        return None
    if any((part == ".") != (position % 2 == 1) for position, part in enumerate(parts)):
        return None
    return tuple(part[1:-1].replace("``", "`") if part[0] == "`" else part for part in parts[::2])
