"""One counting pass over rows: cells below given cuts, and cells within windows by distinct value.

A pass answers a `ResolveRequest` batch by batch with small integer records that add up, so its result does
not depend on how rows are split into batches and partitions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spark_ml_audit.kernels.blocks import abreast, sum_abreast, wide_blocks
from spark_ml_audit.kernels.cutoffs import cut_values
from spark_ml_audit.kernels.float_keys import UNSIGNED, FloatArray, KeyArray, to_keys
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.records import Records, sum_records

ABSENT, PRESENT = 0, 1
"""Sides of a class: examples without the tag, and examples with it."""


@dataclass(frozen=True)
class ResolveRequest:
    """What one pass over the rows has to count.

    Attributes:
        dtype: The probabilities' dtype name.
        cuts: Keys of shape (C, K): count the cells below each, by side. C = 0 once they are known.
        given_cuts: Keys of shape (G, K): count the given cells below each.
        low: First key of each window, shape (2, K): side (absent, present) by class.
        high: First key past each window; ``low == high`` asks nothing.
        shift: Keys of a window are grouped by ``(key - low) >> shift``.
    """

    dtype: str
    cuts: KeyArray
    given_cuts: KeyArray
    low: KeyArray
    high: KeyArray
    shift: IntArray


def count_batch(
    request: ResolveRequest, pred_probs: FloatArray, rows: IntArray, cols: IntArray
) -> Iterator[Records]:
    """Answer a request for one batch.

    Windows report ``class_index = side * K + class``, ``slot = group`` and ``a`` = cells. Cut j reports
    ``class_index = class``, ``slot = -1 - j``, ``a`` = cells not given and ``b`` = cells given below it;
    given cut g the same with j = C + g and ``a = 0``.

    Args:
        request: From `Resolver.request`.
        pred_probs: Shape (n, K) of the request's dtype.
        rows: Row of each given tag, ascending.
        cols: Class of each given tag, ascending within the row.

    Example:
        >>> none = np.zeros((2, 1), dtype=np.int64)  # no windows, no cuts of the given cells
        >>> request = ResolveRequest("float64", to_keys(np.array([[0.5]])), none[:0], none, none, none)
        >>> pred_probs = np.array([[0.9], [0.4], [0.2]])  # the first two rows have the tag
        >>> records = next(count_batch(request, pred_probs, rows=np.array([0, 1]), cols=np.array([0, 0])))
        >>> {name: column.tolist() for name, column in records.items()}
        {'class_index': [0], 'slot': [-1], 'a': [1], 'b': [1]}
    """
    num_classes = pred_probs.shape[1]
    pred_probs = np.ascontiguousarray(pred_probs)
    codes = rows * num_classes + cols
    given = pred_probs.ravel()[codes]
    everywhere, inside = _scan_cells(request, pred_probs, codes)
    if len(request.cuts) + len(request.given_cuts):
        yield _cut_records(request, everywhere, given, cols)
    keys = to_keys(given)
    hit = (keys >= request.low[PRESENT, cols]) & (keys < request.high[PRESENT, cols])
    yield _window_records(request, PRESENT, cols[hit], keys[hit])
    if len(inside):
        yield _window_records(request, ABSENT, inside % num_classes, to_keys(pred_probs.ravel()[inside]))


def _scan_cells(
    request: ResolveRequest, pred_probs: FloatArray, given_codes: IntArray
) -> tuple[IntArray, IntArray]:
    """The part that looks at every cell.

    Returns:
        Cells below each cut whether given or not, shape (C, K), and positions (in the flat batch) of the
        cells not given that lie in a window of the absent side.
    """
    num_classes = pred_probs.shape[1]
    cuts = [abreast(cut_values(cut, request.dtype)) for cut in request.cuts]
    unsigned = UNSIGNED[pred_probs.dtype]
    low = request.low[ABSENT]
    width = request.high[ABSENT] - low
    asks_absent = bool(width.any())
    low, width = abreast(low.astype(unsigned)), abreast(width.astype(unsigned))
    below = np.zeros((len(cuts), num_classes), dtype=np.int64)
    inside: list[IntArray] = []
    for start, block in wide_blocks(pred_probs):
        columns = slice(block.shape[1])
        for j, cut in enumerate(cuts):
            is_below = (block < cut[columns]).view(np.uint8)
            # a column of a block has at most 255 cells: its count fits the byte
            below[j] += sum_abreast(np.add.reduce(is_below, axis=0, dtype=np.uint8), num_classes, np.int64)
        if asks_absent:
            # keys below the window wrap around to huge distances
            in_window = ((block.view(unsigned) - low[columns]) < width[columns]).ravel()
            first, last = np.searchsorted(given_codes, [start, start + block.size])
            in_window[given_codes[first:last] - start] = False
            inside.append(start + np.flatnonzero(in_window))
    return below, np.concatenate(inside) if inside else np.zeros(0, dtype=np.int64)


def _cut_records(request: ResolveRequest, everywhere: IntArray, given: FloatArray, cols: IntArray) -> Records:
    num_cuts, num_classes = everywhere.shape
    cuts = np.concatenate([request.cuts, request.given_cuts])
    present = np.zeros((len(cuts), num_classes), dtype=np.int64)
    for j, cut in enumerate(cuts):
        # counting both outcomes is faster than selecting one: selection mispredicts branches
        is_below = given < cut_values(cut, request.dtype)[cols]
        present[j] = np.bincount(cols + num_classes * is_below, minlength=2 * num_classes)[num_classes:]
    absent = np.zeros_like(present)
    absent[:num_cuts] = everywhere - present[:num_cuts]
    return {
        "class_index": np.tile(np.arange(num_classes, dtype=np.int32), len(cuts)),
        "slot": np.repeat(-1 - np.arange(len(cuts), dtype=np.int64), num_classes),
        "a": absent.ravel(),
        "b": present.ravel(),
    }


def _window_records(request: ResolveRequest, side: int, cols: IntArray, keys: KeyArray) -> Records:
    groups = (keys - request.low[side, cols]) >> request.shift[side, cols]
    return sum_records(
        {
            "class_index": cols + side * request.low.shape[1],
            "slot": groups,
            "a": np.ones(len(groups), dtype=np.int64),
            "b": np.zeros(len(groups), dtype=np.int64),
        }
    )
