"""The files of a local place, as every engine takes them."""

from __future__ import annotations

import re
from glob import glob
from pathlib import Path

from spark_ml_audit.config.paths import local_path


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
    return sorted(file for found in glob(str(place)) for file in local_files(found))


def is_pattern(path: str) -> bool:
    """Whether a path may stand for several.

    >>> is_pattern("tags/*.csv"), is_pattern("tags/part-0.csv")
    (True, False)
    """
    return re.search(r"[*?\[]", path) is not None


def _is_data(file: Path) -> bool:
    return not any(part.startswith((".", "_")) and "=" not in part for part in file.parts)
