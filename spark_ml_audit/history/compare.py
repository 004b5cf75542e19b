"""`compare`: two runs of one source set side by side."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.history.api import ComparisonResult
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.outcomes.history import CompareOutcome, Comparison
from spark_ml_audit.progress import Progress
from spark_ml_audit.tracking import RunDelivery, RunOpening, SourceRef
from spark_ml_audit.tracking.run import destination_of, tracker_for

if TYPE_CHECKING:
    from spark_ml_audit.config import CompareConfig
    from spark_ml_audit.engines.base import Session


def run_compare(config: CompareConfig, progress: Progress, spark: Session | None = None) -> CompareOutcome:
    """Compare two runs, append the comparison to the output's tables and record it in MLflow.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active one by default.

    Raises:
        ConfigError: No such runs, or runs of different sources.
        SetupError: The engine cannot run here.
    """
    with progress.stage("session"):
        tables = OutputTables(choose_engine(config.engine, spark), config.output)
    with progress.stage("runs"):
        result = ComparisonResult(tables, config.compare.run, config.compare.against)
        finished, mlflow_run_id = result.earlier_mlflow_run()
    if finished:
        progress.note("these two runs were compared before; the tables were not changed")
        result.read_back()
    else:
        with progress.stage("compare"):
            result.write_frames()
    with progress.stage("summary"):
        summary = result.summary
    delivered, warnings = mlflow_run_id is not None, list(summary.notes)
    if not finished:
        run = result.run
        source = SourceRef(run.ref.source, run.reads_path, run.ref.source_version)
        with closing(tracker_for(config, run.run_id, "compare", source)) as tracker:
            with progress.stage("tracking"):
                tracker.open(_opening(result, summary, progress))
            mlflow_run_id = tracker.mlflow_run_id
            with progress.stage("classes"):
                result.write_classes(mlflow_run_id)
            with progress.stage("artifacts"):
                delivered = tracker.deliver(_delivery(config, result, summary, progress))
            warnings += tracker.problems
    return CompareOutcome(
        comparison=summary,
        delivered=delivered,
        tables=result.locations,
        mlflow_run_id=mlflow_run_id,
        mlflow_open=None if mlflow_run_id is None else destination_of(config).how_to_open,
        stages=progress.stages,
        warnings=tuple(warnings),
        already_finished=finished,
    )


def _opening(result: ComparisonResult, summary: Comparison, progress: Progress) -> RunOpening:
    against = result.against.ref
    return RunOpening(
        stages=dict(progress.seconds),
        tables=result.locations,
        warnings=summary.notes,
        metrics=summary.metrics("compare"),
        tags={"against_run_id": against.run_id, "against_source_version": against.source_version},
    )


def _delivery(
    config: CompareConfig, result: ComparisonResult, summary: Comparison, progress: Progress
) -> RunDelivery:
    import pandas as pd

    return RunDelivery(
        status="ok",
        stages=dict(progress.seconds),
        warnings=summary.notes,
        tables={"class_changes": pd.DataFrame([row.to_dict() for row in result.class_changes])},
        artifacts={"comparison.json": summary.to_dict(), "config.json": config.to_json()},
    )
