"""Cells whose probability is near 1, by how near: what a profile's histogram does not resolve.

The histogram of a `ClassProfile` has equal parts of each factor of two in p. Towards 0 that is fine in
log-odds; towards 1 it is coarse: all p above 511/512 but 1 share one bin. Few cells lie there, so these are
counted once more by ``1 - p``, and log losses and calibrators follow from a profile without a further pass.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.float_keys import FloatArray, from_keys
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.platt import LIMIT, log_odds, nearest_points
from spark_ml_audit.kernels.profile import ClassProfile, IntArray
from spark_ml_audit.kernels.records import Records, make_records

_FIRST_SLOT = -16  # slots of `ClassProfile.to_records` end before
_LEAST_OCTAVE = 16  # all 1 - p below 2**-16 are one
_MOST_BITS = 5
_FLOAT32_MANTISSA = 23


class NearOne:
    """Counts of K classes' cells near 1, given and not; they add up as those of a profile do.

    Attributes:
        spec: Of the profile beside it.
        start: Least probability that counts as near 1.
        absent: Cells by 1 - p where the tag was not given, shape (K, T); the nearest to 1 first.
        present: Cells where it was.

    Example:
        >>> near = NearOne(ProfileSpec.for_classes(2, np.float64))
        >>> near.start
        0.96875
        >>> near.add_batch(np.array([[1.0, 0.5], [0.98, 0.2]]), rows=np.array([0]), cols=np.array([0]))
        >>> near.present.sum(axis=1).tolist(), near.absent.sum(axis=1).tolist()
        ([1, 0], [1, 0])
    """

    def __init__(self, spec: ProfileSpec) -> None:
        self.spec = spec
        self._bits = min(_MOST_BITS, spec.octave_bits)
        octave = min(_MOST_BITS, spec.octave_bits + 1)  # there the histogram has an edge
        self.start = 1.0 - 2.0**-octave
        size = ((_LEAST_OCTAVE - octave) << self._bits) + 2
        self.absent: IntArray = np.zeros((spec.num_classes, size), dtype=np.int64)
        self.present: IntArray = np.zeros((spec.num_classes, size), dtype=np.int64)

    def add_batch(self, pred_probs: FloatArray, rows: IntArray, cols: IntArray) -> None:
        """Add a batch of rows in place.

        Args:
            pred_probs: Shape (n, K), the spec's dtype, values in [0, 1].
            rows: Row of each given tag; cols: its class.
            cols: See rows.
        """
        classes = self.spec.num_classes
        flat = np.ascontiguousarray(pred_probs).reshape(-1)
        start = flat.dtype.type(self.start)
        near = np.flatnonzero(flat >= start)
        absent, present = self.absent.reshape(-1), self.present.reshape(-1)
        if len(near):
            np.add.at(absent, self._codes(near % classes, flat[near]), 1)
            given = rows * classes + cols
            given = given[flat[given] >= start]
            codes = self._codes(given % classes, flat[given])
            np.add.at(present, codes, 1)
            np.subtract.at(absent, codes, 1)

    def _codes(self, cols: IntArray, probs: FloatArray) -> IntArray:
        rest = (1 - probs).astype(np.float32)
        parts: IntArray = (rest.view(np.uint32) >> np.uint32(self._shift)).astype(np.int64) - self._base
        codes: IntArray = np.maximum(parts + 1, 0) + cols * self.absent.shape[1]
        return codes

    @property
    def _shift(self) -> int:
        return _FLOAT32_MANTISSA - self._bits

    @property
    def _base(self) -> int:
        least = np.array([2.0**-_LEAST_OCTAVE], dtype=np.float32)
        return int(least.view(np.uint32)[0]) >> self._shift

    def log_odds(self) -> npt.NDArray[np.float64]:
        """Log-odds in the middle of every part, shape (T,); descending."""
        edges = (np.arange(self.absent.shape[1] + 1, dtype=np.int64) + self._base - 1) << self._shift
        edges = from_keys(edges.astype(np.uint32).astype(np.int64), np.float32).astype(np.float64)
        found = log_odds(1.0 - (edges[:-1] + edges[1:]) / 2)
        found[0] = LIMIT
        return found

    def to_records(self) -> Records:
        """The non-zero content as columns that add up, beside those of a profile."""
        index, parts = np.nonzero(self.absent | self.present)
        return make_records(index, _FIRST_SLOT - parts, self.absent[index, parts], self.present[index, parts])

    @classmethod
    def from_records(cls, spec: ProfileSpec, records: Records) -> NearOne:
        """Rebuild from summed records, those of a profile among them."""
        found = cls(spec)
        own = records["slot"] <= _FIRST_SLOT
        at = records["class_index"][own], _FIRST_SLOT - records["slot"][own]
        found.absent[at], found.present[at] = records["a"][own], records["b"][own]
        return found


def odds_of(
    profile: ClassProfile, near: NearOne, size: int
) -> tuple[npt.NDArray[np.float64], IntArray, IntArray]:
    """Cells of a profile by class and log-odds.

    Args:
        profile: Of all rows.
        near: Of the same rows.
        size: Points of the grid.

    Returns:
        The grid, shape (M,); cells not given and given, shape (K, M).

    Example:
        >>> spec = ProfileSpec.for_classes(1, np.float64)
        >>> profile, near = ClassProfile(spec), NearOne(spec)
        >>> for counts in (profile, near):
        ...     counts.add_batch(np.array([[0.5], [0.999], [0.0]]), np.array([1]), np.array([0]))
        >>> grid, absent, present = odds_of(profile, near, 353)
        >>> [grid[np.flatnonzero(cells[0])].round(1).tolist() for cells in (absent, present)]
        [[-11.1, 0.0], [6.9]]
    """
    edges = profile.spec.bin_edges()
    lower = from_keys(edges[:-1], profile.spec.dtype).astype(np.float64)
    upper = np.append(lower[1:], 1.0)
    kept = lower < near.start
    middle = np.where(np.arange(len(lower)) == 0, 0.0, (lower + upper) / 2)[kept]
    places = nearest_points(log_odds(middle), size)
    starts = np.flatnonzero(np.diff(places, prepend=-1))
    of_near = nearest_points(near.log_odds(), size)
    counted = []
    for wide, narrow in (
        (profile.absent_histogram, near.absent),
        (profile.present_histogram, near.present),
    ):
        cells: IntArray = np.zeros((profile.spec.num_classes, size), dtype=np.int64)
        cells[:, places[starts]] = np.add.reduceat(wide[:, kept], starts, axis=1)
        np.add.at(cells.T, of_near, narrow.T)
        counted.append(cells)
    return np.linspace(-LIMIT, LIMIT, size), counted[0], counted[1]
