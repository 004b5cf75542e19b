"""Which layer's vectors each model reads: chosen on a sample of the rows that the model is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from spark_ml_audit.arrow.contents import CONTENT, content_hashes, contents_of, vector_matrix
from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.lists import list_array, rows_of_lists
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.engines.columns import column
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.lake.vectors import StoredVectors
from spark_ml_audit.models.bundle import inner_folds
from spark_ml_audit.models.design import BoolArray, Float32Array, Float64Array, IntArray
from spark_ml_audit.models.encoders.pick import layer_scores
from spark_ml_audit.models.images import ImageFiles
from spark_ml_audit.predicting.encoded import FINAL
from spark_ml_audit.predicting.folds import FoldPlan

SAMPLE_ROWS = 4000
"""Labelled rows by which layers are chosen at most: those whose ids hash lowest."""

_ROW = pa.schema(
    [
        ("order_key", pa.int64()),
        ("group_key", pa.int64()),
        ("fold", pa.int32()),
        ("tags", pa.list_(pa.int32())),
        (CONTENT, pa.int64()),
    ]
)


@dataclass(frozen=True, eq=False)
class LayerSample:
    """Some labelled rows with their vectors.

    Attributes:
        vectors: Shape (n, layers, width).
        given: Given tags, shape (n, K).
        fold: Fold of each row, shape (n,).
        group_key: Numbers that rows of one group share, shape (n,).
    """

    vectors: Float32Array
    given: BoolArray
    fold: IntArray
    group_key: IntArray


def choose_layers(
    ingest: Ingest, plan: FoldPlan, stored: StoredVectors
) -> tuple[Mapping[int, int], Float64Array]:
    """The layer for the model of each fold and for that of the whole table.

    A fold's layer is chosen on rows of the other folds alone, so that no row's tags decide about the model
    that predicts it.

    Args:
        ingest: The source with its repeated ids known.
        plan: Folds.
        stored: Its texts' vectors.

    Returns:
        Number of a model -> layer, and the layers' scores for the model of the whole table.
    """
    if len(stored.layers) == 1:
        return dict.fromkeys([*range(plan.num_folds), FINAL], stored.layers[0]), np.zeros(1)
    return layers_of(layer_sample(ingest, plan, stored), plan, stored.layers)


def layers_of(
    sample: LayerSample, plan: FoldPlan, layers: Sequence[int]
) -> tuple[Mapping[int, int], Float64Array]:
    """The same by a sample that is known; see `choose_layers`."""
    chosen, scores = {}, np.zeros(len(layers))
    with threadpool_limits(limits=1):  # how BLAS rounds depends on the number of threads
        for number in (*range(plan.num_folds), FINAL):
            rows = sample.fold != number
            inner = inner_folds(sample.group_key[rows], plan.seed)
            scores = layer_scores(sample.vectors[rows], sample.given[rows], inner)
            chosen[number] = layers[int(np.argmax(scores))]
    return chosen, scores


def layer_sample(ingest: Ingest, plan: FoldPlan, stored: StoredVectors) -> LayerSample:
    """The labelled rows with a text whose ids hash lowest, with their vectors at all layers."""
    table = _lowest(ingest, plan, stored)
    contents = table.column(CONTENT).combine_chunks()
    distinct = contents.unique()
    parts = []
    for layer in stored.layers:
        found = stored.some(distinct, layer)
        places = {content: row for row, content in enumerate(found.column(CONTENT).to_pylist())}
        matrix = vector_matrix(found.column("vector"))
        # an image that cannot be read has no vector
        matrix = np.concatenate([matrix, np.full((1, matrix.shape[1]), np.nan, dtype=np.float32)])
        parts.append(matrix[[places.get(content, -1) for content in contents.to_pylist()]])
    tags = table.column("tags").combine_chunks()
    tags = tags.chunk(0) if isinstance(tags, pa.ChunkedArray) else tags
    given = np.zeros((len(tags), ingest.layout.num_classes), dtype=bool)
    given[rows_of_lists(tags), tags.flatten().to_numpy()] = True
    vectors = np.stack(parts, axis=1)
    good = np.isfinite(vectors).all(axis=(1, 2))
    return LayerSample(
        vectors[good],
        given[good],
        table.column("fold").to_numpy().astype(np.int64)[good],
        table.column("group_key").to_numpy()[good],
    )


def _lowest(ingest: Ingest, plan: FoldPlan, stored: StoredVectors) -> Any:
    """Arrow table of `_ROW`, in the order of the keys."""
    layout, engine = ingest.layout, ingest.engine
    texts = nw.struct(*[column(name).alias(f"c{i}") for i, name in enumerate(stored.columns)])
    carry = nw.struct(plan.keys.alias("keys"), texts.alias("texts"))

    def run(batches: Batches) -> Batches:
        kept: Any = None
        for decoded in decode_batches(batches, layout):
            kept = _lower(kept, _rows_of(decoded, plan, stored.images))
        if kept is not None:
            yield from kept.combine_chunks().to_batches()

    frame = ingest.task_frame(with_id=False, carry=carry)
    lowest = engine.map_batches(frame, run, keep=(), add=_ROW)
    found = engine.collect(lowest.sort("order_key", CONTENT).head(SAMPLE_ROWS))
    return found.sort_by([("order_key", "ascending"), (CONTENT, "ascending")])


def _rows_of(decoded: Any, plan: FoldPlan, images: ImageFiles | None) -> Any:
    """The labelled rows of a batch that have a text, as a table of `_ROW`."""
    carried = decoded.source.column("carried").take(pa.array(decoded.audited))
    keys = carried.field("keys")
    tags = list_array(
        np.bincount(decoded.rows, minlength=len(decoded.audited)), pa.array(decoded.cols.astype(np.int32))
    )
    columns = [
        pa.array(plan.order_keys(keys)),
        pa.array(plan.group_keys(keys)),
        pa.array(plan.folds(keys).astype(np.int32)),
        tags,
        content_hashes(contents_of(carried.field("texts").flatten(), images)),
    ]
    rows = pa.Table.from_arrays(columns, schema=_ROW)
    return rows.filter(rows.column(CONTENT).is_valid())


def _lower(kept: Any, rows: Any) -> Any:
    both = rows if kept is None else pa.concat_tables([kept, rows])
    if both.num_rows <= SAMPLE_ROWS:
        return both
    return both.sort_by([("order_key", "ascending"), (CONTENT, "ascending")]).slice(0, SAMPLE_ROWS)
