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


def binary(texts: list[str]) -> Any:
    """The last bits of the number that a text is; 0 for other texts."""
    numbers = [int(text) if text.isdecimal() else 0 for text in texts]
    return np.array([[number >> k & 1 for k in range(4)] for number in numbers], dtype=np.float32)


def noise(texts: list[str]) -> Any:
    """Vectors that say nothing."""
    return np.stack([np.random.default_rng(zlib.crc32(text.encode())).normal(size=64) for text in texts])


def mean_colour(images: list[Any]) -> Any:
    """Red, green and blue on average, of PIL images."""
    return np.stack([np.asarray(image, dtype=np.float32).mean(axis=(0, 1)) for image in images])


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
