"""Tags for new rows, as one distributed map: the same for a table and for a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_ml_audit.arrow.decode import bounded_slices
from spark_ml_audit.arrow.encode import tag_lists
from spark_ml_audit.arrow.json_rows import json_rows
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.arrow.lists import matrix_lists
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column, in_frame
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.features import feature_struct, to_pandas
from spark_ml_audit.frames.ingest import check_id
from spark_ml_audit.frames.quarantine import REJECTION
from spark_ml_audit.models.scorers import Scorer

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.kernels.calibrate import Calibrators

TAGGED_COLUMNS = ("tags", "pred_probs", "model_uri")


def check_tag_source(schema: pa.Schema, id_name: str, columns: Sequence[str]) -> None:
    """Refuse a source without the id or a feature of the model.

    Raises:
        InputError: A column is missing, or the id has the name of a column to be written.
    """
    check_id(schema, id_name)
    if id_name.lower() in TAGGED_COLUMNS:
        raise InputError(
            f"the id column '{id_name}' has the name of a column that tag writes.",
            key="source.id",
            fix="Rename the column in the source, or read a view that renames it.",
        )
    missing = [name for name in columns if name not in schema.names]
    if missing:
        raise InputError(
            f"the source has no column '{missing[0]}', which the model reads.",
            key=missing[0],
            fix=f"Give it the columns {', '.join(columns)}, named as in training.",
        )


def tags_frame(
    engine: Engine,
    frame: Frame,
    id_name: str,
    columns: Sequence[str],
    scorer: Scorer,
    thresholds: npt.NDArray[np.float32],
    classes: Sequence[str],
    model_uri: str,
    calibrators: Calibrators | None = None,
) -> Frame:
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
        calibrators: What the probabilities go through once the tags are known; None: nothing.
    """
    known = engine.with_arrays(frame.filter(~column(id_name).is_null()), columns)
    named = known.select(column(id_name).alias(ID), feature_struct(columns).alias("features"))
    names = tuple(classes)
    added = pa.schema([("tags", pa.list_(pa.string())), ("pred_probs", pa.list_(pa.float32()))])

    def run(batches: Batches) -> Batches:
        tags = pa.array(names, pa.string())
        for rows in bounded_slices(batches, len(names)):
            values = to_pandas(pa.Table.from_struct_array(rows.column("features")))
            probs = scorer.predict(values)
            tagged_rows, tagged_classes = np.nonzero(probs >= thresholds)
            given = (tagged_rows.astype(np.int64), tagged_classes.astype(np.int64))
            if calibrators is not None:
                probs = calibrators.apply(probs).astype(np.float32)
            yield pa.RecordBatch.from_arrays(
                [rows.column(ID), tag_lists(given, rows.num_rows, tags), matrix_lists(probs)],
                names=[ID, *added.names],
            )

    tagged = engine.map_batches(named, run, keep=(ID,), add=added)
    own_id = nw.col(ID).alias(in_frame(id_name))
    return tagged.select(own_id, *added.names, nw.lit(model_uri).alias("model_uri"))


def unnamed_frame(engine: Engine, frame: Frame, schema: pa.Schema, id_name: str) -> Frame:
    """The rows without an id, in the form of `quarantine`.

    Args:
        engine: What runs the frame.
        frame: New rows, of a table or a stream.
        schema: Their schema.
        id_name: Column that names a row.
    """
    names = tuple(schema.names)
    unnamed = engine.with_arrays(frame.filter(column(id_name).is_null()), names)
    whole = unnamed.select(column(id_name).alias(ID), feature_struct(names).alias("carried"))
    said = [pa.scalar("id_null"), pa.scalar(f"'{id_name}' is null")]

    def run(batches: Batches) -> Batches:
        for batch in batches:
            texts = [pa.repeat(text, batch.num_rows) for text in said]
            row = json_rows(batch.column("carried"), names)
            yield pa.RecordBatch.from_arrays([batch.column(ID), *texts, row], names=[ID, *REJECTION.names])

    rejected = engine.map_batches(whole, run, keep=(ID,), add=REJECTION)
    return rejected.select(nw.col(ID).alias(in_frame(id_name)), *REJECTION.names)
