"""Nearest neighbours among a bounded reference sample: what outliers are measured by.

The index is faiss's inverted file over the reference vectors, searched as deep as it takes to find a stated
share of the true neighbours, measured against exhaustive search when it is built; where the vectors have no
clusters to go by, that is all of them, and the index is exhaustive. Candidates come from the index in
float32, distances are taken anew in float64, so that a row's distance does not depend on its batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spark_ml_audit.models.design import Float32Array, Float64Array

TARGET_RECALL = 0.98
"""Share of the true neighbours that the index finds, measured on the reference itself."""

# Fewer rows are searched exhaustively.
_MIN_CLUSTERED = 4000
_TRIALS = 500
# Candidates beyond those asked for: float32 may swap the last ones.
_SPARE = 8
# Queries of every search: one shape of matrices, so that rounding does not depend on the batch.
_BLOCK = 256
_SEED = 1234
# Vectors compared at a time by exhaustive search: bounds its memory.
_COLUMNS = 1 << 15


@dataclass(frozen=True, eq=False)
class NeighbourIndex:
    """Reference vectors that can be searched; picklable.

    Attributes:
        payload: The index as faiss serialises it.
        keys: 64-bit key of each reference row, shape (m,): a row is not its own neighbour.
        num_lists: Clusters of the index; 0: exhaustive.
        recall: Share of the true neighbours found, as measured.

    Example:
        >>> vectors, keys = np.array([[0.0], [1.0], [5.0]], dtype=np.float32), np.array([10, 11, 12])
        >>> index = NeighbourIndex.build(vectors, keys, neighbours=1)
        >>> positions, distances = index.search(vectors, keys, neighbours=1)
        >>> positions.tolist(), distances.tolist()
        ([[1], [0], [1]], [[1.0], [1.0], [4.0]])
    """

    payload: NDArray[np.uint8]
    keys: NDArray[np.int64]
    num_lists: int
    recall: float
    _open: dict[str, Any] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}

    @staticmethod
    def build(vectors: Float32Array, keys: NDArray[np.int64], neighbours: int) -> NeighbourIndex:
        """Index the reference.

        Args:
            vectors: Shape (m, d), m >= 1.
            keys: Shape (m,).
            neighbours: Neighbours that will be asked for, for which recall is measured.
        """
        import faiss

        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        exact = faiss.IndexFlatL2(vectors.shape[1])
        exact.add(vectors)
        if len(vectors) < _MIN_CLUSTERED:
            return NeighbourIndex(faiss.serialize_index(exact), keys, 0, 1.0)
        num_lists = int(2 ** round(np.log2(len(vectors) ** 0.5)))
        clustered = faiss.IndexIVFFlat(
            faiss.IndexFlatL2(vectors.shape[1]), vectors.shape[1], num_lists, faiss.METRIC_L2
        )
        clustered.cp.seed, clustered.cp.niter = _SEED, 10
        clustered.train(vectors)
        clustered.add(vectors)
        trial = vectors[:: max(1, len(vectors) // _TRIALS)][:_TRIALS]
        wanted = min(neighbours + 1, len(vectors))
        farthest = exact.search(trial, wanted)[0][:, -1:] * (1 + 1e-6)
        clustered.nprobe = 1
        # beyond this, exhaustive search is faster: it multiplies matrices
        while clustered.nprobe <= num_lists // 8:
            # ties make several sets of neighbours true: what counts is the distance
            found = clustered.search(trial, wanted)[0]
            recall = float((found <= farthest).mean())
            if recall >= TARGET_RECALL:
                return NeighbourIndex(faiss.serialize_index(clustered), keys, num_lists, recall)
            clustered.nprobe *= 2
        return NeighbourIndex(faiss.serialize_index(exact), keys, 0, 1.0)

    def _opened(self) -> tuple[Any, Float32Array]:
        """What finds candidates, and the vectors; opened once."""
        if not self._open:
            import faiss

            index: Any = faiss.deserialize_index(self.payload)
            if self.num_lists:
                index.make_direct_map()
            vectors = index.reconstruct_n(0, index.ntotal)
            exhaustive = _Exhaustive(vectors).nearest
            self._open["nearest"] = _Clustered(index).nearest if self.num_lists else exhaustive
            self._open["vectors"] = vectors
        return self._open["nearest"], self._open["vectors"]

    def search(
        self, queries: Float32Array, keys: NDArray[np.int64] | None, neighbours: int
    ) -> tuple[NDArray[np.int64], Float64Array]:
        """The nearest reference rows of each query, other than itself.

        Args:
            queries: Shape (n, d), finite.
            keys: Their keys, shape (n,); None: no query is in the reference.
            neighbours: How many.

        Returns:
            Positions and Euclidean distances, nearest first, shape (n, min(neighbours, m)); where the
            reference has fewer others, position -1 and distance infinity.
        """
        candidates_of, vectors = self._opened()
        num_rows, width = len(queries), min(neighbours, len(vectors))
        fetched = min(neighbours + 1 + _SPARE, len(vectors))
        positions = np.full((num_rows, width), -1, dtype=np.int64)
        distances = np.full((num_rows, width), np.inf)
        block = np.zeros((_BLOCK, queries.shape[1]), dtype=np.float32)
        for start in range(0, num_rows, _BLOCK):
            size = min(_BLOCK, num_rows - start)
            block[:size] = queries[start : start + size]
            block[size:] = 0.0
            found = candidates_of(block, fetched)[:size]
            exact = _distances(block[:size], vectors, found)
            exact[found < 0] = np.inf
            if keys is not None:
                exact[self.keys[found] == keys[start : start + size, None]] = np.inf
            order = np.argsort(exact, axis=1, kind="stable")[:, :width]
            distances[start : start + size] = np.take_along_axis(exact, order, axis=1)
            positions[start : start + size] = np.take_along_axis(found, order, axis=1)
        positions[np.isinf(distances)] = -1
        return positions, distances


@dataclass(frozen=True)
class _Clustered:
    """Candidates from faiss's index."""

    index: Any

    def nearest(self, queries: Float32Array, wanted: int) -> NDArray[np.int64]:
        """Positions of the nearest vectors, -1 where there are fewer; shape (n, wanted)."""
        found: NDArray[np.int64] = self.index.search(queries, wanted)[1]
        return found


class _Exhaustive:
    """Candidates from the distances to all vectors: NumPy's product is faster here than faiss's own."""

    def __init__(self, vectors: Float32Array) -> None:
        self._vectors = vectors
        self._squares = np.add.reduce(vectors * vectors, axis=1)

    def nearest(self, queries: Float32Array, wanted: int) -> NDArray[np.int64]:
        """Positions of the nearest vectors in no order, shape (n, wanted)."""
        positions, distances = [], []
        for start in range(0, len(self._vectors), _COLUMNS):
            # up to the square of the query, which orders nothing
            product = queries @ self._vectors[start : start + _COLUMNS].T
            product *= -2
            product += self._squares[start : start + _COLUMNS]
            size = min(wanted, product.shape[1])
            part = np.argpartition(product, size - 1, axis=1)[:, :size]
            positions.append(part + start)
            distances.append(np.take_along_axis(product, part, axis=1))
        every, near = np.concatenate(positions, axis=1), np.concatenate(distances, axis=1)
        best = np.argpartition(near, wanted - 1, axis=1)[:, :wanted]
        found: NDArray[np.int64] = np.take_along_axis(every, best, axis=1)
        return found


def _distances(queries: Float32Array, vectors: Float32Array, found: NDArray[np.int64]) -> Float64Array:
    """Distance of each query to its candidates, shape of `found`."""
    result = np.empty(found.shape)
    for column in range(found.shape[1]):
        difference = queries.astype(np.float64) - vectors[found[:, column]]
        difference *= difference
        result[:, column] = np.sqrt(np.add.reduce(difference, axis=1))
    return result


@dataclass(frozen=True, eq=False)
class OutlierScale:
    """From distances to scores.

    A row's distance d is the mean over its nearest reference rows; n is the median of these rows' own
    distances. Its measure d / sqrt(n) is the geometric mean of d (Ramaswamy, Rastogi, Shim 2000), which finds
    rows far from all others, and of d / n (as in Breunig et al., LOF, 2000), which finds rows
    that lie loosely beside a dense cluster. A measure at the limit scores 1/2.

    Attributes:
        own: Distance of each reference row, shape (m,).
        least: Least n that is divided by, for rows beside exact copies.
        limit: Measure above which a row is an outlier.

    Example:
        >>> positions = np.array([[1], [0], [1], [2], [3]])  # of rows at 0, 1, 2, 3 and 20
        >>> distances = np.array([[1.0], [1.0], [1.0], [1.0], [17.0]])
        >>> scale = OutlierScale.of(positions, distances, factor=1.5)
        >>> scale.scores(scale.measures(positions, distances)).round(2).tolist()
        [0.5, 0.5, 0.5, 0.5, 0.94]
    """

    own: Float64Array
    least: float
    limit: float

    @staticmethod
    def of(positions: NDArray[np.int64], distances: Float64Array, factor: float) -> OutlierScale:
        """Limit at the third quartile of the reference's own measures, plus `factor` interquartile ranges.

        Args:
            positions: Nearest other reference rows of each reference row, from `NeighbourIndex.search`.
            distances: To them.
            factor: 0 or more.
        """
        own = _means(distances)
        # a tenth of what is usual; 1 where all rows are copies and every distance is 0
        least = float(np.median(own)) / 10 or 1.0
        scale = OutlierScale(own, least, np.inf)
        low, high = np.quantile(scale.measures(positions, distances), [0.25, 0.75])
        return OutlierScale(own, least, float(high + factor * (high - low)))

    def measures(self, positions: NDArray[np.int64], distances: Float64Array) -> Float64Array:
        """Measure of each row from its nearest reference rows, shape (n, k) each; returns shape (n,)."""
        if not self.own.size or not positions.size:
            return np.zeros(len(positions))
        near = np.where(positions < 0, np.nan, self.own[positions])
        near[np.isnan(near).all(axis=1)] = self.least
        usual = np.maximum(np.nanmedian(near, axis=1), self.least)
        found: Float64Array = _means(distances) / np.sqrt(usual)
        return found

    def scores(self, measures: Float64Array) -> Float64Array:
        """Scores m / (m + limit) of measures m; 0 where both are 0."""
        total = measures + self.limit
        return np.divide(measures, total, out=np.zeros_like(measures), where=total > 0)


def _means(distances: Float64Array) -> Float64Array:
    """Mean of each row's finite distances, added up one after the other; 0 without any."""
    known = np.isfinite(distances)
    total: Float64Array = np.zeros(len(distances))
    for column, usable in zip(distances.T, known.T, strict=True):
        total += np.where(usable, column, 0.0)
    total /= np.maximum(known.sum(axis=1), 1)
    return total
