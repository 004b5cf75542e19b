"""The rejected rows as a frame, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.layout import ID, REASON_NAMES, UNLABELLED
from spark_ml_audit.arrow.reasons import explain_row
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column, row_as_json

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_ml_audit.frames.ingest import Ingest

_ADDED = pa.schema([("reason", pa.string()), ("detail", pa.string())])


def quarantine_frame(ingest: Ingest) -> DataFrame:
    """One row per rejected row: id, reason, detail, and the source's row as JSON."""
    layout = ingest.layout
    frame = ingest.task_frame(with_id=True, carry=F.struct(*[column(name) for name in ingest.frame.columns]))

    def run(batches: Batches) -> Batches:
        for decoded in decode_batches(batches, layout):
            rejected = np.flatnonzero(decoded.status > UNLABELLED)
            if not len(rejected):
                continue
            batch = decoded.source.take(pa.array(rejected))
            reasons = [REASON_NAMES[int(code)] for code in decoded.status[rejected]]
            details = [explain_row(batch, i, reason, layout) for i, reason in enumerate(reasons)]
            yield pa.RecordBatch.from_arrays(
                [batch.column(ID), batch.column("carried"), pa.array(reasons), pa.array(details)],
                names=[ID, "carried", *_ADDED.names],
            )

    rejected = ingest.engine.map_batches(frame, run, keep=(ID, "carried"), add=_ADDED)
    return rejected.select(
        F.col(ID).alias(layout.id), "reason", "detail", row_as_json(F.col("carried")).alias("row")
    )
