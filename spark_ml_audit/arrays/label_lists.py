"""Given labels, in whatever form, as class indices row after row."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.arrays.row_blocks import row_blocks
from spark_ml_audit.errors import InputError

IntArray = npt.NDArray[np.int64]

LISTS = "Give the class indices of each row, such as [[0], [0, 2], []]; [] means that no class applies."
"""How labels are given."""

# They have a length, but their parts are no class indices.
_NO_ROWS = (str, bytes, dict)
_ROWS_AT_ONCE = 1000
_MULTI_HOT = "A two-dimensional array is read as multi-hot, a column per class; for class indices give lists."


@dataclass(frozen=True)
class LabelLists:
    """The classes given to each of n rows, as in a compressed sparse row matrix.

    Attributes:
        indptr: Row i has ``indices[indptr[i]:indptr[i + 1]]``; int64, shape (n + 1,).
        indices: Class indices, ascending and without repeats within a row; int64.
        num_classes: K.

    Example:
        >>> labels = LabelLists(np.array([0, 1, 3]), np.array([2, 0, 1]), num_classes=3)
        >>> labels.num_rows, labels.to_multi_hot().astype(int).tolist()
        (2, [[0, 0, 1], [1, 1, 0]])
        >>> rows, cols = labels.cells(1, 2)  # of the second row alone
        >>> rows.tolist(), cols.tolist()
        ([0, 0], [0, 1])
    """

    indptr: IntArray
    indices: IntArray
    num_classes: int

    @property
    def num_rows(self) -> int:
        """Rows, those without a class included."""
        return len(self.indptr) - 1

    def cells(self, start: int = 0, stop: int | None = None) -> tuple[IntArray, IntArray]:
        """Row, counted from `start`, and class of every given label of some rows, as the kernels take them.

        Args:
            start: First row.
            stop: First row past them; None for all that follow.
        """
        ends = self.indptr[start:] if stop is None else self.indptr[start : stop + 1]
        rows = np.repeat(np.arange(len(ends) - 1, dtype=np.int64), np.diff(ends))
        return rows, self.indices[ends[0] : ends[-1]]

    def to_multi_hot(self) -> npt.NDArray[np.bool_]:
        """Whether the row has the class, shape (n, K)."""
        given = np.zeros((self.num_rows, self.num_classes), dtype=np.bool_)
        given[self.cells()] = True
        return given


def from_rows(labels: Any, shape: tuple[int, int], name: str) -> LabelLists:
    """From the class indices of each row; repeats count once."""
    rows = labels if isinstance(labels, list | tuple) else _listed(labels, name)
    _check_count(len(rows), shape, name)
    lengths = _lengths(rows, name)
    indptr = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(lengths, out=indptr[1:])
    flat = _joined(rows, indptr, name)
    row = np.repeat(np.arange(len(rows), dtype=np.int64), lengths)
    outside = (flat < 0) | (flat >= shape[1])
    if outside.any():
        first = int(outside.argmax())
        raise _no_class(int(row[first]), int(flat[first]), shape, name)
    codes = row * shape[1] + flat
    if len(codes) > 1 and not (codes[1:] > codes[:-1]).all():
        distinct = np.unique(codes)
        looks_multi_hot = shape[1] > 1 and (lengths == shape[1]).all() and flat.max() <= 1
        if looks_multi_hot and len(distinct) < len(codes):
            raise InputError(
                f"every row has {shape[1]} entries, all 0 or 1: these are multi-hot rows, no class indices.",
                key=name,
                fix=f"Give them as an array: np.array({name}).",
            )
        return _from_codes(distinct, shape)
    return LabelLists(indptr, flat, shape[1])


def _listed(labels: Any, name: str) -> list[Any]:
    if isinstance(labels, str | bytes) or not isinstance(labels, Iterable):
        raise InputError(f"found {type(labels).__name__}.", key=name, fix=LISTS)
    return list(labels)


def _lengths(rows: Sequence[Any], name: str) -> IntArray:
    if all(hasattr(kind, "__len__") and not issubclass(kind, _NO_ROWS) for kind in set(map(type, rows))):
        try:
            return np.fromiter(map(len, rows), np.int64, len(rows))
        except TypeError:  # an array without dimensions
            pass
    at, row = next((i, row) for i, row in enumerate(rows) if not _is_row(row))
    row = row.item() if isinstance(row, np.ndarray) else row
    if row is None or isinstance(row, float | np.floating):
        fix = "Leave out rows that nobody has annotated; [] means that no class applies."
    elif isinstance(row, int | np.integer):
        fix = "Give a list for each row, [[0], [2]] for one class each."
    else:
        fix = LISTS
    raise InputError(f"row {at} is {_shown(row)}.", key=name, fix=fix)


def _is_row(row: Any) -> bool:
    return hasattr(row, "__len__") and not isinstance(row, _NO_ROWS) and getattr(row, "ndim", 1) > 0


def _shown(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)[:60]


def _joined(rows: Sequence[Any], indptr: IntArray, name: str) -> IntArray:
    """All entries of all rows as whole numbers."""
    if all(type(row) is np.ndarray for row in rows):
        filled = [row for row in rows if row.size]
        joined = np.concatenate(filled) if filled else np.zeros(0, dtype=np.int64)
        if joined.dtype.kind in "iu" and joined.ndim == 1:
            return joined.astype(np.int64)
    # unlike NumPy's own ways from a list, an array of this type takes no text and cuts no fraction off
    numbers = array("q")
    try:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            numbers.fromlist(list(chain.from_iterable(rows[start : start + _ROWS_AT_ONCE])))
    except TypeError:
        raise _no_index(rows, indptr, name) from None
    except OverflowError:
        raise InputError("an entry is too large for a class index.", key=name, fix=LISTS) from None
    flat = np.frombuffer(numbers, dtype=np.int64) if numbers else np.zeros(0, dtype=np.int64)
    if flat.max(initial=0) <= 1 and any(isinstance(entry, bool) for entry in chain.from_iterable(rows)):
        raise _no_index(rows, indptr, name)
    return flat


def _no_index(rows: Sequence[Any], indptr: IntArray, name: str) -> InputError:
    position, found = next(
        (position, entry)
        for position, entry in enumerate(chain.from_iterable(rows))
        if isinstance(entry, bool) or not isinstance(entry, int | np.integer)
    )
    row = int(np.searchsorted(indptr, position, side="right")) - 1
    fix = LISTS
    if isinstance(found, str):
        fix = "Give class indices instead of names: [classes.index(name) for name in row]."
    return InputError(
        f"row {row} has {_shown(found)} ({type(found).__name__}), which is no class index.",
        key=name,
        fix=fix,
    )


def from_multi_hot(hot: npt.NDArray[Any], shape: tuple[int, int], name: str) -> LabelLists:
    """From an array of shape (n, K) of 0 and 1, or False and True."""
    if hot.ndim != 2:
        raise InputError(f"its shape is {hot.shape}.", key=name, fix=LISTS)
    _check_count(len(hot), shape, name)
    _check_width(hot.shape[1], shape, name)
    if hot.dtype.kind not in "biuf":
        raise InputError(f"its type is {hot.dtype}.", key=name, fix="Give a multi-hot array of 0 and 1.")
    counts, indices = [np.zeros(1, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for start, stop in row_blocks(shape):
        block = hot[start:stop]
        given = block if block.dtype == np.bool_ else block == 1
        if block.dtype != np.bool_ and np.count_nonzero(given) + np.count_nonzero(block == 0) != block.size:
            wrong = ~given & (block != 0)
            row, col = np.unravel_index(int(wrong.argmax()), wrong.shape)
            raise _no_multi_hot(start + int(row), int(col), block[row, col], name)
        counts.append(np.count_nonzero(given, axis=1))
        indices.append(np.nonzero(given)[1])
    return LabelLists(np.cumsum(np.concatenate(counts)), np.concatenate(indices), shape[1])


def from_sparse(matrix: Any, shape: tuple[int, int], name: str) -> LabelLists:
    """From SciPy's sparse matrices and arrays of shape (n, K)."""
    if len(matrix.shape) != 2:
        raise InputError(f"its shape is {matrix.shape}.", key=name, fix=LISTS)
    _check_count(matrix.shape[0], shape, name)
    _check_width(matrix.shape[1], shape, name)
    rows = matrix.tocsr()
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    row = np.repeat(np.arange(shape[0], dtype=np.int64), np.diff(rows.indptr))
    given = rows.data == 1
    wrong = ~given & (rows.data != 0)
    if wrong.any():
        first = int(wrong.argmax())
        raise _no_multi_hot(int(row[first]), int(rows.indices[first]), rows.data[first], name)
    return _from_codes(row[given] * shape[1] + rows.indices[given], shape)


def _from_codes(codes: IntArray, shape: tuple[int, int]) -> LabelLists:
    """From ascending row * K + class."""
    row, col = np.divmod(codes, shape[1])
    indptr = np.zeros(shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(row, minlength=shape[0]), out=indptr[1:])
    return LabelLists(indptr, col, shape[1])


def _check_count(found: int, shape: tuple[int, int], name: str) -> None:
    if found != shape[0]:
        raise InputError(
            f"has {found} rows, the probabilities have {shape[0]}.",
            key=name,
            fix="Give both for the same rows, in the same order.",
        )


def _check_width(found: int, shape: tuple[int, int], name: str) -> None:
    if found != shape[1]:
        raise InputError(
            f"has {found} columns, the probabilities have {shape[1]} classes.",
            key=name,
            fix=_MULTI_HOT,
        )


def _no_class(row: int, index: int, shape: tuple[int, int], name: str) -> InputError:
    return InputError(
        f"row {row} has the class index {index}, but there are {shape[1]} classes.",
        key=name,
        fix=f"Class indices are 0 to {shape[1] - 1}, in the order of the probabilities' columns.",
    )


def _no_multi_hot(row: int, col: int, value: Any, name: str) -> InputError:
    return InputError(
        f"row {row}, column {col}: found {value!s}, which is neither 0 nor 1.",
        key=name,
        fix=_MULTI_HOT,
    )
