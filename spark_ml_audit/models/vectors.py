"""Rows of any columns as vectors whose Euclidean distance says how much two rows differ.

Embeddings are scaled to norm 1, so that their distance follows the cosine (in three dimensions or fewer, and
beside none of norm, they stay as they are). Texts become hashed words and parts of words with TF-IDF weights
and norm 1, reduced by truncated SVD; what the reduction cannot represent goes to coordinates of its own, one
for reference rows and one for others, so that a text that shares no word with the reference is as far from it
as it should be. Numbers and dates are centred on the median and scaled by the interquartile range.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from spark_ml_audit.models.columns import (
    SCALE,
    Categories,
    calendar,
    category_keys,
    flagged_truths,
    numbers,
    truths,
)
from spark_ml_audit.models.design import BoolArray, Float32Array, Float64Array
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.text import hashed_texts, joined_texts

COMPONENTS = 128
MAX_TEXT_FEATURES = 30_000
_MAX_CATEGORIES = 50
_FARTHEST = 20.0
_SEED = 0

Embeddings = Mapping[str, tuple[Float32Array, BoolArray]]
"""Column -> vectors of shape (n, width), and whether each row's can be used, shape (n,)."""


@dataclass(frozen=True, eq=False)
class TextVectors:
    """Texts reduced to a few components.

    Attributes:
        kept: Hashed features that the components know.
        idf: Inverse document frequency of all hashed features.
        components: Shape (len(kept), c).

    Example:
        >>> texts = ["good film", "good film", "good", "film"]
        >>> fitted = TextVectors.fit(texts)
        >>> near, _ = fitted.transform(texts, reference=True)
        >>> found, known = fitted.transform(["good film", "play", ""], reference=False)
        >>> known.tolist()
        [True, True, False]
        >>> np.linalg.norm(found - near[0], axis=1)[:2].astype(float).round(2).tolist()
        [0.0, 1.41]
    """

    kept: NDArray[np.int64]
    idf: Float32Array
    components: Float32Array

    @staticmethod
    def fit(texts: Sequence[str]) -> TextVectors:
        """Learn weights and components from the reference's texts."""
        from sklearn.decomposition import TruncatedSVD

        counts = _counts(texts)
        documents = np.bincount(counts.indices, minlength=counts.shape[1])
        idf = (np.log((1 + len(texts)) / (1 + documents)) + 1).astype(np.float32)
        kept = np.flatnonzero(documents >= 2)
        if len(kept) > MAX_TEXT_FEATURES:
            most = np.argsort(-documents[kept], kind="stable")[:MAX_TEXT_FEATURES]
            kept = np.sort(kept[most])
        size = min(COMPONENTS, len(kept) - 1, len(texts) - 1)
        if size < 1:
            return TextVectors(kept, idf, np.zeros((len(kept), 0), dtype=np.float32))
        reduction = TruncatedSVD(size, n_iter=4, random_state=_SEED)
        reduction.fit(_weighted(counts, idf)[:, kept])
        return TextVectors(kept, idf, np.ascontiguousarray(reduction.components_.T, dtype=np.float32))

    def transform(self, texts: Sequence[str], *, reference: bool) -> tuple[Float32Array, BoolArray]:
        """Vectors of norm 1, shape (n, c + 2), and which texts hold a word at all."""
        matrix = _weighted(_counts(texts), self.idf)
        reduced = np.asarray(matrix[:, self.kept] @ self.components, dtype=np.float32)
        rest = np.sqrt(np.maximum(0.0, 1.0 - _row_sums(reduced.astype(np.float64) ** 2)))
        none = np.zeros(len(rest))
        tail = np.column_stack([rest, none] if reference else [none, rest])
        return np.column_stack([reduced, tail]).astype(np.float32), np.diff(matrix.indptr) > 0


def _counts(texts: Sequence[str]) -> Any:
    return sp.csr_matrix(sp.hstack(hashed_texts(texts), format="csr", dtype=np.float32))


def _weighted(counts: Any, idf: Float32Array) -> Any:
    from sklearn.preprocessing import normalize

    values = (1.0 + np.log(counts.data)) * idf[counts.indices]
    weighted = sp.csr_matrix((values.astype(np.float32), counts.indices, counts.indptr), shape=counts.shape)
    return normalize(weighted)


def _row_sums(values: Float64Array) -> Float64Array:
    sums: Float64Array = np.add.reduce(np.ascontiguousarray(values), axis=1)
    return sums


@dataclass(frozen=True)
class RobustScale:
    """A number as its distance from the median in interquartile ranges, and a flag for a missing one.

    >>> scale = RobustScale.fit(np.array([1.0, 2.0, 3.0, 4.0, 1000.0]))
    >>> scale.median, round(scale.spread, 2)
    (3.0, 1.48)
    >>> RobustScale(median=2.0, spread=4.0).transform(np.array([2.0, 6.0, np.nan])).tolist()
    [[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]]
    """

    median: float
    spread: float

    @staticmethod
    def fit(values: Float64Array) -> RobustScale:
        """Median and spread of the numbers that are not NaN."""
        known = values[~np.isnan(values)]
        if not len(known):
            return RobustScale(0.0, 1.0)
        low, median, high = np.quantile(known, [0.25, 0.5, 0.75])
        spread = float(high - low) / 1.349 or float(known.std()) or 1.0
        return RobustScale(float(median), spread)

    def transform(self, values: Float64Array) -> Float32Array:
        """Columns of shape (n, 2)."""
        missing = np.isnan(values)
        centred = np.where(missing, 0.0, (values - self.median) / self.spread)
        return np.column_stack([np.clip(centred, -_FARTHEST, _FARTHEST), missing]).astype(
            np.float32
        ) * np.float32(SCALE)


@dataclass(frozen=True, eq=False)
class VectorEncoder:
    """Fitted on the reference rows, applied to each row by itself.

    Attributes:
        spec: The columns.
        widths: Width of each embedding column: the most common one of the reference, 0 without any.
        text: Reduction of the texts, if there are any.
        scales: Of numeric columns, then dates.
        categories: Of categorical columns.
        by_angle: Whether embeddings of more than three numbers are scaled to norm 1.

    Example:
        >>> spec = FeatureSpec(boolean=("cover",), embedding=("vector",))
        >>> frame = pd.DataFrame({"cover": [True, False, None]})
        >>> encoder = VectorEncoder.fit(frame, spec, widths={"vector": 2})
        >>> vectors = np.array([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]], dtype=np.float32)
        >>> table, usable = encoder.transform(frame, {"vector": (vectors, np.array([True, True, False]))})
        >>> table.tolist()
        [[1.0, 2.0, 0.5, 0.0], [3.0, 4.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
        >>> usable.tolist()
        [True, True, False]
    """

    spec: FeatureSpec
    widths: dict[str, int]
    text: TextVectors | None
    scales: tuple[RobustScale, ...]
    categories: tuple[Categories, ...]
    by_angle: bool = True

    @staticmethod
    def fit(
        frame: pd.DataFrame, spec: FeatureSpec, widths: dict[str, int], *, by_angle: bool = True
    ) -> VectorEncoder:
        """Learn from the reference rows.

        Args:
            frame: Columns that are no embeddings.
            spec: The columns by kind.
            widths: Of the embedding columns.
            by_angle: False for vectors whose length means something, such as probabilities.
        """
        columns = [numbers(frame[name]) for name in spec.numeric]
        columns += [calendar(frame[name])[:, 0] for name in spec.date]
        return VectorEncoder(
            spec=spec,
            widths=widths,
            by_angle=by_angle,
            text=TextVectors.fit(joined_texts(frame, spec.text)) if spec.text else None,
            scales=tuple(RobustScale.fit(values) for values in columns),
            categories=tuple(
                Categories.fit(category_keys(frame[name]), limit=_MAX_CATEGORIES) for name in spec.categorical
            ),
        )

    def transform(
        self, frame: pd.DataFrame, embeddings: Embeddings, *, reference: bool = False
    ) -> tuple[Float32Array, BoolArray]:
        """Vectors of shape (n, d), and which rows can be compared at all.

        A row is left out for an unusable embedding; for an empty text where there is nothing else.
        """
        spec = self.spec
        usable = np.ones(len(frame), dtype=bool)
        parts: list[Float32Array] = []
        for name in spec.embedding:
            vectors, good = embeddings[name]
            usable &= good
            parts.append(unit_vectors(vectors) if self.by_angle and self.widths[name] > 3 else vectors)
        if self.text is not None:
            vectors, good = self.text.transform(joined_texts(frame, spec.text), reference=reference)
            if spec.columns == spec.text:
                usable &= good
            parts.append(vectors)
        columns = [numbers(frame[name]) for name in spec.numeric]
        columns += [calendar(frame[name])[:, 0] for name in spec.date]
        parts += [scale.transform(values) for scale, values in zip(self.scales, columns, strict=True)]
        parts += [flagged_truths(truths(frame[name])) for name in spec.boolean]
        for fitted, name in zip(self.categories, spec.categorical, strict=True):
            parts.append(fitted.transform(category_keys(frame[name])).toarray().astype(np.float32))
        stacked = np.concatenate(parts, axis=1, dtype=np.float32)
        return np.where(usable[:, None], stacked, np.float32(0.0)), usable


def unit_vectors(vectors: Float32Array) -> Float32Array:
    """Vectors scaled to norm 1 (zero stays zero), each by itself.

    >>> unit_vectors(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).astype(float).round(2).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    exact = vectors.astype(np.float64)
    norms = np.sqrt(_row_sums(exact * exact))[:, None]
    return np.divide(exact, norms, out=np.zeros_like(exact), where=norms > 0).astype(np.float32)


def most_common_width(lengths: NDArray[Any]) -> int:
    """The most common width of embeddings that hold anything, the smaller of two as common; 0: none does.

    >>> [most_common_width(np.array(lengths)) for lengths in ([3, 3, 2, 0], [3, 2], [0])]
    [3, 2, 0]
    """
    counts = Counter(int(length) for length in lengths if length)
    return min(counts, key=lambda width: (-counts[width], width)) if counts else 0
