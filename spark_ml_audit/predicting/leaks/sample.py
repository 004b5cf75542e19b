"""Labelled rows of a source, drawn by a hash of their ids, with their tags: one pass, bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from spark_ml_audit.arrow.decode import decode
from spark_ml_audit.arrow.hashes import unit_interval
from spark_ml_audit.arrow.layout import FAULT
from spark_ml_audit.arrow.types import is_binary
from spark_ml_audit.engines.columns import column, in_frame
from spark_ml_audit.frames.features import SAMPLE_ROWS, TextCut, is_unusable, lowest_rows, to_pandas
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.predicting.leaks.judge import TagSample

NUM_ROWS = 4000
"""Rows by which columns are judged at most."""

_READ = TextCut(first=4000, last=4000)


@dataclass(frozen=True)
class LabelledRows:
    """Some labelled rows.

    Attributes:
        shown: Feature values of the first of them, texts cut, as `frames.features.sample_of` gives them.
        values: Feature values of those whose tags are known.
        ids: Their ids.
        tags: Their tags.
        num_rows: Labelled rows that the source has, about.
    """

    shown: pd.DataFrame
    values: pd.DataFrame
    ids: Sequence[Any]
    tags: TagSample
    num_rows: float


def labelled_rows(ingest: Ingest, names: Sequence[str]) -> LabelledRows:
    """The labelled rows whose id hashes lowest: the same whatever the engine and the partitions.

    Args:
        ingest: The source.
        names: Columns; those of types that no model reads are left out.
    """
    layout, schema = ingest.layout, ingest.schema
    usable = [name for name in names if not is_unusable(schema.field(name).type)]
    carried = list(dict.fromkeys([*usable, *layout.labels, layout.id]))
    is_labelled = reduce(lambda a, b: a | b, [~column(name).is_null() for name in layout.labels])
    frame = ingest.frame.filter(is_labelled & ~column(layout.id).is_null())
    cut = TextCut(_READ.first, _READ.last, frozenset(in_frame(name) for name in (*layout.labels, layout.id)))
    found = lowest_rows(ingest.engine, frame, carried, layout.id, NUM_ROWS, cut=cut)
    table, hashes = found.values.combine_chunks(), found.hashes
    features = table.select([in_frame(name) for name in usable])
    first = TextCut().of_table(features.slice(0, SAMPLE_ROWS))
    decoded = decode(_label_batch(table, ingest), layout)
    # ids that repeat are set aside later, and would tell a column twice
    alone = np.ones(len(hashes), dtype=bool)
    alone[1:] &= hashes[1:] != hashes[:-1]
    alone[:-1] &= hashes[1:] != hashes[:-1]
    kept = alone[decoded.audited]
    given = np.zeros((len(decoded.audited), layout.num_classes), dtype=bool)
    given[decoded.rows, decoded.cols] = True
    places = pa.array(decoded.audited[kept])
    own = table.column(in_frame(layout.id)).take(places)
    ids = [None] * len(places) if is_binary(own.type) else own.to_pylist()
    return LabelledRows(
        to_pandas(first),
        to_pandas(features.take(places)),
        ids,
        TagSample(layout.classes, layout.labels_delimiter, given[kept]),
        _population(hashes),
    )


def _label_batch(table: pa.Table, ingest: Ingest) -> pa.RecordBatch:
    """The labels of collected rows, as passes decode them."""
    layout = ingest.layout
    columns: list[Any] = [pa.array(np.zeros(table.num_rows, dtype=np.int8))]
    for name in layout.labels:
        values = table.column(in_frame(name)).combine_chunks()
        columns.append(values.chunk(0) if isinstance(values, pa.ChunkedArray) else values)
    return pa.RecordBatch.from_arrays(columns, names=[FAULT, *layout.label_columns])


def _population(hashes: Any) -> float:
    """How many rows there are about, by how far their lowest hashes reach."""
    if len(hashes) < NUM_ROWS:
        return float(len(hashes))
    # as signed numbers hashes begin in the middle of the unit interval
    reach = (float(unit_interval(hashes[-1:])[0]) + 0.5) % 1.0
    return len(hashes) / max(reach, 1e-12)
