"""Out-of-sample probabilities for every usable row, as one distributed map."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.layout import UNLABELLED, InputLayout
from spark_ml_audit.config.paths import refused_by_delta
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.class_list import CLASSES_METADATA
from spark_ml_audit.frames.features import Features, feature_column, to_pandas
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.models.scorers import Probabilities, Scorer
from spark_ml_audit.predicting.folds import FoldPlan

PRED_PROBS, FOLD = "pred_probs", "fold"
_ADDED = pa.schema([(PRED_PROBS, pa.list_(pa.float32()))])


def check_names(frame: DataFrame) -> None:
    """Refuse a source whose columns cannot stand beside those to be added in a Delta table.

    Raises:
        InputError: It has a column pred_probs or fold, or one of a name that Delta refuses.
    """
    for name in frame.columns:
        if name.lower() in (PRED_PROBS, FOLD):
            raise InputError(
                f"the source has a column '{name}' already.",
                key=f"source.{name}",
                fix="Rename it, or read a view without it: predictions are written under that name.",
            )
        bad = refused_by_delta(name)
        if bad is not None:
            raise InputError(
                f"the column name '{name}' holds {bad!r}, which Delta tables refuse.",
                key=name,
                fix="Read a view that renames it: all columns are written beside the predictions.",
            )


def predictions_frame(
    ingest: Ingest, features: Features, plan: FoldPlan | None, scorers: Mapping[int, Scorer]
) -> DataFrame:
    """The usable rows with all their columns, `pred_probs` and `fold`.

    Args:
        ingest: The source with its repeated ids known; rejected rows are left out.
        features: Feature columns.
        plan: Folds; None where one given model predicts all rows (the fold is null then).
        scorers: Fold -> model of that fold, or 0 -> the given model. They travel with the tasks, so
            their bytes together should stay below 1 GB.
    """
    source, layout = ingest.frame, ingest.layout
    fold = F.lit(None).cast("int") if plan is None else plan.fold()
    as_they_are = [
        name
        for name in features.names
        if not isinstance(
            source.schema[name].dataType,
            (T.DecimalType, T.TimestampType, T.TimestampNTZType, T.UserDefinedType),
        )
    ]
    others = [name for name in source.columns if name not in as_they_are]
    carry = F.struct(
        fold.alias(FOLD),
        F.struct(*[column(name).alias(name) for name in others]).alias("others"),
        F.struct(*[feature_column(source, name).alias(name) for name in features.names]).alias("features"),
    )
    frame = ingest.task_frame(with_id=False, carry=carry)
    predict = _Prediction(layout, dict(scorers), with_folds=plan is not None)
    mapped = ingest.engine.map_batches(frame, predict, keep=("carried",), add=_ADDED)
    carried = F.col("carried")
    back = [
        carried.getField("features" if name in as_they_are else "others")
        .getField(name)
        .alias(name, metadata=source.schema[name].metadata)
        for name in source.columns
    ]
    metadata = {CLASSES_METADATA: json.dumps(list(layout.classes), ensure_ascii=False)}
    probs = F.col(PRED_PROBS).alias(PRED_PROBS, metadata=metadata)
    # once more: a carried vector keeps the types beside it as they are
    return ingest.engine.plain(mapped.select(*back, probs, carried.getField(FOLD).alias(FOLD)))


class _Prediction:
    """The map itself: keeps usable rows and predicts each by the model of its fold."""

    def __init__(self, layout: InputLayout, scorers: dict[int, Scorer], *, with_folds: bool) -> None:
        self._layout = layout
        self._scorers = scorers
        self._with_folds = with_folds

    def __call__(self, batches: Batches) -> Batches:
        for decoded in decode_batches(batches, self._layout):
            kept = np.flatnonzero(decoded.status <= UNLABELLED)
            carried = decoded.source.column("carried").take(pa.array(kept))
            fold = carried.field(FOLD)
            frame = to_pandas(pa.Table.from_struct_array(carried.field("features")))
            numbers = fold.to_numpy() if self._with_folds else np.zeros(len(kept), dtype=np.int32)
            probs = np.empty((len(kept), self._layout.num_classes), dtype=np.float32)
            for number in np.unique(numbers):
                rows = np.flatnonzero(numbers == number)
                probs[rows] = self._scorers[int(number)].predict(frame.iloc[rows].reset_index(drop=True))
            yield pa.RecordBatch.from_arrays([carried, probs_array(probs)], names=["carried", PRED_PROBS])


def probs_array(probs: Probabilities) -> Any:
    """Arrow list<float> array of a matrix of shape (n, K)."""
    offsets = np.arange(0, probs.size + 1, max(probs.shape[1], 1), dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(probs.ravel()))


def predicted_ingest(ingest: Ingest, written: DataFrame) -> Ingest:
    """The written predictions as the source of an audit; all its rows are known to be good.

    Args:
        ingest: The source they were made from.
        written: The table of predictions.
    """
    layout = replace(ingest.layout, pred_probs=(PRED_PROBS,), pred_probs_format="array", dtype="float32")
    return Ingest(ingest.engine, written, layout)
