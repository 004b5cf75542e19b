"""Label quality of an example: its K cell scores drawn into one number, low for a likely error.

The exponential moving average is the published default (Thyagarajan et al., "Identifying Incorrect
Annotations in Multi-Label Classification Data", 2022, section 4). A row's result is the same bits in
whatever batch, memory layout or position it comes: sums run over columns one after the other in
float64 and never through a reduction or matrix product that may regroup them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEFAULT_ALPHA = 0.8
DEFAULT_TEMPERATURE = 0.1
TEMPERATURE_FLOOR = 1e-6

NEGLIGIBLE_WEIGHT = 1e-16
"""Scores that together weigh less than this in a moving average are left out."""

# A block of this many cells stays in the second-level cache while its columns are walked through.
_BLOCK_CELLS = 1 << 18
_BLOCK_ROWS = (128, 8192)
# Selecting the smallest scores first pays only where most of the row is thrown away.
_SELECT_RATIO = 8

FloatArray = NDArray[np.floating[Any]]
Scores = NDArray[np.float64]


def ema(scores: FloatArray, alpha: float | None = DEFAULT_ALPHA) -> Scores:
    """Exponential moving average of the scores of a row, from the largest down to the smallest.

    Starts at the largest score; each smaller one s moves it to alpha * s + (1 - alpha) * average.

    Args:
        scores: Cell scores, shape (n, K), K >= 1, float32 or float64.
        alpha: Weight of the newest (smaller) score, 0 to 1; None means 2 / (K + 1).

    Returns:
        One score per row, shape (n,).

    Raises:
        ValueError: If alpha is outside [0, 1] or there is no column.

    Example:
        >>> ema(np.array([[0.9, 0.1], [0.9, 0.8]]), alpha=0.8).round(2).tolist()
        [0.26, 0.82]
    """
    width = _width(scores)
    weight = 2 / (width + 1) if alpha is None else float(alpha)
    if not 0 <= weight <= 1:
        raise ValueError(f"alpha must be between 0 and 1, found {alpha}")
    depth = ema_depth(weight, width)
    select = depth * _SELECT_RATIO <= width

    def average(block: FloatArray) -> Scores:
        if select:
            block = np.partition(block, depth - 1, axis=1)[:, :depth]
        smallest = np.sort(block, axis=1)[:, :depth]
        columns = np.ascontiguousarray(smallest.T, dtype=np.float64)
        result: Scores = columns[depth - 1]
        for position in range(depth - 2, -1, -1):
            result *= 1 - weight
            columns[position] *= weight
            result += columns[position]
        return result

    return _by_block(scores, average)


def ema_depth(alpha: float, width: int) -> int:
    """Number of smallest scores of a row that matter to a moving average at float64 precision.

    Args:
        alpha: Weight of the newest score, 0 to 1.
        width: Number of scores in a row, K.

    Returns:
        The first m with (1 - alpha)^m < 1e-16 (23 at alpha 0.8), at most `width`.

    Example:
        >>> ema_depth(0.8, width=1000), ema_depth(0.8, width=5)
        (23, 5)
    """
    keep = 1 - alpha
    if keep >= 1:
        return width
    if keep <= 0:
        return 1
    depth = max(1, math.ceil(math.log(NEGLIGIBLE_WEIGHT) / math.log(keep)))
    return min(width, depth)


def softmin(scores: FloatArray, temperature: float = DEFAULT_TEMPERATURE) -> Scores:
    """Mean of the scores of a row, weighted by softmax((1 - s) / temperature).

    Args:
        scores: Cell scores, shape (n, K), K >= 1, float32 or float64.
        temperature: Above 0; small values approach the minimum, large ones the mean.

    Returns:
        One score per row, shape (n,).

    Raises:
        ValueError: If the temperature is not above 0 or there is no column.

    Example:
        >>> scores = np.array([[0.9, 0.1]])
        >>> [softmin(scores, temperature).round(2).tolist() for temperature in (0.01, 1.0, 100.0)]
        [[0.1], [0.35], [0.5]]
    """
    _width(scores)
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, found {temperature}")
    scale = max(float(temperature), TEMPERATURE_FLOOR)

    def weighted_mean(block: FloatArray) -> Scores:
        columns = np.ascontiguousarray(block.T, dtype=np.float64)
        weights = np.subtract(1.0, columns)
        weights /= scale
        weights -= weights.max(axis=0)
        np.exp(weights, out=weights)
        total = _sum_columns(weights)
        weights *= columns
        result: Scores = _sum_columns(weights) / total
        return result

    return _by_block(scores, weighted_mean)


def mean(scores: FloatArray) -> Scores:
    """Mean score of a row.

    Args:
        scores: Cell scores, shape (n, K), K >= 1, float32 or float64.

    Returns:
        One score per row, shape (n,).

    Raises:
        ValueError: If there is no column.

    Example:
        >>> mean(np.array([[0.9, 0.1], [0.8, 0.6]])).round(2).tolist()
        [0.5, 0.7]
    """
    width = _width(scores)
    return _by_block(
        scores, lambda block: _sum_columns(np.ascontiguousarray(block.T, dtype=np.float64)) / width
    )


def minimum(scores: FloatArray) -> Scores:
    """Score of the worst tag of a row.

    Args:
        scores: Cell scores, shape (n, K), K >= 1, float32 or float64.

    Returns:
        One score per row, shape (n,).

    Raises:
        ValueError: If there is no column.

    Example:
        >>> minimum(np.array([[0.9, 0.1], [0.8, 0.6]])).tolist()
        [0.1, 0.6]
    """
    _width(scores)
    return np.asarray(scores.min(axis=1), dtype=np.float64)


_METHODS: dict[str, Callable[[FloatArray, float | None, float], Scores]] = {
    "ema": lambda scores, alpha, _: ema(scores, alpha),
    "softmin": lambda scores, _, temperature: softmin(scores, temperature),
    "mean": lambda scores, *_: mean(scores),
    "min": lambda scores, *_: minimum(scores),
}

AGGREGATES = tuple(_METHODS)
"""Names of the example scores."""


def aggregate(
    scores: FloatArray,
    method: str = "ema",
    alpha: float | None = DEFAULT_ALPHA,
    temperature: float = DEFAULT_TEMPERATURE,
) -> Scores:
    """Label quality score of each row by the named method.

    Args:
        scores: Cell scores, shape (n, K), K >= 1, float32 or float64.
        method: One of `AGGREGATES`.
        alpha: For `ema`, see there.
        temperature: For `softmin`, see there.

    Returns:
        One score per row, 0 worst, shape (n,).

    Raises:
        ValueError: If the method is unknown or its parameter is out of range.

    Example:
        >>> scores = np.array([[0.9, 0.1], [0.6, 0.4]])
        >>> for method in AGGREGATES:
        ...     print(method, aggregate(scores, method).round(2).tolist())
        ema [0.26, 0.44]
        softmin [0.1, 0.42]
        mean [0.5, 0.5]
        min [0.1, 0.4]
    """
    try:
        function = _METHODS[method]
    except KeyError:
        raise ValueError(f"aggregate is {method!r}: choose one of {', '.join(AGGREGATES)}") from None
    return function(scores, alpha, temperature)


def _width(scores: FloatArray) -> int:
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"scores has shape {scores.shape}: expected (n, K) with at least one class")
    return int(scores.shape[1])


def _by_block(scores: FloatArray, function: Callable[[FloatArray], Scores]) -> Scores:
    result = np.empty(scores.shape[0], dtype=np.float64)
    for rows in _blocks(*scores.shape):
        result[rows] = function(scores[rows])
    return result


def _blocks(num_rows: int, width: int) -> Iterator[slice]:
    least, most = _BLOCK_ROWS
    step = min(most, max(least, _BLOCK_CELLS // width))
    for start in range(0, num_rows, step):
        yield slice(start, start + step)


def _sum_columns(columns: Scores) -> Scores:
    """Sum over the first axis of a (K, n) array, strictly one column after the other."""
    total: Scores = columns[0].copy()
    for column in columns[1:]:
        total += column
    return total
