"""Out-of-sample probabilities for a table with tags and features: one run from config to committed table."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_ml_audit import __version__
from spark_ml_audit.engines.session import session_for
from spark_ml_audit.engines.transfer import local_frame
from spark_ml_audit.errors import ConfigError, reason_of
from spark_ml_audit.frames.quarantine import quarantine_frame
from spark_ml_audit.kernels.model_quality import decision_thresholds
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import PREDICTION_RUNS_SCHEMA, PREDICTIONS
from spark_ml_audit.lake.source import OpenSource, open_source
from spark_ml_audit.outcomes.predict import PredictOutcome
from spark_ml_audit.predicting import model_store
from spark_ml_audit.predicting.commit import Predicted, commit_predictions
from spark_ml_audit.predicting.corrected_tags import corrected
from spark_ml_audit.predicting.plan import plan_prediction
from spark_ml_audit.predicting.retry import (
    PREDICTION_RUNS,
    complete_prediction,
    locations_of,
    outcome_of_row,
)
from spark_ml_audit.predicting.training import FINAL, train_final
from spark_ml_audit.text import redact
from spark_ml_audit.tracking import AuditTracker, RunDelivery, RunOpening, SourceRef
from spark_ml_audit.tracking.run import tracked_run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_ml_audit.config import PredictConfig
    from spark_ml_audit.progress import Progress


def run_predict(
    config: PredictConfig, progress: Progress, spark: SparkSession | None = None
) -> PredictOutcome:
    """Predict every usable row of a source by models that have not seen its tags, and commit the run.

    Rejected rows go to `quarantine` first, then `predictions` is replaced in one transaction; quality,
    MLflow run and final model follow, and the row in `prediction_runs` comes last.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active or a new local one by default.

    Raises:
        ConfigError: The config does not fit the output or the run being retried.
        InputError: The source cannot be used as it is.
        SetupError: Spark or Java is missing.
    """
    with tracked_run(config, "predict") as begun:
        return _Run(config, progress, begun.run_id, begun.started, begun.tracker).execute(spark)


@dataclass
class _Run:
    config: PredictConfig
    progress: Progress
    run_id: str
    started: datetime
    tracker: AuditTracker

    def execute(self, spark: SparkSession | None) -> PredictOutcome:
        config, progress, run_id = self.config, self.progress, self.run_id
        with progress.stage("session"):
            session = session_for(spark)
        tables = OutputTables(session, config.output)
        with progress.stage("source"):
            if config.output.run_id is not None and (row := tables.finished_run(run_id, PREDICTION_RUNS)):
                progress.note(f"run {run_id} is finished already; nothing was changed")
                found = outcome_of_row(row, tables)
                return complete_prediction(found, row, config, tables, self.tracker, progress)
            version = pinned_version(config.fingerprint(), tables, config.output.run_id)
            opened = open_source(session, config.source, version=version)
        self.tracker.source = SourceRef(
            opened.name, config.source.path is not None, opened.version, config.source.format
        )
        plan = plan_prediction(opened, config.source, config.model, progress, self.tracker.destination)
        tables.check_id(config.source.id, opened.frame.schema[config.source.id].dataType)
        tables.create_schema()
        metadata = {"fingerprint": config.fingerprint(), "source_version": opened.version}
        if plan.counts.num_quarantined or tables.existing("quarantine") is None:
            with progress.stage("quarantine"):
                tables.append("quarantine", quarantine_frame(plan.ingest), run_id)
        result = commit_predictions(plan, tables, run_id, metadata, progress)
        return self._conclude(opened, result, tables, session)

    def _conclude(
        self, opened: OpenSource, result: Predicted, tables: OutputTables, session: SparkSession
    ) -> PredictOutcome:
        config, progress, tracker = self.config, self.progress, self.tracker
        warnings = list(result.warnings)
        locations = locations_of(tables)
        counts, quality = result.plan.counts, result.quality.figures
        numbers: dict[str, Any] = {
            "num_rows": counts.num_rows,
            "num_predicted": counts.num_labelled + counts.num_unlabelled,
            "num_unlabelled": counts.num_unlabelled,
            "num_quarantined": counts.num_quarantined,
            "num_trained": result.num_trained,
            "num_classes": result.ingest.layout.num_classes,
        }
        with progress.stage("tracking"):
            tracker.open(
                RunOpening(
                    stages=dict(progress.seconds),
                    tables=locations,
                    warnings=warnings,
                    metrics={**numbers, **quality},
                )
            )
        for note in tracker.notes:
            progress.note(note)
        model_uri = self._keep_final(result, warnings) if config.model.fit_final else None
        warnings += [problem for problem in tracker.problems if problem not in warnings]
        outcome = PredictOutcome(
            run_id=self.run_id,
            status="ok",
            delivered=True,
            **numbers,
            folds=result.plan.folds,
            kind=result.kind,
            quality=quality,
            tables=locations,
            model_uri=model_uri,
            mlflow_run_id=tracker.mlflow_run_id,
            stages={},
            warnings=tuple(warnings),
            source=opened.name,
            source_version=opened.version,
        )
        with progress.stage("runs"):
            row = self._row(outcome)
            frame = local_frame(session, [row], PREDICTION_RUNS_SCHEMA)
            tables.append(PREDICTION_RUNS, frame, self.run_id)
        with progress.stage("artifacts"):
            delivered = (model_uri is not None or not config.model.fit_final) and tracker.deliver(
                RunDelivery(
                    status="ok",
                    stages=dict(progress.seconds),
                    warnings=warnings,
                    tables={"model_quality": result.class_table},
                    artifacts={"config.json": config.to_json()},
                )
            )
        warnings += [problem for problem in tracker.problems if problem not in warnings]
        return replace(
            outcome,
            status="ok" if delivered else "not_delivered",
            delivered=delivered,
            stages=_rounded(progress.seconds),
            warnings=tuple(warnings),
        )

    def _keep_final(self, result: Predicted, warnings: list[str]) -> str | None:
        """Train on the whole table, keep the model in MLflow; its address, or None."""
        config, progress, tracker = self.config, self.progress, self.tracker
        training = result.plan.training
        if training is None or tracker.mlflow_run_id is None or tracker.is_dead:
            return None
        with progress.stage("final model"):
            if config.model.final_labels == "corrected":
                profile, most = result.quality.profile, config.model.max_train_rows
                changed = corrected(training, result.ingest, profile, most)
                training = changed.training
                warnings.append(
                    f"The final model learned corrected tags: {changed.num_added:,} flagged as missing were "
                    f"added and {changed.num_removed:,} flagged as extraneous left out."
                )
            scorer = train_final(training).scorers[FINAL]
        with progress.stage("model registry"), tempfile.TemporaryDirectory(prefix="spark-ml-audit-") as place:
            thresholds = decision_thresholds(result.quality.profile)
            try:
                packed = model_store.pack_model(
                    scorer, thresholds, result.plan.features.sample, Path(place, "model")
                )
            except Exception as error:  # noqa: BLE001 - the predictions are committed; the model can be made again
                warnings.append(f"The final model could not be stored: {reason_of(error)}.")
                return None
            return tracker.deliver_model(packed.folder, packed.digest, config.model.name)

    def _row(self, outcome: PredictOutcome) -> dict[str, Any]:
        shown: dict[str, Any] = {
            name: getattr(outcome, name) for name in PREDICTION_RUNS_SCHEMA.names if hasattr(outcome, name)
        }
        return shown | {
            "started_at": self.started,
            "finished_at": datetime.now(timezone.utc),
            "source": redact(outcome.source),
            "config": self.config.to_json(),
            "package_version": __version__,
            "quality": json.dumps(outcome.quality),
            "stages": json.dumps(_rounded(self.progress.seconds)),
            "warnings": json.dumps(list(outcome.warnings)),
        }


def pinned_version(fingerprint: str, tables: OutputTables, run_id: str | None) -> str | None:
    """Version of the source that the first try of a run read; None for a new run.

    Raises:
        ConfigError: The run was begun with another config.
    """
    first = tables.first_try(run_id, PREDICTIONS) if run_id is not None else None
    if first is None:
        return None
    if first.fingerprint != fingerprint:
        raise ConfigError(
            f"run {run_id} was begun with another config.",
            key="output.run_id",
            fix="Retry with the same source and model sections, or leave output.run_id out.",
        )
    return first.source_version


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in seconds.items()}
