"""The matrix a linear model sees: sparse columns (words, categories) beside dense ones (numbers)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

BLOCK_ROWS = 256
"""Rows of every dense product made while predicting; a multiple of every BLAS kernel's row tile."""


@dataclass(frozen=True, eq=False)
class Design:
    """Features of n rows; either part may have no columns.

    Attributes:
        sparse: CSR matrix of float32, shape (n, s).
        dense: Matrix of float32, shape (n, d).
        transposed: CSR transpose of the sparse part, where it has been prepared.

    Example:
        >>> words = sp.csr_matrix([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32)
        >>> design = Design(sparse=words, dense=np.array([[5.0], [7.0]], dtype=np.float32))
        >>> design.num_rows, design.width, design.column_means().tolist()
        (2, 3, [0.5, 1.0, 6.0])
        >>> design.row_stable_times(np.ones((3, 1), dtype=np.float32)).tolist()
        [[6.0], [9.0]]
    """

    sparse: Any
    dense: Float32Array
    transposed: Any = None

    @property
    def num_rows(self) -> int:
        """Number of rows n."""
        return int(self.dense.shape[0])

    @property
    def width(self) -> int:
        """Number of columns s + d."""
        return int(self.sparse.shape[1]) + int(self.dense.shape[1])

    def take(self, rows: BoolArray | slice) -> Design:
        """The same columns for some of the rows."""
        return Design(self.sparse[rows], self.dense[rows])

    def with_transpose(self) -> Design:
        """The same with its transpose laid out by rows, for training.

        Both products then walk through the columns one after another, whose weights are large together,
        and jump among the rows, whose values are small enough for a cache: two to three times as fast.
        """
        return Design(self.sparse, self.dense, self.sparse.T.tocsr())

    def column_means(self) -> Float32Array:
        """Mean of every column, shape (s + d,)."""
        sparse = np.asarray(self.sparse.sum(axis=0, dtype=np.float64)).reshape(-1) / max(self.num_rows, 1)
        dense = self.dense.sum(axis=0, dtype=np.float64) / max(self.num_rows, 1)
        return np.concatenate([sparse, dense]).astype(np.float32)

    def times(self, weights: Float32Array) -> Float32Array:
        """Product with weights of shape (s + d, k), for training: fast, but its bits depend on n."""
        split = self.sparse.shape[1]
        by_columns = self.sparse if self.transposed is None else self.transposed.T
        product = np.asarray(by_columns @ np.ascontiguousarray(weights[:split]), dtype=np.float32)
        if self.dense.shape[1]:
            product += self.dense @ weights[split:]
        return product

    def transposed_times(self, values: Float32Array) -> Float32Array:
        """Product of the transpose with values of shape (n, k)."""
        sparse = self.sparse.T if self.transposed is None else self.transposed
        product = np.asarray(sparse @ values, dtype=np.float32)
        return np.concatenate([product, self.dense.T @ values]) if self.dense.shape[1] else product

    def row_stable_times(self, weights: Float32Array) -> Float64Array:
        """Product with weights of shape (s + d, k) in which a row's bits depend on that row alone.

        SciPy's sparse product adds a row's terms one after another whatever the other rows are; the
        dense product does not, so it is made in blocks of one shape (`in_blocks`).
        """
        split = self.sparse.shape[1]
        product = np.asarray(self.sparse @ np.ascontiguousarray(weights[:split]), dtype=np.float64)
        if self.dense.shape[1]:
            dense = weights[split:].astype(np.float64)
            product += in_blocks(lambda block: block @ dense, self.dense, weights.shape[1])
        return product

    def as_matrix(self) -> Any:
        """One matrix for an estimator of someone else: CSR where there are sparse columns, else an array."""
        if not self.width:  # estimators refuse a table without columns
            return np.zeros((self.num_rows, 1), dtype=np.float32)
        if not self.sparse.shape[1]:
            return self.dense
        if not self.dense.shape[1]:
            return self.sparse
        return sp.csr_matrix(sp.hstack([self.sparse, sp.csr_matrix(self.dense)], format="csr"))


def in_blocks(
    function: Callable[[Float64Array], Float64Array], values: NDArray[Any], num_columns: int
) -> Float64Array:
    """Apply a row-wise function to blocks of `BLOCK_ROWS` rows, the last one padded with zeros.

    BLAS picks its kernel, and so the order of additions, by the shape of the matrices: the same row gave
    different last bits in batches of 1, 7 and 1,000 rows. With one shape it does not, and float64 inside
    leaves the float32 result the same on machines whose kernels differ.

    Args:
        function: Maps (BLOCK_ROWS, m) to (BLOCK_ROWS, num_columns), each row by itself.
        values: Rows to map, shape (n, m); converted to float64.
        num_columns: Columns of the result.

    Returns:
        Result of each row, shape (n, num_columns).

    Example:
        >>> rows = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> in_blocks(lambda block: block.sum(axis=1, keepdims=True), rows, num_columns=1).tolist()
        [[3.0], [7.0]]
    """
    n = values.shape[0]
    result = np.empty((n, num_columns))
    block = np.zeros((BLOCK_ROWS, values.shape[1]))
    for start in range(0, n, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, n)
        block[: stop - start] = values[start:stop]
        block[stop - start :] = 0.0
        result[start:stop] = function(block)[: stop - start]
    return result
