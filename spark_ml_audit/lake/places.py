"""Paths as every part of Spark understands them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_ml_audit.config.fields import is_path
from spark_ml_audit.engines.columns import quote, quote_table

if TYPE_CHECKING:
    pass

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def absolute(path: str) -> str:
    """Complete a relative path from the working directory; addresses and absolute paths stay as they are.

    Delta's SQL takes absolute paths only, and the JVM may have another working directory.
    """
    return path if _SCHEME.match(path) or os.path.isabs(path) else os.path.abspath(path)


def local_path(path: str) -> Path | None:
    """The place of a path for programs other than Spark; None where they cannot reach it.

    On Databricks a path without a scheme is one of the file system DBFS, but for Volumes and workspace files.
    """
    if path.lower().startswith("file:"):
        return Path(unquote(urlsplit(path).path))
    on_databricks = "DATABRICKS_RUNTIME_VERSION" in os.environ
    if path.lower().startswith("dbfs:/"):
        path = "/" + path[len("dbfs:/") :].lstrip("/")
    elif _SCHEME.match(path):
        return None
    elif not on_databricks:
        return Path(absolute(path))
    if path.startswith(("/Volumes/", "/Workspace/")):
        return Path(path)
    return Path("/dbfs" + path) if on_databricks and path.startswith("/") and Path("/dbfs").is_dir() else None


_SMALL_BYTES = 64 << 20


def is_small(path: str | None) -> bool:
    """Whether a path is a local folder below 64 MB: a source not worth compiling Spark's code well for."""
    if path is None or _SCHEME.match(path):
        return False
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            total += os.path.getsize(os.path.join(folder, name))
            if total > _SMALL_BYTES:
                return False
    return total > 0


def delta_name(place: str) -> str:
    """A table, given by path or name, as SQL writes it."""
    return f"delta.{quote(absolute(place))}" if is_path(place) else quote_table(place)
