"""Hashes of rows' keys: what is drawn among rows follows from them and the seed alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mixed_keys(keys: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """SplitMix64 of keys and seed: the outer folds hash the same ids, and inner ones must not follow them."""
    z = keys + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
