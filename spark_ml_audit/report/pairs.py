"""Pairs of a missing and a given tag, counted over batches of rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_ml_audit.arrow.lists import lengths_of

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Batches

LISTS = ("missing_tags", "given_tags", "extraneous_tags")
"""Columns of the batches."""

PAIRS = pa.schema(
    [("missing", pa.string()), ("given", pa.string()), ("num_rows", pa.int64()), ("num_swapped", pa.int64())]
)
"""On how many rows a tag is missing where another was given, and on how many of those the other is wrong."""

# Both numbers of a pair are added up in one integer: no task has more rows than this.
_SWAPPED = 1 << 32
# Pairs written down at a time: as many as a processor's cache holds.
_PAIRS_AT_ONCE = 1 << 17
# Tags whose pairs are counted in a square of 64 MB.
_MOST_IN_SQUARE = 2896
# Pairs with their counts that are kept before equal ones are added up.
_KEPT_PAIRS = 1 << 22

IntArray = npt.NDArray[np.int64]


def count_pairs(batches: Batches) -> Batches:
    """Each pair of tags once, with its rows among those of the batches.

    Example:
        >>> rows = pa.record_batch([[["a"], ["a"]], [["b", "c"], ["b"]], [["c"], []]], names=LISTS)
        >>> [tuple(pair.values()) for batch in count_pairs(iter([rows])) for pair in batch.to_pylist()]
        [('a', 'b', 2, 0), ('a', 'c', 1, 1)]
    """
    codes: dict[str, int] = {}
    counts = _PairCounts()
    for batch in batches:
        missing, given, extraneous = (_coded(batch.column(name), codes) for name in LISTS)
        counts.make_room(len(codes))
        for others, weight in ((given, 1), (extraneous, _SWAPPED)):
            for first, second in _crossed(missing, others):
                counts.add(first, second, weight)
    pairs, sums = counts.summed()
    if len(pairs):
        tags = pa.array(list(codes), pa.string())
        columns = [tags.take(pa.array(part)) for part in (pairs >> 32, pairs & 0xFFFFFFFF)]
        numbers = [pa.array(part) for part in (sums % _SWAPPED, sums // _SWAPPED)]
        yield pa.RecordBatch.from_arrays([*columns, *numbers], schema=PAIRS)


class _PairCounts:
    """Counts of pairs of numbers: of the small ones in a square, of others by sorting."""

    def __init__(self) -> None:
        self._square = np.zeros((0, 0), dtype=np.int64)
        self._parts: list[tuple[IntArray, IntArray]] = []
        self._limit = _KEPT_PAIRS

    def make_room(self, num_tags: int) -> None:
        """Prepare for numbers below this."""
        width = len(self._square)
        if width < num_tags and width < _MOST_IN_SQUARE:
            wider = min(max(num_tags, 2 * width), _MOST_IN_SQUARE)
            square = np.zeros((wider, wider), dtype=np.int64)
            square[:width, :width] = self._square
            self._square = square

    def add(self, first: IntArray, second: IntArray, weight: int) -> None:
        """Count pairs, each as this much."""
        width = len(self._square)
        if max(first.max(), second.max()) < width:
            np.add.at(self._square.reshape(-1), first * width + second, weight)
            return
        pairs, counts = np.unique((first << 32) + second, return_counts=True)
        self._parts.append((pairs, weight * counts))
        if sum(len(part) for part, _ in self._parts) > self._limit:
            self._parts = [_summed(self._parts)]
            self._limit = max(_KEPT_PAIRS, 3 * len(self._parts[0][0]))

    def summed(self) -> tuple[IntArray, IntArray]:
        """Each pair, the first of it times 2**32, and its count."""
        first, second = np.nonzero(self._square)
        return _summed([((first << 32) + second, self._square[first, second]), *self._parts])


def _summed(parts: list[tuple[IntArray, IntArray]]) -> tuple[IntArray, IntArray]:
    pairs, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(pairs, kind="stable")
    pairs, counts = pairs[order], counts[order]
    begins = np.flatnonzero(np.diff(pairs, prepend=-1))
    return pairs[begins], np.add.reduceat(counts, begins) if len(begins) else counts


def _coded(lists: Any, codes: dict[str, int]) -> tuple[IntArray, IntArray]:
    """Tags of all rows as numbers, and how many each row has; tags not seen before get numbers."""
    tags = lists.flatten().dictionary_encode()
    known = [codes.setdefault(tag, len(codes)) for tag in tags.dictionary.to_pylist()]
    numbers = np.array(known, dtype=np.int64)[tags.indices.to_numpy(zero_copy_only=False)]
    return numbers, lengths_of(lists)


def _crossed(
    ones: tuple[IntArray, IntArray], others: tuple[IntArray, IntArray]
) -> Iterator[tuple[IntArray, IntArray]]:
    """Each tag of a row with each other tag of the same row, some rows at a time."""
    (tags, lengths), (other_tags, other_lengths) = ones, others
    rows = np.repeat(np.arange(len(lengths)), lengths)
    begins, sizes = (np.cumsum(other_lengths) - other_lengths)[rows], other_lengths[rows]
    ends = np.cumsum(sizes)
    place = 0
    while place < len(tags):
        done = ends[place] - sizes[place]
        stop = max(place + 1, int(np.searchsorted(ends, done + _PAIRS_AT_ONCE, side="right")))
        part = slice(place, stop)
        if ends[stop - 1] > done:
            # the place of every pair's other tag: they follow each other within a row
            jumps = np.repeat(begins[part] - (ends[part] - sizes[part] - done), sizes[part])
            yield (
                np.repeat(tags[part], sizes[part]),
                other_tags[np.arange(ends[stop - 1] - done) + jumps],
            )
        place = stop
