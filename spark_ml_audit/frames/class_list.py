"""The class list of a source: where it is found, and whether it fits the probabilities."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_ml_audit.config.source import ColumnsConfig
from spark_ml_audit.engines.columns import column
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.formats import SAMPLE_ROWS, is_vector, vector_to_array_column

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine

CLASSES_PROPERTY = "spark_ml_audit.classes"
CLASSES_METADATA = "classes"


def find_classes(
    frame: DataFrame,
    columns: ColumnsConfig,
    probs: tuple[str, ...],
    probs_format: str,
    properties: Mapping[str, str],
    notes: list[str],
) -> list[str]:
    """The class list, from the first place that has one (see the contract of `source.classes`).

    Args:
        frame: The source.
        columns: What the config says.
        probs: Columns of the probabilities.
        probs_format: As `formats.probs_format_of` found it.
        properties: Table properties of the source.
        notes: Takes a sentence on where the list was found.

    Raises:
        InputError: There is none, it cannot be read, or it names a class twice (key `source.classes`).
    """
    metadata = frame.schema[probs[0]].metadata or {}
    if columns.classes is not None:
        classes, origin = list(columns.classes), "source.classes"
    elif CLASSES_METADATA in metadata and probs_format != "columns":
        origin = f"metadata '{CLASSES_METADATA}' of column '{probs[0]}'"
        classes = parse_classes(metadata[CLASSES_METADATA], origin)
    elif CLASSES_PROPERTY in properties:
        origin = f"table property '{CLASSES_PROPERTY}'"
        classes = parse_classes(properties[CLASSES_PROPERTY], origin)
    elif not isinstance(columns.labels, str):
        classes, origin = list(columns.labels), "the names of the label columns"
    elif not isinstance(columns.pred_probs, str):
        classes, origin = list(columns.pred_probs), "the names of the probability columns"
    elif probs_format == "map":
        keys = frame.select(F.explode(F.map_keys(column(probs[0]))).alias("key")).distinct()
        # one row per class, not per example
        classes, origin = sorted(row["key"] for row in keys.collect()), f"the keys of column '{probs[0]}'"
    else:
        raise InputError(
            f"no class list: column '{probs[0]}' has no '{CLASSES_METADATA}' metadata and the table no "
            f"'{CLASSES_PROPERTY}' property.",
            key="source.classes",
            fix="Give the tag names in the order of the probabilities, as a list or a file with one per "
            "line.",
        )
    check_distinct(classes, origin)
    if columns.classes is None:
        notes.append(f"classes: {len(classes)}, from {origin}")
    return classes


def check_distinct(classes: list[str], origin: str) -> None:
    """Refuse a class list that names a class twice.

    Raises:
        InputError: It does (key `source.classes`); `origin` says where the list comes from.
    """
    repeated = (
        sorted({name for name in classes if classes.count(name) > 1})
        if len(set(classes)) < len(classes)
        else []
    )
    if repeated:
        raise InputError(
            f"class '{repeated[0]}' occurs more than once in {origin}.",
            key="source.classes",
            fix="Name every class once, in the order of the probabilities.",
        )


def parse_classes(value: Any, origin: str) -> list[str]:
    """A class list as metadata and properties hold it: JSON.

    Raises:
        InputError: It is no list of strings (key `source.classes`); `origin` says where it comes from.
    """
    try:
        classes = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        classes = None
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise InputError(
            f"{origin} is not a JSON list of strings.",
            key="source.classes",
            fix="Mend it, or give the tag names under source.classes.",
        )
    return classes


def check_width(
    frame: DataFrame,
    labels: tuple[str, ...],
    probs: tuple[str, ...],
    probs_format: str,
    classes: list[str],
    columns: ColumnsConfig,
) -> None:
    """Refuse a class list of another length than the probabilities.

    Raises:
        InputError: It has another length, or is empty (key `source.classes`).
    """
    if not classes:
        raise InputError("the class list is empty.", key="source.classes", fix="Name at least one tag.")
    width: int | None = None
    if probs_format == "columns":
        width = len(probs)
    elif probs_format == "array":
        value = (
            vector_to_array_column(probs[0])
            if is_vector(frame.schema[probs[0]].dataType)
            else column(probs[0])
        )
        sizes = frame.select(F.size(value).alias("size")).where(F.col("size") >= 0)
        seen = [row["size"] for row in sizes.limit(SAMPLE_ROWS).collect()]
        fits = len(classes) in seen or not seen or sizes.where(F.col("size") == len(classes)).limit(1).count()
        width = len(classes) if fits else max(set(seen), key=seen.count)
    if width is not None and width != len(classes):
        raise InputError(
            f"{len(classes)} classes, but column '{probs[0]}' has {width} probabilities per row."
            if probs_format == "array"
            else f"{len(classes)} classes, but {width} probability columns.",
            key="source.classes",
            fix="Give one class per probability, in their order.",
        )


def class_frame(engine: Engine, classes: Sequence[str]) -> DataFrame:
    """Class names with their positions, as a small frame of tag and class_index."""
    positions = pa.array(range(len(classes)), pa.int32())
    return engine.from_arrow(
        pa.table({"tag": pa.array(list(classes), pa.string()), "class_index": positions})
    )
