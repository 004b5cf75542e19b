"""Names as texts: paths, addresses, dotted names of tables, names of columns; what each is and may be."""

from __future__ import annotations

import os
import re
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
