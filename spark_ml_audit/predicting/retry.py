"""Predictions that finished earlier: what a retry with their id gets and sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spark_ml_audit.lake.schemas import PREDICTIONS
from spark_ml_audit.outcomes.predict import PredictOutcome
from spark_ml_audit.predicting.quality import quality_of_run
from spark_ml_audit.tracking import RunDelivery, RunOpening
from spark_ml_audit.tracking.resend import resend

if TYPE_CHECKING:
    from spark_ml_audit.config import PredictConfig
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.progress import Progress
    from spark_ml_audit.tracking import AuditTracker
import json
from typing import TYPE_CHECKING

from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.tracking import AuditTracker

if TYPE_CHECKING:
    from spark_ml_audit.config import PredictConfig
    from spark_ml_audit.progress import Progress

PREDICTION_RUNS = "prediction_runs"


_TABLES = (PREDICTIONS, "quarantine", PREDICTION_RUNS)


def locations_of(tables: OutputTables) -> dict[str, str]:
    """Name -> path or table of what `predict` writes."""
    return {name: tables.location(name) for name in _TABLES}


def outcome_of_row(row: dict[str, Any], tables: OutputTables) -> PredictOutcome:
    """The outcome of a run that finished earlier."""
    delivered = row["mlflow_run_id"] is not None
    names = PredictOutcome.__dataclass_fields__.keys() & row.keys()
    return PredictOutcome(
        **{name: row[name] for name in names - {"quality", "stages", "warnings"}},
        status="ok" if delivered else "not_delivered",
        delivered=delivered,
        quality=json.loads(row["quality"]),
        tables=locations_of(tables),
        stages=json.loads(row["stages"]),
        warnings=tuple(json.loads(row["warnings"])),
        already_finished=True,
    )


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
            tables={"model_quality": quality_of_run(config, tables, outcome.run_id)[1]},
            artifacts={"config.json": row["config"]},
        )

    if config.model.fit_final and outcome.model_uri is None:
        lacking = "The final model was not kept; run predict --fit-final without output.run_id to train it."
        return replace(
            outcome, delivered=False, status="not_delivered", warnings=(*outcome.warnings, lacking)
        )
    found = resend(outcome, row, config, tracker, progress, opening, delivery)
    return replace(found, status="ok" if found.delivered else "not_delivered")
