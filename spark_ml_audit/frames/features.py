"""Feature columns of a source: which they are, as tasks get them, a sample of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.engines.choose import engine_of
from spark_ml_audit.engines.columns import column, field, type_name
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.formats import is_vector
from spark_ml_audit.models.features import FeatureSpec, detect_features

_SAMPLE_ROWS = 1000
_SAMPLE_CHARACTERS = 2000


@dataclass(frozen=True)
class Features:
    """What models see of a row.

    Attributes:
        spec: Columns by kind.
        sample: Their values for some rows, chosen by a hash: the same whatever the partitioning.
    """

    spec: FeatureSpec
    sample: pd.DataFrame

    @property
    def names(self) -> tuple[str, ...]:
        """Feature columns, in the order in which they travel."""
        return self.spec.columns


def find_features(
    frame: DataFrame, wanted: Any, id_name: str, exclude: set[str], notes: list[str]
) -> Features:
    """Which columns are features and of which kind.

    Args:
        frame: The source.
        wanted: "auto", or kind -> columns as in ``source.features``.
        id_name: Column by whose hash the sample is chosen.
        exclude: Columns that are no features: id, labels, group.
        notes: Gets a sentence on what was found.

    Raises:
        InputError: A column is missing or of the wrong type, or there is no feature at all.
    """
    if wanted == "auto" or wanted is None:
        schema = [(item.name, plain_type(item.dataType)) for item in frame.schema.fields]
        candidates = [name for name, _ in schema if name not in exclude]
        sample = sample_of(frame, candidates, id_name)
        spec = detect_features(schema, exclude, sample)
        if not Features(spec, sample).names:
            raise InputError(
                "the source has no text or feature column beside id and labels.",
                key="source.features",
                fix="Give a table with text, numeric, categorical, boolean, date or embedding columns.",
            )
        notes.append(f"features: {_describe(spec)}")
        return Features(spec, sample[list(Features(spec, sample).names)])
    kinds = {kind: tuple(wanted.get(kind) or ()) for kind in _FITTING}
    spec = FeatureSpec(**kinds)
    names = Features(spec, pd.DataFrame()).names
    if not names:
        raise InputError("names no column.", key="source.features", fix="Name at least one feature column.")
    for kind, listed in kinds.items():
        for name in listed:
            _check_feature(frame, name, kind, exclude)
    return Features(spec, sample_of(frame, names, id_name))


_NUMBER = ("tinyint", "smallint", "int", "bigint", "float", "double", "decimal")


_FITTING: dict[str, tuple[str, ...]] = {
    "text": ("string", "array<string>"),
    "numeric": (*_NUMBER, "boolean"),
    "categorical": ("string", "boolean", *_NUMBER),
    "boolean": ("boolean", "tinyint", "smallint", "int", "bigint"),
    "date": ("date", "timestamp", "timestamp_ntz"),
    "embedding": ("array<float>", "array<double>"),
}


def _check_feature(frame: DataFrame, name: str, kind: str, exclude: set[str]) -> None:
    key = f"source.features.{kind}"
    if name in exclude:
        raise InputError(
            f"column '{name}' is the id, the group or the labels.",
            key=key,
            fix="A model that sees it would not be out of sample: leave it out.",
        )
    found = plain_type(field(frame, name, key).dataType).partition("(")[0]
    if found not in _FITTING[kind]:
        raise InputError(
            f"column '{name}' is {found}, which is no {kind} column.",
            key=key,
            fix=f"Use a column of type {', '.join(_FITTING[kind])}.",
        )


def _describe(spec: FeatureSpec) -> str:
    kinds = {kind: getattr(spec, kind) for kind in _FITTING}
    return "; ".join(
        f"{kind}: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        for kind, names in kinds.items()
        if names
    )


def plain_type(data_type: T.DataType) -> str:
    """A type as SQL writes it; a vector is an array."""
    return "array<double>" if is_vector(data_type) else type_name(data_type)


def feature_column(frame: DataFrame, name: str) -> Column:
    """A feature as tasks get it: vectors as arrays, decimals as doubles, times as dates."""
    data_type = frame.schema[name].dataType
    if is_vector(data_type):
        from pyspark.ml.functions import vector_to_array

        return vector_to_array(column(name), "float32")
    if isinstance(data_type, T.DecimalType):
        return column(name).cast("double")
    if isinstance(data_type, (T.TimestampType, T.TimestampNTZType)):
        return column(name).cast("date")
    return column(name)


def to_pandas(table: Any) -> pd.DataFrame:
    """An Arrow table or batch of features as models take it, the same on the driver and in tasks."""
    frame: pd.DataFrame = table.to_pandas(date_as_object=True)
    return frame


def sample_of(
    frame: DataFrame, names: list[str] | tuple[str, ...], id_name: str, num_rows: int = _SAMPLE_ROWS
) -> pd.DataFrame:
    """The feature values of the rows whose id hashes lowest; long texts are cut."""
    usable = [name for name in names if not _is_unusable(frame.schema[name].dataType)]
    if not usable:
        return pd.DataFrame()
    values = []
    for name in usable:
        value = feature_column(frame, name)
        if isinstance(frame.schema[name].dataType, T.StringType):
            value = F.substring(value, 1, _SAMPLE_CHARACTERS)
        values.append(value.alias(name))
    # repeated ids are told apart by their values, so that the order is one whatever the partitions
    keyed = frame.select(
        F.xxhash64(column(id_name)).alias("__order"), F.xxhash64(*values).alias("__tie"), *values
    )
    found = keyed.orderBy("__order", "__tie").limit(num_rows).drop("__order", "__tie")
    return to_pandas(engine_of(found).collect(found))


def _is_unusable(data_type: T.DataType) -> bool:
    if isinstance(data_type, T.ArrayType):
        return not isinstance(data_type.elementType, (T.StringType, T.FloatType, T.DoubleType))
    return isinstance(data_type, (T.MapType, T.StructType, T.BinaryType)) or type_name(data_type) in (
        "variant",
        "void",
    )
