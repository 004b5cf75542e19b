"""A table before prediction: its given tags, its classes, and its features, without any probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.config.source import LabelsConfig
from spark_ml_audit.engines.columns import column, split_text, type_name
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.class_list import (
    CLASSES_METADATA,
    CLASSES_PROPERTY,
    check_distinct,
    parse_classes,
)
from spark_ml_audit.frames.formats import label_columns_of, labels_format_of
from spark_ml_audit.frames.ingest import Ingest, check_id

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine

MAX_FOUND_CLASSES = 20_000
"""Distinct tags that become classes without a list: more are taken for a mistake, such as free text."""


def inspect_labels(
    engine: Engine,
    frame: DataFrame,
    columns: LabelsConfig,
    properties: Mapping[str, str] | None = None,
    known_classes: tuple[str, ...] | None = None,
) -> Ingest:
    """Understand the ids and given tags of a source that has no probabilities yet.

    Classes are the first found of: ``source.classes``; metadata `classes` of the labels column; the table
    property; the names of a list of label columns; `known_classes`; the distinct tags in use, sorted.

    Args:
        engine: What runs the frame.
        frame: The source.
        columns: What the config says.
        properties: Table properties of the source.
        known_classes: Classes of a model that is given.

    Raises:
        InputError: A column is missing or of a type that cannot serve, or there are no classes.
    """
    notes: list[str] = []
    check_id(frame, columns.id)
    labels = label_columns_of(frame, columns)
    classes = _find_classes(frame, columns, labels, properties or {}, known_classes, notes)
    labels_format = labels_format_of(frame, columns, labels, len(classes), notes)
    delimiter = columns.labels_delimiter
    layout = InputLayout(columns.id, labels, labels_format, delimiter, (), "none", "float32", tuple(classes))
    return Ingest(engine, frame, layout, tuple(notes))


def _find_classes(
    frame: DataFrame,
    columns: LabelsConfig,
    labels: tuple[str, ...],
    properties: Mapping[str, str],
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
