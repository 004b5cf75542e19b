"""Small integer records that add up: what a pass over rows reduces each batch to.

A record has a class index, a slot whose meaning the pass chooses, and two numbers. Records with the same
class index and slot add up, so a result never depends on how rows are split into batches and partitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Records = dict[str, npt.NDArray[Any]]
"""Columns class_index (int32), slot, a, b (int64) of the same length."""


def make_records(
    class_index: npt.ArrayLike, slot: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike = 0
) -> Records:
    """Records from columns; a single number stands for all records.

    >>> make_records(-1, [0, 4], [10, 2])["a"]
    array([10,  2])
    """
    columns = np.broadcast_arrays(*(np.asarray(column) for column in (class_index, slot, a, b)))
    index, *numbers = (np.atleast_1d(column) for column in columns)
    names = ("slot", "a", "b")
    return {
        "class_index": index.astype(np.int32),
        **{name: column.astype(np.int64) for name, column in zip(names, numbers, strict=True)},
    }


def join_records(parts: Sequence[Records]) -> Records:
    """Records one after the other, equal ones not added up.

    >>> join_records([make_records(3, 0, 1), make_records(3, 0, 2)])["a"].tolist()
    [1, 2]
    """
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return make_records([], [], [], [])
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def sum_records(records: Records) -> Records:
    """Add up records with equal (class_index, slot).

    >>> sum_records(make_records([3, 3], [0, 0], [1, 2]))["a"]
    array([3])
    """
    index, slot = records["class_index"], records["slot"]
    if not len(index):
        return {**records, "class_index": index.astype(np.int32)}
    order = np.lexsort((slot, index))
    index, slot = index[order], slot[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(index) != 0) | (np.diff(slot) != 0)])
    return {
        "class_index": index[starts].astype(np.int32),
        "slot": slot[starts].astype(np.int64),
        "a": np.add.reduceat(records["a"][order], starts),
        "b": np.add.reduceat(records["b"][order], starts),
    }
