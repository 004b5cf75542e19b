"""Labels with tags added and removed, rewritten in the format that they are in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.lists import lengths_of, list_array, rows_of_lists
from spark_ml_audit.arrow.types import is_integral
from spark_ml_audit.kernels.profile import IntArray

ADDED, REMOVED = "added", "removed"
"""What a change does to its tag."""


@dataclass(frozen=True)
class Edits:
    """The changes of a batch of rows, in the order of the rows and of each row's list.

    Attributes:
        num_rows: Rows of the batch.
        rows: Row of each change.
        classes: Its class.
        tags: Its tag.
        is_added: Whether the tag is added, else removed.
    """

    num_rows: int
    rows: IntArray
    classes: IntArray
    tags: Sequence[str]
    is_added: npt.NDArray[np.bool_]

    @classmethod
    def of_changes(cls, changes: Any) -> Edits:
        """From an Arrow array of lists of structs with class_index, tag and action."""
        flat = pc.list_flatten(changes)
        classes = pc.struct_field(flat, "class_index").to_numpy(zero_copy_only=False)
        added = pc.equal(pc.struct_field(flat, "action"), ADDED)
        return cls(
            len(changes),
            rows_of_lists(changes),
            np.asarray(classes).astype(np.int64),
            pc.struct_field(flat, "tag").to_pylist(),
            np.asarray(added.to_numpy(zero_copy_only=False)).astype(np.bool_),
        )

    def values(self, kind: Any) -> tuple[list[list[Any]], list[list[Any]]]:
        """What each row gains and what it loses, as its labels write it: tags, or numbers of classes.

        Args:
            kind: Arrow type of one label.
        """
        added: list[list[Any]] = [[] for _ in range(self.num_rows)]
        removed: list[list[Any]] = [[] for _ in range(self.num_rows)]
        written = self.classes.tolist() if is_integral(kind) else self.tags
        for row, value, is_added in zip(self.rows.tolist(), written, self.is_added.tolist(), strict=True):
            (added if is_added else removed)[row].append(value)
        return added, removed


def edit_labels(
    columns: Sequence[Any],
    changes: Any,
    labels_format: str,
    delimiter: str,
    num_classes: int | None = None,
) -> list[Any]:
    """The label columns after the changes; tags that stay keep their order, new ones come last.

    Args:
        columns: Arrow arrays of the label columns: one, or one per class.
        changes: Arrow array of lists of structs with class_index, tag and action, in class order.
        labels_format: names, indices, multi_hot, delimited or columns.
        delimiter: Of delimited texts.
        num_classes: Length of the lists that multi-hot labels of rows without any get; None: they get none.

    Returns:
        Arrow arrays of the same types.

    Example:
        >>> changes = pa.array([[{"class_index": 1, "tag": "red", "action": "added"}]])
        >>> edit_labels([pa.array([["blue"]])], changes, "names", ",")[0].to_pylist()
        [['blue', 'red']]
        >>> edit_labels([pa.array([[1.0, 0.0]])], changes, "multi_hot", ",")[0].to_pylist()
        [[1.0, 1.0]]
        >>> edit_labels([pa.array(["blue, green"])], changes, "delimited", ",")[0].to_pylist()
        ['blue, green, red']

        A row without labels becomes one with those that were added:

        >>> edit_labels([pa.array([None], pa.list_(pa.string()))], changes, "names", ",")[0].to_pylist()
        [['red']]
    """
    edits = Edits.of_changes(changes)
    if labels_format == "columns":
        return _edit_columns(columns, edits)
    values = columns[0]
    if labels_format == "delimited":
        return [_edit_texts(values, edits, delimiter)]
    if labels_format == "multi_hot":
        return [_edit_multi_hot(_begun(values, edits, num_classes), edits)]
    return [_edit_lists(values, edits)]


def _begun(values: Any, edits: Edits, num_classes: int | None) -> Any:
    """Lists of 0 and 1, those that were null and change as long as there are classes, all 0."""
    empty = np.zeros(len(values), dtype=np.bool_)
    empty[edits.rows] = True
    empty &= np.asarray(pc.is_null(values).to_numpy(zero_copy_only=False)).astype(np.bool_)
    if num_classes is None or not empty.any():
        return values
    kind = pa.list_(values.type.value_type)
    zeros = pa.array([[_one_value(0, kind.value_type).as_py()] * num_classes], kind)
    # the row of zeros comes last
    both = pa.concat_arrays([values.cast(kind), zeros])
    return both.take(pa.array(np.where(empty, len(values), np.arange(len(values)))))


def _edit_columns(columns: Sequence[Any], edits: Edits) -> list[Any]:
    found = list(columns)
    none = np.zeros(edits.num_rows, dtype=np.bool_)
    none[edits.rows] = True
    for values in columns:  # rows without any label so far
        none &= np.asarray(pc.is_null(values).to_numpy(zero_copy_only=False)).astype(np.bool_)
    if none.any():
        found = [pc.if_else(pa.array(none), _one_value(0, one.type), one) for one in found]
    for k in np.unique(edits.classes).tolist():
        own = edits.classes == k
        found[k] = _with_bits(found[k], edits.rows[own], edits.is_added[own])
    return found


def _edit_multi_hot(values: Any, edits: Edits) -> Any:
    """Lists of 0 and 1; a class that a list is too short for changes nothing."""
    lengths = lengths_of(values)
    begins = np.cumsum(lengths) - lengths
    fits = edits.classes < lengths[edits.rows]
    places = begins[edits.rows[fits]] + edits.classes[fits]
    flat = _with_bits(pc.list_flatten(values), places, edits.is_added[fits])
    return list_array(lengths, flat, mask=pc.is_null(values))


def _with_bits(values: Any, places: npt.NDArray[Any], bits: npt.NDArray[np.bool_]) -> Any:
    """An array with 1 or 0, in its own type, at some places."""
    for bit in (1, 0):
        at = np.zeros(len(values), dtype=np.bool_)
        at[places[bits == bool(bit)]] = True
        values = pc.if_else(pa.array(at), _one_value(bit, values.type), values)
    return values


def _one_value(bit: int, kind: Any) -> Any:
    # Arrow makes no decimal of few digits from a whole number
    return pa.scalar(Decimal(bit), kind) if pa.types.is_decimal(kind) else pa.scalar(bit).cast(kind)


def _edit_lists(values: Any, edits: Edits) -> Any:
    kind = values.type.value_type
    edited = [
        [item for item in value or () if item is not None and item not in lost] + gained
        if value is not None or gained
        else None
        for value, gained, lost in zip(values.to_pylist(), *edits.values(kind), strict=True)
    ]
    return pa.array(edited, pa.list_(kind))


def _edit_texts(values: Any, edits: Edits, delimiter: str) -> Any:
    """Delimited texts; a space after the delimiters is kept where the text has one."""

    def edit(value: str, gained: list[str], lost: list[str]) -> str:
        parts = [part.strip() for part in value.split(delimiter)]
        kept = [part for part in parts if part and part not in lost]
        spaced = f"{delimiter} " if f"{delimiter} " in value else delimiter
        return spaced.join([*kept, *gained])

    rows = zip(values.to_pylist(), *edits.values(values.type), strict=True)
    edited = [edit(row[0] or "", *row[1:]) if row[0] is not None or row[1] else None for row in rows]
    return pa.array(edited, pa.string())
