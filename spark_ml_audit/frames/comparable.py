"""Columns that rows may be compared by, and those that never are."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from spark_ml_audit.arrow.types import type_name

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.arrow.layout import InputLayout

EMBEDDING_TYPES = ("array<float>", "array<double>")
"""Types of embeddings, as `type_name` has them."""

_PREDICTED = "fold"
"""A column of predictions that says nothing of a row's content."""


def not_compared(layout: InputLayout, group: str | None) -> set[str]:
    """Columns of a source that rows are not compared by, whatever they hold: id, labels, what was predicted.

    Args:
        layout: Of the source.
        group: Column of `source.group`, if there is one.
    """
    named = {layout.id, *layout.labels, *layout.pred_probs, _PREDICTED}
    return named | ({group} if group else set())


def embedding_columns(schema: pa.Schema, exclude: Collection[str]) -> tuple[str, ...]:
    """Columns of a source that are embeddings by their type.

    >>> import pyarrow as pa
    >>> schema = pa.schema([("vector", pa.list_(pa.float32())), ("given", pa.list_(pa.float64()))])
    >>> embedding_columns(schema, exclude={"given"})
    ('vector',)
    """
    return tuple(
        item.name for item in schema if type_name(item.type) in EMBEDDING_TYPES and item.name not in exclude
    )
