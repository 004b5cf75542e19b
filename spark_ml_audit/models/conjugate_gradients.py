"""Symmetric positive definite systems that are known by their products, one per tag, stepped together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spark_ml_audit.models.design import Float32Array, Float64Array


def conjugate_gradients(
    times: Callable[[Float32Array], Float32Array], right: Float32Array, tolerance: float, max_steps: int
) -> Float32Array:
    """Solve one system per column; a column stands still once it has converged (Saad 2003, algorithm 6.18).

    Args:
        times: Product of the matrix with values of shape (m, k).
        right: Right sides, shape (m, k).
        tolerance: Relative residual at which a column stops.
        max_steps: Steps after which what has not converged is used as it is.

    Returns:
        The solutions, shape (m, k).

    Example:
        >>> right = np.array([[2.0], [6.0]], dtype=np.float32)
        >>> conjugate_gradients(lambda values: 2 * values, right, tolerance=0.1, max_steps=5).tolist()
        [[1.0], [3.0]]
    """
    solution = np.zeros_like(right)
    residual = right.copy()
    direction = right.copy()
    size = column_dots(residual, residual)
    limit = size * tolerance**2
    for _ in range(max_steps):
        open_ = size > limit
        if not open_.any():
            break
        image = times(direction)
        curvature = column_dots(direction, image)
        step = np.where(open_, size / np.where(curvature > 0, curvature, 1.0), 0.0).astype(np.float32)
        solution += step * direction
        residual -= step * image
        fresh = column_dots(residual, residual)
        ratio = np.where(open_, fresh / np.where(size > 0, size, 1.0), 0.0).astype(np.float32)
        direction = residual + ratio * direction
        size = np.where(open_, fresh, size)
    return solution


def column_dots(left: Float32Array, right: Float32Array) -> Float64Array:
    """Inner product of each column with its like, shape (k,)."""
    return np.asarray((left * right).sum(axis=0, dtype=np.float64))
