"""Cutting rows into blocks of about so many cells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

BLOCK_CELLS = 1 << 19
"""Cells that are looked at together, so that what a look makes stays small beside the array."""


def row_blocks(shape: tuple[int, ...], cells: int | None = None) -> Iterator[tuple[int, int]]:
    """First row and first row past it of blocks of rows.

    Args:
        shape: (n, K).
        cells: About how many cells a block has; `BLOCK_CELLS` if None.

    Example:
        >>> list(row_blocks((5, 10), cells=20))
        [(0, 2), (2, 4), (4, 5)]
    """
    num_rows, width = shape
    step = max(1, (cells or BLOCK_CELLS) // max(1, width))
    yield from pairwise([*range(0, num_rows, step), num_rows])
