"""Class histograms for display: the profile's fine bins added up to a few equal ones, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.profile import ClassProfile

_MOST_BINS = 64
_FEWEST_BINS = 16
# Numbers of all histograms of a page together; more classes get coarser ones.
_MAX_NUMBERS = 200_000


@dataclass(frozen=True)
class ClassHistograms:
    """Rows by p in equal bins over [0, 1], the last one closed; shape (K, bins) each.

    Attributes:
        absent: Rows the tag was not given to.
        present: Rows it was given to.
    """

    absent: npt.NDArray[np.int64]
    present: npt.NDArray[np.int64]

    @property
    def num_bins(self) -> int:
        """Number of bins."""
        return int(self.absent.shape[1])


def num_display_bins(num_classes: int) -> int:
    """A power of two from 16 to 64: the more classes, the fewer bins.

    >>> num_display_bins(20), num_display_bins(5000)
    (64, 16)
    """
    bins = _MOST_BINS
    while bins > _FEWEST_BINS and 2 * bins * num_classes > _MAX_NUMBERS:
        bins //= 2
    return bins


def display_histograms(profile: ClassProfile, num_bins: int | None = None) -> ClassHistograms:
    """Add a profile's bins up to equal ones.

    The edges k / num_bins are edges of the profile too, as long as its bins between 1/2 and 1 are as fine,
    so every row is counted where it belongs; a coarser profile gives its own resolution.

    Args:
        profile: Of the audited rows.
        num_bins: A power of two; by the number of classes if None.

    Example:
        >>> from spark_ml_audit.kernels.profile import ProfileSpec
        >>> profile = ClassProfile(ProfileSpec.for_classes(1, np.float64))
        >>> profile.add_batch(np.array([[0.1], [0.6], [0.9]]), rows=np.array([2]), cols=np.array([0]))
        >>> found = display_histograms(profile, num_bins=4)
        >>> found.absent.tolist(), found.present.tolist()
        ([[1, 0, 1, 0]], [[0, 0, 0, 1]])
    """
    spec = profile.spec
    bins = min(num_bins or num_display_bins(spec.num_classes), 2 << spec.octave_bits)
    unsigned = np.uint32 if spec.dtype == "float32" else np.uint64
    # The first edge of a bin belongs to it; the last bin holds 1 alone.
    lower = spec.bin_edges()[:-1].astype(unsigned).view(spec.dtype).astype(np.float64)
    target = np.minimum((lower * bins).astype(np.int64), bins - 1)
    starts = np.searchsorted(target, np.arange(bins))
    return ClassHistograms(
        absent=_add_up(profile.absent_histogram, target, starts, bins),
        present=_add_up(profile.present_histogram, target, starts, bins),
    )


def _add_up(
    histogram: npt.NDArray[np.int64], target: npt.NDArray[np.int64], starts: npt.NDArray[np.int64], bins: int
) -> npt.NDArray[np.int64]:
    added: npt.NDArray[np.int64] = np.add.reduceat(histogram, starts, axis=1)
    # reduceat repeats a bin for an interval without any
    added[:, np.bincount(target, minlength=bins) == 0] = 0
    return added
