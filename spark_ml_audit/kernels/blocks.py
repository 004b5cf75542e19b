"""Cutting a batch into blocks that stay in cache and have rows long enough for vector instructions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

# Rows of a block; a column's count of true cells fits a byte.
MAX_BLOCK_ROWS = 255
_BLOCK_CELLS = 1 << 18
_WIDE_CELLS = 1 << 10


def rows_abreast(num_classes: int) -> int:
    """How many rows of a batch lie side by side in one row of a block.

    >>> rows_abreast(num_classes=3), rows_abreast(num_classes=5000)
    (341, 1)
    """
    return max(1, _WIDE_CELLS // max(1, num_classes))


def abreast(per_class: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Per-class values, shape (..., K), repeated for a block's row; use ``[..., :block.shape[1]]`` of it.

    >>> abreast(np.array([0.2, 0.7]))[:6].tolist()
    [0.2, 0.7, 0.2, 0.7, 0.2, 0.7]
    """
    repeats = [1] * (per_class.ndim - 1) + [rows_abreast(per_class.shape[-1])]
    return np.tile(per_class, repeats)


def wide_blocks(batch: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Cut a C-contiguous (n, K) array into blocks of some K columns side by side.

    NumPy's loops run along a row: with a few classes they are too short to be fast, so several
    consecutive rows are read as one. What is left over comes in blocks K wide.

    Yields:
        Position of the block's first cell in ``batch.ravel()``, and the block, a view of shape
        (up to 255, m K).

    Example:
        >>> batch = np.zeros((700, 3))  # 2 x 341 rows of three, and 18 rows left over
        >>> [(start, block.shape) for start, block in wide_blocks(batch)]
        [(0, (2, 1023)), (2046, (18, 3))]
    """
    num_rows, num_classes = batch.shape
    together = rows_abreast(num_classes)
    whole = num_rows - num_rows % together
    for first, part, side_by_side in ((0, batch[:whole], together), (whole, batch[whole:], 1)):
        width = side_by_side * num_classes
        wide = part.reshape(len(part) // side_by_side, width)
        step = min(MAX_BLOCK_ROWS, max(1, _BLOCK_CELLS // max(1, width)))
        for start in range(0, len(wide), step):
            yield first * num_classes + start * width, wide[start : start + step]


def sum_abreast(wide_sums: npt.NDArray[Any], num_classes: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Per-class sums of shape (K,) from the column sums of a block.

    >>> sum_abreast(np.array([1, 10, 2, 20, 3, 30]), num_classes=2, dtype=np.int64).tolist()
    [6, 60]
    """
    sums: npt.NDArray[Any] = np.add.reduce(wide_sums.reshape(-1, num_classes), axis=0, dtype=dtype)
    return sums
