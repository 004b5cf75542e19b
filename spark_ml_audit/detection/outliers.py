"""Outliers: rows far from their nearest neighbours in a reference sample.

The sample, its index and the scale of distances are made once on the driver, bounded by configuration, and
travel to the tasks; each row is then scored by itself in the map that writes `examples`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_ml_audit.arrow.encode import embedding_vectors
from spark_ml_audit.config.detect import OutliersConfig
from spark_ml_audit.config.features import FeaturesConfig
from spark_ml_audit.engines.base import Engine
from spark_ml_audit.engines.columns import column
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.features import feature_column, find_features, plain_type, to_pandas
from spark_ml_audit.frames.ingest import Ingest
from spark_ml_audit.models.design import BoolArray, Float32Array, Float64Array
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.neighbours import NeighbourIndex, OutlierScale
from spark_ml_audit.models.vectors import Embeddings, VectorEncoder, most_common_width

KEY = "key"
# What the reference's vectors may take up: they travel to every task.
_MAX_REFERENCE_VALUES = 1 << 24
_MIN_REFERENCE = 100
_SPARE_SHARE = 1.3


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

    def carried(self, ingest: Ingest) -> Column:
        """What a row must bring: its key and the compared columns."""
        return _carried(ingest, self.columns)

    def scores(self, carried: Any) -> tuple[Float64Array, BoolArray]:
        """Outlier score of each row, NaN where it cannot be compared, and whether it is an outlier.

        Args:
            carried: Arrow struct array of `carried`.
        """
        vectors, usable, keys = vectors_of(carried, self.columns, self.encoder)
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


def _carried(ingest: Ingest, columns: Sequence[str]) -> Column:
    values = [feature_column(ingest.frame, name).alias(f"c{i}") for i, name in enumerate(columns)]
    return F.struct(F.xxhash64(column(ingest.layout.id)).alias(KEY), *values)


def vectors_of(
    carried: Any, columns: Sequence[str], encoder: VectorEncoder, *, reference: bool = False
) -> tuple[Float32Array, BoolArray, Any]:
    """Vectors of rows, which of them can be compared, and their keys."""
    arrays = {name: pc.struct_field(carried, [i + 1]) for i, name in enumerate(columns)}
    embeddings: Embeddings = {
        name: embedding_vectors(arrays[name], width) for name, width in encoder.widths.items()
    }
    frame = _plain_frame(arrays, encoder.spec, len(carried))
    vectors, usable = encoder.transform(frame, embeddings, reference=reference)
    return vectors, usable, pc.struct_field(carried, [0]).to_numpy(zero_copy_only=False)


def most_common_width_of(ingest: Ingest, name: str, wanted: int = 1000) -> int:
    """The most common width of an embedding column among the rows whose id hashes lowest; 0 without any."""
    lists = pc.struct_field(_sample(ingest, (name,), wanted, 0), [1])
    return most_common_width(pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False))


def _plain_frame(arrays: dict[str, Any], spec: FeatureSpec, num_rows: int) -> pd.DataFrame:
    others = {name: array for name, array in arrays.items() if name not in spec.embedding}
    if not others:
        return pd.DataFrame(index=range(num_rows))
    return to_pandas(pa.table(others))


def plan_outliers(ingest: Ingest, config: OutliersConfig, num_rows: int, exclude: set[str]) -> OutlierPlan:
    """Choose columns and reference, build the index, measure the reference itself.

    Args:
        ingest: The source.
        config: The section `detect.outliers`.
        num_rows: Rows of the source.
        exclude: Columns that are not compared: id, labels, group.

    Raises:
        InputError: A column is missing or of the wrong type.
    """
    notes: list[str] = []
    warnings: list[str] = []
    spec = _spec_of(ingest, config, exclude | set(ingest.layout.pred_probs), notes, warnings)
    columns = spec.columns
    sample = _sample(ingest, columns, config.reference, num_rows)
    arrays = {name: pc.struct_field(sample, [i + 1]) for i, name in enumerate(columns)}
    widths = {}
    for name in spec.embedding:
        lengths = pc.fill_null(pc.list_value_length(arrays[name]), 0)
        widths[name] = most_common_width(lengths.to_numpy(zero_copy_only=False))
    by_angle = not set(columns) & set(ingest.layout.pred_probs)
    encoder = VectorEncoder.fit(_plain_frame(arrays, spec, len(sample)), spec, widths, by_angle=by_angle)
    vectors, usable, keys = vectors_of(sample, columns, encoder, reference=True)
    vectors, keys = vectors[usable], keys[usable]
    most = max(_MIN_REFERENCE, _MAX_REFERENCE_VALUES // max(1, vectors.shape[1]))
    if len(vectors) > most:
        notes.append(f"outliers: {most:,} reference rows, as vectors have {vectors.shape[1]:,} numbers")
        vectors, keys = vectors[:most], keys[:most]
    if len(vectors) < 2:
        named = ", ".join(f"'{name}'" for name in columns)
        warnings.append(f"No outliers were looked for: fewer than two rows can be compared by {named}.")
        return OutlierPlan(None, tuple(notes), tuple(warnings))
    index = NeighbourIndex.build(vectors, keys, config.neighbours)
    queries, _, _ = vectors_of(sample, columns, encoder)
    own = index.search(queries[usable][: len(vectors)], keys, config.neighbours)
    how = f"{index.num_lists} clusters, recall {index.recall:.3f}" if index.num_lists else "exhaustive"
    notes.append(f"outliers: by {', '.join(columns)}; {len(vectors):,} reference rows, {how}")
    finder = OutlierFinder(columns, encoder, index, OutlierScale.of(*own, config.limit), config.neighbours)
    return OutlierPlan(finder, tuple(notes), tuple(warnings))


def _spec_of(
    ingest: Ingest, config: OutliersConfig, exclude: set[str], notes: list[str], warnings: list[str]
) -> FeatureSpec:
    frame, features = ingest.frame, config.features
    if isinstance(features, FeaturesConfig):
        return find_features(frame, features.by_kind, ingest.layout.id, exclude, notes).spec
    if features is None:
        kinds = {item.name: plain_type(item.dataType) for item in frame.schema.fields}
        found = [
            name
            for name, kind in kinds.items()
            if kind in ("array<float>", "array<double>") and name not in exclude
        ]
        if found:
            return FeatureSpec(embedding=tuple(found))
        try:
            return find_features(frame, "auto", ingest.layout.id, exclude, notes).spec
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


def _sample(ingest: Ingest, columns: Sequence[str], wanted: int, num_rows: int) -> Any:
    """The rows whose id hashes lowest, as an Arrow struct array: the same whatever the partitions."""
    keyed = ingest.frame.where(column(ingest.layout.id).isNotNull()).select(
        _carried(ingest, columns).alias("carried")
    )
    key = F.col(f"carried.{KEY}")
    share = _SPARE_SHARE * wanted / max(1, num_rows)
    if share < 1:
        # so that tasks need not sort what cannot be among the lowest
        bound = int(-(2**63) + share * 2**64)
        found = _lowest(ingest.engine, keyed.where(key < bound), wanted)
        if len(found) == wanted:
            return found
    return _lowest(ingest.engine, keyed, wanted)


def _lowest(engine: Engine, keyed: DataFrame, wanted: int) -> Any:
    chosen = keyed.orderBy(F.col(f"carried.{KEY}"), F.hash("carried")).limit(wanted)
    return _one_array(engine.collect(chosen).column("carried"))


def _one_array(column_: Any) -> Any:
    if not column_.num_chunks:
        return pa.array([], column_.type)
    return column_.chunk(0) if column_.num_chunks == 1 else pa.concat_arrays(column_.chunks)
