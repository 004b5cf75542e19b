"""`open`: the report of a run, in the browser where there is one."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.files import existing_page, page_file
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import find_run, newest_runs
from spark_ml_audit.outcomes.history import OpenOutcome

if TYPE_CHECKING:
    from spark_ml_audit.config import OpenConfig, OutputConfig
    from spark_ml_audit.engines.base import Session
    from spark_ml_audit.progress import Progress

_SEARCHED = 1000
_LISTED = 3


def run_open(config: OpenConfig, progress: Progress, spark: Session | None = None) -> OpenOutcome:
    """Find the report of a run, and open it in the browser where there is one.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active one by default.

    Raises:
        ConfigError: There is no such run, or none with a report.
        SetupError: The engine cannot run here.
    """
    with progress.stage("session"):
        tables = OutputTables(choose_engine(config.engine, spark, small=True), config.output)
    with progress.stage("read"):
        found, _ = newest_runs(tables, _SEARCHED)
        newest = found[0].run_id
        wanted = None if config.open.run is None else find_run(tables, config.open.run, "open.run").run_id
    pages = {run.run_id: page for run in found if (page := existing_page(config.output, run.run_id))}
    run_id = wanted or next(iter(pages), newest)
    page = pages.get(run_id) or existing_page(config.output, run_id)
    if page is None:
        raise _no_report(config.output, run_id, list(pages))
    warnings = () if wanted or run_id == newest else (f"The newest run, {newest}, has no report.",)
    file = Path(page).absolute()
    opened = config.open.browser and open_in_browser(file)
    return OpenOutcome(
        run_id=run_id, report=str(file), opened=opened, warnings=warnings, stages=progress.stages
    )


def _no_report(output: OutputConfig, run_id: str, others: list[str]) -> ConfigError:
    file = page_file(output, run_id)
    if file is None:
        return ConfigError(
            "the output is no folder of this machine, so its reports are in MLflow alone.",
            key="output.files",
            fix="Set output.files to a local or Volume folder, for audits to write them there too.",
        )
    known = f"Runs with a report: {', '.join(others[:_LISTED])}. " if others else ""
    return ConfigError(
        f"run {run_id} has no report at '{file}'.",
        key="open.run",
        fix=f"{known}An audit with report.enabled: true writes one.",
    )


def open_in_browser(file: Path) -> bool:
    """Open a page in the browser of this machine's screen.

    Returns:
        Whether it was opened; never by a browser of the terminal, which would take it over.
    """
    if not _has_screen():
        return False
    try:
        return webbrowser.open(file.as_uri())
    except (webbrowser.Error, OSError):
        return False


def _has_screen() -> bool:
    if os.environ.get("BROWSER"):
        return True
    if sys.platform in ("win32", "darwin"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
