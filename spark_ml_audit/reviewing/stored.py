"""Vectors of a run's encoder as they are stored, for the rows that are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.contents import CONTENT, vector_matrix
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.lake.schemas import VECTORS

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.models.design import Float32Array

LEAST_STORED = 0.95
"""Share of the texts whose vectors must be stored for rows to be compared by them."""


@dataclass(frozen=True)
class Found:
    """Stored vectors of one layer.

    Attributes:
        vectors: Matrix of float32, one row per content asked for, zero where there is none.
        layer: The layer.
    """

    vectors: Float32Array
    layer: int


def has_vectors(tables: OutputTables) -> bool:
    """Whether the output has any."""
    return tables.existing(VECTORS) is not None


def stored_vectors(tables: OutputTables, contents: Any) -> Found | None:
    """Vectors of contents, of the encoder and layer that know the most of them.

    Args:
        tables: The output.
        contents: Arrow array of 64-bit hashes of texts, null for a blank one; a bounded number.

    Returns:
        None where fewer than `LEAST_STORED` are known.
    """
    stored = tables.existing(VECTORS)
    wanted = pc.unique(contents.drop_null())
    if stored is None or not len(wanted):
        return None
    asked = tables.engine.from_arrow(pa.table({"__content": wanted}))
    own = stored.join(asked, left_on=CONTENT, right_on="__content", how="semi")
    known = rows_of(
        tables.engine,
        own.group_by("encoder", "layer").agg(nw.col(CONTENT).n_unique().alias("number")),
    )
    if not known:
        return None
    # the highest layer among equals: of those that are stored it knows most
    best = max(known, key=lambda row: (row["number"], row["layer"], row["encoder"]))
    if best["number"] < LEAST_STORED * len(wanted):
        return None
    is_best = (nw.col("encoder") == best["encoder"]) & (nw.col("layer") == best["layer"])
    return Found(_matrix(tables, own.filter(is_best), contents), best["layer"])


def _matrix(tables: OutputTables, own: Frame, contents: Any) -> Float32Array:
    # two runs at once may both have made some
    found = tables.engine.collect(own.select(CONTENT, "vector").unique(subset=[CONTENT], keep="any"))
    places = pc.index_in(contents, value_set=found.column(CONTENT).combine_chunks(), skip_nulls=True)
    at = pc.fill_null(places, -1).to_numpy(zero_copy_only=False)
    known = vector_matrix(found.column("vector"))
    matrix: Float32Array = np.vstack([known, np.zeros((1, known.shape[1]), dtype=np.float32)])[at]
    return matrix
