"""Texts as hashed words, word pairs and character 4-grams with TF-IDF weights."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.preprocessing import normalize

from spark_ml_audit.models.design import Float32Array, IntArray

WORD_BITS = 18
CHARACTER_BITS = 17

MIN_DOCUMENTS = 2
"""Training texts a feature must occur in to be kept."""

_COUNTS: dict[str, Any] = {"alternate_sign": False, "norm": None, "dtype": np.float32}

MAX_CHARACTERS = 100_000
"""Characters of a text that are read; what follows is ignored, so that no row can stall a task."""


def joined_texts(frame: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """One text per row: the columns' texts on lines of their own; null is empty, lists join with blanks.

    >>> frame = pd.DataFrame({"title": ["Dune"], "genres": [["drama", "war"]], "note": [None]})
    >>> joined_texts(frame, ["title", "genres", "note"])[0].splitlines()
    ['Dune', 'drama war']
    """
    parts = [[as_text(value) for value in frame[column]] for column in columns]
    return ["\n".join(texts)[:MAX_CHARACTERS] for texts in zip(*parts, strict=True)]


def as_text(value: Any) -> str:
    """Text of one value: null is empty, lists join with blanks.

    >>> as_text(["drama", "war"]), as_text(7), as_text(None)
    ('drama war', '7', '')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, np.ndarray)):
        return " ".join(as_text(part) for part in value)
    return "" if is_null(value) else str(value)


def is_null(value: Any) -> bool:
    """Whether a single value of an object column stands for null.

    >>> is_null(None), is_null(float("nan")), is_null("")
    (True, True, False)
    """
    if isinstance(value, (float, np.floating)):
        return bool(np.isnan(value))
    return value is None or value is pd.NA or value is pd.NaT


@dataclass(frozen=True, eq=False)
class HashedText:
    """Fitted text features.

    Attributes:
        kept: Per block (word 1-2-grams, character 4-grams within words) the new position of each hashed
            column, -1 where it was dropped; int32, shape (2**bits,).
        idf: Per block the inverse document frequency of the kept columns, float32.

    Example:
        >>> fitted, matrix = HashedText.fit_transform(["good film", "good book", "bad film"], 100)
        >>> fitted.num_features  # good, film and their character 4-grams
        8
        >>> fitted.transform(["good play", "new play"]).getnnz(axis=1).tolist()
        [4, 0]
    """

    kept: tuple[NDArray[np.int32], ...]
    idf: tuple[Float32Array, ...]

    @staticmethod
    def fit_transform(texts: Sequence[str], max_features: int) -> tuple[HashedText, Any]:
        """Choose features and weights from the training texts.

        Args:
            texts: One per row.
            max_features: Columns kept at most over both blocks, those in most texts first.

        Returns:
            The fitted features and the texts' CSR matrix, float32, rows of norm at most 1.
        """
        hashed = hashed_texts(texts)
        counts = [np.bincount(block.indices, minlength=block.shape[1]) for block in hashed]
        kept = tuple(_positions(mask) for mask in _chosen(counts, max_features))
        # The smoothed form of scikit-learn's TfidfTransformer.
        idf = tuple(
            (np.log((1 + len(texts)) / (1 + count[place >= 0])) + 1).astype(np.float32)
            for count, place in zip(counts, kept, strict=True)
        )
        fitted = HashedText(kept, idf)
        return fitted, fitted._weighted(hashed)

    def transform(self, texts: Sequence[str]) -> Any:
        """CSR matrix of the texts; features unseen in training are left out."""
        return self._weighted(hashed_texts(texts))

    @property
    def num_features(self) -> int:
        """Number of columns."""
        return sum(len(weights) for weights in self.idf)

    def _weighted(self, hashed: Sequence[Any]) -> Any:
        blocks = []
        for block, places, idf in zip(hashed, self.kept, self.idf, strict=True):
            columns = places[block.indices]
            known = columns >= 0
            before = np.concatenate([[0], np.cumsum(known)])
            columns = columns[known]
            # Logarithmic term frequency: the tenth mention of a word says little more than the first.
            values = (1.0 + np.log(block.data[known].astype(np.float64))).astype(np.float32) * idf[columns]
            matrix = sp.csr_matrix((values, columns, before[block.indptr]), shape=(block.shape[0], len(idf)))
            blocks.append(normalize(matrix) if len(idf) else matrix)
        joined = sp.csr_matrix(sp.hstack(blocks, format="csr", dtype=np.float32))
        joined.data *= np.float32(len(blocks) ** -0.5)
        return joined


def hashed_texts(texts: Sequence[str]) -> list[Any]:
    """Counts of hashed word 1-2-grams and of character 4-grams within words: two CSR matrices.

    >>> words, characters = hashed_texts(["war war film"])
    >>> sorted(words.data.tolist())  # film, war war, war film; war twice
    [1.0, 1.0, 1.0, 2.0]
    """
    words = HashingVectorizer(ngram_range=(1, 2), n_features=2**WORD_BITS, **_COUNTS)
    return [sp.csr_matrix(words.transform(texts)), _hashed_characters(texts)]


def _hashed_characters(texts: Sequence[str]) -> Any:
    """Counts of the character 4-grams within words, padded by a blank on either side.

    What ``HashingVectorizer(analyzer="char_wb")`` returns for the texts, but every different word is taken
    apart once only: texts repeat their words, and taking them apart is what costs.
    """
    characters = HashingVectorizer(
        analyzer="char_wb", ngram_range=(4, 4), n_features=2**CHARACTER_BITS, lowercase=False, **_COUNTS
    )
    places: dict[str, int] = {}
    found = array("i")
    ends = np.zeros(len(texts) + 1, dtype=np.int64)
    for row, text in enumerate(texts):
        found.extend([places.setdefault(word, len(places)) for word in text.lower().split()])
        ends[row + 1] = len(found)
    ones = np.ones(len(found), dtype=np.float32)
    mentions = sp.csr_matrix((ones, np.array(found, dtype=np.int32), ends), shape=(len(texts), len(places)))
    if not places:
        return sp.csr_matrix((len(texts), 2**CHARACTER_BITS), dtype=np.float32)
    counted = sp.csr_matrix(mentions @ characters.transform(list(places)))
    counted.sort_indices()  # a row's bits must not depend on the rows beside it
    return counted


def _chosen(counts: Sequence[IntArray], max_features: int) -> list[NDArray[np.bool_]]:
    masks = [count >= MIN_DOCUMENTS for count in counts]
    if sum(int(mask.sum()) for mask in masks) <= max_features:
        return masks
    together = np.concatenate(counts)
    most_frequent = np.argsort(-together, kind="stable")[:max_features]
    chosen = np.zeros(together.shape, dtype=bool)
    chosen[most_frequent] = True
    split = np.split(chosen, np.cumsum([len(count) for count in counts])[:-1])
    return [mask & part for mask, part in zip(masks, split, strict=True)]


def _positions(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    return np.where(mask, np.cumsum(mask) - 1, -1).astype(np.int32)
