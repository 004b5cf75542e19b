"""Predictions that finished earlier: what a retry with their id gets, and what it sends."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spark_ml_audit.config.predict import MIN_PRECISION
from spark_ml_audit.frames.ingest import inspect_source
from spark_ml_audit.lake.schemas import PREDICTION_RUNS, PREDICTIONS, QUARANTINE
from spark_ml_audit.outcomes.features import FeatureUse
from spark_ml_audit.outcomes.outcome import alert_among
from spark_ml_audit.outcomes.predict import PredictOutcome
from spark_ml_audit.outcomes.tagging import Tagging
from spark_ml_audit.predicting.quality import OutOfFold, out_of_fold
from spark_ml_audit.tracking import RunDelivery, RunOpening, feature_tags
from spark_ml_audit.tracking.resend import resend

if TYPE_CHECKING:
    import pandas as pd

    from spark_ml_audit.config import AuditConfig, PredictConfig
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.progress import Progress
    from spark_ml_audit.tracking import AuditTracker

PREDICTION_TABLES = (PREDICTIONS, QUARANTINE, PREDICTION_RUNS)
"""What `predict` writes."""


def outcome_of_row(row: Mapping[str, Any], tables: OutputTables) -> PredictOutcome:
    """The outcome of a run that finished earlier, from its row in `prediction_runs`."""
    names = PredictOutcome.__dataclass_fields__.keys() & row.keys()
    warnings = tuple(json.loads(row["warnings"]))
    return PredictOutcome(
        **{name: row[name] for name in names - {"encoder", "quality", "stages", "tagging", "warnings"}},
        alert=alert_among(warnings),
        delivered=row["mlflow_run_id"] is not None,
        quality=json.loads(row["quality"]),
        # null in the rows of older versions
        tagging=Tagging.from_mapping(json.loads(row["tagging"])) if row.get("tagging") else None,
        encoder=json.loads(row["encoder"]) if row.get("encoder") else None,
        tables=tables.locations(*PREDICTION_TABLES),
        stages=json.loads(row["stages"]),
        warnings=warnings,
        use=FeatureUse.from_json(row.get("features")),
        already_finished=True,
    )


def complete_prediction(
    row: Mapping[str, Any],
    config: PredictConfig,
    tables: OutputTables,
    tracker: AuditTracker,
    progress: Progress,
) -> PredictOutcome:
    """Send what the MLflow run of a finished prediction lacks.

    A final model that was not kept is not trained again: the run stays not delivered.

    Args:
        row: Its row in `prediction_runs`.
        config: The effective config.
        tables: The output.
        tracker: Tracker of this run, nothing opened yet.
        progress: Times the stages.
    """
    outcome = outcome_of_row(row, tables)
    numbers = {name: row[name] for name in row if name.startswith("num_")}

    # rows of older versions have no such section
    least = json.loads(row["config"]).get("tag", {}).get("min_precision", MIN_PRECISION)

    def opening() -> RunOpening:
        return RunOpening(
            stages=outcome.stages,
            tables=outcome.tables,
            warnings=outcome.warnings,
            metrics={**numbers, **outcome.quality},
            tags=feature_tags(outcome.use),
        )

    def delivery(warnings: Sequence[str]) -> RunDelivery:
        return RunDelivery(
            status="ok",
            stages=outcome.stages,
            warnings=warnings,
            tables={"model_quality": quality_of_run(config, tables, outcome.run_id, least)[1]},
            artifacts={"config.json": row["config"], "features.json": outcome.use.to_dict()},
            metrics={} if outcome.tagging is None else outcome.tagging.metrics,
        )

    if config.model.fit_final and outcome.model_uri is None:
        lacking = "The final model was not kept; run predict --fit-final without output.run_id to train it."
        return replace(outcome, delivered=False, warnings=(*outcome.warnings, lacking))
    return resend(outcome, row, config, tracker, progress, opening, delivery)


def quality_of_run(
    config: AuditConfig | PredictConfig,
    tables: OutputTables,
    run_id: str,
    min_precision: float = MIN_PRECISION,
) -> tuple[OutOfFold, pd.DataFrame]:
    """Quality of the predictions of a run, out of fold: all, and per class.

    Args:
        config: The effective config.
        tables: The output.
        run_id: Of the run.
        min_precision: Least lower bound of the precision of a class that is tagged.

    Raises:
        RuntimeError: The commit of the predictions is not in the table's history any more.
    """
    commit = tables.commit_of(PREDICTIONS, run_id)
    if commit is None:
        raise RuntimeError(f"the predictions of run {run_id} are not in the history of their table")
    table, version = tables.table(PREDICTIONS), commit.version
    schema = table.schema(version)
    ingest = inspect_source(tables.engine, table.read(version), config.source.columns(), schema=schema)
    quality = out_of_fold(ingest)
    return quality, quality.per_class(ingest.layout.classes, min_precision)
