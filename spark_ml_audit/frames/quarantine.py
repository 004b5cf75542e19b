"""The rejected rows as a frame, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.layout import ID, REASON_NAMES, UNLABELLED
from spark_ml_audit.arrow.reasons import explain_row
from spark_ml_audit.engines.columns import column
from spark_ml_audit.engines.plain_strings import plain_strings
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.frames.issues import id_field


def quarantine_frame(ingest: Ingest) -> DataFrame:
    """One row per rejected row: id, reason, detail, and the source's row as JSON."""
    layout = ingest.layout
    source = ingest.frame
    frame = ingest.task_frame(with_id=True, carry=F.struct(*[column(name) for name in source.columns]))
    schema = T.StructType(
        [
            id_field(frame),
            T.StructField("reason", T.StringType()),
            T.StructField("detail", T.StringType()),
            T.StructField("carried", frame.schema["carried"].dataType),
        ]
    )

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        for decoded in decode_batches(batches, layout):
            rejected = np.flatnonzero(decoded.status > UNLABELLED)
            if not len(rejected):
                continue
            batch = decoded.source.take(pa.array(rejected))
            reasons = [REASON_NAMES[int(code)] for code in decoded.status[rejected]]
            details = [explain_row(batch, i, reason, layout) for i, reason in enumerate(reasons)]
            yield pa.RecordBatch.from_arrays(
                [batch.column(ID), pa.array(reasons), pa.array(details), batch.column("carried")],
                names=[field.name for field in schema],
            )

    rejected = frame.mapInArrow(run, schema).select(
        F.col(ID).alias(layout.id),
        "reason",
        "detail",
        F.to_json("carried", {"ignoreNullFields": "false"}).alias("row"),
    )
    return plain_strings(rejected)
