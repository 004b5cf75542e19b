"""The class list of a source: where it is found, and whether it fits the probabilities."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.config import source
from spark_ml_audit.config.source import ColumnsConfig
from spark_ml_audit.engines.base import VECTOR, Batches, rows_of
from spark_ml_audit.engines.columns import column
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.hints import first_rows
from spark_ml_audit.frames.hints.class_names import class_list_fix

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame

CLASSES_PROPERTY, CLASSES_METADATA = source.CLASSES_PROPERTY, source.CLASSES_METADATA
# What begins so says how a column is stored, not what it means.
_OF_FILES = ("delta.", "PARQUET:", VECTOR.decode())
# In which the tags in use are looked up where nothing names the classes.
_ROWS_FOR_TAGS = 50_000
# All, that is: as many as a limit can name.
_ALL_KEYS = (1 << 31) - 2


def find_classes(
    engine: Engine,
    frame: Frame,
    schema: pa.Schema,
    columns: ColumnsConfig,
    probs: tuple[str, ...],
    probs_format: str,
    properties: Mapping[str, str],
    notes: list[str],
) -> list[str]:
    """The class list, from the first place that has one (see the contract of `source.classes`).

    Args:
        engine: What runs the frame.
        frame: The source.
        schema: Its columns.
        columns: What the config says.
        probs: Columns of the probabilities.
        probs_format: As `formats.probs_format_of` found it.
        properties: Table properties of the source.
        notes: Takes a sentence on where the list was found.

    Raises:
        InputError: There is none, it cannot be read, or it names a class twice (key `source.classes`).
    """
    metadata = column_metadata(schema, probs[0])
    if columns.classes is not None:
        classes, origin = list(columns.classes), "source.classes"
    elif CLASSES_METADATA in metadata and probs_format != "columns":
        origin = f"metadata '{CLASSES_METADATA}' of column '{probs[0]}'"
        classes = parse_classes(metadata[CLASSES_METADATA], origin)
    elif CLASSES_PROPERTY in properties:
        origin = origin_of_property(properties)
        classes = parse_classes(properties[CLASSES_PROPERTY], origin)
    elif not isinstance(columns.labels, str):
        classes, origin = list(columns.labels), "the names of the label columns"
    elif not isinstance(columns.pred_probs, str):
        classes, origin = list(columns.pred_probs), "the names of the probability columns"
    elif probs_format == "map":
        origin = f"the keys of column '{probs[0]}'"
        classes = distinct_texts(engine, frame, probs[0], _keys_in, _ALL_KEYS)
    else:
        raise InputError(
            f"no class list: column '{probs[0]}' has no '{CLASSES_METADATA}' metadata and the table no "
            f"'{CLASSES_PROPERTY}' property.",
            key="source.classes",
            fix=_fix_without_classes(engine, frame, columns.labels, probs[0], columns.labels_delimiter),
        )
    check_distinct(classes, origin)
    if columns.classes is None:
        notes.append(f"classes: {len(classes)}, from {origin}")
    return classes


def _fix_without_classes(engine: Engine, frame: Frame, labels: str, probs: str, delimiter: str) -> str:
    given = engine.collect(frame.select(column(labels)).head(_ROWS_FOR_TAGS)).column(0)
    values = first_rows(engine, frame, [probs], 1).column(0)
    return class_list_fix(given.combine_chunks(), values.combine_chunks(), delimiter)


def origin_of_property(properties: Mapping[str, str]) -> str:
    """Where a class list that is told with the properties of a source comes from.

    >>> origin_of_property({CLASSES_PROPERTY: "[]"})
    "table property 'spark_ml_audit.classes'"
    """
    if CLASSES_METADATA in properties:
        return f"metadata '{CLASSES_METADATA}' of the files"
    return f"table property '{CLASSES_PROPERTY}'"


def column_metadata(schema: pa.Schema, name: str) -> dict[str, str]:
    """What is recorded with a column, as texts."""
    return _texts_of(schema.field(name))


def columns_metadata(schema: pa.Schema) -> dict[str, dict[str, str]]:
    """Column -> what is recorded with it, but for how it is stored; columns with nothing else are left out.

    Example:
        >>> unit = {"unit": "m", "PARQUET:field_id": "1"}
        >>> columns_metadata(pa.schema([pa.field("a", pa.int8(), metadata=unit), ("b", pa.int8())]))
        {'a': {'unit': 'm'}}
    """
    found = {
        item.name: {key: text for key, text in _texts_of(item).items() if not key.startswith(_OF_FILES)}
        for item in schema
    }
    return {name: metadata for name, metadata in found.items() if metadata}


def _texts_of(item: Any) -> dict[str, str]:
    found = item.metadata or {}
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in found.items()}


def distinct_texts(
    engine: Engine, frame: Frame, name: str, texts_in: Callable[[Any], list[str]], most: int
) -> list[str]:
    """The distinct texts in a column, sorted; of more than `most`, any `most` + 1.

    Args:
        engine: What runs the frame.
        frame: The rows.
        name: The column.
        texts_in: The distinct texts of an Arrow array of it.
        most: Texts to find; no task holds more than one beyond.
    """

    def run(batches: Batches) -> Batches:
        seen: set[str] = set()
        for batch in batches:
            new = [text for text in texts_in(batch.column("values")) if text not in seen]
            new = new[: most + 1 - len(seen)]
            seen.update(new)
            if new:
                yield pa.RecordBatch.from_arrays([pa.array(new, pa.string())], names=["text"])

    values = frame.select(column(name).alias("values"))
    texts = engine.map_batches(values, run, keep=(), add=pa.schema([("text", pa.string())]))
    # one row per text, not per example
    found: list[str] = engine.collect(texts.unique().head(most + 1)).column("text").to_pylist()
    return sorted(found)


def _keys_in(maps: Any) -> list[str]:
    """Distinct keys of an Arrow array of maps."""
    first, last = maps.offsets[0].as_py(), maps.offsets[-1].as_py()
    keys: list[str] = pc.unique(maps.keys.slice(first, last - first)).to_pylist()
    return keys


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
    engine: Engine,
    frame: Frame,
    probs: tuple[str, ...],
    probs_format: str,
    classes: list[str],
    first: pa.Table,
) -> None:
    """Refuse a class list of another length than the probabilities.

    Args:
        engine: What runs the frame.
        frame: The source, its vectors as arrays.
        probs: Columns of the probabilities.
        probs_format: As `formats.probs_format_of` found it.
        classes: The class list.
        first: Rows of the source that come first.

    Raises:
        InputError: It has another length, or is empty (key `source.classes`).
    """
    if not classes:
        raise InputError("the class list is empty.", key="source.classes", fix="Name at least one tag.")
    width: int | None = None
    if probs_format == "columns":
        width = len(probs)
    elif probs_format == "array":
        width = _width_of(engine, frame, probs[0], len(classes), first)
    if width is not None and width != len(classes):
        raise InputError(
            f"{len(classes)} classes, but column '{probs[0]}' has {width} probabilities per row."
            if probs_format == "array"
            else f"{len(classes)} classes, but {width} probability columns.",
            key="source.classes",
            fix="Give one class per probability, in their order.",
        )


def _width_of(engine: Engine, frame: Frame, name: str, expected: int, first: pa.Table) -> int | None:
    """How many probabilities the rows have: what is expected if any row does; None without rows."""
    seen = set(pc.list_value_length(first.column(name)).drop_null().to_pylist())
    if expected in seen:
        return expected
    if not first.num_rows:
        return None
    sizes = frame.select(column(name).list.len().alias("size")).filter(~nw.col("size").is_null())
    counted = sizes.group_by("size").agg(nw.len().alias("rows"))
    found = {int(row["size"]): int(row["rows"]) for row in rows_of(engine, counted)}
    if not found:
        return None
    return expected if expected in found else max(found, key=lambda size: (found[size], size))


def class_frame(engine: Engine, classes: Sequence[str]) -> Frame:
    """Class names with their positions, as a small frame of tag and class_index."""
    positions = pa.array(range(len(classes)), pa.int32())
    return engine.from_arrow(
        pa.table({"tag": pa.array(list(classes), pa.string()), "class_index": positions})
    )
