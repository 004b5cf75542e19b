"""Lists of Arrow arrays by their lengths, offsets and entries; a null list counts as an empty one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.kernels.profile import IntArray


def lengths_of(lists: Any) -> IntArray:
    """How many entries each list has, shape (n,).

    Example:
        >>> lengths_of(pa.array([["a", "b"], [], None])).tolist()
        [2, 0, 0]
    """
    found: npt.NDArray[Any] = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return found.astype(np.int64)


def rows_of_lists(lists: Any) -> IntArray:
    """The row of each entry, in the order of `flatten`.

    Example:
        >>> rows_of_lists(pa.array([["a", "b"], [], None, ["c"]])).tolist()
        [0, 0, 3]
    """
    return np.repeat(np.arange(len(lists)), lengths_of(lists))


def places_of(lengths: IntArray) -> IntArray:
    """The place of each entry in its list, from 0.

    Args:
        lengths: Of the lists, shape (n,).

    Example:
        >>> places_of(np.array([2, 0, 3])).tolist()
        [0, 1, 0, 1, 2]
    """
    begins = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) - np.repeat(begins, lengths)


def list_array(lengths: Any, values: Any, *, mask: Any = None) -> Any:
    """Arrow list array of entries that follow each other.

    Args:
        lengths: Of the lists, shape (n,).
        values: Arrow array of the entries of all of them.
        mask: Arrow array of booleans: which lists are null; their length is 0. None: no list is.

    Example:
        >>> list_array([2, 0, 1], pa.array(["a", "b", "c"])).to_pylist()
        [['a', 'b'], [], ['c']]
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(np.asarray(lengths, dtype=np.int64), out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=mask)


def matrix_lists(values: Any) -> Any:
    """Arrow list array of the rows of a matrix of shape (n, k).

    Example:
        >>> matrix_lists(np.array([[1.0, 2.0], [3.0, 4.0]])).to_pylist()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    offsets = np.arange(0, values.size + 1, max(values.shape[1], 1), dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))


def lists_contain(lists: Any, values: Any) -> Any:
    """Whether each list holds the value beside it, as Arrow array.

    Example:
        >>> lists_contain(pa.array([["a", "b"], [], None]), pa.array(["b", "a", "a"])).to_pylist()
        [True, False, False]
    """
    rows = rows_of_lists(lists)
    is_hit = pc.fill_null(pc.equal(pc.list_flatten(lists), values.take(pa.array(rows))), False)
    hits = np.asarray(is_hit.to_numpy(zero_copy_only=False))
    return pa.array(np.bincount(rows[hits], minlength=len(lists)) > 0)
