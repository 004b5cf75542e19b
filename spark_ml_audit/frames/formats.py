"""How labels and probabilities are written: by the config, or by type and content of their columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.lists import lengths_of
from spark_ml_audit.arrow.types import is_floating, is_list, is_number, is_string, type_name
from spark_ml_audit.config.source import ColumnsConfig, LabelsConfig
from spark_ml_audit.engines.base import VECTOR, Batches
from spark_ml_audit.engines.columns import column
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.hints.columns import source_field
from spark_ml_audit.kernels.records import Records, make_records

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame


def is_vector(item: Any) -> bool:
    """Whether a field of a schema is a column of pyspark.ml vectors.

    >>> kind = pa.list_(pa.float64())
    >>> is_vector(pa.field("p", kind)), is_vector(pa.field("p", kind, metadata={VECTOR: b"1"}))
    (False, True)
    """
    return VECTOR in (item.metadata or {})


def probs_format_of(
    schema: pa.Schema, columns: ColumnsConfig, notes: list[str]
) -> tuple[tuple[str, ...], str, str]:
    """Columns, format and dtype of the probabilities.

    Args:
        schema: Of the source.
        columns: What the config says.
        notes: Takes a sentence on what was found.

    Returns:
        Names of the columns; array, map or columns; float32 or float64.

    Raises:
        InputError: A column is missing, holds no probabilities, or not in the format given.
    """
    key, wanted = "source.pred_probs", columns.pred_probs_format
    if not isinstance(columns.pred_probs, str):
        names = tuple(columns.pred_probs)
        found = "columns"
        elements = [source_field(schema, name, key).type for name in names]
    else:
        names = (columns.pred_probs,)
        item = source_field(schema, columns.pred_probs, key)
        found, elements = _probs_kind(item)
    bad = [element for element in elements if not is_number(element)]
    if bad:
        raise InputError(
            f"column '{names[0]}' is {_shown(schema, names[0])}, which holds no probabilities.",
            key=key,
            fix="Use array<float>, array<double>, a vector, map<string,double>, or a list of numeric "
            "columns.",
        )
    if wanted not in ("auto", found):
        raise InputError(
            f"'{wanted}' was given, but column '{names[0]}' is {_shown(schema, names[0])}.",
            key="source.pred_probs_format",
            fix=f"Use '{found}' or 'auto'.",
        )
    dtype = "float32" if all(pa.types.is_float32(element) for element in elements) else "float64"
    if wanted == "auto":
        notes.append(f"pred_probs_format: {found} ({dtype}), from the type of column '{names[0]}'")
    return names, "array" if found == "vector" else found, dtype


def _probs_kind(item: Any) -> tuple[str, list[Any]]:
    """Format of a column of probabilities, and the types of what it holds."""
    kind = item.type
    if is_vector(item):
        return "vector", [pa.float64()]
    if is_list(kind):
        return "array", [kind.value_type]
    if pa.types.is_map(kind) and is_string(kind.key_type):
        return "map", [kind.item_type]
    return ("columns" if is_number(kind) else "unknown"), [kind]


def _shown(schema: pa.Schema, name: str) -> str:
    item = schema.field(name)
    return "vector" if is_vector(item) else type_name(item.type)


def label_columns_of(schema: pa.Schema, columns: LabelsConfig) -> tuple[str, ...]:
    """The columns of the given tags.

    Raises:
        InputError: One is missing.
    """
    labels = (columns.labels,) if isinstance(columns.labels, str) else tuple(columns.labels)
    for name in labels:
        source_field(schema, name, "source.labels")
    return labels


def labels_format_of(
    engine: Engine,
    frame: Frame,
    schema: pa.Schema,
    columns: LabelsConfig,
    labels: tuple[str, ...],
    num_classes: int,
    notes: list[str],
    first: pa.Table,
) -> str:
    """How the given tags are written, by the config or by type and content of their columns.

    Args:
        engine: What runs the frame.
        frame: The source, its vectors as arrays.
        schema: Its columns.
        columns: What the config says.
        labels: Columns of the given tags.
        num_classes: K.
        notes: Takes a sentence on what was found.
        first: Rows of the source that come first.

    Raises:
        InputError: It cannot be decided, or the columns do not fit it.
    """
    wanted: str = columns.labels_format
    fitting, shown = _fitting(schema, columns, labels, num_classes)
    if wanted != "auto":
        if wanted not in fitting:
            raise InputError(
                f"'{wanted}' was given, but column '{labels[0]}' is {shown}.",
                key="source.labels_format",
                fix=f"Use {' or '.join(repr(name) for name in fitting)}, or 'auto'.",
            )
        found = wanted
    elif len(fitting) == 1:
        found = fitting[0]
        notes.append(f"labels_format: {found}, from the type of column '{labels[0]}' ({shown})")
    else:
        found = _indices_or_multi_hot(engine, frame, labels[0], num_classes, notes, first)
    if found == "columns" and len(labels) != num_classes:
        raise InputError(
            f"{len(labels)} label columns for {num_classes} classes.",
            key="source.labels",
            fix="List one label column per class, in class order.",
        )
    return found


def _fitting(
    schema: pa.Schema, columns: LabelsConfig, labels: tuple[str, ...], num_classes: int
) -> tuple[list[str], str]:
    """The formats that fit the type of the label columns, one at least, and how the columns are shown."""
    if not isinstance(columns.labels, str):
        fitting, shown = ["columns"], "a list of columns"
        bad = [name for name in labels if not _is_flag(schema.field(name).type)]
        if bad:
            raise InputError(
                f"label column '{bad[0]}' is {_shown(schema, bad[0])}, not a number or boolean.",
                key="source.labels",
                fix="One column per tag holds 0 or 1, or false or true.",
            )
    else:
        shown = _shown(schema, labels[0])
        fitting = _fitting_label_formats(schema.field(labels[0]))
        if fitting == ["columns"] and num_classes != 1:
            fitting = []
    if not fitting:
        raise InputError(
            f"column '{labels[0]}' is {shown}, which holds no tags.",
            key="source.labels",
            fix="Use an array of tag names or class indices, a 0/1 array, a delimited string, or a list of "
            "columns.",
        )
    return fitting, shown


def _is_flag(kind: Any) -> bool:
    return bool(pa.types.is_boolean(kind)) or is_number(kind)


def _fitting_label_formats(item: Any) -> list[str]:
    if is_vector(item):
        return ["multi_hot"]
    if is_list(item.type):
        return _fitting_array_formats(item.type.value_type)
    if is_string(item.type):
        return ["delimited"]
    return ["columns"] if _is_flag(item.type) else []


def _fitting_array_formats(element: Any) -> list[str]:
    if is_string(element):
        return ["names"]
    if pa.types.is_integer(element):
        return ["indices", "multi_hot"]
    return ["multi_hot"] if pa.types.is_boolean(element) or is_floating(element) else []


_ONLY_VECTOR, _EITHER, _ONLY_INDICES = range(3)


def count_readings(lists: Any, num_classes: int) -> tuple[int, int, int]:
    """How integer lists can be read: as 0/1 vector alone (0 or 1 repeats), as either, as indices alone.

    The second count includes the first.

    >>> count_readings(pa.array([[0, 1, 0], [0, 1], [1, 0, 2], None]), num_classes=3)
    (1, 1, 2)
    """
    lists = lists.drop_null()
    lengths = lengths_of(lists)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    values = lists.flatten()
    is_bit = pc.is_in(values, value_set=pa.array([0, 1], values.type)).to_numpy(zero_copy_only=False)
    as_vector = lengths == num_classes
    as_vector[rows[~is_bit]] = False
    ones = np.bincount(
        rows[is_bit],
        weights=values.fill_null(0).to_numpy(zero_copy_only=False)[is_bit] == 1,
        minlength=len(lengths),
    )
    repeats = (ones > 1) | (lengths - ones > 1)
    return (
        int(np.count_nonzero(as_vector & repeats)),
        int(np.count_nonzero(as_vector)),
        int(np.count_nonzero(~as_vector)),
    )


def _indices_or_multi_hot(
    engine: Engine, frame: Frame, name: str, num_classes: int, notes: list[str], first: pa.Table
) -> str:
    """Integer arrays: class indices unless every list reads as a 0/1 vector of length K > 2."""
    lists = frame.select(column(name).alias("lists"))

    def reduce(batches: Batches) -> Iterator[Records]:
        for batch in batches:
            counts = count_readings(batch.column("lists"), num_classes)
            yield make_records(0, np.arange(3), np.array(counts))

    def tally() -> tuple[int, int, int]:
        records = engine.reduce_batches(lists, reduce)
        found = dict(zip(records["slot"].tolist(), records["a"].tolist(), strict=True))
        return found.get(_ONLY_VECTOR, 0), found.get(_EITHER, 0), found.get(_ONLY_INDICES, 0)

    only_vector, either, only_indices = count_readings(first.column(name).combine_chunks(), num_classes)
    if only_vector or not only_indices:
        only_vector, either, only_indices = tally()
    column_text = f"column '{name}'"
    if only_vector and not only_indices and num_classes > 2:
        notes.append(
            f"labels_format: multi_hot, every list of {column_text} has length {num_classes} and holds only "
            "0 and 1"
        )
        return "multi_hot"
    if only_vector > only_indices or (either and not only_indices):
        raise InputError(
            f"{column_text} could hold class indices or 0/1 vectors: {either} of {either + only_indices} "
            f"lists have length {num_classes} and hold 0 and 1 only.",
            key="source.labels_format",
            fix="Say which: 'indices' or 'multi_hot'.",
        )
    notes.append(
        f"labels_format: indices, the lists of {column_text} are no 0/1 vectors of length {num_classes}"
    )
    return "indices"
