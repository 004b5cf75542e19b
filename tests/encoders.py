"""Encoders in plain NumPy, named as `tests.encoders:words` and the like: they need no extra."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

WIDTH = 16
CALLS = {"texts": 0}


def words(texts: list[str]) -> Any:
    """The mean of a fixed random vector per word: texts that share words are alike."""
    CALLS["texts"] += len(texts)
    found = np.zeros((len(texts), WIDTH), dtype=np.float32)
    for row, text in enumerate(texts):
        parts = [_of_word(word) for word in text.split()]
        found[row] = np.mean(parts, axis=0) if parts else 0.0
    return found


def _of_word(word: str) -> Any:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=WIDTH)


def ragged(texts: list[str]) -> Any:
    """As many numbers as there are texts."""
    return np.zeros((len(texts), len(texts)))


def flat(texts: list[str]) -> Any:
    """One number per text, and no rows."""
    return np.zeros(len(texts))


def failing(texts: list[str]) -> Any:
    """Nothing."""
    raise RuntimeError(f"no vectors for {len(texts)} texts")


NOTHING = 3
