"""Labels and probabilities that people hold as arrays, as columns of a table.

Rows are those of the arrays, in their order; no Python object is made per row or cell. What each argument may
be, and what is refused, is said in `arrays.inputs`; names of tags are resolved here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from spark_ml_audit.arrays.inputs import as_labels, as_pred_probs
from spark_ml_audit.arrow.types import is_list, is_number
from spark_ml_audit.engines.in_hand import Held, hold
from spark_ml_audit.errors import InputError
from spark_ml_audit.text import show, suggest

LABELS, PRED_PROBS = "labels", "pred_probs"

_MAX_CELLS = (1 << 31) - 1  # what the offsets of Arrow's lists count to


def is_array(value: Any) -> bool:
    """Whether an argument is an array or lists, and not the name of a column or a list of such.

    >>> is_array("labels"), is_array(["is_red", "is_green"]), is_array([[0], [1]]), is_array(np.zeros((2, 2)))
    (False, False, True, True)
    """
    if value is None or isinstance(value, str):
        return False
    is_list = isinstance(value, list | tuple)
    return not (is_list and value and all(isinstance(name, str) for name in value))


def class_names(classes: Any, labels: Any = None, pred_probs: Any = None) -> Any:
    """The class list: the one given, whole numbers in it as texts, else the columns of a table of either.

    Args:
        classes: As given; also the path of a file, which is handed on.
        labels: As given.
        pred_probs: As given.

    Example:
        >>> class_names(np.array([2023, 2024]))
        ['2023', '2024']
    """
    if classes is None:
        named = (column_names(value) for value in (labels, pred_probs))
        return next((names for names in named if names is not None), None)
    listed = classes.tolist() if hasattr(classes, "tolist") else classes
    if not isinstance(listed, list | tuple):
        return listed
    return [str(name) if isinstance(name, int) and not isinstance(name, bool) else name for name in listed]


def column_names(value: Any) -> list[str] | None:
    """Names of the columns of a table of numbers; None for what is none, and for mere numbers as names."""
    found = nw.from_native(value, pass_through=True)
    if not isinstance(found, nw.DataFrame):
        return None
    if not all(kind.is_numeric() or kind == nw.Boolean for kind in found.schema.values()):
        return None
    names = [str(name) for name in found.columns]
    return None if names == [str(k) for k in range(len(names))] else names


@dataclass(frozen=True)
class Arrays:
    """Arrays as columns of a table.

    Attributes:
        held: The table.
        classes: The class list; None where the table alone can tell.
        labels_format: How the column of labels is written; None where it is the table's own.
    """

    held: Held
    classes: Any
    labels_format: str | None = None


def with_arrays(
    held: Held | None,
    labels: Any,
    pred_probs: Any,
    classes: Any,
    labels_format: str = "auto",
    column: Any = LABELS,
) -> Arrays:
    """A table with the columns `labels` and `pred_probs` of arrays, in the place of such that it has.

    Args:
        held: Table of the same rows; None makes one of the arrays alone, whose results are of pandas.
        labels: For each row its class indices or tag names, multi-hot or sparse; None: the table has them.
        pred_probs: What `arrays.inputs.as_pred_probs` takes; None: the table has them.
        classes: From `class_names`; None stands for the numbers of the classes.
        labels_format: auto, or how labels in lists are to be read: names, indices or multi_hot.
        column: Of the labels that the table has.

    Raises:
        InputError: An array cannot be used as it is (key: its argument).

    Example:
        >>> found = with_arrays(None, [["b"], []], np.array([[0.1, 0.9], [0.8, 0.2]]), ["a", "b"])
        >>> found.held.table.to_pydict()
        {'pred_probs': [[0.1, 0.9], [0.8, 0.2]], 'labels': [[1], []]}
    """
    _check_same_places(labels, pred_probs)
    columns: dict[str, Any] = {}
    shape, found_format = None, None
    if pred_probs is not None:
        probs = as_pred_probs(_values(pred_probs))
        shape = (probs.shape[0], probs.shape[1])
        _check_classes(classes, shape[1])
        columns[PRED_PROBS] = _lists(np.arange(shape[0] + 1) * shape[1], pa.array(probs.reshape(-1)))
    if labels is not None:
        columns[LABELS], found_format = _label_lists(_values(labels), shape, classes, labels_format)
    if shape is not None and classes is None and (labels is not None or _holds_indices(held, column)):
        classes = tuple(str(k) for k in range(shape[1]))
    base = held or Held(pa.table({}), "pandas", _index(labels) or _index(pred_probs))
    return Arrays(_beside(base, columns, is_new=held is None), classes, found_format)


def _beside(base: Held, columns: dict[str, Any], *, is_new: bool) -> Held:
    table = base.table
    for name, values in columns.items():
        if not is_new and table.num_rows != len(values):
            raise InputError(
                f"has {len(values)} rows, the table has {table.num_rows}.",
                key=name,
                fix="Give both for the same rows, in the same order.",
            )
        kept = {item: table.column(item) for item in table.column_names if item != name}
        table = pa.table({**kept, name: values})
    return replace(base, table=table)


def _check_classes(classes: Sequence[str] | None, num_classes: int) -> None:
    if classes is not None and len(classes) != num_classes:
        raise InputError(
            f"{len(classes)} names, but pred_probs has {num_classes} columns.",
            key="classes",
            fix="Give one name per column of pred_probs, in their order.",
        )


def _holds_indices(held: Held | None, name: Any) -> bool:
    """Whether labels of a table in hand are numbers, which need no names."""
    if held is None or not isinstance(name, str) or name not in held.table.column_names:
        return False
    kind = held.table.schema.field(name).type
    return is_list(kind) and is_number(kind.value_type)


def _lists(offsets: Any, values: Any, mask: Any = None) -> Any:
    """Lists of entries that follow each other, without a copy of them."""
    if len(values) <= _MAX_CELLS:
        return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values, mask=mask)
    return pa.LargeListArray.from_arrays(pa.array(offsets), values, mask=mask)


# ---- labels ----------------------------------------------------------------------------------------


def _label_lists(
    labels: Any, shape: tuple[int, int] | None, classes: Any, labels_format: str
) -> tuple[Any, str]:
    """The column of given labels, and how it is written."""
    mask = None
    if isinstance(labels, list | tuple) or getattr(labels, "ndim", 2) == 1:
        rows, mask = _without_unlabelled(list(labels))
        kinds = _kinds_in(rows)
        if kinds and all(issubclass(kind, str) for kind in kinds):
            if shape is None:  # the table knows the classes, or tells what is wrong
                return pa.array([None if row is None else list(row) for row in labels]), "names"
            rows = _indices_of(rows, classes)
        elif labels_format == "multi_hot":
            labels, mask = np.asarray(labels), None
        elif kinds and _are_names(rows, kinds, classes, labels_format):
            rows = _indices_of([list(map(str, row)) for row in rows], classes)
        labels = labels if labels_format == "multi_hot" else rows
    found = as_labels(labels, shape or _shape_of(labels))
    return _lists(found.indptr, pa.array(found.indices.astype(np.int32)), mask), "indices"


def _without_unlabelled(rows: list[Any]) -> tuple[list[Any], Any]:
    """The rows, and which of them nobody has annotated yet: None, or NaN as pandas writes it."""
    unlabelled = [row is None or (isinstance(row, float) and math.isnan(row)) for row in rows]
    if not any(unlabelled):
        return rows, None
    return [[] if is_null else row for row, is_null in zip(rows, unlabelled, strict=True)], pa.array(
        unlabelled
    )


def _kinds_in(rows: list[Any]) -> set[type]:
    """Types of the entries of all rows; none where a row is no list: that is said by the one who reads it."""
    text = next((i for i, row in enumerate(rows) if isinstance(row, str)), None)
    if text is not None:
        raise InputError(
            f"row {text} is {show(rows[text])}, a text and no list.",
            key=LABELS,
            fix="Give a list for each row, such as [['comedy', 'drama'], []]; text.split(',') makes one of a "
            "text with commas.",
        )
    try:
        return set(map(type, chain.from_iterable(rows)))
    except TypeError:
        return set()


def _are_names(rows: list[Any], kinds: set[type], classes: Any, labels_format: str) -> bool:
    """Whether whole numbers in lists are names of classes, as in [[2023], [2024]], and no indices.

    Raises:
        InputError: They could be either.
    """
    if not all(issubclass(kind, int | np.integer) for kind in kinds) or not isinstance(classes, list | tuple):
        return False
    if labels_format != "auto":
        return labels_format == "names"
    found = set(map(str, set(chain.from_iterable(rows))))
    if list(classes) == [str(k) for k in range(len(classes))] or not found <= set(classes):
        return False
    if found <= {str(k) for k in range(len(classes))}:
        raise InputError(
            f"its numbers could be class indices or names of classes, as {show(classes[0])} is one.",
            key=LABELS,
            fix="Say which: labels_format='indices' or labels_format='names'.",
        )
    return True


def _indices_of(rows: list[Any], classes: Any) -> list[list[int]]:
    """Rows of tag names as rows of class indices."""
    if not isinstance(classes, list | tuple):
        raise InputError(
            "the class list is not given, but labels are names.",
            key="classes",
            fix="Give the tag names in the order of the columns of pred_probs, such as mlb.classes_.",
        )
    places = {name: k for k, name in enumerate(classes)}
    try:
        return [[places[name] for name in row] for row in rows]
    except KeyError as error:
        name = str(error.args[0])
    place = next(i for i, row in enumerate(rows) if name in row)
    listed = ", ".join(map(show, classes[:10])) + (", ..." if len(classes) > 10 else "")
    raise InputError(
        f"row {place} has the tag {show(name)}, which is not among the {len(places)} classes.",
        key=LABELS,
        fix=f"{suggest(name, places)}Classes are: {listed}.",
    )


def _shape_of(labels: Any) -> tuple[int, int]:
    """Rows and classes of labels alone."""
    if hasattr(labels, "shape") and len(labels.shape) == 2:
        return labels.shape[0], labels.shape[1]
    return len(labels), 1 + max(chain.from_iterable(labels), default=0)


# ---- what arrays of pandas and others know beside their values ---------------------------------------


def _values(value: Any) -> Any:
    """An array or list as NumPy or Python has it; a series' rows as a list."""
    if isinstance(value, pa.Array):
        value = pa.chunked_array([value])
    found = nw.from_native(value, pass_through=True, allow_series=True)
    if isinstance(found, nw.Series):
        is_plain = not (found.dtype.is_nested() or found.dtype in (nw.Object, nw.String))
        return found.to_numpy() if is_plain else found.to_list()
    return found.to_numpy() if isinstance(found, nw.DataFrame) else value


def _index(value: Any) -> Any:
    """The index of a series or DataFrame of pandas that names rows."""
    index = getattr(value, "index", None)
    if index is None or callable(index) or not hasattr(value, "iloc"):
        return None
    held = hold(value.iloc[:, :0] if value.ndim == 2 else value.to_frame("values"))
    return None if held is None else held.index


def _check_same_places(labels: Any, pred_probs: Any) -> None:
    """Refuse two tables whose rows or columns are the same ones in different orders.

    Raises:
        InputError: Their indices differ, or their columns' order (key `pred_probs`).
    """
    rows = [value.index for value in (labels, pred_probs) if hasattr(value, "iloc")]
    if len(rows) > 1 and len(rows[0]) == len(rows[1]) and not rows[0].equals(rows[1]):
        raise InputError(
            "its index is not that of labels: rows would be compared with other rows.",
            key=PRED_PROBS,
            fix="Bring both into one order: pred_probs.loc[labels.index].",
        )
    given, predicted = column_names(labels), column_names(pred_probs)
    if given and predicted and given != predicted and sorted(given) == sorted(predicted):
        raise InputError(
            "its columns are those of labels in another order.",
            key=PRED_PROBS,
            fix="Bring both into one order: pred_probs[labels.columns].",
        )


def check_beside(data: Any, labels: Any, pred_probs: Any, named: Any) -> None:
    """Refuse arrays beside a table that name its rows, or its classes, in another order.

    Args:
        data: The table.
        labels: Labels as an array; None where the table has them.
        pred_probs: Probabilities as an array; None where the table has them.
        named: Class names as given, or names of one column of labels per class.

    Raises:
        InputError: Rows or columns are the same ones in different orders (key: the argument).

    Example:
        >>> import pandas as pd
        >>> table, probs = pd.DataFrame({"id": [1, 2]}), pd.DataFrame({"a": [0.1, 0.9]}, index=[1, 0])
        >>> try:
        ...     check_beside(table, None, probs, None)
        ... except InputError as error:
        ...     print(error.key)
        pred_probs
    """
    for key, value in ((LABELS, labels), (PRED_PROBS, pred_probs)):
        if not (hasattr(data, "iloc") and hasattr(value, "iloc")) or len(data) != len(value):
            continue
        own, other = data.index, value.index
        is_counted = bool((other == range(len(other))).all())
        if not own.equals(other) and not is_counted and len(own.intersection(other)):
            raise InputError(
                "its index names the rows of the table in another order.",
                key=key,
                fix=f"Bring both into one order: {key}.loc[table.index]; or give {key}.to_numpy().",
            )
    names = list(named) if isinstance(named, list | tuple) else None
    predicted = column_names(pred_probs)
    if names and predicted and names != predicted and sorted(map(str, names)) == sorted(predicted):
        raise InputError(
            "its columns are the classes in another order.",
            key=PRED_PROBS,
            fix="Bring both into one order: pred_probs[classes].",
        )
