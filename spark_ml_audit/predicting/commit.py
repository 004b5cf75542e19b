"""Models trained, predictions committed, their quality measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from spark_ml_audit.frames.class_list import CLASSES_PROPERTY
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import PREDICTIONS
from spark_ml_audit.models.scorers import Scorer
from spark_ml_audit.outcomes.choice import ModelChoice
from spark_ml_audit.outcomes.features import FeatureUse
from spark_ml_audit.predicting.choice import settle
from spark_ml_audit.predicting.encoding import with_vectors
from spark_ml_audit.predicting.finetuning import (
    forget_work,
    said_of,
    tuned_mapping,
    watched,
    with_tuning,
    work_folder,
)
from spark_ml_audit.predicting.plan import PredictionPlan
from spark_ml_audit.predicting.predictions import (
    predicted_ingest,
    predictions_frame,
    predictions_metadata,
)
from spark_ml_audit.predicting.quality import OutOfFold, out_of_fold
from spark_ml_audit.predicting.training import TrainingSet, train_folds
from spark_ml_audit.tracking import feature_tags

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.progress import Progress


@dataclass(frozen=True)
class Models:
    """Models that predict.

    Attributes:
        scorers: Fold -> model, or 0 -> the given one.
        kind: Kind, as resolved.
        num_trained: Rows that took part in training.
        warnings: What training had to say.
        choice: What `auto` chose and why; None where there was nothing to choose.
        finetuned: What fine-tuning gave; None without.
    """

    scorers: Mapping[int, Scorer]
    kind: str
    num_trained: int
    warnings: tuple[str, ...] = ()
    choice: ModelChoice | None = None
    finetuned: Mapping[str, Any] | None = None


def make_models(plan: PredictionPlan, progress: Progress) -> Models:
    """Train the fold models, or hand on the given one.

    Raises:
        ConfigError: The kind of model cannot learn from these columns.
        InputError: A model fails on the table's rows.
        ValueError: The plan has neither training rows nor a model.
    """
    if plan.training is None:
        if plan.given is None:
            raise ValueError("a plan has either training rows or a given model")
        return Models({0: plan.given.scorer}, "given", 0)
    with progress.stage("train"), watched(plan.training, progress):
        trained = train_folds(plan.training)
    finetuned = None if plan.training.tuning is None else tuned_mapping(trained.judged)
    if finetuned is not None:
        progress.note(said_of(finetuned))
    # every sampled row is in all training sets but one
    num_trained = sum(trained.num_rows.values()) // max(len(trained.num_rows) - 1, 1)
    return Models(trained.scorers, trained.kind, num_trained, trained.warnings, finetuned=finetuned)


def predictions_of(plan: PredictionPlan, models: Models) -> Frame:
    """The predictions as a lazy frame."""
    training = plan.training
    if training is None:
        return predictions_frame(plan.ingest, plan.features, None, models.scorers)
    return predictions_frame(plan.ingest, plan.features, training.plan, models.scorers, training.encoded)


@dataclass(frozen=True)
class Predicted:
    """Committed predictions.

    Attributes:
        plan: What was asked for.
        ingest: The predictions as the source of an audit, pinned.
        quality: Their quality out of fold.
        kind: Kind of model, as resolved.
        num_trained: Rows that took part in training.
        warnings: Sentences.
        choice: What `auto` chose and why; None where there was nothing to choose.
        encoder: Which vectors models read beside the columns, and what fine-tuning gave; None without one.
    """

    plan: PredictionPlan
    ingest: Ingest
    quality: OutOfFold
    kind: str
    num_trained: int
    warnings: tuple[str, ...]
    choice: ModelChoice | None = None
    encoder: Mapping[str, Any] | None = None

    @property
    def metrics(self) -> dict[str, float | None]:
        """Figures for tracking, apart from an audit's own."""
        return prediction_metrics(self.quality)

    @property
    def tags(self) -> dict[str, str]:
        """What tracking says of what was learned from, and by what."""
        chosen = {} if self.choice is None else {"model_choice": self.choice.reason}
        return feature_tags(self.use) | chosen

    @property
    def audit_warnings(self) -> list[str]:
        """The sentences beside those an audit has on the same rows."""
        quarantine = f"{self.plan.counts.rows.num_quarantined} of"
        return [text for text in self.warnings if not text.startswith(quarantine)]

    @property
    def use(self) -> FeatureUse:
        """What was learned from, and what was left out and why."""
        return self.plan.guarded.use

    @property
    def class_table(self) -> pd.DataFrame:
        """Quality per class."""
        return self.quality.per_class(self.ingest.layout.classes)


def prediction_metrics(quality: OutOfFold) -> dict[str, float | None]:
    """Names of an audit's predictions' figures in tracking, apart from the audit's own."""
    return {f"predict/{name}": value for name, value in quality.figures.items()}


def commit_predictions(
    plan: PredictionPlan,
    tables: OutputTables,
    run_id: str,
    metadata: Mapping[str, str | None],
    progress: Progress,
) -> Predicted:
    """Train, predict and write the table `predictions`; what this run wrote before is not made again.

    Args:
        plan: From `plan_prediction`.
        tables: The output.
        run_id: Of the run.
        metadata: Recorded in the history of the table, for a retry to compare with.
        progress: Shows and times the stages.

    Raises:
        ConfigError: The kind of model cannot learn from these columns, or the table cannot be read.
        InputError: A model fails on the table's rows.
        RuntimeError: The commit was removed from the table's history meanwhile.
    """
    committed = tables.commit_of(PREDICTIONS, run_id)
    recorded = None if committed is None else committed.metadata["model"].get("choice")

    def vectors(encoder: str) -> TrainingSet:
        if plan.training is None:
            raise ValueError("vectors are made for what is trained")
        return with_vectors(plan.training, encoder, tables, run_id, progress)

    is_done, earlier = committed is not None, ModelChoice.from_mapping(recorded)
    plan, choice = settle(plan, earlier, vectors, progress, is_done=is_done)
    if plan.tunes and plan.training is not None and (plan.model.fit_final or not is_done):
        work = work_folder(tables.config, metadata)
        plan = replace(plan, training=with_tuning(plan.training, plan.model, tables.config, work, progress))
    if not is_done:
        models = replace(make_models(plan, progress), choice=choice)
        write_models_predictions(plan, models, tables, run_id, metadata, progress)
    if not plan.model.fit_final:  # whose model is still to be trained
        forget_work(plan.training)
    commit = tables.commit_of(PREDICTIONS, run_id)
    if commit is None:
        raise RuntimeError(f"the commit of run {run_id} is not in the history of its table")
    about = commit.metadata["model"]
    ingest = predicted_ingest(plan.ingest, tables.table(PREDICTIONS).read(commit.version))
    with progress.stage("quality"):
        quality = out_of_fold(ingest)
    warnings = (*plan.warnings(), *about["warnings"], *quality.warnings)
    return Predicted(
        plan,
        ingest,
        quality,
        about["kind"],
        about["num_trained"],
        tuple(dict.fromkeys(warnings)),
        ModelChoice.from_mapping(about.get("choice")),
        about.get("encoder"),
    )


def write_models_predictions(
    plan: PredictionPlan,
    models: Models,
    tables: OutputTables,
    run_id: str,
    metadata: Mapping[str, str | None],
    progress: Progress,
) -> None:
    """Replace the table `predictions` in one transaction; a repeat by the same run changes nothing.

    Args:
        plan: What is predicted.
        models: By which models.
        tables: The output.
        run_id: Of the run.
        metadata: Recorded in the table's history, with what made the models.
        progress: Shows and times the stage.
    """
    about: dict[str, Any] = {
        "kind": models.kind,
        "num_trained": models.num_trained,
        "warnings": list(models.warnings),
    }
    if plan.training is not None and plan.training.encoded is not None:
        about["encoder"] = plan.training.encoded.to_mapping()
        if models.finetuned is not None:
            about["encoder"]["finetuned"] = models.finetuned
    if models.choice is not None:
        about["choice"] = models.choice.to_dict()
    properties = {CLASSES_PROPERTY: json.dumps(list(plan.ingest.layout.classes), ensure_ascii=False)}
    with progress.stage("predict"):
        tables.overwrite(
            PREDICTIONS,
            predictions_of(plan, models),
            run_id,
            {**metadata, "model": about},
            properties,
            predictions_metadata(plan.ingest),
        )
