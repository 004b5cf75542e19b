"""The mergeable profile: counts, fixed-point sums and a histogram of each class's two distributions.

All a class needs (thresholds, confident joint, cut-offs) is a function of two empirical distributions,
p given y=0 and p given y=1 (algorithm notes, "The key fact"). A profile keeps them at a fixed resolution.
It is a commutative monoid: profiles of batches, partitions, executors or days add up to the profile of
the whole, bit for bit, because every number in it is an integer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.blocks import abreast, sum_abreast, wide_blocks
from spark_ml_audit.kernels.confident_joint import NEVER_CONFIDENT, THRESHOLD_FLOOR
from spark_ml_audit.kernels.float_keys import UNSIGNED, FloatArray, to_keys
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.records import Records, join_records, make_records

IntArray = npt.NDArray[np.int64]


# Fixed point: a value splits into a multiple of 2**-30 and a rest rounded to a multiple of 2**-60. Sums of
# either part are exact in float64 for up to 2**23 addends, and in int64 for fewer than 2**33 rows.
_HIGH_BITS = 30
_LOW_BITS = 60
_HIGH_MAGIC = 1.5 * 2.0 ** (52 - _HIGH_BITS)
_LOW_MAGIC = 1.5 * 2.0 ** (52 - _LOW_BITS)
_MAX_ADDENDS = 1 << 23

# Slots of records that are no histogram bins (see `ClassProfile.to_records`).
_SLOT_COUNT, _SLOT_PRESENT, _SLOT_ABSENT = -1, -2, -3


def split_fixed_point(values: npt.NDArray[np.float64]) -> tuple[FloatArray, FloatArray]:
    """Split values in [0, 1] into (high, low) float64 parts whose sums are exact in any order.

    Args:
        values: float64 array of any shape.

    Returns:
        high: multiples of 2**-30; low: the rest, rounded to multiples of 2**-60.

    Example:
        >>> (0.1 + 0.2) + 0.3 == 0.1 + (0.2 + 0.3)
        False
        >>> for part in split_fixed_point(np.array([0.1, 0.2, 0.3])):
        ...     print((part[0] + part[1]) + part[2] == part[0] + (part[1] + part[2]))
        True
        True
    """
    # adding and taking away a large number rounds to its spacing
    high = values + _HIGH_MAGIC
    high -= _HIGH_MAGIC
    low = values - high
    low += _LOW_MAGIC
    low -= _LOW_MAGIC
    return high, low


@dataclass(frozen=True)
class Thresholds:
    """Per-class confidence thresholds, float64 holding values of the column's dtype, shape (K,) each.

    Attributes:
        present: t1, mean p where the tag was given; 2 where it never was.
        absent: t0, mean 1 - p where it was not; 2 where it always was.
    """

    present: npt.NDArray[np.float64]
    absent: npt.NDArray[np.float64]


class ClassProfile:
    """Counts, sums and histograms of K classes (see the module text).

    Attributes:
        spec: What it can be merged with.
        num_rows: Rows seen.
        num_present: Rows the tag was given to, shape (K,).
        present_sum: Sum of p where given, shape (2, K): in units of 2**-30 and 2**-60.
        absent_sum: Sum of q = 1 - p (rounded in the dtype) where not given, shape (2, K).
        absent_histogram: Cells per bin where not given, shape (K, B).
        present_histogram: Cells per bin where given, shape (K, B).

    Example:
        >>> spec = ProfileSpec.for_classes(2, np.float64)
        >>> first, second = ClassProfile(spec), ClassProfile(spec)
        >>> first.add_batch(np.array([[0.9, 0.2]]), rows=np.array([0]), cols=np.array([0]))
        >>> second.add_batch(np.array([[0.7, 0.4]]), rows=np.array([0]), cols=np.array([0]))
        >>> thresholds = first.merge(second).thresholds()
        >>> thresholds.present.round(2).tolist(), thresholds.absent.round(2).tolist()
        ([0.8, 2.0], [2.0, 0.7])
    """

    def __init__(self, spec: ProfileSpec) -> None:
        classes, bins = spec.num_classes, spec.num_bins
        self.spec = spec
        self.num_rows = 0
        self.num_present: IntArray = np.zeros(classes, dtype=np.int64)
        self.present_sum: IntArray = np.zeros((2, classes), dtype=np.int64)
        self.absent_sum: IntArray = np.zeros((2, classes), dtype=np.int64)
        self.absent_histogram: IntArray = np.zeros((classes, bins), dtype=np.int64)
        self.present_histogram: IntArray = np.zeros((classes, bins), dtype=np.int64)

    @property
    def num_absent(self) -> IntArray:
        """Rows the tag was not given to, shape (K,)."""
        return self.num_rows - self.num_present

    def add_batch(self, pred_probs: FloatArray, rows: IntArray, cols: IntArray) -> None:
        """Add a batch of rows in place.

        Args:
            pred_probs: Shape (n, K), the spec's dtype, values in [0, 1], no -0.0.
            rows: Row of each given tag, ascending.
            cols: Class of each given tag, same length.
        """
        for start in range(0, len(pred_probs), _MAX_ADDENDS):
            stop = min(start + _MAX_ADDENDS, len(pred_probs))
            first, last = np.searchsorted(rows, [start, stop])
            self._add_part(pred_probs[start:stop], rows[first:last] - start, cols[first:last])

    def _add_part(self, probs: FloatArray, rows: IntArray, cols: IntArray) -> None:
        classes, bins = self.spec.num_classes, self.spec.num_bins
        probs = np.ascontiguousarray(probs)
        given = probs.ravel()[rows * classes + cols]
        self.num_rows += len(probs)
        self.num_present += np.bincount(cols, minlength=classes)
        for scale_index, part in enumerate(split_fixed_point(given.astype(np.float64))):
            self.present_sum[scale_index] += _class_sums(part, cols, classes, scale_index)

        # Where not given = everywhere minus where given: exact, since every part is an integer.
        self._add_everywhere(probs)
        for scale_index, part in enumerate(_split_complement(given)):
            self.absent_sum[scale_index] -= _class_sums(part, cols, classes, scale_index)
        codes = cols * bins + self.spec.bins_of(to_keys(given))
        np.add.at(self.present_histogram.reshape(-1), codes, 1)
        np.subtract.at(self.absent_histogram.reshape(-1), codes, 1)

    def _add_everywhere(self, probs: FloatArray) -> None:
        """Add all cells, given or not, to the absent side."""
        spec, classes = self.spec, self.spec.num_classes
        unsigned = UNSIGNED[np.dtype(spec.dtype)]
        offsets = abreast(np.arange(classes, dtype=unsigned) * unsigned(spec.num_bins))
        histogram = self.absent_histogram.reshape(-1)
        for _, block in wide_blocks(probs):
            codes = spec.bins_of(block.view(unsigned))
            codes += offsets[: block.shape[1]]
            # unlike bincount this makes no second histogram, which may be larger than the block
            np.add.at(histogram, codes.ravel().astype(np.intp), 1)
            for scale_index, part in enumerate(_split_complement(block)):
                sums = sum_abreast(np.add.reduce(part, axis=0, dtype=np.float64), classes, np.float64)
                self.absent_sum[scale_index] += _to_units(sums, scale_index)

    def merge(self, other: ClassProfile) -> ClassProfile:
        """The profile of both sets of rows together; order and grouping do not matter.

        Raises:
            ValueError: The two differ in classes, dtype or resolution.
        """
        if self.spec != other.spec:
            raise ValueError(f"profiles of different kind cannot be added: {self.spec} and {other.spec}")
        total = ClassProfile(self.spec)
        total.num_rows = self.num_rows + other.num_rows
        for name in ("num_present", "present_sum", "absent_sum", "absent_histogram", "present_histogram"):
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def thresholds(self) -> Thresholds:
        """t1 and t0 of every class: exact means rounded to float64, then to the dtype, then floored."""
        dtype = np.dtype(self.spec.dtype)
        return Thresholds(
            present=_means(self.present_sum, self.num_present, dtype),
            absent=_means(self.absent_sum, self.num_absent, dtype),
        )

    def to_records(self) -> Records:
        """The non-zero content as columns that add up: class_index, slot, a, b.

        ``slot >= 0`` is a histogram bin (a = not given, b = given); the negative ones are the counts and
        sums. Adding `a` and `b` by (class_index, slot) over any number of profiles and calling
        `from_records` gives their merge.
        """
        classes = np.arange(self.spec.num_classes, dtype=np.int32)
        filled, bins = np.nonzero(self.absent_histogram | self.present_histogram)
        parts: list[tuple[Any, Any, Any, Any]] = [
            (filled, bins, self.absent_histogram[filled, bins], self.present_histogram[filled, bins]),
            (classes, np.full_like(classes, _SLOT_PRESENT), self.present_sum[0], self.present_sum[1]),
            (classes, np.full_like(classes, _SLOT_ABSENT), self.absent_sum[0], self.absent_sum[1]),
            (
                classes,
                np.full_like(classes, _SLOT_COUNT),
                np.full(len(classes), self.num_rows, dtype=np.int64),
                self.num_present,
            ),
        ]
        return join_records([make_records(*part) for part in parts])

    @classmethod
    def from_records(cls, spec: ProfileSpec, records: Records) -> ClassProfile:
        """Rebuild a profile from summed records of `to_records`, in any order."""
        profile = cls(spec)
        index, slot = records["class_index"], records["slot"]
        values = np.stack([records["a"], records["b"]]).astype(np.int64)
        bins = slot >= 0
        profile.absent_histogram[index[bins], slot[bins]] = values[0, bins]
        profile.present_histogram[index[bins], slot[bins]] = values[1, bins]
        for code, target in ((_SLOT_PRESENT, profile.present_sum), (_SLOT_ABSENT, profile.absent_sum)):
            chosen = slot == code
            target[:, index[chosen]] = values[:, chosen]
        chosen = slot == _SLOT_COUNT
        profile.num_present[index[chosen]] = values[1, chosen]
        profile.num_rows = int(values[0, chosen].max(initial=0))
        return profile


def _split_complement(probs: FloatArray) -> tuple[FloatArray, ...]:
    """Parts, as of `split_fixed_point`, of q = 1 - p as rounded in the dtype; without the low part if 0."""
    complement = np.subtract(1, probs)
    if complement.dtype == np.float32:
        # A float32 q is a multiple of 2**-24: below 1/2 because p is one, from there on by its own spacing.
        return (complement,)
    return split_fixed_point(complement)


def _to_units(sums: FloatArray, scale_index: int) -> IntArray:
    units: FloatArray = np.ldexp(sums, (_HIGH_BITS, _LOW_BITS)[scale_index])
    return units.astype(np.int64)


def _class_sums(part: FloatArray, cols: IntArray, num_classes: int, scale_index: int) -> IntArray:
    return _to_units(np.bincount(cols, weights=part, minlength=num_classes), scale_index)


def _means(sums: IntArray, counts: IntArray, dtype: np.dtype[Any]) -> npt.NDArray[np.float64]:
    means = np.full(len(counts), NEVER_CONFIDENT)
    for k in np.flatnonzero(counts):
        units = (int(sums[0, k]) << (_LOW_BITS - _HIGH_BITS)) + int(sums[1, k])
        # int / int is the correctly rounded float64 quotient, so the mean has one value, always
        means[k] = units / (int(counts[k]) << _LOW_BITS)
    rounded: FloatArray = np.maximum(means.astype(dtype), np.array(THRESHOLD_FLOOR, dtype=dtype))
    return rounded.astype(np.float64)
