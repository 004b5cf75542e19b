"""Ambiguity: cells about which the model says neither yes nor no, and rows that collect them.

Confident learning takes a cell with p >= t1 - 1e-6 for "tag present" and one with q >= t0 - 1e-6 for "tag
absent"; a cell between, in the band (1 - t0 + 1e-6, t1 - 1e-6), is counted as neither. That alone says
little: on real data a fifth to a third of all cells lie there, most at its edges. So a cell's *doubt* grows
from 0 at either edge to 1 in the middle, as far from an average row without the tag as from one with it:

    doubt = max(0, 1 - |p - centre| / half_width)

The band is the class's own, which a fixed band around 0.5 would not be: a rare tag may be as sure as it gets
at p = 0.4. A cell is ambiguous where its doubt reaches a limit (0.8: the middle fifth of the band). With D
the sum of a row's doubts, the row's score is D / (1 + D), 0 where every cell is settled and 1/2 where the
doubts add up to one tag that is wholly undecided. A row is ambiguous when it has enough ambiguous cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.blocks import abreast, wide_blocks
from spark_ml_audit.kernels.confident_joint import COMPARISON_MARGIN, NEVER_CONFIDENT
from spark_ml_audit.kernels.float_keys import FloatArray, KeyArray, first_key_where
from spark_ml_audit.kernels.profile import IntArray, Thresholds

DEFAULT_DOUBT = 0.8
DEFAULT_MIN_TAGS = 2

# Doubts are added up as whole numbers of this unit: a sum that no order of additions can change.
_UNITS = 1 << 16
_NOWHERE = 2.0  # above any probability


@dataclass(frozen=True)
class AmbiguityOptions:
    """What counts as ambiguous.

    Attributes:
        doubt: Least doubt of an ambiguous cell, above 0, at most 1.
        min_tags: Ambiguous cells from which a row is ambiguous (or all K, if there are fewer).
    """

    doubt: float = DEFAULT_DOUBT
    min_tags: int = DEFAULT_MIN_TAGS


@dataclass(frozen=True)
class DoubtBands:
    """Where the doubt of every class lies, arrays of the probabilities' dtype, shape (K,) each.

    Attributes:
        centre: Probability of the greatest doubt.
        units_per_width: Doubt lost per distance from the centre, in units of 2**-16.
        low: Least probability of an ambiguous cell; 2 for a class without doubt.
        high: Largest one.
        min_tags: Ambiguous cells from which a row is ambiguous.

    Example:
        >>> thresholds = Thresholds(present=np.array([0.8]), absent=np.array([0.6]))
        >>> bands = DoubtBands.of(thresholds, np.float64, AmbiguityOptions(doubt=0.8))
        >>> bands.centre.round(2).tolist()  # the middle of 1 - 0.6 and 0.8
        [0.6]
        >>> bands.low.round(2).tolist(), bands.high.round(2).tolist()
        ([0.56], [0.64])
    """

    centre: FloatArray
    units_per_width: FloatArray
    low: FloatArray
    high: FloatArray
    min_tags: int

    @staticmethod
    def of(thresholds: Thresholds, dtype: npt.DTypeLike, options: AmbiguityOptions) -> DoubtBands:
        """Bands between the thresholds; none where they leave no room or a side has no example."""
        low_edge = 1.0 - thresholds.absent + COMPARISON_MARGIN
        high_edge = thresholds.present - COMPARISON_MARGIN
        known = (thresholds.present < NEVER_CONFIDENT) & (thresholds.absent < NEVER_CONFIDENT)
        exists = known & (high_edge - low_edge > COMPARISON_MARGIN)
        centre = np.where(exists, (low_edge + high_edge) / 2, -_NOWHERE)
        half = np.where(exists, (high_edge - low_edge) / 2, 1.0)
        reach = (1.0 - options.doubt) * half
        return DoubtBands(
            centre=centre.astype(dtype),
            units_per_width=(_UNITS / half).astype(dtype),
            low=np.where(exists, centre - reach, _NOWHERE).astype(dtype),
            high=np.where(exists, centre + reach, _NOWHERE).astype(dtype),
            min_tags=min(options.min_tags, len(centre)),
        )

    def cuts(self) -> tuple[KeyArray, KeyArray]:
        """First key of an ambiguous cell, and first key above them (equal: none), shape (K,) each."""
        size, dtype = len(self.low), self.low.dtype
        return (
            first_key_where(lambda p: p >= self.low, size, dtype),
            first_key_where(lambda p: p > self.high, size, dtype),
        )


@dataclass(frozen=True)
class AmbiguousBatch:
    """The ambiguity of a batch of n rows.

    Attributes:
        score: 0 settled .. 1, float64 of shape (n,).
        is_ambiguous: Whether the row has enough ambiguous cells, shape (n,).
        cells: Row and class of the ambiguous cells, in class order within a row.
    """

    score: npt.NDArray[np.float64]
    is_ambiguous: npt.NDArray[np.bool_]
    cells: tuple[IntArray, IntArray]


def find_ambiguous(pred_probs: FloatArray, bands: DoubtBands) -> AmbiguousBatch:
    """Doubts of a batch; a row's result depends on that row alone.

    Args:
        pred_probs: Probabilities that each tag applies, shape (n, K), the bands' dtype.
        bands: Of the K classes.

    Example:
        >>> thresholds = Thresholds(present=np.array([0.8, 0.8]), absent=np.array([0.6, 0.6]))
        >>> bands = DoubtBands.of(thresholds, np.float64, AmbiguityOptions())
        >>> batch = find_ambiguous(np.array([[0.1, 0.9], [0.6, 0.9], [0.6, 0.6]]), bands)
        >>> batch.score.round(2).tolist()
        [0.0, 0.5, 0.67]
        >>> batch.is_ambiguous.tolist()
        [False, False, True]
    """
    num_rows, num_classes = pred_probs.shape
    pred_probs = np.ascontiguousarray(pred_probs)
    flat = pred_probs.ravel()
    centre, slope = abreast(bands.centre), abreast(bands.units_per_width)
    # rounding may put a cell at the limit on either side of it; the exact test follows
    reach = (bands.high - bands.low).astype(np.float64) / 2 * bands.units_per_width
    slack = 2 + 4 * float(np.finfo(pred_probs.dtype).eps) * bands.units_per_width
    near = abreast(np.floor(_UNITS - reach - slack).astype(np.int32))
    width: Any = np.int32 if num_classes < (1 << 15) else np.int64
    sums = np.empty(num_rows, dtype=np.int64)
    candidates: list[IntArray] = []
    for start, block in wide_blocks(pred_probs):
        columns = slice(block.shape[1])
        doubt = block - centre[columns]
        np.abs(doubt, out=doubt)
        doubt *= slope[columns]
        np.subtract(_UNITS, doubt, out=doubt)
        np.maximum(doubt, 0, out=doubt)
        units = doubt.astype(np.int32)
        first = start // num_classes
        by_row = units.reshape(-1, num_classes)
        sums[first : first + len(by_row)] = np.add.reduce(by_row, axis=1, dtype=width)
        candidates.append(start + np.flatnonzero(units >= near[columns]))
    found = np.concatenate(candidates) if candidates else np.zeros(0, dtype=np.int64)
    rows, cols = np.divmod(found, num_classes)
    kept = (flat[found] >= bands.low[cols]) & (flat[found] <= bands.high[cols])
    rows, cols = rows[kept], cols[kept]
    total = sums / _UNITS
    return AmbiguousBatch(
        score=total / (1.0 + total),
        is_ambiguous=np.bincount(rows, minlength=num_rows) >= bands.min_tags,
        cells=(rows, cols),
    )
