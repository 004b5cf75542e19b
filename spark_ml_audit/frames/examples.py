"""The `examples` of an audit: one map, in which each row follows from its own source row and the rules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.encode import (
    EXAMPLE_SCHEMA,
    OUTLIER_SCHEMA,
    RowScorer,
    example_arrays,
    outlier_arrays,
)
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import in_frame
from spark_ml_audit.kernels.rules import AuditRules

if TYPE_CHECKING:
    import narwhals as nw

    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.frames.ingest import Ingest

_ADDED = pa.schema([*EXAMPLE_SCHEMA, *OUTLIER_SCHEMA])


class CarriedScorer(RowScorer, Protocol):
    """A row scorer that knows what rows must bring for it."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the source that it looks at."""

    def carried(self, ingest: Ingest) -> nw.Expr:
        """What a row must bring, as one struct."""


def examples_frame(ingest: Ingest, rules: AuditRules, outliers: CarriedScorer | None = None) -> Frame:
    """One row per audited row, in no order.

    Args:
        ingest: The source.
        rules: The finished audit.
        outliers: Scores outliers; None: their columns are null.
    """
    layout, carry = ingest.layout, None
    if outliers is not None:
        carry = outliers.carried(ingest)
        ingest = replace(ingest, frame=ingest.engine.with_arrays(ingest.frame, outliers.columns))

    def audit(batches: Batches) -> Batches:
        classes = pa.array(layout.classes, pa.string())
        for decoded in decode_batches(batches, layout):
            source = decoded.source
            if len(decoded.audited) < source.num_rows:
                source = source.take(pa.array(decoded.audited))
            carried = None if outliers is None else source.column("carried")
            found = example_arrays(decoded, rules, classes)
            found += outlier_arrays(outliers, carried, source.num_rows)
            yield pa.RecordBatch.from_arrays([source.column(ID), *found], names=[ID, *_ADDED.names])

    frame = ingest.task_frame(with_id=True, carry=carry)
    return ingest.engine.map_batches(frame, audit, keep=(ID,), add=_ADDED).rename({ID: in_frame(layout.id)})
