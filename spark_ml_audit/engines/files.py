"""The files of a local place, as every engine takes them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from glob import glob
from pathlib import Path

from spark_ml_audit.config.paths import is_pattern, local_path

PARQUET_ENDINGS = (".parquet", ".pq", ".parq")
"""How the names of Parquet files end."""


def local_files(address: str) -> list[Path]:
    """The files of a folder, a pattern or a file.

    Hidden ones and those of other programs are left out, and so are the Delta tables and the outputs of
    audits that are below the folder.

    Args:
        address: Absolute path, or one as `file:` address.
    """
    place = local_path(address) or Path(address)
    if place.is_dir():
        return sorted(_files_below(place))
    if place.is_file():
        return [place]
    root, found = Path(root_of(str(place))), (Path(match) for match in glob(str(place), recursive=True))
    matches = (match for match in found if not _is_within_tables(match, root))
    return sorted(file for match in matches for file in local_files(str(match)))


def parquet_files(address: str) -> list[Path]:
    """The files of `local_files` that are named as Parquet files; all of them where none is."""
    files = local_files(address)
    named = [file for file in files if file.name.lower().endswith(PARQUET_ENDINGS)]
    return named or files


def root_of(path: str) -> str:
    """The folder below which folders named `column=value` are columns: for a pattern, its fixed part.

    >>> root_of("/tags/year=*/part-*.parquet"), root_of("/tags")
    ('/tags', '/tags')
    """
    if not is_pattern(path) or Path(path).exists():
        place = Path(path)
        return str(place.parent) if place.is_file() else path
    fixed = re.split(r"[*?\[]", path, maxsplit=1)[0]
    return fixed.rsplit("/", 1)[0] or "/"


def partitions_of(root: str, file: Path) -> list[str]:
    """Names of the columns that a file has from the folders below a root that it is in.

    >>> partitions_of("/runs=1/tags", Path("/runs=1/tags/year=2024/part-0.parquet"))
    ['year']
    """
    parts = file.relative_to(root).parts[:-1] if file.is_relative_to(root) else ()
    return [part.partition("=")[0] for part in parts if "=" in part]


def has_other_folders(folder: Path) -> bool:
    """Whether folders are below a folder that make no columns, hidden ones aside."""
    return any(
        "=" not in inner.name and not _is_hidden(inner.name) for inner in folder.iterdir() if inner.is_dir()
    )


def _files_below(place: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(place):
        here = Path(folder)
        inner[:] = [name for name in inner if not _is_hidden(name) and not _holds_tables(here / name)]
        yield from (here / name for name in names if not _is_hidden(name) and (here / name).is_file())


def _is_within_tables(file: Path, root: Path) -> bool:
    between = [file, *file.parents]
    between = between[: between.index(root)] if root in between else []
    return any(_holds_tables(folder) for folder in between)


def _holds_tables(folder: Path) -> bool:
    """Whether a folder is a Delta table, or an output with its tables."""
    return any((folder / log).is_dir() for log in ("_delta_log", "runs/_delta_log"))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_")) and "=" not in name
