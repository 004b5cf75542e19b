"""Tag lists of a row packed into one binary value: what a shuffle moves instead of arrays of names.

A packed row is a run of unsigned 32-bit numbers: how many tags are given, missing, extraneous and
ambiguous, then their class indices in that order. Suggested tags follow from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.rules import suggest_tags

_HEADER = 4
_NUMBER = np.dtype("<u4")

Pairs = tuple[IntArray, IntArray]


@dataclass(frozen=True)
class TagLists:
    """Tags of n rows as (row, class) pairs, sorted by row.

    Attributes:
        num_rows: n.
        given: In class order within a row.
        missing: Surest error first within a row.
        extraneous: Surest error first within a row.
        ambiguous: In class order within a row.

    Example:
        >>> row, none = np.array([0]), (np.zeros(0, dtype=int), np.zeros(0, dtype=int))
        >>> given = (np.array([0, 0]), np.array([0, 1]))  # one row with the classes 0 and 1
        >>> tags = TagLists(1, given, missing=(row, np.array([2])), extraneous=(row, row), ambiguous=none)
        >>> tags.suggested(num_classes=3)[1].tolist()
        [1, 2]
    """

    num_rows: int
    given: Pairs
    missing: Pairs
    extraneous: Pairs
    ambiguous: Pairs

    def suggested(self, num_classes: int) -> Pairs:
        """Given, plus missing, minus extraneous, in class order."""
        return suggest_tags(self.given, self.missing, self.extraneous, num_classes)


def pack_tags(tags: TagLists) -> Any:
    """Arrow binary array of n packed rows.

    >>> none = (np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    >>> given, missing = (np.array([0, 0]), np.array([4, 7])), (np.array([0]), np.array([9]))
    >>> packed = pack_tags(TagLists(1, given, missing, extraneous=none, ambiguous=none))
    >>> np.frombuffer(packed[0].as_py(), dtype="<u4").tolist()  # two given, one missing; then which
    [2, 1, 0, 0, 4, 7, 9]
    """
    parts = (tags.given, tags.missing, tags.extraneous, tags.ambiguous)
    counts = np.stack([np.bincount(rows, minlength=tags.num_rows) for rows, _ in parts])
    ends = np.cumsum(_HEADER + counts.sum(axis=0))
    starts = ends - counts.sum(axis=0) - _HEADER
    numbers = np.empty(int(ends[-1]) if tags.num_rows else 0, dtype=_NUMBER)
    place = starts + _HEADER
    for i, (rows, cols) in enumerate(parts):
        numbers[starts + i] = counts[i]
        within = np.arange(len(rows)) - (np.cumsum(counts[i]) - counts[i])[rows]
        numbers[place[rows] + within] = cols
        place = place + counts[i]
    offsets = np.concatenate([[0], ends]).astype(np.int32) * np.int32(_NUMBER.itemsize)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(numbers)]
    return pa.Array.from_buffers(pa.binary(), tags.num_rows, buffers)


def unpack_tags(packed: Any) -> TagLists:
    """Inverse of `pack_tags`; takes slices of Arrow arrays too.

    >>> row = np.array([2, 1, 0, 0, 4, 7, 9], dtype="<u4")
    >>> tags = unpack_tags(pa.array([row.tobytes()]))
    >>> tags.given[1].tolist(), tags.missing[1].tolist()
    ([4, 7], [9])
    """
    num_rows = len(packed)
    if not num_rows:
        none = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
        return TagLists(0, none, none, none, none)
    _, offset_buffer, data = packed.buffers()
    wide = pa.types.is_large_binary(packed.type)
    offsets = np.frombuffer(offset_buffer, dtype=np.int64 if wide else np.int32)
    offsets = offsets[packed.offset : packed.offset + num_rows + 1].astype(np.int64)
    numbers = np.frombuffer(data, dtype=np.uint8)[offsets[0] : offsets[-1]].view(_NUMBER)
    starts = (offsets[:-1] - offsets[0]) // _NUMBER.itemsize
    place = starts + _HEADER
    parts = []
    for i in range(_HEADER):
        count = numbers[starts + i].astype(np.int64)
        rows = np.repeat(np.arange(num_rows), count)
        within = np.arange(len(rows)) - (np.cumsum(count) - count)[rows]
        parts.append((rows, numbers[place[rows] + within].astype(np.int64)))
        place = place + count
    return TagLists(num_rows, *parts)
