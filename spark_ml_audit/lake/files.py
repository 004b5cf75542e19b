"""Files of a run beside its tables: the report."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from spark_ml_audit.lake.places import local_path

if TYPE_CHECKING:
    from spark_ml_audit.config.output import OutputConfig


def report_file(output: OutputConfig, run_id: str) -> Path | None:
    """The file of a run's report; None where the output has no folder that plain programs can write to."""
    for place in (output.path, output.files):
        folder = local_path(place) if place is not None else None
        if folder is not None:
            return folder / "reports" / f"{run_id}.html"
    return None


def existing_report(output: OutputConfig, run_id: str) -> str | None:
    """Path of a finished run's report, if it is there."""
    file = report_file(output, run_id)
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
            stream.write(html)
        staged.replace(file)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
