"""Files of a run beside its tables: its report, the page of a trend."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from spark_ml_audit.config.paths import local_path

if TYPE_CHECKING:
    from spark_ml_audit.config import OutputConfig


def page_file(output: OutputConfig, name: str) -> Path | None:
    """The file of a page of an output; None where it has no folder that plain programs can write to."""
    for place in (output.path, output.files):
        folder = local_path(place) if place is not None else None
        if folder is not None:
            return folder / "reports" / f"{name}.html"
    return None


def existing_page(output: OutputConfig, name: str) -> str | None:
    """Path of a page of an output, if it is there."""
    file = page_file(output, name)
    return str(file) if file is not None and file.is_file() else None


def write_page(file: Path, html: str) -> None:
    """Write a page so that it is there in full or not at all.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    staged = file.with_name(f".{secrets.token_hex(8)}-{file.name}")
    try:
        with staged.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(html.encode("utf-8", "replace").decode("utf-8"))
        staged.replace(file)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
