"""`predict` for Python: out-of-sample probabilities for a DataFrame or a table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from spark_ml_audit.config import ModelConfig, OutputConfig, PredictSource
from spark_ml_audit.config.arguments import in_python
from spark_ml_audit.config.base import digest
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.config.source import ROW_NUMBER
from spark_ml_audit.engines.choose import choose_engine, engine_for
from spark_ml_audit.engines.in_hand import ID, Held, hold, named_in, to_pandas
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.frames.quarantine import quarantine_frame
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import PREDICTIONS, QUARANTINE
from spark_ml_audit.lake.source import IN_MEMORY, OpenSource, open_source, place_of
from spark_ml_audit.outcomes.choice import ModelChoice
from spark_ml_audit.outcomes.runs import new_run_id
from spark_ml_audit.predicting.choice import settle
from spark_ml_audit.predicting.commit import Models, make_models, predictions_of, write_models_predictions
from spark_ml_audit.predicting.encoding import with_vectors
from spark_ml_audit.predicting.finetuning import with_tuning
from spark_ml_audit.predicting.plan import PredictionPlan, plan_prediction
from spark_ml_audit.predicting.predictions import predicted_ingest, predictions_metadata
from spark_ml_audit.predicting.quality import OutOfFold, out_of_fold
from spark_ml_audit.predicting.training import TrainingSet
from spark_ml_audit.progress import Progress

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame, Session


@in_python({"source.features.text": "text"})
def predict(
    data: Any,
    *,
    id: str | None = None,  # noqa: A002 - the contract's name
    labels: str | Sequence[str] = "labels",
    text: str | Sequence[str] | None = None,
    features: str | Mapping[str, str | Sequence[str]] = "auto",
    image_folder: str | None = None,
    group: str | None = None,
    classes: Sequence[str] | str | None = None,
    kind: str = "auto",
    folds: int = 5,
    seed: int = 0,
    max_train_rows: int = 200_000,
    budget: float | None = None,
    encoder: str | None = None,
    encoder_level: str | None = None,
    vectors: str | os.PathLike[str] | None = None,
    labels_format: str = "auto",
    labels_delimiter: str = ",",
    empty_labels: str = "no_tags",
    row_numbers: bool = False,
    format: str = "auto",  # noqa: A002 - as the config's key
    version: int | str | None = None,
    engine: str = "auto",
    spark: Session | None = None,
    progress: Progress | None = None,
) -> PredictResult:
    """Predict every row's tags by models that have not seen that row's tags.

    Models are trained at once; predictions and quality are made when asked for. `data` is read several
    times, so a lazy one must give the same rows each time (no random sampling upstream). Results come in
    the form in which the rows went in, as those of `audit`.

    Args:
        data: DataFrame of pandas, Polars or Spark, Arrow table, relation of DuckDB, or path or name of a
            table.
        id: Column that names a row, as of `audit`: by default `id`, else of tables in hand their index or
            number.
        labels: Column of the given tags, or one column per tag. Rows without tags (null) are predicted too.
        text: Columns of texts to learn from: short for features={"text": [...]}.
        features: "auto" for all columns that can serve, but those that bear or reproduce the tags; or kind
            (text, numeric, categorical, boolean, date, embedding, image) -> columns.
        image_folder: Folder at which relative paths of images begin; None: that of the source.
        group: Column whose equal values keep rows in one fold; a null stands for its row alone.
        classes: Tag names in the order wanted, or a file with one per line; those in use, sorted, if None.
        kind: auto, joint, linear, tabular, cnn, prior, or the import path of a scikit-learn compatible
            estimator.
        folds: Number of folds, 2 to 20.
        seed: Seed of folds, sampling and models.
        max_train_rows: Rows a model is trained on at most; beyond, they are sampled, rare tags first.
        budget: Minutes that it may take, as estimated; `auto` chooses what suits. None: no limit.
        encoder: Pretrained model whose vectors of the texts, or of images, are learned from too: folder, name
            on the Hugging Face hub, or "module:function" (texts, or PIL images -> array of one row each).
        encoder_level: "frozen": the encoder as it is; "finetune": its upper layers trained on each fold, too.
            None: frozen, unless a budget leaves time for more.
        vectors: Folder of an output whose table `vectors` keeps them; None: they are made anew.
        labels_format: auto, names, indices, multi_hot, delimited or columns.
        labels_delimiter: What stands between tags in a delimited text.
        empty_labels: What a label text with nothing in it means: no_tags or not_annotated.
        row_numbers: Whether rows are named by their number from 0, as of `audit`.
        format: Of the files of a path: auto (told by name and content), delta, parquet, csv, tsv or jsonl.
        version: Delta version or timestamp to read, for a path or table.
        engine: What runs it: auto, embedded or spark.
        spark: Session to use; by default the frame's, else what `engine.kind: auto` takes.
        progress: Shows stages; silent by default.

    Returns:
        The result: `predictions`, `features`, `left_out`, `quality`, `class_quality`, `quarantine`,
        `warnings`, `to_pandas`, `to_arrow`, `write`.

    Raises:
        ConfigError: An option is unknown or does not fit.
        InputError: The data cannot be used as they are.

    Example:
        >>> from spark_ml_audit import audit, predict
        >>> found = predict("data/films", text="text", folds=3)  # doctest: +SKIP
        >>> found.quality["macro_auc"] > 0.9  # doctest: +SKIP
        True
        >>> result = audit(found.predictions, classes=found.classes)  # doctest: +SKIP
    """
    is_place = isinstance(data, (str, os.PathLike))
    held = None if is_place else hold(data)
    if held is not None:
        held, id = held.with_ids(id, numbered=row_numbers)  # noqa: A001 - as above
        held.check(named_in([id, labels, text, features, group]))
    files = {"format": format, "version": version, "row_numbers": row_numbers}
    source = PredictSource.from_arguments(
        id=id or (ROW_NUMBER if row_numbers else ID),
        labels=labels,
        features=_features(text, features),
        image_folder=image_folder,
        group=group,
        classes=classes,
        labels_format=labels_format,
        labels_delimiter=labels_delimiter,
        empty_labels=empty_labels,
        **({**place_of(data), **files} if is_place else {"table": IN_MEMORY}),
    )
    options = {"kind": kind, "folds": folds, "seed": seed, "max_train_rows": max_train_rows}
    level = {} if encoder_level is None else {"encoder_level": encoder_level}
    model = ModelConfig.parse({**options, "budget": budget, "encoder": encoder, **level}, "model")
    return _predicted(data, source, model, held, engine, spark, vectors, progress or Progress(quiet=True))


def _predicted(
    data: Any,
    source: PredictSource,
    model: ModelConfig,
    held: Held | None,
    engine: str,
    spark: Session | None,
    vectors: str | os.PathLike[str] | None,
    progress: Progress,
) -> PredictResult:
    opened = _opened(data, source, held, EngineConfig.parse({"kind": engine}, "engine"), spark)
    plan, choice = _settled(plan_prediction(opened, source, model, progress), vectors, progress)
    models = replace(make_models(plan, progress), choice=choice)
    return PredictResult(plan, models, opened, source, progress, held)


def _opened(
    data: Any, source: PredictSource, held: Held | None, wanted: EngineConfig, spark: Session | None
) -> OpenSource:
    if isinstance(data, (str, os.PathLike)):
        return open_source(choose_engine(wanted, spark), source)
    if held is None:
        return OpenSource.of_frame(*engine_for(data, spark, wanted))
    engine = choose_engine(wanted, spark)
    return OpenSource.of_frame(engine, engine.from_arrow(held.table))


def _settled(
    plan: PredictionPlan, vectors: str | os.PathLike[str] | None, progress: Progress
) -> tuple[PredictionPlan, ModelChoice | None]:
    """A plan whose model is chosen, and reads the vectors of its encoder, if there is one."""

    def made(encoder: str) -> TrainingSet:
        if plan.training is None:
            raise ValueError("vectors are made for what is trained")
        tables = _vector_tables(plan.ingest.engine, vectors)
        return with_vectors(plan.training, encoder, tables, new_run_id(), progress)

    plan, choice = settle(plan, None, made, progress)
    if plan.training is not None and plan.tunes:
        tables = _vector_tables(plan.ingest.engine, vectors)
        plan = replace(plan, training=with_tuning(plan.training, plan.model, tables, None, progress))
    return plan, choice


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


def _features(text: str | Sequence[str] | None, features: str | Mapping[str, Any]) -> Any:
    """The features of a config: names of columns by kind."""
    if isinstance(features, Mapping):
        features = {kind: _listed(names) for kind, names in features.items()}
    if text is None:
        return features
    if features != "auto":
        raise ConfigError(
            "is given, but features are too.", key="text", fix="Name text columns in one of the two."
        )
    return {"text": _listed(text)}


def _listed(names: str | Sequence[str]) -> str | list[str]:
    return names if isinstance(names, str) else list(names)


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
        held: Held | None = None,
    ) -> None:
        self.run_id = new_run_id(datetime.now(timezone.utc))
        self._held = held
        self._arrow: dict[str, pa.Table] = {}
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
    def choice(self) -> ModelChoice | None:
        """What `auto` chose under a budget or with an encoder, and why; None where nothing was to choose."""
        return self._models.choice

    @property
    def left_out(self) -> dict[str, str]:
        """Column -> why it was not learned from, of the columns that nobody named."""
        return dict(self._plan.guarded.use.left_out)

    @property
    def shortcuts(self) -> pd.DataFrame:
        """Single words and values that tell a tag almost alone, the surest first."""
        found = [shortcut.to_dict() for shortcut in self._plan.guarded.use.shortcuts]
        return pd.DataFrame(found, columns=["column", "value", "tag", "precision", "recall"])

    @cached_property
    def predictions(self) -> Any:
        """The source's columns, `pred_probs` and `fold`, in the form in which the rows went in.

        `audit` takes it as it is: DataFrames of Spark and pandas and Arrow tables bear the class order with
        them. With a Polars DataFrame or a relation of DuckDB, which cannot, give it `classes` too.
        """
        if self._held is not None:
            return self._held.in_kind(self.to_arrow(PREDICTIONS))
        return self._source.engine.native(self._predictions, predictions_metadata(self._plan.ingest))

    @property
    def quarantine(self) -> Any:
        """One row per rejected row, with the reason."""
        if self._held is not None:
            return self._held.in_kind(self.to_arrow(QUARANTINE))
        return self._source.engine.native(quarantine_frame(self._plan.ingest))

    @in_python()
    def to_arrow(self, table: str = PREDICTIONS) -> pa.Table:
        """The predictions, or the rows rejected, as an Arrow table in the order of rows in hand, else by id.

        Args:
            table: predictions or quarantine.

        Raises:
            ConfigError: There is no table of this name.
        """
        if table not in (PREDICTIONS, QUARANTINE):
            raise ConfigError(
                f"there is no table '{table}'.",
                key="table",
                fix=f"Choose one of: {PREDICTIONS}, {QUARANTINE}.",
            )
        if table not in self._arrow:
            frame = self._predictions if table == PREDICTIONS else quarantine_frame(self._plan.ingest)
            found, id_name = self._source.engine.collect(frame), self._columns.id
            found = found.sort_by(id_name) if self._held is None else self._held.in_order(found, id_name)
            noted = predictions_metadata(self._plan.ingest) if table == PREDICTIONS else {}
            fields = [item.with_metadata(noted.get(item.name)) for item in found.schema]
            self._arrow[table] = found.cast(pa.schema(fields))
        return self._arrow[table]

    def to_pandas(self, table: str = PREDICTIONS) -> pd.DataFrame:
        """The same as a DataFrame of pandas.

        Args:
            table: predictions or quarantine.
        """
        return to_pandas(self.to_arrow(table))

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

    @in_python()
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
