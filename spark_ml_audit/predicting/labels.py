"""A table before prediction: its given tags, its classes, and its features, without any probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.arrow.types import is_list, is_string, type_name
from spark_ml_audit.config.source import LabelsConfig
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.class_list import (
    CLASSES_METADATA,
    CLASSES_PROPERTY,
    check_distinct,
    column_metadata,
    distinct_texts,
    origin_of_property,
    parse_classes,
)
from spark_ml_audit.frames.formats import label_columns_of, labels_format_of
from spark_ml_audit.frames.hints import first_rows, hints_of
from spark_ml_audit.frames.ingest import Ingest, check_id

if TYPE_CHECKING:
    from spark_ml_audit.lake.source import OpenSource

MAX_FOUND_CLASSES = 20_000
"""Distinct tags that become classes without a list: more are taken for a mistake, such as free text."""


def inspect_labels(
    opened: OpenSource, columns: LabelsConfig, known_classes: tuple[str, ...] | None = None
) -> Ingest:
    """Understand the ids and given tags of a source that has no probabilities yet.

    Classes are the first found of: ``source.classes``; metadata `classes` of the labels column; the table
    property; the names of a list of label columns; `known_classes`; the distinct tags in use, sorted.

    Args:
        opened: The source.
        columns: What the config says.
        known_classes: Classes of a model that is given.

    Raises:
        InputError: A column is missing or of a type that cannot serve, or there are no classes.
    """
    notes: list[str] = []
    engine, frame, schema = opened.engine, opened.frame, opened.schema
    check_id(schema, columns.id)
    labels = label_columns_of(schema, columns)
    classes = _find_classes(opened, columns, labels, known_classes, notes)
    first = first_rows(engine, engine.with_arrays(frame, labels), labels, len(classes))
    labels_format = labels_format_of(engine, frame, schema, columns, labels, len(classes), notes, first)
    delimiter = columns.labels_delimiter
    layout = InputLayout(
        columns.id,
        labels,
        labels_format,
        delimiter,
        (),
        "none",
        "float32",
        tuple(classes),
        empty_is_unlabelled=columns.empty_labels == "not_annotated",
    )
    return Ingest(engine, frame, schema, layout, tuple(notes), hints_of(first, layout))


def _find_classes(
    opened: OpenSource,
    columns: LabelsConfig,
    labels: tuple[str, ...],
    known_classes: tuple[str, ...] | None,
    notes: list[str],
) -> list[str]:
    if columns.classes is not None:
        return list(columns.classes)
    metadata, properties = column_metadata(opened.schema, labels[0]), opened.properties
    if not isinstance(columns.labels, str):
        classes, origin = list(columns.labels), "the names of the label columns"
    elif CLASSES_METADATA in metadata:
        origin = f"metadata '{CLASSES_METADATA}' of column '{labels[0]}'"
        classes = parse_classes(metadata[CLASSES_METADATA], origin)
    elif CLASSES_PROPERTY in properties:
        origin = origin_of_property(properties)
        classes = parse_classes(properties[CLASSES_PROPERTY], origin)
    elif known_classes is not None:
        classes, origin = list(known_classes), "the model"
    else:
        origin = f"the tags in column '{labels[0]}', sorted"
        classes = _tags_in_use(opened, columns, labels[0])
    check_distinct(classes, origin)
    if not classes:
        raise InputError(
            f"no class list, and column '{labels[0]}' holds no tag.",
            key="source.classes",
            fix="Name the tags to predict, or give a table with tags.",
        )
    notes.append(f"classes: {len(classes)}, from {origin}")
    return classes


def _tags_in_use(opened: OpenSource, columns: LabelsConfig, name: str) -> list[str]:
    """Distinct tag names of a column of names or of delimited texts."""
    kind = opened.schema.field(name).type
    if not (is_string(kind) or (is_list(kind) and is_string(kind.value_type))):
        raise InputError(
            f"no class list: column '{name}' is {type_name(kind)}, which does not name its tags.",
            key="source.classes",
            fix="Give the tag names in class order, as a list or a file with one per line.",
        )
    delimiter = columns.labels_delimiter if is_string(kind) else None

    def tags_in(labels: Any) -> list[str]:
        return _tags_of(labels, delimiter)

    found = distinct_texts(opened.engine, opened.frame, name, tags_in, MAX_FOUND_CLASSES)
    if len(found) > MAX_FOUND_CLASSES:
        raise InputError(
            f"column '{name}' holds more than {MAX_FOUND_CLASSES:,} different tags.",
            key="source.classes",
            fix="Check that it is the column of tags; if so, name the classes to predict.",
        )
    return found


def _tags_of(labels: Any, delimiter: str | None) -> list[str]:
    """Distinct tags of an Arrow array: of lists of names, or of texts with a delimiter between the names.

    >>> import pyarrow as pa
    >>> _tags_of(pa.array(["sea, wood ", None, " sea"]), ",")
    ['sea', 'wood']
    >>> _tags_of(pa.array([["sea"], None, ["wood ", " ", None]]), None)
    ['sea', 'wood ']
    """
    if delimiter is None:
        tags = labels.flatten()
    else:
        # as labels are read: a text, not a pattern, and every kind of blank goes
        tags = pc.utf8_trim_whitespace(pc.split_pattern(labels, pattern=delimiter).flatten())
    found: list[str] = pc.unique(tags.drop_null()).to_pylist()
    return [tag for tag in found if tag.strip(" ")]
