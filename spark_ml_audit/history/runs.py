"""`runs`: the runs of an output, the newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.lake.files import existing_page
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import newest_runs
from spark_ml_audit.outcomes.history import ListedRun, RunsOutcome

if TYPE_CHECKING:
    from spark_ml_audit.config import RunsConfig
    from spark_ml_audit.engines.base import Session
    from spark_ml_audit.progress import Progress


def run_runs(config: RunsConfig, progress: Progress, spark: Session | None = None) -> RunsOutcome:
    """List the finished runs of an output.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active one by default.

    Raises:
        ConfigError: No run has finished there.
        SetupError: The engine cannot run here.
    """
    with progress.stage("session"):
        tables = OutputTables(choose_engine(config.engine, spark, small=True), config.output)
    with progress.stage("read"):
        found, number = newest_runs(tables, config.runs.last)
    listed = tuple(
        ListedRun(run.ref, run.gates, existing_page(config.output, run.run_id), run.mlflow_run_id)
        for run in found
    )
    return RunsOutcome(runs=listed, num_runs=number, tables=tables.locations("runs"), stages=progress.stages)
