"""Numbers, dates, booleans, categories and embeddings as columns of a model.

Every encoder is fitted on the training rows and then applied to each row by itself, with explicit columns
for what is missing. Values are scaled so that one ridge penalty suits all of them beside text of unit norm.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from spark_ml_audit.models.design import Float32Array, Float64Array
from spark_ml_audit.models.text import is_null

SCALE = 0.5
"""Size of indicators and ramps beside a text row of norm 1."""

EMBEDDING_SCALE = 0.1732
"""Standardised embeddings do best under a penalty of 100, the stack's is 3: sqrt(3 / 100)."""

LARGEST = 1e150
"""Size above which numbers are cut: their differences must not overflow."""

FARTHEST_DAY = 106_000
"""Days from 1970 to the last year that nanoseconds can hold."""

NUM_RAMPS = 8
MAX_CATEGORIES = 1000
MIN_CATEGORY_ROWS = 2


def numbers(values: pd.Series) -> Float64Array:
    """Numbers of a column, shape (n,); null, NaN, infinite and not a number are NaN, giants are cut.

    >>> numbers(pd.Series(["3", None, "many", float("inf")])).tolist()
    [3.0, nan, nan, nan]
    """
    found = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(found), np.clip(found, -LARGEST, LARGEST), np.nan)


def truths(values: pd.Series) -> Float64Array:
    """Booleans of a column as 1, 0 and NaN, shape (n,).

    >>> truths(pd.Series([True, False, None])).tolist()
    [1.0, 0.0, nan]
    """
    known = {True: 1.0, False: 0.0}
    return np.array(
        [known.get(value, np.nan) if value is not pd.NA else np.nan for value in values], dtype=np.float64
    )


def calendar(values: pd.Series) -> Float64Array:
    """Days since 1970, month 0..11 and weekday 0..6 of a column, shape (n, 3); NaN where there is no date.

    Dates before 1680 or after 2260 count as missing (years such as 9999 stand for "none").

    >>> calendar(pd.Series(["1970-01-02", "9999-12-31"])).tolist()  # a Friday in January; no date
    [[1.0, 0.0, 4.0], [nan, nan, nan]]
    """
    stamps = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    days: pd.Series = (stamps - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
    parts: list[pd.Series] = [days, stamps.dt.month - 1, stamps.dt.weekday]
    found = np.column_stack([part.to_numpy(dtype=np.float64, na_value=np.nan) for part in parts])
    # Whether pandas can hold the year 9999 depends on the column's resolution, and so on the batch.
    found[np.abs(found[:, 0]) > FARTHEST_DAY] = np.nan
    return found


def category_keys(values: pd.Series) -> list[str | None]:
    """Text of each value, None for null. A whole float reads as an integer: nulls turn one into the other.

    >>> category_keys(pd.Series([1.0, None, 2.5])), category_keys(pd.Series(["a", None]))
    (['1', None, '2.5'], ['a', None])
    """
    keys: list[str | None] = []
    for value in values:
        if is_null(value):
            keys.append(None)
        elif isinstance(value, (float, np.floating)) and float(value).is_integer():
            keys.append(str(int(value)))
        else:
            keys.append(str(value))
    return keys


@dataclass(frozen=True, eq=False)
class Ramps:
    """A number as ramps between quantiles (a piecewise linear function of it, level outside), and a flag.

    Attributes:
        knots: Increasing; fewer than two when the training rows hold fewer than two values.
        median: Stands for a missing number.

    Example:
        >>> Ramps.fit(np.arange(9.0)).knots.tolist()
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
        >>> ramps = Ramps(knots=np.array([0.0, 4.0, 8.0]), median=6.0)
        >>> ramps.transform(np.array([5.0, np.nan])).tolist()
        [[0.5, 0.125, 0.0], [0.5, 0.25, 0.5]]
    """

    knots: Float64Array
    median: float

    @staticmethod
    def fit(values: Float64Array) -> Ramps:
        """Place the knots at quantiles of the numbers that are not NaN."""
        known = values[~np.isnan(values)]
        if not len(known):
            return Ramps(np.zeros(0), 0.0)
        knots = np.unique(np.quantile(known, np.linspace(0, 1, NUM_RAMPS + 1)))
        return Ramps(knots, float(np.median(known)))

    def transform(self, values: Float64Array) -> Float32Array:
        """Columns of shape (n, len(knots)): the ramps, then the flag; the flag alone without ramps."""
        missing = np.isnan(values)
        filled = np.where(missing, self.median, values)[:, None]
        low, high = self.knots[:-1], self.knots[1:]
        ramps = np.clip((filled - low) / (high - low), 0.0, 1.0)
        return np.column_stack([ramps, missing]).astype(np.float32) * np.float32(SCALE)


def cyclic(part: Float64Array, period: int) -> Float32Array:
    """Sine and cosine of a part of the calendar, shape (n, 2); 0 where it is missing.

    >>> cyclic(np.array([0.0, 3.0, np.nan]), period=12).round(2).tolist()
    [[0.0, 0.5], [0.5, 0.0], [0.0, 0.0]]
    """
    angle = part * (2 * np.pi / period)
    circle = np.nan_to_num(np.column_stack([np.sin(angle), np.cos(angle)])) * SCALE
    return np.asarray(circle, dtype=np.float32)


def flagged_truths(values: Float64Array) -> Float32Array:
    """Booleans and their missing flag, shape (n, 2).

    >>> flagged_truths(np.array([1.0, 0.0, np.nan])).tolist()
    [[0.5, 0.0], [0.0, 0.0], [0.0, 0.5]]
    """
    return np.column_stack([np.nan_to_num(values), np.isnan(values)]).astype(np.float32) * np.float32(SCALE)


@dataclass(frozen=True, eq=False)
class Categories:
    """A category as indicators: missing, other (rare or unseen in training), then each known value.

    Attributes:
        positions: Position of each known value among the known ones, the most frequent first.

    Example:
        >>> fitted = Categories.fit(["film", "book", "film", "book", "film", "play"])
        >>> fitted.positions
        {'film': 0, 'book': 1}
        >>> fitted.codes(["film", "play", None]).tolist()
        [2, 1, 0]
        >>> fitted.transform(["film", "play", None]).toarray().tolist()
        [[0.0, 0.0, 0.5, 0.0], [0.0, 0.5, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0]]
    """

    positions: dict[str, int]

    @staticmethod
    def fit(keys: list[str | None], limit: int = MAX_CATEGORIES) -> Categories:
        """Keep the `limit` most frequent values that at least two rows hold."""
        counts = Counter(key for key in keys if key is not None)
        ranked = sorted(counts, key=lambda key: (-counts[key], key))
        known = [key for key in ranked if counts[key] >= MIN_CATEGORY_ROWS][:limit]
        return Categories({key: position for position, key in enumerate(known)})

    def codes(self, keys: list[str | None]) -> NDArray[np.int32]:
        """Position of each value: 0 missing, 1 other, 2 and up known; shape (n,)."""
        return np.array(
            [0 if key is None else 2 + self.positions.get(key, -1) for key in keys], dtype=np.int32
        )

    def transform(self, keys: list[str | None]) -> Any:
        """CSR indicators of shape (n, known + 2)."""
        n = len(keys)
        values = np.full(n, SCALE, dtype=np.float32)
        return sp.csr_matrix(
            (values, self.codes(keys), np.arange(n + 1)), shape=(n, len(self.positions) + 2), dtype=np.float32
        )


@dataclass(frozen=True, eq=False)
class Embedding:
    """Standardised embedding and a missing flag.

    Attributes:
        width: Most common width in training; an array of another width, or with a value that is not
            finite, counts as missing. 0 when no training row holds one.
        means: Shape (width,).
        deviations: Shape (width,); 1 for constant positions.
        num_unusable: Training rows that hold an array which counts as missing.

    Example:
        >>> fitted = Embedding.fit(pd.Series([[1.0, 2.0], [3.0, 2.0], [0.0]]))
        >>> fitted.width, fitted.means.tolist(), fitted.num_unusable
        (2, [2.0, 2.0], 1)
        >>> fitted.transform(pd.Series([[3.0, 2.0], None])).astype(float).round(3).tolist()
        [[0.173, 0.0, 0.0], [0.0, 0.0, 0.5]]
    """

    width: int
    means: Float64Array
    deviations: Float64Array
    num_unusable: int

    @staticmethod
    def fit(values: pd.Series) -> Embedding:
        """Find width, means and deviations of the usable arrays."""
        arrays = [_as_vector(value) for value in values]
        widths = Counter(len(array) for array in arrays if array is not None and len(array))
        if not widths:
            return Embedding(0, np.zeros(0), np.zeros(0), sum(array is not None for array in arrays))
        width = min(widths, key=lambda found: (-widths[found], found))
        table, missing = _stacked(arrays, width)
        used = table[~missing] if missing.any() else table
        means = used.mean(axis=0) if len(used) else np.zeros(width)
        spread = used.std(axis=0) if len(used) else np.zeros(width)
        # Rounding alone leaves a constant position with a spread above 0, which must not be blown up.
        constant = spread <= 1e-6 * np.maximum(np.abs(means), 1e-30)
        given = sum(array is not None for array in arrays)
        return Embedding(width, means, np.where(constant, 1.0, spread), given - len(used))

    def transform(self, values: pd.Series) -> Float32Array:
        """Columns of shape (n, width + 1); a missing embedding sits at the mean."""
        table, missing = _stacked([_as_vector(value) for value in values], self.width)
        # in place: with the vectors of an encoder these are hundreds of columns
        table -= self.means
        table /= self.deviations
        table[missing] = 0.0
        np.clip(table, -30.0, 30.0, out=table)
        table *= EMBEDDING_SCALE
        found = np.empty((len(table), self.width + 1), dtype=np.float32)
        found[:, :-1], found[:, -1] = table, missing * SCALE
        return found


def _as_vector(value: Any) -> NDArray[Any] | None:
    """Array of one row; None for null, and without numbers an empty one."""
    if hasattr(value, "toArray"):  # a Spark ML vector
        value = value.toArray()
    if not isinstance(value, (np.ndarray, list, tuple)):
        return None
    try:
        # numbers stay as they are: the table that they are put into makes doubles of them
        is_numeric = isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
        values: NDArray[Any] = np.asarray(value) if is_numeric else np.asarray(value, dtype=np.float64)
        return values.reshape(-1)
    except (TypeError, ValueError):
        return np.zeros(0)


def _stacked(arrays: list[NDArray[Any] | None], width: int) -> tuple[Float64Array, NDArray[np.bool_]]:
    table = np.full((len(arrays), width), np.nan)
    for row, array in enumerate(arrays):
        if array is not None and len(array) == width:
            table[row] = array
    missing = ~np.isfinite(table).all(axis=1) if width else np.ones(len(arrays), dtype=bool)
    table[missing] = 0.0
    return table, missing
