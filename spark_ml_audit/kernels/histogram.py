"""The resolution of the profile's histograms: bins on the floats' bit patterns, as many as memory allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.float_keys import KeyArray, mantissa_bits, one_key

# Bins are parts of an octave; p = 0 has a bin of its own, other probabilities below 2**-16 share the next.
# A cut-off in there is still found exactly, by a further pass.
_OCTAVES = 16
_MAX_OCTAVE_BITS = 8
# Cells of the dense histogram that one task keeps while it reads (two sides, 16 MB each).
_MAX_HISTOGRAM_CELLS = 1 << 21


@dataclass(frozen=True)
class ProfileSpec:
    """What two profiles must share to be added: number of classes, dtype and resolution.

    Attributes:
        num_classes: K.
        dtype: Name of the probabilities' dtype, "float32" or "float64".
        octave_bits: Each factor of two in p is cut into ``2**octave_bits`` bins.

    Example:
        >>> from spark_ml_audit.kernels.float_keys import to_keys
        >>> spec = ProfileSpec.for_classes(3, np.float32)
        >>> spec.octave_bits, spec.num_bins
        (8, 4098)
        >>> probs = np.array([0.0, 0.5, 0.501, 0.75, 1.0], dtype=np.float32)
        >>> spec.bins_of(to_keys(probs)).tolist()  # 256 bins from 0.5 to 1
        [0, 3841, 3841, 3969, 4097]
    """

    num_classes: int
    dtype: str
    octave_bits: int

    @classmethod
    def for_classes(cls, num_classes: int, dtype: npt.DTypeLike) -> ProfileSpec:
        """The finest resolution whose dense histogram stays within the memory bound of a task."""
        bits = _MAX_OCTAVE_BITS
        while bits > 0 and num_classes * (_OCTAVES << bits) > _MAX_HISTOGRAM_CELLS:
            bits -= 1
        return cls(num_classes, np.dtype(dtype).name, bits)

    @property
    def shift(self) -> int:
        """Right shift that turns a key into a bin number."""
        return mantissa_bits(self.dtype) - self.octave_bits

    @property
    def base(self) -> int:
        """Shifted key of 2**-16; everything below but zero is bin 1."""
        return (one_key(self.dtype) >> self.shift) - (_OCTAVES << self.octave_bits)

    @property
    def num_bins(self) -> int:
        """Number of bins B; the first holds p = 0 alone, the last one p = 1."""
        return (_OCTAVES << self.octave_bits) + 2

    def bins_of(self, keys: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Bin numbers (same shape and integer type) of keys of any integer type."""
        base = keys.dtype.type(self.base)
        bins: npt.NDArray[Any] = np.right_shift(keys, keys.dtype.type(self.shift))
        np.maximum(bins, base, out=bins)
        bins -= base
        bins += keys != 0
        return bins

    def bin_edges(self) -> KeyArray:
        """Keys of shape (B + 1,): bin b holds ``edges[b] <= key < edges[b + 1]``."""
        edges = (np.arange(-1, self.num_bins, dtype=np.int64) + self.base) << self.shift
        edges[:2] = 0, 1
        edges[-1] = one_key(self.dtype) + 1
        return edges
