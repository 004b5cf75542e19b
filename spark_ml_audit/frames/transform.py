"""Frozen rules as a column-adding map: every input row comes back with the columns of an audit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from spark_ml_audit.arrow.decode import DecodedBatch, decode_batches
from spark_ml_audit.arrow.encode import EXAMPLE_SCHEMA, example_arrays
from spark_ml_audit.arrow.layout import REASON_NAMES, UNLABELLED
from spark_ml_audit.arrow.reasons import explain_row
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column, in_frame
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.formats import is_vector
from spark_ml_audit.kernels.rules import AuditRules

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.frames.ingest import Ingest

ERROR, KEEP, SKIP = "error", "keep", "skip"


def transform_frame(ingest: Ingest, rules: AuditRules, handle_invalid: str) -> Frame:
    """All columns of the source, and those of `examples`.

    Args:
        ingest: The rows.
        rules: The finished audit.
        handle_invalid: What becomes of a faulty row: "error" stops, "keep" gives nulls, "skip" leaves it
            out. An unlabelled row always gets nulls.

    Raises:
        InputError: The source has a column of a name to be added.
    """
    names, layout = ingest.schema.names, ingest.layout
    clash = next((name for name in EXAMPLE_SCHEMA.names if name in names), None)
    if clash is not None:
        raise InputError(
            f"the input has a column '{clash}' already.",
            key=clash,
            fix="Rename or drop it before the transform.",
        )

    def run(batches: Batches) -> Batches:
        classes = pa.array(layout.classes, pa.string())
        for decoded in decode_batches(batches, layout):
            faulty = np.flatnonzero(decoded.status > UNLABELLED)
            if len(faulty) and handle_invalid == ERROR:
                reason = REASON_NAMES[int(decoded.status[faulty[0]])]
                raise ValueError(f"{reason}: {explain_row(decoded.source, int(faulty[0]), reason, layout)}")
            yield _with_results(decoded, rules, classes, skip=handle_invalid == SKIP)

    # the passes make arrays of vectors, and what was given shall come back
    vectors = [item.name for item in ingest.schema if is_vector(item)]
    as_given = {name: f"__as_given_{i}" for i, name in enumerate(vectors)}
    copies = [column(name).alias(copy) for name, copy in as_given.items()]
    source = ingest.frame.with_columns(*copies) if copies else ingest.frame
    carry = nw.struct(*[column(as_given.get(name, name)).alias(in_frame(name)) for name in names])
    frame = replace(ingest, frame=source).task_frame(with_id=False, carry=carry)
    mapped = ingest.engine.map_batches(frame, run, keep=("carried",), add=EXAMPLE_SCHEMA)
    carried = [nw.col("carried").struct.field(in_frame(name)).alias(in_frame(name)) for name in names]
    return mapped.select(*carried, *EXAMPLE_SCHEMA.names)


def _with_results(decoded: DecodedBatch, rules: AuditRules, classes: Any, *, skip: bool) -> Any:
    results = example_arrays(decoded, rules, classes)
    carried = decoded.source.column("carried")
    if len(decoded.audited) < len(carried):
        # position of each row among the audited ones; null takes a null
        place = np.full(len(carried), -1, dtype=np.int64)
        place[decoded.audited] = np.arange(len(decoded.audited))
        positions = pa.array(place, mask=place < 0)
        results = [array.take(positions) for array in results]
        if skip:
            kept = pa.array(np.flatnonzero(decoded.status <= UNLABELLED))
            carried, results = carried.take(kept), [array.take(kept) for array in results]
    return pa.RecordBatch.from_arrays([carried, *results], names=["carried", *EXAMPLE_SCHEMA.names])
