"""Tags for new rows, as one distributed map: the same for a table and for a stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_ml_audit.arrow.decode import bounded_slices
from spark_ml_audit.arrow.encode import tag_lists
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import Batches, Engine
from spark_ml_audit.engines.columns import column, row_as_json
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.features import feature_column, to_pandas
from spark_ml_audit.frames.ingest import check_id
from spark_ml_audit.models.scorers import Scorer
from spark_ml_audit.predicting.predictions import probs_array

TAGGED_COLUMNS = ("tags", "pred_probs", "model_uri")


def check_tag_source(frame: DataFrame, id_name: str, columns: Sequence[str]) -> None:
    """Refuse a source without the id or a feature of the model.

    Raises:
        InputError: A column is missing, or the id has the name of a column to be written.
    """
    check_id(frame, id_name)
    if id_name.lower() in TAGGED_COLUMNS:
        raise InputError(
            f"the id column '{id_name}' has the name of a column that tag writes.",
            key="source.id",
            fix="Rename the column in the source, or read a view that renames it.",
        )
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InputError(
            f"the source has no column '{missing[0]}', which the model reads.",
            key=missing[0],
            fix=f"Give it the columns {', '.join(columns)}, named as in training.",
        )


def tags_frame(
    engine: Engine,
    frame: DataFrame,
    id_name: str,
    columns: Sequence[str],
    scorer: Scorer,
    thresholds: npt.NDArray[np.float32],
    classes: Sequence[str],
    model_uri: str,
) -> DataFrame:
    """Id, tags in class order, the K probabilities and the model's address of every row with an id.

    Args:
        engine: What runs the frame.
        frame: New rows, of a table or a stream.
        id_name: Column that names a row.
        columns: Features.
        scorer: The model; it travels with the tasks.
        thresholds: Probability from which each tag applies, shape (K,).
        classes: Tag names, K.
        model_uri: Recorded in every row.
    """
    features = F.struct(*[feature_column(frame, name).alias(name) for name in columns])
    named = frame.where(column(id_name).isNotNull()).select(
        column(id_name).alias(ID), features.alias("features")
    )
    names = tuple(classes)
    added = pa.schema([("tags", pa.list_(pa.string())), ("pred_probs", pa.list_(pa.float32()))])

    def run(batches: Batches) -> Batches:
        tags = pa.array(names, pa.string())
        for rows in bounded_slices(batches, len(names)):
            values = to_pandas(pa.Table.from_struct_array(rows.column("features")))
            probs = scorer.predict(values)
            tagged_rows, tagged_classes = np.nonzero(probs >= thresholds)
            given = (tagged_rows.astype(np.int64), tagged_classes.astype(np.int64))
            yield pa.RecordBatch.from_arrays(
                [rows.column(ID), tag_lists(given, rows.num_rows, tags), probs_array(probs)],
                names=[ID, *added.names],
            )

    tagged = engine.map_batches(named, run, keep=(ID,), add=added)
    return tagged.select(F.col(ID).alias(id_name), *added.names, F.lit(model_uri).alias("model_uri"))


def unnamed_frame(frame: DataFrame, id_name: str) -> DataFrame:
    """The rows without an id, in the form of `quarantine`."""
    unnamed = frame.where(column(id_name).isNull())
    row = row_as_json(F.struct(*[column(name) for name in frame.columns]))
    return unnamed.select(
        column(id_name).alias(id_name),
        F.lit("id_null").alias("reason"),
        F.lit(f"'{id_name}' is null").alias("detail"),
        row.alias("row"),
    )
