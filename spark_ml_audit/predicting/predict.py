"""`predict`: out-of-sample probabilities for a table with tags and features, committed as a table."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_ml_audit._version import __version__
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.errors import reason_of
from spark_ml_audit.frames.formats import label_columns_of
from spark_ml_audit.frames.hints.columns import source_field
from spark_ml_audit.frames.quarantine import quarantine_frame
from spark_ml_audit.lake.first_look import look_first
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import PREDICTION_RUNS, PREDICTION_RUNS_SCHEMA, PREDICTIONS, QUARANTINE
from spark_ml_audit.lake.source import OpenSource, open_source
from spark_ml_audit.outcomes.predict import PredictOutcome
from spark_ml_audit.outcomes.tagging import nothing_given
from spark_ml_audit.predicting import model_store
from spark_ml_audit.predicting.commit import Predicted, commit_predictions
from spark_ml_audit.predicting.corrected_tags import corrected
from spark_ml_audit.predicting.encoded import FINAL
from spark_ml_audit.predicting.finetuning import forget_work
from spark_ml_audit.predicting.plan import check_source, plan_prediction
from spark_ml_audit.predicting.retry import PREDICTION_TABLES, complete_prediction
from spark_ml_audit.predicting.training import train_final
from spark_ml_audit.text import redact
from spark_ml_audit.tracking import AuditTracker, RunDelivery, RunOpening
from spark_ml_audit.tracking.run import StartedRun, source_ref, tracked_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from spark_ml_audit.config import PredictConfig
    from spark_ml_audit.engines.base import Session
    from spark_ml_audit.progress import Progress

_OTHER_CONFIG = "Retry with the same source and model sections, or leave output.run_id out."


def run_predict(config: PredictConfig, progress: Progress, spark: Session | None = None) -> PredictOutcome:
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
    with tracked_run(config, "predict") as run:
        with progress.stage("session"):
            _look_before_spark(config, spark)
            tables = OutputTables(choose_engine(config.engine, spark), config.output)
        with progress.stage("source"):
            row = tables.finished_run(run.run_id, PREDICTION_RUNS) if config.output.run_id else None
            if row is not None:
                progress.note(f"run {run.run_id} is finished already; nothing was changed")
                return complete_prediction(row, config, tables, run.tracker, progress)
            opened = _open_pinned(config, tables, run).tell(progress)
        predicted = _predict(config, opened, tables, run, progress)
        _open_tracking(run.tracker, predicted, tables, progress)
        model_uri, warnings = _keep_final(config, predicted, run.tracker, progress)
        outcome = _outcome(config, run, opened, predicted, tables, model_uri, warnings)
        with progress.stage("runs"):
            _append_run(config, run, outcome, tables, progress.stages)
        return _deliver(config, outcome, predicted, run.tracker, progress)


def _look_before_spark(config: PredictConfig, spark: Session | None) -> None:
    """Refuse what is wrong with a local source before a Spark of this machine is started for it."""
    if config.output.run_id is not None:
        return  # a finished run is told again, whatever became of its source

    def check_names(schema: pa.Schema) -> None:
        source_field(schema, config.source.id, "source.id")
        label_columns_of(schema, config.source)

    look_first(
        config.engine,
        config.source,
        spark,
        lambda opened: check_source(opened, config.source, config.model),
        check_names,
    )


def _open_pinned(config: PredictConfig, tables: OutputTables, run: StartedRun) -> OpenSource:
    """The source at the version that the first try of this run read, or the newest."""
    version = tables.pinned_version(config.output.run_id, config.fingerprint(), (PREDICTIONS,), _OTHER_CONFIG)
    opened = open_source(tables.engine, config.source, version=version)
    run.tracker.source = source_ref(config, opened.version)
    return opened


def _predict(
    config: PredictConfig, opened: OpenSource, tables: OutputTables, run: StartedRun, progress: Progress
) -> Predicted:
    """Plan, set rejected rows aside, train, predict, commit."""
    plan = plan_prediction(opened, config.source, config.model, progress, run.tracker.destination)
    tables.check_id(config.source.id, plan.ingest.id_type)
    tables.create_schema()
    if plan.counts.rows.num_quarantined or tables.existing(QUARANTINE) is None:
        with progress.stage("quarantine"):
            tables.append(QUARANTINE, quarantine_frame(plan.ingest), run.run_id)
    metadata = {"fingerprint": config.fingerprint(), "source_version": opened.version}
    return commit_predictions(plan, tables, run.run_id, metadata, progress)


def _open_tracking(
    tracker: AuditTracker, predicted: Predicted, tables: OutputTables, progress: Progress
) -> None:
    with progress.stage("tracking"):
        tracker.open(
            RunOpening(
                stages=dict(progress.seconds),
                tables=tables.locations(*PREDICTION_TABLES),
                warnings=predicted.warnings,
                metrics={**_numbers(predicted), **predicted.quality.figures},
                tags=predicted.tags,
            )
        )
    for note in tracker.notes:
        progress.note(note)


def _numbers(predicted: Predicted) -> dict[str, Any]:
    counts = predicted.plan.counts
    return {
        "num_rows": counts.rows.num_rows,
        "num_predicted": counts.rows.num_audited + counts.rows.num_unlabelled,
        "num_unlabelled": counts.rows.num_unlabelled,
        "num_quarantined": counts.rows.num_quarantined,
        "num_trained": predicted.num_trained,
        "num_classes": predicted.ingest.layout.num_classes,
    }


def _keep_final(
    config: PredictConfig, predicted: Predicted, tracker: AuditTracker, progress: Progress
) -> tuple[str | None, tuple[str, ...]]:
    """Train on the whole table and keep the model in MLflow, if asked for; its address, and sentences."""
    training, warnings = predicted.plan.training, []
    if not config.model.fit_final or training is None or tracker.mlflow_run_id is None or tracker.is_dead:
        forget_work(training)
        return None, ()
    with progress.stage("final model"):
        if config.model.final_labels == "corrected":
            profile, most = predicted.quality.profile, config.model.max_train_rows
            changed = corrected(training, predicted.ingest, profile, most)
            training = changed.training
            warnings.append(
                f"The final model learned corrected tags: {changed.num_added:,} flagged as missing were "
                f"added and {changed.num_removed:,} flagged as extraneous left out."
            )
        scorer = train_final(training).scorers[FINAL]
    forget_work(training)
    with progress.stage("model registry"), tempfile.TemporaryDirectory(prefix="spark-ml-audit-") as place:
        rule = model_store.TaggingRule(config.tag.min_precision, predicted.quality.evidence)
        sample = predicted.plan.features.sample
        try:
            packed = model_store.pack_model(scorer, rule, sample, Path(place, "model"))
        except Exception as error:  # noqa: BLE001 - the predictions are committed; the model can be made again
            return None, (*warnings, f"The final model could not be stored: {reason_of(error)}.")
        return tracker.deliver_model(packed.folder, packed.digest, config.model.name), tuple(warnings)


def _outcome(
    config: PredictConfig,
    run: StartedRun,
    opened: OpenSource,
    predicted: Predicted,
    tables: OutputTables,
    model_uri: str | None,
    warnings: tuple[str, ...],
) -> PredictOutcome:
    tagging = None
    if predicted.plan.training is not None:  # what a given model has seen, nobody knows
        tagging = predicted.quality.tagging(predicted.ingest.layout.classes, config.tag.min_precision)
    nothing = [] if tagging is None or model_uri is None else nothing_given(tagging)
    said = [*predicted.warnings, *warnings, *nothing, *run.tracker.problems]
    return PredictOutcome(
        run_id=run.run_id,
        **_numbers(predicted),
        folds=predicted.plan.folds,
        kind=predicted.kind,
        quality=predicted.quality.figures,
        alert=next(iter(predicted.quality.weak), None),
        tables=tables.locations(*PREDICTION_TABLES),
        model_uri=model_uri,
        mlflow_run_id=run.tracker.mlflow_run_id,
        mlflow_open=run.tracker.how_to_open,
        warnings=tuple(dict.fromkeys(said)),
        source=opened.name,
        source_version=opened.version,
        engine=tables.engine.kind,
        tagging=tagging,
        choice=predicted.choice,
        encoder=predicted.encoder,
        use=predicted.plan.guarded.use,
    )


def _append_run(
    config: PredictConfig,
    run: StartedRun,
    outcome: PredictOutcome,
    tables: OutputTables,
    stages: Mapping[str, float],
) -> None:
    """The row of `prediction_runs` that makes the run count as finished."""
    names = set(PREDICTION_RUNS_SCHEMA.names) & set(PredictOutcome.__dataclass_fields__)
    row: dict[str, Any] = {name: getattr(outcome, name) for name in names} | {
        "started_at": run.started_at,
        "finished_at": datetime.now(timezone.utc),
        "source": redact(outcome.source),
        "config": config.to_json(),
        "package_version": __version__,
        "quality": json.dumps(outcome.quality),
        "tagging": None if outcome.tagging is None else json.dumps(outcome.tagging.to_dict()),
        "choice": None if outcome.choice is None else outcome.choice.to_json(),
        "stages": json.dumps(stages),
        "warnings": json.dumps(list(outcome.warnings)),
        "features": outcome.use.to_json(),
        "encoder": None if outcome.encoder is None else json.dumps(outcome.encoder),
    }
    tables.append_records(PREDICTION_RUNS, [row], PREDICTION_RUNS_SCHEMA, run.run_id)


def _deliver(
    config: PredictConfig,
    outcome: PredictOutcome,
    predicted: Predicted,
    tracker: AuditTracker,
    progress: Progress,
) -> PredictOutcome:
    """Send what tracking still lacks; the outcome as it stands at the end."""
    with progress.stage("artifacts"):
        per_class = predicted.quality.per_class(predicted.ingest.layout.classes, config.tag.min_precision)
        delivered = (outcome.model_uri is not None or not config.model.fit_final) and tracker.deliver(
            RunDelivery(
                status="ok",
                stages=dict(progress.seconds),
                warnings=outcome.warnings,
                tables={"model_quality": per_class},
                metrics={} if outcome.tagging is None else outcome.tagging.metrics,
                artifacts={
                    "config.json": config.to_json(),
                    "features.json": outcome.use.to_dict(),
                    **({} if outcome.encoder is None else {"encoder.json": dict(outcome.encoder)}),
                },
            )
        )
    warnings = tuple(dict.fromkeys([*outcome.warnings, *tracker.problems]))
    return replace(outcome, delivered=delivered, stages=progress.stages, warnings=warnings)
