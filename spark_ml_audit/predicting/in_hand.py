"""Predictions of tables in hand: the model chosen, vectors in a place that needs no output."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from spark_ml_audit.config import OutputConfig
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.outcomes.choice import ModelChoice
from spark_ml_audit.outcomes.runs import new_run_id
from spark_ml_audit.predicting.choice import settle
from spark_ml_audit.predicting.encoding import with_vectors
from spark_ml_audit.predicting.finetuning import with_tuning
from spark_ml_audit.predicting.plan import PredictionPlan
from spark_ml_audit.predicting.training import TrainingSet

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine
    from spark_ml_audit.progress import Progress


def settled_here(
    plan: PredictionPlan, vectors: str | os.PathLike[str] | None, progress: Progress
) -> tuple[PredictionPlan, ModelChoice | None]:
    """A plan whose model is chosen, and reads the vectors of its encoder, trained or not, if there is one.

    Args:
        plan: What is asked for.
        vectors: Folder of an output whose table `vectors` keeps them; None: they are gone with the engine.
        progress: Shows and times the stages.

    Returns:
        The plan, and what was chosen and why; None where there was nothing to choose.

    Raises:
        ConfigError: The engine has no folder of its own that its workers reach (key `vectors`).
    """

    def made(encoder: str) -> TrainingSet:
        if plan.training is None:
            raise ValueError("vectors are made for what is trained")
        tables = _vector_tables(plan.ingest.engine, vectors)
        return with_vectors(plan.training, encoder, tables, new_run_id(), progress)

    settled, choice = settle(plan, None, made, progress)
    if settled.tunes and settled.training is not None:
        tables = _vector_tables(plan.ingest.engine, vectors)
        tuned = with_tuning(settled.training, settled.model, tables.config, None, progress)
        settled = replace(settled, training=tuned)
    return settled, choice


def _vector_tables(engine: Engine, vectors: str | os.PathLike[str] | None) -> OutputTables:
    """The output whose table `vectors` is used: the one given, or one that is gone with the engine."""
    own = None if vectors is not None else engine.own_folder()
    if vectors is None and own is None:
        raise ConfigError(
            "vectors of texts need a place that every worker reaches.",
            key="vectors",
            fix="Name the folder of an output on shared storage.",
        )
    place = os.fspath(vectors) if vectors is not None else str(own / "encoded") if own else None
    return OutputTables(engine, OutputConfig.parse({"path": place}, "output"))
