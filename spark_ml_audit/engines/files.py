"""The files of a local place, as every engine takes them."""

from __future__ import annotations

import re
from glob import glob
from pathlib import Path

from spark_ml_audit.config.paths import is_pattern, local_path

PARQUET_ENDINGS = (".parquet", ".pq", ".parq")
"""How the names of Parquet files end."""


def local_files(address: str) -> list[Path]:
    """The files of a folder, a pattern or a file; hidden ones and those of other programs left out.

    Args:
        address: Absolute path, or one as `file:` address.
    """
    place = local_path(address) or Path(address)
    if place.is_dir():
        found = (file for file in place.rglob("*") if file.is_file() and _is_data(file.relative_to(place)))
        return sorted(found)
    if place.is_file():
        return [place]
    return sorted(file for found in glob(str(place), recursive=True) for file in local_files(found))


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


def _is_data(file: Path) -> bool:
    return not any(part.startswith((".", "_")) and "=" not in part for part in file.parts)
