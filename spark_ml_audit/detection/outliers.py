"""Outliers: rows far from their nearest neighbours in a reference sample.

The sample, its index and the scale of distances are made once on the driver, bounded by configuration, and
travel to the tasks; each row is then scored by itself in the map that writes `examples`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
from threadpoolctl import threadpool_limits

from spark_ml_audit.arrow.encode import embedding_vectors
from spark_ml_audit.arrow.hashes import Hashes, hash_values
from spark_ml_audit.arrow.lists import lengths_of
from spark_ml_audit.config.detect import OutliersConfig
from spark_ml_audit.config.features import FeaturesConfig
from spark_ml_audit.engines.columns import column
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.comparable import embedding_columns
from spark_ml_audit.frames.features import (
    feature_struct,
    find_features,
    lowest_rows,
    named_features,
    to_pandas,
)
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.models.design import BoolArray, Float32Array, Float64Array
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.neighbours import NeighbourIndex, OutlierScale
from spark_ml_audit.models.vectors import Embeddings, VectorEncoder, most_common_width

_ID, _VALUES = "row_id", "compared"
# What the reference's vectors may take up: they travel to every task.
_MAX_REFERENCE_VALUES = 1 << 24
_MIN_REFERENCE = 100
# Rows whose embeddings say how wide embeddings are.
_WIDTH_ROWS = 1000


@dataclass(frozen=True)
class OutlierFinder:
    """Everything a task needs to score rows; picklable, bounded by the reference.

    Attributes:
        columns: Columns compared, in the order in which they travel.
        encoder: Rows to vectors.
        index: The reference.
        scale: Distances to scores.
        neighbours: Nearest reference rows whose mean distance counts.
    """

    columns: tuple[str, ...]
    encoder: VectorEncoder
    index: NeighbourIndex
    scale: OutlierScale
    neighbours: int

    def carried(self, ingest: Ingest) -> nw.Expr:
        """What a row must bring: its id and the compared columns."""
        return nw.struct(column(ingest.layout.id).alias(_ID), feature_struct(self.columns).alias(_VALUES))

    def scores(self, carried: Any) -> tuple[Float64Array, BoolArray]:
        """Outlier score of each row, NaN where it cannot be compared, and whether it is an outlier.

        Args:
            carried: Arrow struct array of `carried`.
        """
        if not len(carried):  # a batch of rows that were all set aside: scikit-learn hashes no empty list
            return np.zeros(0), np.zeros(0, dtype=bool)
        arrays = dict(zip(self.columns, carried.field(_VALUES).flatten(), strict=True))
        vectors, usable = vectors_of(arrays, self.encoder)
        keys = hash_values(carried.field(_ID))
        result = np.full(len(usable), np.nan)
        measures = self.scale.measures(*self.index.search(vectors[usable], keys[usable], self.neighbours))
        result[usable] = self.scale.scores(measures)
        outlier = np.zeros(len(usable), dtype=bool)
        outlier[usable] = measures > self.scale.limit
        return result, outlier


@dataclass(frozen=True)
class OutlierPlan:
    """A finder, and what a user should know of how it was made."""

    finder: OutlierFinder | None
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def vectors_of(
    arrays: dict[str, Any], encoder: VectorEncoder, *, reference: bool = False
) -> tuple[Float32Array, BoolArray]:
    """Vectors of rows, and which of them can be compared.

    Args:
        arrays: Column -> its values.
        encoder: Rows to vectors.
        reference: Whether they are the rows that the encoder was fitted on.
    """
    embeddings: Embeddings = {
        name: embedding_vectors(arrays[name], width) for name, width in encoder.widths.items()
    }
    num_rows = len(next(iter(arrays.values())))
    return encoder.transform(_plain_frame(arrays, encoder.spec, num_rows), embeddings, reference=reference)


def most_common_width_of(ingest: Ingest, name: str) -> int:
    """The most common width of an embedding column among the rows whose id hashes lowest; 0 without any."""
    return most_common_width(lengths_of(_sample(ingest, (name,), _WIDTH_ROWS)[0][name]))


def _plain_frame(arrays: dict[str, Any], spec: FeatureSpec, num_rows: int) -> pd.DataFrame:
    others = {name: array for name, array in arrays.items() if name not in spec.embedding}
    if not others:
        return pd.DataFrame(index=range(num_rows))
    return to_pandas(pa.table(others))


def plan_outliers(ingest: Ingest, config: OutliersConfig, exclude: set[str]) -> OutlierPlan:
    """Choose columns and reference, build the index, measure the reference itself.

    Args:
        ingest: The source.
        config: The section `detect.outliers`.
        exclude: Columns that are not compared (`not_compared`).

    Raises:
        InputError: A column is missing or of the wrong type.
    """
    notes: list[str] = []
    warnings: list[str] = []
    spec = _spec_of(ingest, config, exclude | set(ingest.layout.pred_probs), notes, warnings)
    columns = spec.columns
    arrays, keys = _sample(ingest, columns, config.reference)
    widths = {name: most_common_width(lengths_of(arrays[name])) for name in spec.embedding}
    by_angle = not set(columns) & set(ingest.layout.pred_probs)
    frame = _plain_frame(arrays, spec, len(keys))
    with threadpool_limits(limits=1):  # how BLAS rounds depends on the number of threads
        encoder = VectorEncoder.fit(frame, spec, widths, by_angle=by_angle)
    vectors, usable = vectors_of(arrays, encoder, reference=True)
    vectors, keys = vectors[usable], keys[usable]
    most = max(_MIN_REFERENCE, _MAX_REFERENCE_VALUES // max(1, vectors.shape[1]))
    if len(vectors) > most:
        notes.append(f"outliers: {most:,} reference rows, as vectors have {vectors.shape[1]:,} numbers")
        vectors, keys = vectors[:most], keys[:most]
    if len(vectors) < 2:
        named = ", ".join(f"'{name}'" for name in columns)
        warnings.append(f"No outliers were looked for: fewer than two rows can be compared by {named}.")
        return OutlierPlan(None, tuple(notes), tuple(warnings))
    with threadpool_limits(limits=1):
        index = NeighbourIndex.build(vectors, keys, config.neighbours)
    queries, _ = vectors_of(arrays, encoder)
    own = index.search(queries[usable][: len(vectors)], keys, config.neighbours)
    how = f"{index.num_lists} clusters, recall {index.recall:.3f}" if index.num_lists else "exhaustive"
    notes.append(f"outliers: by {', '.join(columns)}; {len(vectors):,} reference rows, {how}")
    finder = OutlierFinder(columns, encoder, index, OutlierScale.of(*own, config.limit), config.neighbours)
    return OutlierPlan(finder, tuple(notes), tuple(warnings))


def _spec_of(
    ingest: Ingest, config: OutliersConfig, exclude: set[str], notes: list[str], warnings: list[str]
) -> FeatureSpec:
    features = config.features
    if isinstance(features, FeaturesConfig):
        return named_features(ingest.schema, features.by_kind, exclude)
    if features is None:
        if found := embedding_columns(ingest.schema, exclude):
            return FeatureSpec(embedding=found)
        try:
            source = (ingest.engine, ingest.frame, ingest.schema)
            return find_features(*source, "auto", ingest.layout.id, exclude, notes).spec
        except InputError:
            warnings.append(
                "The source has no embedding, text or feature column: outliers were looked for by "
                "pred_probs, which know a row only as far as its tags."
            )
    return _probabilities_spec(ingest)


def _probabilities_spec(ingest: Ingest) -> FeatureSpec:
    layout = ingest.layout
    if layout.pred_probs_format == "array":
        return FeatureSpec(embedding=layout.pred_probs)
    if layout.pred_probs_format == "columns":
        return FeatureSpec(numeric=layout.pred_probs)
    raise InputError(
        f"probabilities in a {layout.pred_probs_format} cannot be compared as vectors.",
        key="detect.outliers.features",
        fix="Name embedding, text or other feature columns, or give probabilities as an array.",
    )


def _sample(ingest: Ingest, columns: tuple[str, ...], wanted: int) -> tuple[dict[str, Any], Hashes]:
    """Values of the rows whose id hashes lowest, and these hashes: the same whatever the partitions."""
    id_name = ingest.layout.id
    named = ingest.frame.filter(~column(id_name).is_null())
    found = lowest_rows(ingest.engine, named, columns, id_name, wanted)
    return dict(zip(columns, found.values.columns, strict=True)), found.hashes
