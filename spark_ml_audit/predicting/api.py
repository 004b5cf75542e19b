"""`predict` for Python: out-of-sample probabilities for a DataFrame or a table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from spark_ml_audit.config import ModelConfig, OutputConfig, PredictSource
from spark_ml_audit.config.base import digest
from spark_ml_audit.engines.choose import choose_engine, engine_for
from spark_ml_audit.frames.quarantine import quarantine_frame
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import PREDICTIONS, QUARANTINE
from spark_ml_audit.lake.source import IN_MEMORY, OpenSource, open_source, place_of
from spark_ml_audit.outcomes.runs import new_run_id
from spark_ml_audit.predicting.commit import Models, make_models, predictions_of, write_models_predictions
from spark_ml_audit.predicting.plan import PredictionPlan, plan_prediction
from spark_ml_audit.predicting.predictions import predicted_ingest, predictions_metadata
from spark_ml_audit.predicting.quality import OutOfFold, out_of_fold
from spark_ml_audit.progress import Progress

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame, Session


def predict(
    data: Any,
    *,
    id: str = "id",  # noqa: A002 - the contract's name
    labels: str | Sequence[str] = "labels",
    features: str | Mapping[str, Sequence[str]] = "auto",
    group: str | None = None,
    classes: Sequence[str] | str | None = None,
    kind: str = "auto",
    folds: int = 5,
    seed: int = 0,
    max_train_rows: int = 200_000,
    labels_format: str = "auto",
    labels_delimiter: str = ",",
    version: int | str | None = None,
    spark: Session | None = None,
    progress: Progress | None = None,
) -> PredictResult:
    """Predict every row's tags by models that have not seen that row's tags.

    Models are trained at once; predictions and quality are made when asked for. `data` is read several
    times, so a DataFrame must give the same rows each time (no random sampling upstream).

    Args:
        data: DataFrame of Spark, relation of DuckDB, or path or name of a Delta table.
        id: Column that names a row: string, integral, date or binary.
        labels: Column of the given tags, or one column per tag. Rows without tags (null) are predicted too.
        features: "auto" for all columns that can serve, but those that bear or reproduce the tags; or kind
            (text, numeric, categorical, boolean, date, embedding) -> columns.
        group: Column whose equal values keep rows in one fold; a null stands for its row alone.
        classes: Tag names in the order wanted, or a file with one per line; those in use, sorted, if None.
        kind: auto, joint, linear, tabular, prior, or the import path of a scikit-learn compatible estimator.
        folds: Number of folds, 2 to 20.
        seed: Seed of folds, sampling and models.
        max_train_rows: Rows a model is trained on at most; beyond, they are sampled, rare tags first.
        labels_format: auto, names, indices, multi_hot, delimited or columns.
        labels_delimiter: What stands between tags in a delimited text.
        version: Delta version or timestamp to read, for a path or table.
        spark: Session to use; by default the frame's, else what `engine.kind: auto` takes.
        progress: Shows stages; silent by default.

    Returns:
        The result: `predictions`, `features`, `left_out`, `quality`, `class_quality`, `quarantine`,
        `warnings`, `write`.

    Raises:
        ConfigError: An option is unknown or does not fit.
        InputError: The data cannot be used as they are.

    Example:
        >>> from spark_ml_audit import audit, predict
        >>> found = predict("data/films", features={"text": ["text"]}, folds=3)  # doctest: +SKIP
        >>> found.quality["macro_auc"] > 0.9  # doctest: +SKIP
        True
        >>> result = audit(found.predictions, classes=found.classes)  # doctest: +SKIP
    """
    place = place_of(data) if isinstance(data, (str, os.PathLike)) else {"table": IN_MEMORY}
    source = PredictSource.from_arguments(
        id=id,
        labels=labels,
        features={kind: list(names) for kind, names in features.items()}
        if isinstance(features, Mapping)
        else features,
        group=group,
        classes=classes,
        labels_format=labels_format,
        labels_delimiter=labels_delimiter,
        version=version,
        **place,
    )
    model = ModelConfig.parse(
        {"kind": kind, "folds": folds, "seed": seed, "max_train_rows": max_train_rows}, "model"
    )
    shown = progress or Progress(quiet=True)
    if isinstance(data, (str, os.PathLike)):
        opened = open_source(choose_engine(None, spark), source)
    else:
        opened = OpenSource.of_frame(*engine_for(data, spark))
    plan = plan_prediction(opened, source, model, shown)
    return PredictResult(plan, make_models(plan, shown), opened, source, shown)


class PredictResult:
    """Out-of-sample predictions for a DataFrame or table.

    Attributes:
        run_id: Id under which `write` commits them.

    Example:
        >>> from spark_ml_audit import predict
        >>> found = predict("data/films", features={"text": ["text"]}, kind="linear")  # doctest: +SKIP
        >>> found.classes  # doctest: +SKIP
        ('billing', 'delivery', 'login')
        >>> found.write(path="predictions/films")["predictions"]  # doctest: +SKIP
        '...predictions/films/predictions'
    """

    def __init__(
        self,
        plan: PredictionPlan,
        models: Models,
        source: OpenSource,
        columns: PredictSource,
        progress: Progress,
    ) -> None:
        self.run_id = new_run_id(datetime.now(timezone.utc))
        self._plan = plan
        self._models = models
        self._source = source
        self._columns = columns
        self._progress = progress

    @property
    def classes(self) -> tuple[str, ...]:
        """Tag names in the order of the probabilities."""
        return self._plan.ingest.layout.classes

    @property
    def features(self) -> dict[str, tuple[str, ...]]:
        """Kind -> columns that were learned from."""
        return dict(self._plan.guarded.use.features)

    @property
    def left_out(self) -> dict[str, str]:
        """Column -> why it was not learned from, of the columns that nobody named."""
        return dict(self._plan.guarded.use.left_out)

    @property
    def shortcuts(self) -> pd.DataFrame:
        """Single words and values that tell a tag almost alone, the surest first."""
        found = [shortcut.to_dict() for shortcut in self._plan.guarded.use.shortcuts]
        return pd.DataFrame(found, columns=["column", "value", "tag", "precision", "recall"])

    @property
    def predictions(self) -> Any:
        """The source's columns, `pred_probs` and `fold`; lazy.

        `audit` takes it as it is: a DataFrame of Spark has the class order in its metadata. With a relation
        of DuckDB, which has none, give it `classes` too.
        """
        return self._source.engine.native(self._predictions, predictions_metadata(self._plan.ingest))

    @property
    def quarantine(self) -> Any:
        """One row per rejected row, with the reason."""
        return self._source.engine.native(quarantine_frame(self._plan.ingest))

    @cached_property
    def _predictions(self) -> Frame:
        return predictions_of(self._plan, self._models)

    @cached_property
    def _out_of_fold(self) -> OutOfFold:
        return out_of_fold(predicted_ingest(self._plan.ingest, self._predictions))

    @property
    def quality(self) -> dict[str, float | None]:
        """Figures out of fold, such as macro_auc; predicts all rows when first asked for."""
        return self._out_of_fold.figures

    @property
    def class_quality(self) -> pd.DataFrame:
        """One row per class: uses, AUC, average precision, calibration, decision threshold."""
        return self._out_of_fold.per_class(self.classes)

    @property
    def warnings(self) -> list[str]:
        """Sentences on what a reader should know."""
        found = [*self._plan.warnings(), *self._models.warnings, *self._out_of_fold.warnings]
        return list(dict.fromkeys(found))

    def write(
        self, path: str | None = None, *, schema: str | None = None, prefix: str = ""
    ) -> dict[str, str]:
        """Commit the predictions as the table `predictions` of an output; once per result.

        Args:
            path: Folder of the output; or
            schema: catalog.schema of the output.
            prefix: Put before table names in a schema.

        Returns:
            Table name -> path or table.

        Raises:
            ConfigError: Not exactly one of path and schema.
        """
        values = {"path": path, "schema": schema, "prefix": prefix}
        tables = OutputTables(self._source.engine, OutputConfig.parse(values, "output"))
        tables.check_id(self._columns.id, self._plan.ingest.id_type)
        tables.create_schema()
        if self._plan.counts.rows.num_quarantined:
            tables.append(QUARANTINE, quarantine_frame(self._plan.ingest), self.run_id)
        metadata = {
            "fingerprint": digest({"columns": self._columns.to_json(), "model": self._plan.model.to_json()}),
            "source_version": self._source.version,
        }
        write_models_predictions(self._plan, self._models, tables, self.run_id, metadata, self._progress)
        return tables.locations(PREDICTIONS, QUARANTINE)
