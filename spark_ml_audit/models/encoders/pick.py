"""Which middle layer serves: a cheap ridge on each, judged on rows that it has not seen."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from spark_ml_audit.models.design import BoolArray, Float32Array, Float64Array, IntArray

PENALTY = 100.0
"""Of standardised vectors; what `models.columns.EMBEDDING_SCALE` makes of the joint model's penalty."""

MIN_PRESENT = 3
"""Rows with a tag, and rows without it, on either side of the split from which it counts."""


def layer_scores(vectors: Float32Array, given: BoolArray, inner_fold: IntArray) -> Float64Array:
    """Mean average precision over tags of a ridge on each layer, on rows that it has not learned from.

    Args:
        vectors: Shape (n, layers, width).
        given: Given tags, shape (n, K).
        inner_fold: Fold of each row, shape (n,); each fold is judged by the ridge of the others.

    Returns:
        One score per layer; all 0 where no tag has enough rows on both sides.

    Example:
        >>> random = np.random.default_rng(0)
        >>> given = random.random((60, 2)) < 0.5
        >>> telling, noise = given * 1.0 - 0.5, random.normal(size=(60, 2))
        >>> vectors = np.stack([noise, telling], axis=1).astype(np.float32)
        >>> layer_scores(vectors, given, np.arange(60) % 2).argmax()
        np.int64(1)
    """
    scores = np.zeros(vectors.shape[1])
    count = 0
    for fold in np.unique(inner_fold):
        held = inner_fold == fold
        seen, unseen = given[~held], given[held]
        rarest = np.minimum.reduce([part.sum(axis=0) for part in (seen, ~seen, unseen, ~unseen)])
        tags = np.flatnonzero(rarest >= MIN_PRESENT)
        if not len(tags):
            continue
        count += len(tags)
        for layer in range(vectors.shape[1]):
            found = _ridge_scores(vectors[~held, layer], seen[:, tags], vectors[held, layer])
            scores[layer] += average_precisions(unseen[:, tags], found).sum()
    return scores / max(count, 1)


def _ridge_scores(seen: Float32Array, given: BoolArray, unseen: Float32Array) -> Float64Array:
    means = seen.mean(axis=0, dtype=np.float64)
    spread = seen.std(axis=0, dtype=np.float64)
    spread = np.where(spread <= 1e-6 * np.maximum(np.abs(means), 1e-30), 1.0, spread)
    features = (seen - means) / spread
    targets = given - given.mean(axis=0)
    gram = features.T @ features
    gram[np.diag_indices_from(gram)] += PENALTY
    weights = cho_solve(cho_factor(gram), features.T @ targets)
    return np.asarray((unseen - means) / spread @ weights, dtype=np.float64)


def average_precisions(given: BoolArray, scores: Float64Array) -> Float64Array:
    """Average precision of each column's ranking, shape (K,); rows of equal scores in their order.

    >>> average_precisions(np.array([[True], [False], [True]]), np.array([[3.0], [2.0], [1.0]])).round(3)
    array([0.833])
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    hits = np.take_along_axis(given, order, axis=0)
    places = np.arange(1, len(given) + 1)[:, None]
    precision = np.cumsum(hits, axis=0) / places
    found: Float64Array = (precision * hits).sum(axis=0) / np.maximum(hits.sum(axis=0), 1)
    return found
