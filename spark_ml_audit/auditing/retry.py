"""Finished runs sent again: a retry with the id of a run delivers to tracking what the first try could not.

What tracking gets is in the output tables and the report's file, so nothing need be kept aside for it, and
any process that reads them can send it. Not sent again are the figures of the probabilities' quality and the
changes since the run before: `compare` tells those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from spark_ml_audit.auditing.delivery import delivery_of
from spark_ml_audit.engines.spark_errors import reason_of
from spark_ml_audit.frames.ingest import examine
from spark_ml_audit.outcomes.audit import AuditOutcome, ClassRow, PredictOutcome, status_of
from spark_ml_audit.predicting.plan import PREDICTIONS, prediction_metrics
from spark_ml_audit.predicting.quality import OutOfFold, out_of_fold
from spark_ml_audit.report.make import report_file
from spark_ml_audit.tracking import RunDelivery, RunOpening, SourceRef

if TYPE_CHECKING:
    import pandas as pd

    from spark_ml_audit.config import AuditConfig, PredictConfig
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.progress import Progress
    from spark_ml_audit.tracking import AuditTracker

_Outcome = TypeVar("_Outcome", AuditOutcome, PredictOutcome)
# How sentences about tracking begin; they no longer hold once all is delivered.
_ABOUT_TRACKING = ("MLflow ", "tracking.uri: ")
_NO_REPORT = "The report of this run is missing; it is made while a run computes, so only a new run has one."


@dataclass(frozen=True)
class _Classes:
    classes: tuple[ClassRow, ...]


def complete_audit(
    outcome: AuditOutcome,
    row: dict[str, Any],
    config: AuditConfig,
    tables: OutputTables,
    tracker: AuditTracker,
    progress: Progress,
) -> AuditOutcome:
    """Send what the MLflow run of a finished audit lacks.

    Args:
        outcome: The finished run, as its row tells.
        row: Its row in `runs`.
        config: The effective config.
        tables: The output.
        tracker: Tracker of this run, nothing opened yet.
        progress: Times the stages.

    Returns:
        The outcome with `delivered`, `status`, `mlflow_run_id` and `warnings` as they are now.
    """

    def opening() -> RunOpening:
        quality = predicted()
        metrics = {} if quality is None else prediction_metrics(quality[0])
        return RunOpening(
            outcome.counts, outcome.gates, outcome.stages, outcome.tables, outcome.warnings, metrics
        )

    def delivery(warnings: Sequence[str]) -> RunDelivery:
        classes = tuple(
            ClassRow.from_mapping(found.asDict())
            for found in tables.read("classes", outcome.run_id).orderBy("class_index").collect()
        )
        found = delivery_of(
            _Classes(classes),
            tables.read("examples", outcome.run_id).drop("run_id"),
            status=status_of(outcome.gates, delivered=True),
            stages=outcome.stages,
            warnings=warnings,
            config=row["config"],
            gates=outcome.gates,
        )
        if outcome.report is not None:
            page = Path(outcome.report).read_text(encoding="utf-8")
            found = replace(found, artifacts={**found.artifacts, "report.html": page})
        quality = predicted()
        more = {} if quality is None else {"model_quality": quality[1]}
        report = {} if outcome.report is None else {"report.html": Path(outcome.report)}
        return replace(found, tables={**found.tables, **more}, artifacts={**found.artifacts, **report})

    made: list[tuple[OutOfFold, pd.DataFrame]] = []

    def predicted() -> tuple[OutOfFold, pd.DataFrame] | None:
        if config.source.needs_predictions and not made:
            made.append(_quality(config, tables, outcome.run_id))
        return made[0] if made else None

    found = _complete(outcome, row, config, tracker, progress, opening, delivery)
    if config.report.enabled and outcome.report is None and report_file(config.output, outcome.run_id):
        found = replace(found, delivered=False, warnings=(*found.warnings, _NO_REPORT))
    return replace(found, status=status_of(found.gates, delivered=found.delivered))


def complete_prediction(
    outcome: PredictOutcome,
    row: dict[str, Any],
    config: PredictConfig,
    tables: OutputTables,
    tracker: AuditTracker,
    progress: Progress,
) -> PredictOutcome:
    """Send what the MLflow run of a finished prediction lacks; as `complete_audit`.

    A final model that was not kept is not trained again: the run stays not delivered.
    """
    numbers = {name: row[name] for name in row if name.startswith("num_")}

    def opening() -> RunOpening:
        metrics = {**numbers, **outcome.quality}
        return RunOpening(
            stages=outcome.stages, tables=outcome.tables, warnings=outcome.warnings, metrics=metrics
        )

    def delivery(warnings: Sequence[str]) -> RunDelivery:
        return RunDelivery(
            status="ok",
            stages=outcome.stages,
            warnings=warnings,
            tables={"model_quality": _quality(config, tables, outcome.run_id)[1]},
            artifacts={"config.json": row["config"]},
        )

    if config.model.fit_final and outcome.model_uri is None:
        lacking = "The final model was not kept; run predict --fit-final without output.run_id to train it."
        return replace(
            outcome, delivered=False, status="not_delivered", warnings=(*outcome.warnings, lacking)
        )
    found = _complete(outcome, row, config, tracker, progress, opening, delivery)
    return replace(found, status="ok" if found.delivered else "not_delivered")


def _complete(
    outcome: _Outcome,
    row: dict[str, Any],
    config: AuditConfig | PredictConfig,
    tracker: AuditTracker,
    progress: Progress,
    opening: Callable[[], RunOpening],
    delivery: Callable[[Sequence[str]], RunDelivery],
) -> _Outcome:
    source = config.source
    tracker.source = SourceRef(source.name, source.path is not None, row["source_version"], source.format)
    kept = [text for text in outcome.warnings if not text.startswith(_ABOUT_TRACKING)]
    with progress.stage("tracking"):
        delivered = tracker.resume(row["mlflow_run_id"])
    if not delivered and not tracker.is_dead:
        try:
            with progress.stage("artifacts"):
                tracker.open(opening())
                delivered = tracker.deliver(delivery(kept))
        except Exception as error:  # noqa: BLE001 - the run is committed, whatever can be read of it now
            tracker.problems.append(f"The results could not be read for tracking: {reason_of(error)}.")
            delivered = False
        if delivered:
            progress.note(f"what tracking lacked of run {outcome.run_id} was sent")
    warnings = kept if delivered else list(dict.fromkeys([*outcome.warnings, *tracker.problems]))
    return replace(
        outcome,
        delivered=delivered,
        mlflow_run_id=tracker.mlflow_run_id or row["mlflow_run_id"],
        warnings=tuple(warnings),
    )


def _quality(
    config: AuditConfig | PredictConfig, tables: OutputTables, run_id: str
) -> tuple[OutOfFold, pd.DataFrame]:
    """Quality of the predictions of a run, out of fold: all, and per class."""
    commit = tables.commit_of(PREDICTIONS, run_id)
    if commit is None:
        raise RuntimeError(f"the predictions of run {run_id} are not in the history of their table")
    ingest = examine(tables.read_version(PREDICTIONS, commit[0]), config.source.columns(), {})
    quality = out_of_fold(ingest)
    return quality, quality.per_class(ingest.layout.classes)
