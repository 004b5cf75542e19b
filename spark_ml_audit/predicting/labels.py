"""A table before prediction: its given tags, its classes, and its features, without any probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the usual name
from pyspark.sql import types as T  # noqa: N812 - the usual name

from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.config.source import LabelsConfig
from spark_ml_audit.engines.columns import column, field, split_text, type_name
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.class_list import (
    CLASSES_METADATA,
    CLASSES_PROPERTY,
    check_distinct,
    parse_classes,
)
from spark_ml_audit.frames.formats import labels_format_of
from spark_ml_audit.frames.ingest import Ingest, check_id
from spark_ml_audit.models.features import FeatureSpec, detect_features

MAX_FOUND_CLASSES = 20_000
"""Distinct tags that become classes without a list: more are taken for a mistake, such as free text."""

_SAMPLE_ROWS = 1000
_SAMPLE_CHARACTERS = 2000


def examine_labels(
    frame: DataFrame,
    columns: LabelsConfig,
    properties: dict[str, str] | None = None,
    known_classes: tuple[str, ...] | None = None,
) -> Ingest:
    """Understand the ids and given tags of a source that has no probabilities yet.

    Classes are the first found of: ``source.classes``; metadata `classes` of the labels column; the table
    property; the names of a list of label columns; `known_classes`; the distinct tags in use, sorted.

    Args:
        frame: The source.
        columns: What the config says.
        properties: Table properties of the source.
        known_classes: Classes of a model that is given.

    Raises:
        InputError: A column is missing or of a type that cannot serve, or there are no classes.
    """
    notes: list[str] = []
    check_id(frame, columns.id)
    labels = (columns.labels,) if isinstance(columns.labels, str) else tuple(columns.labels)
    for name in labels:
        field(frame, name, "source.labels")
    classes = _find_classes(frame, columns, labels, properties or {}, known_classes, notes)
    labels_format = labels_format_of(frame, columns, labels, len(classes), notes)
    if labels_format == "columns" and len(labels) != len(classes):
        raise InputError(
            f"{len(labels)} label columns for {len(classes)} classes.",
            key="source.labels",
            fix="List one label column per class, in the order of the classes.",
        )
    delimiter = columns.labels_delimiter
    layout = InputLayout(columns.id, labels, labels_format, delimiter, (), "none", "float32", tuple(classes))
    return Ingest(frame, layout, tuple(notes))


def _find_classes(
    frame: DataFrame,
    columns: LabelsConfig,
    labels: tuple[str, ...],
    properties: dict[str, str],
    known_classes: tuple[str, ...] | None,
    notes: list[str],
) -> list[str]:
    if columns.classes is not None:
        return list(columns.classes)
    metadata = frame.schema[labels[0]].metadata or {}
    if not isinstance(columns.labels, str):
        classes, origin = list(columns.labels), "the names of the label columns"
    elif CLASSES_METADATA in metadata:
        origin = f"metadata '{CLASSES_METADATA}' of column '{labels[0]}'"
        classes = parse_classes(metadata[CLASSES_METADATA], origin)
    elif CLASSES_PROPERTY in properties:
        origin = f"table property '{CLASSES_PROPERTY}'"
        classes = parse_classes(properties[CLASSES_PROPERTY], origin)
    elif known_classes is not None:
        classes, origin = list(known_classes), "the model"
    else:
        classes, origin = _tags_in_use(frame, columns, labels[0]), f"the tags in column '{labels[0]}', sorted"
    check_distinct(classes, origin)
    if not classes:
        raise InputError(
            f"no class list, and column '{labels[0]}' holds no tag.",
            key="source.classes",
            fix="Name the tags to predict, or give a table with tags.",
        )
    notes.append(f"classes: {len(classes)}, from {origin}")
    return classes


def _tags_in_use(frame: DataFrame, columns: LabelsConfig, name: str) -> list[str]:
    """Distinct tag names of a column of names or of delimited texts."""
    data_type = frame.schema[name].dataType
    if isinstance(data_type, T.ArrayType) and isinstance(data_type.elementType, T.StringType):
        tags: Column = column(name)
    elif isinstance(data_type, T.StringType):
        # with limit -1 trailing empty parts stay; the delimiter is text, not a pattern
        tags = split_text(column(name), columns.labels_delimiter)
    else:
        raise InputError(
            f"no class list: column '{name}' is {type_name(data_type)}, which does not name its tags.",
            key="source.classes",
            fix="Give the tag names in class order, as a list or a file with one per line.",
        )
    each = frame.select(F.explode(tags).alias("tag"))
    if isinstance(data_type, T.StringType):
        each = each.select(F.trim("tag").alias("tag"))
    distinct = each.where(F.trim("tag") != "").distinct()
    # one row per class, not per example
    found = [row["tag"] for row in distinct.limit(MAX_FOUND_CLASSES + 1).collect()]
    if len(found) > MAX_FOUND_CLASSES:
        raise InputError(
            f"column '{name}' holds more than {MAX_FOUND_CLASSES:,} different tags.",
            key="source.classes",
            fix="Check that it is the column of tags; if so, name the classes to predict.",
        )
    return sorted(found)


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
        spec = self.spec
        return (*spec.text, *spec.numeric, *spec.categorical, *spec.boolean, *spec.date, *spec.embedding)


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


def _is_vector(data_type: T.DataType) -> bool:
    return isinstance(data_type, T.UserDefinedType) and "vector" in type(data_type).__name__.lower()


def plain_type(data_type: T.DataType) -> str:
    """A type as SQL writes it; a vector is an array."""
    return "array<double>" if _is_vector(data_type) else type_name(data_type)


def feature_column(frame: DataFrame, name: str) -> Column:
    """A feature as tasks get it: vectors as arrays, decimals as doubles, times as dates."""
    data_type = frame.schema[name].dataType
    if _is_vector(data_type):
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
    return to_pandas(found.toArrow()) if hasattr(found, "toArrow") else found.toPandas()  # Spark 4, else 3


def _is_unusable(data_type: T.DataType) -> bool:
    if isinstance(data_type, T.ArrayType):
        return not isinstance(data_type.elementType, (T.StringType, T.FloatType, T.DoubleType))
    return isinstance(data_type, (T.MapType, T.StructType, T.BinaryType)) or type_name(data_type) in (
        "variant",
        "void",
    )
