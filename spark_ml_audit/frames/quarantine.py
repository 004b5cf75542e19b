"""The rejected rows as a frame, each with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.json_rows import json_rows
from spark_ml_audit.arrow.layout import ID, REASON_NAMES, UNLABELLED
from spark_ml_audit.arrow.reasons import explain_row
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column, in_frame

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.frames.ingest import Ingest

REJECTION = pa.schema([("reason", pa.string()), ("detail", pa.string()), ("row", pa.string())])
"""Columns of a rejected row beside its id: why, in words, and the source's row as JSON."""


def quarantine_frame(ingest: Ingest) -> Frame:
    """One row per rejected row: id, reason, detail, and the source's row as JSON."""
    layout, names = ingest.layout, ingest.schema.names
    own = replace(ingest, frame=ingest.engine.with_arrays(ingest.frame, names))
    frame = own.task_frame(with_id=True, carry=nw.struct(*[column(name) for name in names]))

    def run(batches: Batches) -> Batches:
        for decoded in decode_batches(batches, layout):
            rejected = np.flatnonzero(decoded.status > UNLABELLED)
            if not len(rejected):
                continue
            batch = decoded.source.take(pa.array(rejected))
            reasons = [REASON_NAMES[int(code)] for code in decoded.status[rejected]]
            details = [explain_row(batch, i, reason, layout) for i, reason in enumerate(reasons)]
            rows = json_rows(batch.column("carried"), names)
            yield pa.RecordBatch.from_arrays(
                [batch.column(ID), pa.array(reasons), pa.array(details), rows], names=[ID, *REJECTION.names]
            )

    rejected = ingest.engine.map_batches(frame, run, keep=(ID,), add=REJECTION)
    return rejected.rename({ID: in_frame(layout.id)})
