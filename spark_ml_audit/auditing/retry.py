"""Finished runs sent again: a retry with the id of a run delivers to tracking what the first try could not.

What tracking gets is in the output tables and the report's file, so nothing need be kept aside for it, and
any process that reads them can send it. Not sent again are the figures of the probabilities' quality and the
changes since the run before: `compare` tells those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_ml_audit.auditing.delivery import delivery_of
from spark_ml_audit.lake.files import report_file
from spark_ml_audit.outcomes.audit import AuditOutcome
from spark_ml_audit.outcomes.base import status_of
from spark_ml_audit.outcomes.records import ClassRow
from spark_ml_audit.predicting.commit import prediction_metrics
from spark_ml_audit.predicting.quality import OutOfFold, quality_of_run
from spark_ml_audit.tracking import RunDelivery, RunOpening
from spark_ml_audit.tracking.resend import resend

if TYPE_CHECKING:
    import pandas as pd

    from spark_ml_audit.config import AuditConfig
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.progress import Progress
    from spark_ml_audit.tracking import AuditTracker

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
            made.append(quality_of_run(config, tables, outcome.run_id))
        return made[0] if made else None

    found = resend(outcome, row, config, tracker, progress, opening, delivery)
    if config.report.enabled and outcome.report is None and report_file(config.output, outcome.run_id):
        found = replace(found, delivered=False, warnings=(*found.warnings, _NO_REPORT))
    return replace(found, status=status_of(found.gates, delivered=found.delivered))
