"""What the page has done by the command line: corrections, audits, comparisons; in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from spark_ml_audit.errors import ConfigError

if TYPE_CHECKING:
    from spark_ml_audit.config.serve import ServeConfig
    from spark_ml_audit.outcomes.runs import FinishedRun

MODES = ("copy", "merge")
_SECTIONS = ("source", "audit", "gate", "report", "model", "detect", "tracking", "engine")


def correct_config(config: ServeConfig, run: FinishedRun, mode: str, undo: str | None) -> dict[str, Any]:
    """The config of a correction by what people decided.

    Args:
        config: Of the page.
        run: The audit to correct by.
        mode: copy or merge.
        undo: A correction_id to take back instead.
    """
    if undo is not None:
        options: dict[str, Any] = {"undo": undo}
    else:
        options = {"run": run.run_id, "mode": mode}
    source = {} if config.source is None else {"source": _plain(config.source)}
    return {"correct": options, **_shared(config), **source}


def audit_config(config: ServeConfig, run: FinishedRun, target: str | None) -> dict[str, Any]:
    """The config of the same audit again, of the corrected table.

    Args:
        config: Of the page.
        run: The audit that was reviewed.
        target: Path or name of the corrected copy; None for the source itself as it is now.
    """
    known = {name: value for name in _SECTIONS if (value := run.config.get(name)) is not None}
    source = {**known.get("source", {}), "version": None}
    if target is not None:
        is_path = bool(source.get("path"))
        source |= {
            "path": target if is_path else None,
            "table": None if is_path else target,
            "format": "delta",
        }
    return {**known, "source": source, **_shared(config)}


def _shared(config: ServeConfig) -> dict[str, Any]:
    output = _plain(config.output)
    output.pop("run_id", None)
    return {"output": output, "engine": _plain(config.engine), "tracking": _plain(config.tracking)}


def _plain(section: Any) -> dict[str, Any]:
    found: dict[str, Any] = section.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return found


def run_command(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Run a command in a process of its own; its result as `--json` prints it.

    Args:
        name: Of the command.
        config: Its config.

    Raises:
        ConfigError: It ended otherwise than with a result; with what it said.
    """
    with tempfile.TemporaryDirectory(prefix="spark-ml-audit-") as folder:
        file = Path(folder, "config.yaml")
        file.write_text(yaml.safe_dump(dict(config), allow_unicode=True), encoding="utf-8")
        words = [sys.executable, "-m", "spark_ml_audit", name, "--json", "--quiet", "--config", str(file)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines()
        raise ConfigError(
            f"{name} ended with status {done.returncode}: {said[-1][:400] if said else 'it said nothing'}.",
            key=name,
            fix="Run it by the command line to see more.",
        ) from None
    if found.get("status") == "error":
        error = found["error"]
        raise ConfigError(error["message"], key=error["key"], fix=error["fix"])
    return found
