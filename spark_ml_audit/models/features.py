"""Which columns feed a model, and as what."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

TEXT_WORDS = 4.0
"""Mean number of words from which a string column is text."""

MAX_CATEGORIES = 100
MAX_CATEGORY_SHARE = 0.2
"""A string column of short values is categorical up to this many values and this share of the sample."""

_NUMERIC = ("tinyint", "smallint", "int", "bigint", "float", "double")
_STRING = ("string", "varchar", "char")
_DATE = ("date", "timestamp", "timestamp_ntz", "timestamp_ltz")
_EMBEDDING = ("array<float>", "array<double>", "vector")


@dataclass(frozen=True)
class FeatureSpec:
    """Feature columns by the way they are encoded.

    Attributes:
        text: Strings, or lists of strings, read as words and characters.
        numeric: Numbers.
        categorical: Values of any type compared as text.
        boolean: Booleans.
        date: Dates and timestamps.
        embedding: Arrays of numbers of one width, or Spark ML vectors.
        image: Paths, addresses or bytes of images: one column at most, read by an encoder of images.
        ignored: Columns left out because of their type, for a warning.

    Example:
        >>> spec = FeatureSpec(numeric=("price",), date=("published",))
        >>> spec.columns, spec.is_tabular
        (('price', 'published'), True)
    """

    text: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    boolean: tuple[str, ...] = ()
    date: tuple[str, ...] = ()
    embedding: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All feature columns."""
        return self.plain_columns + self.image

    @property
    def plain_columns(self) -> tuple[str, ...]:
        """Those that are no images, and are read as they are."""
        return self.text + self.numeric + self.categorical + self.boolean + self.date + self.embedding

    @property
    def is_tabular(self) -> bool:
        """Whether there are columns, and neither text nor embeddings among them."""
        return bool(self.columns) and not self.text and not self.embedding and not self.image


def detect_features(
    schema: Sequence[tuple[str, str]], exclude: Collection[str], sample: pd.DataFrame | None = None
) -> FeatureSpec:
    """Sort a table's columns into features by type and, for strings, by a sample.

    Args:
        schema: Name and Spark type (`simpleString`) of each column.
        exclude: Columns that are no features: id, labels, group.
        sample: Some rows; without them every string column is text.

    Returns:
        The columns, each kind in the order of the schema; types that no encoding fits are in `ignored`.

    Example:
        >>> schema = [("id", "bigint"), ("title", "string"), ("price", "double"), ("cover", "binary")]
        >>> spec = detect_features(schema, exclude=["id"])
        >>> spec.text, spec.numeric, spec.ignored
        (('title',), ('price',), ('cover',))
    """
    found: dict[str, list[str]] = {kind: [] for kind in FeatureSpec.__dataclass_fields__}
    for name, spark_type in schema:
        if name not in exclude:
            values = sample[name] if sample is not None and name in sample else None
            found[_kind_of(spark_type.strip().lower(), values)].append(name)
    return FeatureSpec(**{kind: tuple(names) for kind, names in found.items()})


def _kind_of(spark_type: str, values: pd.Series | None) -> str:
    base = spark_type.partition("(")[0]
    if base in _STRING:
        return "categorical" if values is not None and _is_categorical(values) else "text"
    if spark_type == "array<string>":
        return "text"
    if base in _NUMERIC or base == "decimal":
        return "numeric"
    if spark_type == "boolean":
        return "boolean"
    if spark_type in _DATE:
        return "date"
    return "embedding" if spark_type in _EMBEDDING else "ignored"


def _is_categorical(values: pd.Series) -> bool:
    present = values.dropna().astype(str)
    if not len(present) or float(np.mean([len(value.split()) for value in present])) >= TEXT_WORDS:
        return False
    distinct = present.nunique()
    return bool(distinct <= MAX_CATEGORIES and distinct < MAX_CATEGORY_SHARE * len(present))
