"""Two stacks of one design averaged in log-odds: with the vectors of an encoder, and without them.

Vectors know what words mean, columns of words know names and rare words: where the two differ, each is wrong
in another way, and their mean is better than the stack that reads both together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spark_ml_audit.models.design import BoolArray, Design, Float32Array, Float64Array, IntArray
from spark_ml_audit.models.logits import probabilities_of
from spark_ml_audit.models.stacked import FirstLayer, StackedTags

_BLOCK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class AveragedTags:
    """Fitted stacks over the same K tags.

    Attributes:
        full: Reads all columns.
        plain: Reads all but the vectors; None where there are no others, or the mean was no better.
        num_vectors: Dense columns, the last ones, that the second one does not read.

    Example:
        >>> from scipy.sparse import csr_matrix
        >>> words = np.array([[0.0], [0.0], [1.0], [1.0]] * 4, dtype=np.float32)
        >>> design = Design(sparse=csr_matrix(words), dense=1 - words)
        >>> tags = AveragedTags.fit(design, 1, words > 0.5, np.arange(16) % 2, joint=False, seed=0)
        >>> (tags.predict_proba(design)[:4] > 0.5).tolist()
        [[False], [False], [True], [True]]
    """

    full: StackedTags
    plain: StackedTags | None
    num_vectors: int

    @staticmethod
    def fit(
        design: Design, num_vectors: int, given: BoolArray, inner_fold: IntArray, joint: bool, seed: int
    ) -> AveragedTags:
        """Train both, and average them where the log loss of inner out-of-fold log-odds falls.

        Args:
            design: Features of n rows, the vectors last.
            num_vectors: Columns of the vectors, >= 1.
            given: Given tags, shape (n, K); every column has at least two rows of both kinds.
            inner_fold: As for `StackedTags.fit`; joint, seed: too.
            joint: See inner_fold.
            seed: See inner_fold.
        """
        first = FirstLayer.fit(design, given, inner_fold, eliminate=True)
        full, ours = first.completed(design, given, joint, seed), first.logits
        others = _without(design, num_vectors)
        if not others.width:
            return AveragedTags(full, None, num_vectors)
        # an embedding column of the table itself is as dense as the vectors
        beside = FirstLayer.fit(others, given, inner_fold, eliminate=bool(others.dense.shape[1]))
        if _log_loss(given, ours, beside.logits) >= _log_loss(given, ours, ours):
            return AveragedTags(full, None, num_vectors)
        return AveragedTags(full, beside.completed(others, given, joint, seed), num_vectors)

    def predict_proba(self, design: Design) -> Float32Array:
        """Probabilities of shape (n, K); a row's bits do not depend on the rows beside it."""
        if self.plain is None:
            return self.full.predict_proba(design)
        logits = self.full.logits(design)
        logits += self.plain.logits(_without(design, self.num_vectors))
        return probabilities_of(logits / 2)


def _without(design: Design, num_vectors: int) -> Design:
    return replace(design, dense=np.ascontiguousarray(design.dense[:, :-num_vectors]))


def _log_loss(given: BoolArray, one: Float32Array, other: Float32Array) -> float:
    """Mean log loss per cell of the mean of two models' log-odds."""
    total = 0.0
    for start in range(0, len(given), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        logits: Float64Array = (one[rows].astype(np.float64) + other[rows]) / 2
        total += float(np.logaddexp(0.0, np.where(given[rows], -logits, logits)).sum())
    return total / max(given.size, 1)
