"""Out-of-sample probabilities for every usable row, as one distributed map."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.layout import UNLABELLED, InputLayout
from spark_ml_audit.arrow.lists import matrix_lists
from spark_ml_audit.config.paths import refused_by_delta
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column, in_frame
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.class_list import CLASSES_METADATA, columns_metadata
from spark_ml_audit.frames.features import Features, to_pandas, vectors_of
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.models.scorers import Scorer
from spark_ml_audit.predicting.encoded import EncodedTexts
from spark_ml_audit.predicting.folds import FoldPlan

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame

PRED_PROBS, FOLD = "pred_probs", "fold"
_ADDED = pa.schema([(PRED_PROBS, pa.list_(pa.float32())), (FOLD, pa.int32())])


def check_names(schema: pa.Schema) -> None:
    """Refuse a source whose columns cannot stand beside those to be added in a Delta table.

    Raises:
        InputError: It has a column pred_probs or fold, or one of a name that Delta refuses.
    """
    for name in schema.names:
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
                fix="Rename it in the source, or read a view that renames it: all columns are written beside "
                "the predictions.",
            )


def predictions_frame(
    ingest: Ingest,
    features: Features,
    plan: FoldPlan | None,
    scorers: Mapping[int, Scorer],
    encoded: EncodedTexts | None = None,
) -> Frame:
    """The usable rows with all their columns, `pred_probs` and `fold`.

    Args:
        ingest: The source with its repeated ids known; rejected rows are left out.
        features: Feature columns.
        plan: Folds; None where one given model predicts all rows (the fold is null then).
        scorers: Fold -> model of that fold, or 0 -> the given model. They travel with the tasks, so
            their bytes together should stay below 1 GB.
        encoded: Vectors of the texts; without them, models that read some make them in the tasks.
    """
    engine, names = ingest.engine, ingest.schema.names
    # vectors travel twice: as they are, and as the arrays that models read
    arrays = {name: f"__array_{i}" for i, name in enumerate(vectors_of(ingest.schema, features.names))}
    frame = ingest.frame if encoded is None else encoded.joined(ingest.frame)
    vectors = () if encoded is None else encoded.names
    if arrays:
        frame = frame.with_columns(*[column(name).alias(copy) for name, copy in arrays.items()])
        frame = engine.with_arrays(frame, list(arrays.values()))
    carry = nw.struct(
        *[column(name) for name in names], *[nw.col(copy) for copy in (*arrays.values(), *vectors)]
    )
    # of an image models read the vectors
    columns = features.names if encoded is None else (*features.spec.plain_columns, *vectors)
    read = {name: arrays.get(name, in_frame(name)) for name in columns}
    predict = _Prediction(ingest.layout, read, plan, dict(scorers))
    rows = replace(ingest, frame=frame).task_frame(with_id=False, carry=carry)
    mapped = engine.map_batches(rows, predict, keep=("carried",), add=_ADDED)
    back = [nw.col("carried").struct.field(in_frame(name)).alias(in_frame(name)) for name in names]
    return mapped.select(*back, *_ADDED.names)


def predictions_metadata(ingest: Ingest) -> dict[str, dict[str, str]]:
    """Metadata of the columns of a table of predictions: those of the source's, and the class order."""
    classes = json.dumps(list(ingest.layout.classes), ensure_ascii=False)
    return {**columns_metadata(ingest.schema), PRED_PROBS: {CLASSES_METADATA: classes}}


class _Prediction:
    """The map itself: keeps usable rows and predicts each by the model of its fold."""

    def __init__(
        self, layout: InputLayout, read: Mapping[str, str], plan: FoldPlan | None, scorers: dict[int, Scorer]
    ) -> None:
        self._layout = layout
        self._read = read
        self._plan = plan
        self._scorers = scorers

    def __call__(self, batches: Batches) -> Batches:
        for decoded in decode_batches(batches, self._layout):
            kept = np.flatnonzero(decoded.status <= UNLABELLED)
            carried = decoded.source.column("carried").take(pa.array(kept))
            values = [carried.field(place) for place in self._read.values()]
            frame = to_pandas(pa.Table.from_arrays(values, names=[in_frame(name) for name in self._read]))
            folds = self._folds(carried)
            probs = np.empty((len(kept), self._layout.num_classes), dtype=np.float32)
            for number in np.unique(folds):
                rows = np.flatnonzero(folds == number)
                probs[rows] = self._scorers[int(number)].predict(frame.iloc[rows].reset_index(drop=True))
            told = pa.array(folds) if self._plan is not None else pa.nulls(len(kept), pa.int32())
            yield pa.RecordBatch.from_arrays(
                [carried, matrix_lists(probs), told], names=["carried", *_ADDED.names]
            )

    def _folds(self, carried: Any) -> npt.NDArray[np.int32]:
        if self._plan is None:
            return np.zeros(len(carried), dtype=np.int32)
        return self._plan.folds(self._plan.keys_of(carried)).astype(np.int32)


def predicted_ingest(ingest: Ingest, written: Frame) -> Ingest:
    """The written predictions as the source of an audit; all its rows are known to be good.

    Args:
        ingest: The source they were made from.
        written: The table of predictions.
    """
    layout = replace(ingest.layout, pred_probs=(PRED_PROBS,), pred_probs_format="array", dtype="float32")
    # asking Spark Connect would send it the models once more
    schema = pa.schema([*ingest.schema, *_ADDED])
    return Ingest(ingest.engine, written, schema, layout)
