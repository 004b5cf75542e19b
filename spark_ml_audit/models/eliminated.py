"""Ridge regression on sparse columns beside a block of dense ones that is solved for exactly.

A few hundred correlated dense columns (an embedding) make the system so badly conditioned that conjugate
gradients take many times the steps. But the block alone is small enough to be factorised: here it is, and
what is iterated on is as well conditioned as the sparse columns alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from spark_ml_audit.models.conjugate_gradients import column_dots, conjugate_gradients
from spark_ml_audit.models.design import Design, Float32Array, Float64Array

_BLOCK_ROWS = 4096


@dataclass(frozen=True, eq=False)
class DenseBlock:
    """A design whose dense part is centred and its normal equations factorised.

    Attributes:
        sparse: CSR matrix, shape (n, s), and its transpose laid out by rows.
        transposed: That transpose.
        sparse_means: Mean of every sparse column, shape (s,).
        dense: The dense columns less their means, shape (n, d).
        factor: Cholesky factor of dense' dense + alpha.
        alpha: Strength of the penalty.
    """

    sparse: Any
    transposed: Any
    sparse_means: Float32Array
    dense: Float32Array
    factor: Any
    alpha: float

    @staticmethod
    def of(design: Design, alpha: float) -> DenseBlock:
        """Prepare a design that has its transpose.

        Args:
            design: With both sparse and dense columns.
            alpha: Strength of the penalty, > 0.
        """
        means = design.column_means()
        split = design.sparse.shape[1]
        dense = design.dense - means[split:]
        gram = np.zeros((dense.shape[1], dense.shape[1]))
        for start in range(0, len(dense), _BLOCK_ROWS):
            block = dense[start : start + _BLOCK_ROWS].astype(np.float64)
            gram += block.T @ block
        gram[np.diag_indices_from(gram)] += alpha
        factor = cho_factor(gram, lower=True)
        return DenseBlock(design.sparse, design.transposed, means[:split], dense, factor, alpha)

    @property
    def is_wide(self) -> bool:
        """Whether there are fewer rows than columns."""
        return bool(self.dense.shape[0] < self.sparse.shape[1] + self.dense.shape[1])

    def sparse_times(self, weights: Float32Array) -> Float32Array:
        """Product of the centred sparse columns with weights of shape (s, k)."""
        product = np.asarray(self.transposed.T @ weights, dtype=np.float32)
        return np.asarray(product - self.sparse_means @ weights, dtype=np.float32)

    def sparse_transposed(self, values: Float32Array) -> Float32Array:
        """Product of their transpose with values of shape (n, k)."""
        totals = values.sum(axis=0, dtype=np.float64).astype(np.float32)
        product = np.asarray(self.transposed @ values, dtype=np.float32)
        return product - np.outer(self.sparse_means, totals)

    def dense_weights(self, values: Float32Array) -> Float32Array:
        """What the dense columns alone fit to values of shape (n, k), shape (d, k)."""
        right: Float64Array = (self.dense.T @ values).astype(np.float64)
        return np.asarray(cho_solve(self.factor, right), dtype=np.float32)

    def rest(self, values: Float32Array) -> Float32Array:
        """What the dense columns alone leave of values: alpha (dense dense' + alpha)^-1 values (Woodbury)."""
        return values - self.dense @ self.dense_weights(values)


def solve_eliminated(
    block: DenseBlock, targets: Float32Array, tolerance: float, max_steps: int
) -> Float32Array:
    """Weights of all columns, sparse ones first, shape (s + d, k).

    With rest(v) what the dense columns leave of v, the sparse weights w minimise |rest(targets - X w)|: with
    X' rest(X w) + alpha w = X' rest(targets) where there are more rows than columns; else by the dual
    (X X' + D D' + alpha) u = targets, w = X' u, preconditioned by D D' + alpha. Either is one system per
    column of the targets, stepped together (Saad 2003, algorithms 6.18 and 9.1).

    Args:
        block: The design.
        targets: Centred, shape (n, k).
        tolerance: Relative residual at which a column stops.
        max_steps: Steps after which what has not converged is used as it is.
    """
    if block.is_wide:
        dual = _dual(block, targets, tolerance, max_steps)
        sparse, dense = block.sparse_transposed(dual), np.asarray(block.dense.T @ dual)
        return np.concatenate([sparse, dense])
    sparse = _primal(block, targets, tolerance, max_steps)
    return np.concatenate([sparse, block.dense_weights(targets - block.sparse_times(sparse))])


def _dual(block: DenseBlock, targets: Float32Array, tolerance: float, max_steps: int) -> Float32Array:
    alpha = np.float32(block.alpha)
    solution, residual = np.zeros_like(targets), targets.copy()
    preconditioned = block.rest(residual) / alpha
    direction = preconditioned.copy()
    # the preconditioner times the direction follows from the residuals: it is never multiplied by
    image_of_block = residual.copy()
    size = column_dots(residual, preconditioned)
    limit = size * tolerance**2
    for _ in range(max_steps):
        open_ = size > limit
        if not open_.any():
            break
        image = block.sparse_times(block.sparse_transposed(direction)) + image_of_block
        step = _ratio(open_, size, column_dots(direction, image))
        solution += step * direction
        residual -= step * image
        preconditioned = block.rest(residual) / alpha
        fresh = column_dots(residual, preconditioned)
        ratio = _ratio(open_, fresh, size)
        direction = preconditioned + ratio * direction
        image_of_block = residual + ratio * image_of_block
        size = np.where(open_, fresh, size)
    return solution


def _primal(block: DenseBlock, targets: Float32Array, tolerance: float, max_steps: int) -> Float32Array:
    alpha = np.float32(block.alpha)

    def times(weights: Float32Array) -> Float32Array:
        return block.sparse_transposed(block.rest(block.sparse_times(weights))) + alpha * weights

    right = block.sparse_transposed(block.rest(targets))
    return conjugate_gradients(times, right, tolerance, max_steps)


def _ratio(open_: Any, above: Float64Array, below: Float64Array) -> Float32Array:
    """Quotient where a column is stepped, else 0."""
    return np.where(open_ & (below > 0), above / np.where(below > 0, below, 1.0), 0.0).astype(np.float32)
