"""Probabilities as integers that sort the same way, and exact cut-offs found by bisection on them.

Non-negative IEEE-754 floats order like their bit patterns. Working on the patterns makes bins that
nest, order statistics that are exact in the column's own dtype, and turns each rounded comparison of
the method (``p >= t - 1e-6``, ``q > p + 1e-6``) into one cut-off that every later pass can test directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[Any]
KeyArray = npt.NDArray[np.int64]

UNSIGNED: dict[np.dtype[Any], type[np.unsignedinteger[Any]]] = {
    np.dtype(np.float32): np.uint32,
    np.dtype(np.float64): np.uint64,
}
"""Unsigned integer type of each dtype's bit patterns."""

_MANTISSA_BITS = {np.dtype(np.float32): 23, np.dtype(np.float64): 52}


def mantissa_bits(dtype: npt.DTypeLike) -> int:
    """Number of explicit mantissa bits of float32 or float64.

    >>> mantissa_bits("float32"), mantissa_bits("float64")
    (23, 52)
    """
    return _MANTISSA_BITS[np.dtype(dtype)]


def to_keys(values: FloatArray) -> KeyArray:
    """Order-preserving int64 keys of non-negative float32 or float64 values (no -0.0), any shape.

    >>> half, next_up, one = to_keys(np.array([0.5, np.nextafter(0.5, 1.0), 1.0])).tolist()
    >>> half < one, next_up - half
    (True, 1)
    """
    unsigned = UNSIGNED[values.dtype]
    return np.ascontiguousarray(values).view(unsigned).astype(np.int64)


def from_keys(keys: KeyArray, dtype: npt.DTypeLike) -> FloatArray:
    """Inverse of `to_keys`, in `dtype`.

    >>> keys = to_keys(np.array([0.25, 0.75]))
    >>> from_keys(keys, np.float64).tolist()
    [0.25, 0.75]
    """
    target = np.dtype(dtype)
    return np.asarray(keys).astype(UNSIGNED[target]).view(target)


def one_key(dtype: npt.DTypeLike) -> int:
    """Key of 1.0, the largest a probability can have.

    >>> from_keys(np.array([one_key(np.float32)]), np.float32).tolist()
    [1.0]
    """
    return int(to_keys(np.ones(1, dtype=dtype))[0])


def first_key_where(
    predicate: Callable[[FloatArray], npt.NDArray[np.bool_]], size: int, dtype: npt.DTypeLike
) -> KeyArray:
    """Smallest probability, as a key, at which a monotone predicate turns true; per position.

    Args:
        predicate: Takes `size` probabilities of `dtype` and answers elementwise; each position must
            go from false to true as its probability grows.
        size: Number of positions (classes).
        dtype: float32 or float64.

    Returns:
        int64 keys of shape (size,); ``one_key(dtype) + 1`` where the predicate is never true.

    Example:
        >>> keys = first_key_where(lambda p: p >= np.array([0.25, 2.0]), size=2, dtype=np.float64)
        >>> from_keys(keys[:1], np.float64).tolist()
        [0.25]
        >>> int(keys[1]) == one_key(np.float64) + 1  # no probability reaches 2
        True
    """
    low = np.zeros(size, dtype=np.int64)
    high = np.full(size, one_key(dtype) + 1, dtype=np.int64)
    while True:
        open_ = low < high
        if not open_.any():
            return low
        middle = (low + high) >> 1
        holds = predicate(from_keys(middle, dtype))
        high = np.where(open_ & holds, middle, high)
        low = np.where(open_ & ~holds, middle + 1, low)
