"""Ridge regression of all tags at once, the first layer of the built-in models.

scikit-learn's sparse solver runs one conjugate gradient per tag and reads the whole matrix for each; here the
tags of a group share every pass over it, which makes many tags several times cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from spark_ml_audit.models.conjugate_gradients import conjugate_gradients
from spark_ml_audit.models.design import Design, Float32Array, Float64Array
from spark_ml_audit.models.eliminated import DenseBlock, solve_eliminated

TAGS_AT_ONCE = 72
"""Most tags solved together: bounds the working memory to a few arrays of (rows or columns, 72)."""

MAX_STEPS = 100
"""Steps after which a system that has not converged is used as it is."""

EXACT_WIDTH = 2048
"""Widest all-dense design whose normal equations are factorised instead of iterated on."""


@dataclass(frozen=True, eq=False)
class Ridge:
    """Fitted weights.

    Attributes:
        weights: One column per tag, float32, shape (width, K).
        intercepts: Shape (K,).

    Example:
        >>> from scipy.sparse import csr_matrix
        >>> dense = np.array([[0.0], [3.0]], dtype=np.float32)
        >>> design = Design(sparse=csr_matrix((2, 0), dtype=np.float32), dense=dense)
        >>> ridge = Ridge(weights=np.full((1, 1), 0.25, np.float32), intercepts=np.full(1, 0.5, np.float32))
        >>> ridge.scores(design).tolist()
        [[0.5], [1.25]]
    """

    weights: Float32Array
    intercepts: Float32Array

    def scores(self, design: Design) -> Float64Array:
        """Scores of shape (n, K), about 0 for an absent and 1 for a present tag; row-stable bits."""
        return design.row_stable_times(self.weights) + self.intercepts


def fit_ridge(
    design: Design, targets: Float32Array, alpha: float, tolerance: float, *, eliminate: bool = False
) -> Ridge:
    """Minimise |targets - X w - b|^2 + alpha |w|^2 for every tag.

    Args:
        design: Features of n >= 1 rows.
        targets: 0 or 1, shape (n, K).
        alpha: Strength of the penalty, > 0; the intercept is free.
        tolerance: Relative residual at which conjugate gradients stop. Loose values regularise and are
            enough to rank (0.1 as good as 0.001, 0.3 not).
        eliminate: Whether dense columns beside sparse ones are solved for exactly (`models.eliminated`): many
            correlated ones cost no further steps then.

    Returns:
        The weights.

    Example:
        >>> from scipy.sparse import csr_matrix
        >>> values = np.array([[0.0], [1.0]], dtype=np.float32)
        >>> design = Design(sparse=csr_matrix((2, 0), dtype=np.float32), dense=values)
        >>> ridge = fit_ridge(design, targets=values, alpha=0.5, tolerance=0.1)
        >>> ridge.weights.tolist(), ridge.intercepts.tolist()  # 1 and 0 without the penalty
        ([[0.5]], [0.25])
    """
    design = design.with_transpose()
    means = design.column_means()
    num_tags = targets.shape[1]
    shares = targets.mean(axis=0, dtype=np.float64).astype(np.float32)
    weights = np.zeros((design.width, num_tags), dtype=np.float32)
    exact = not design.sparse.shape[1] and design.width <= EXACT_WIDTH
    factor = _factorised(design, means, alpha) if exact and design.width else None
    block = None
    if eliminate and not exact and 0 < design.dense.shape[1] <= EXACT_WIDTH:
        block = DenseBlock.of(design, alpha)
    for group in _groups(num_tags) if design.width else ():
        centred = np.ascontiguousarray(targets[:, group] - shares[group])
        if factor is not None:
            exact_right = _centred_transposed(design, means, centred).astype(np.float64)
            weights[:, group] = cho_solve(factor, exact_right)
        elif block is not None:
            weights[:, group] = solve_eliminated(block, centred, tolerance, MAX_STEPS)
        elif design.num_rows < design.width:
            operator = _Operator(design, means, alpha, dual=True)
            dual = conjugate_gradients(operator.times, centred, tolerance, MAX_STEPS)
            weights[:, group] = _centred_transposed(design, means, dual)
        else:
            right = _centred_transposed(design, means, centred)
            operator = _Operator(design, means, alpha, dual=False)
            weights[:, group] = conjugate_gradients(operator.times, right, tolerance, MAX_STEPS)
    offsets = shares - np.asarray(means.astype(np.float64) @ weights, dtype=np.float32)
    return Ridge(weights, offsets.astype(np.float32))


def _groups(num_tags: int) -> list[slice]:
    """Groups of about one size: a pass over the matrix for two tags costs a good part of one for many."""
    count = -(-num_tags // TAGS_AT_ONCE)
    ends = [num_tags * (i + 1) // count for i in range(count)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


class _Operator:
    """Symmetric positive definite matrix known by its product."""

    def __init__(self, design: Design, means: Float32Array, alpha: float, dual: bool) -> None:
        self.design, self.means, self.alpha, self.dual = design, means, np.float32(alpha), dual

    def times(self, values: Float32Array) -> Float32Array:
        if self.dual:
            product = _centred_times(
                self.design, self.means, _centred_transposed(self.design, self.means, values)
            )
        else:
            product = _centred_transposed(
                self.design, self.means, _centred_times(self.design, self.means, values)
            )
        return product + self.alpha * values


# Centring the columns in the products instead of the matrix keeps it sparse.
def _centred_times(design: Design, means: Float32Array, weights: Float32Array) -> Float32Array:
    return design.times(weights) - means @ weights


def _centred_transposed(design: Design, means: Float32Array, values: Float32Array) -> Float32Array:
    totals = values.sum(axis=0, dtype=np.float64).astype(np.float32)
    return design.transposed_times(values) - np.outer(means, totals)


def _factorised(design: Design, means: Float32Array, alpha: float) -> tuple[Float64Array, bool]:
    gram = np.zeros((design.width, design.width))
    for start in range(0, design.num_rows, 4096):
        block = design.dense[start : start + 4096].astype(np.float64) - means
        gram += block.T @ block
    gram[np.diag_indices_from(gram)] += alpha
    factor, lower = cho_factor(gram)
    return factor, bool(lower)
