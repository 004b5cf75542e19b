"""Where the last audit made in this folder wrote: what later commands go by when they are given no output.

An audit by the command line notes its output in `.spark-ml-audit.json` in the folder it is started in, and a
`predict` that keeps a model the MLflow store it made for it.
Without that file, the output in `./audits` whose table `runs` was written last is taken. On Databricks
neither is done: tasks share their working folder.
"""

from __future__ import annotations

import json
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spark_ml_audit.config.paths import local_path

if TYPE_CHECKING:
    from spark_ml_audit.config import OutputConfig

NOTE = ".spark-ml-audit.json"
"""File in which an audit notes where it wrote."""

OUTPUTS = "audits"
"""Folder of the outputs of commands that are given none."""

_KEYS = ("path", "schema", "prefix", "files")
_MAX_NOTE = 100_000
_SQLITE = "sqlite:///"


@dataclass(frozen=True)
class LastOutput:
    """The output of the last audit made in a folder.

    Attributes:
        output: Keys of the section `output` that say where it is.
        run_id: The audit; None where only its tables tell of it.
    """

    output: dict[str, str]
    run_id: str | None = None

    @property
    def name(self) -> str:
        """Path, or schema and prefix."""
        return self.output.get("path") or ".".join(
            filter(None, (self.output.get("schema"), self.output.get("prefix")))
        )


def is_kept_here() -> bool:
    """Whether commands look for and note outputs in the working folder."""
    return "DATABRICKS_RUNTIME_VERSION" not in os.environ


def note_output(output: OutputConfig, run_id: str) -> None:
    """Note where an audit wrote. Never raises: a folder that cannot be written to is left alone."""
    _note({"output": output.place, "run_id": run_id})


def note_models(uri: str) -> None:
    """Note the MLflow store that this package made and a model was kept in. Never raises."""
    _note({"models": uri})


def last_models() -> str | None:
    """The MLflow store of the last model that was kept from this folder; None where it is there no more."""
    uri = _read_note().get("models") if is_kept_here() else None
    if not isinstance(uri, str) or not uri.startswith(_SQLITE):
        return None
    return uri if Path(uri.removeprefix(_SQLITE)).is_file() else None


def _note(about: dict[str, object]) -> None:
    if not is_kept_here():
        return
    text = json.dumps({**_read_note(), **about}, ensure_ascii=False)
    staged = Path(f"{NOTE}.{secrets.token_hex(4)}")
    with suppress(OSError, ValueError):
        try:
            staged.write_text(f"{text}\n", encoding="utf-8")
            staged.replace(NOTE)
        finally:
            staged.unlink(missing_ok=True)


def find_last_output() -> LastOutput | None:
    """The output of the last audit made in the working folder; None where there is none to be seen."""
    if not is_kept_here():
        return None
    return _noted() or _newest()


def _read_note() -> dict[str, object]:
    try:
        with Path(NOTE).open(encoding="utf-8") as file:
            found = json.loads(file.read(_MAX_NOTE))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _noted() -> LastOutput | None:
    found = _read_note()
    named, run_id = found.get("output"), found.get("run_id")
    output = {key: named[key] for key in _KEYS if key in named} if isinstance(named, dict) else {}
    if not all(isinstance(value, str) for value in output.values()) or not {"path", "schema"} & set(output):
        return None
    place = local_path(output["path"]) if "path" in output else None
    if place is not None and not (place / "runs" / "_delta_log").is_dir():
        return None
    return LastOutput(output, run_id if isinstance(run_id, str) else None)


def _newest() -> LastOutput | None:
    found: list[tuple[int, str]] = []
    with suppress(OSError):
        for log in Path(OUTPUTS).glob("*/runs/_delta_log"):
            times = [file.stat().st_mtime_ns for file in log.glob("*.json")]
            if times:
                found.append((max(times), log.parent.parent.as_posix()))
    return LastOutput({"path": max(found)[1]}) if found else None
