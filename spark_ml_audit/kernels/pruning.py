"""From a calibrated joint to the number of cells each order-statistic filter may flag.

Within the examples without a tag the suspicious end is high p, within those with it low p. The
filters `prune_by_noise_rate`, `prune_by_class` and `both` each flag a tail of these two
distributions; this module says how long the two tails are ("Confident Learning", JAIR 2021,
section 3.3; multi-label: Thyagarajan et al. 2022, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

RANK_FILTERS = ("prune_by_noise_rate", "prune_by_class", "both")
"""Filters whose cut-offs are order statistics; the others have cut-offs known from thresholds alone."""


@dataclass(frozen=True)
class FlagCounts:
    """Length of the suspicious tail of each side of each class; 0 flags nothing.

    Attributes:
        missing: r where the r-th largest p among the examples without the tag is the cut-off, shape (K,).
        extraneous: r where the r-th smallest p among the examples with the tag is the cut-off, shape (K,).
    """

    missing: IntArray
    extraneous: IntArray


def prune_counts(joint: IntArray, *, frac_noise: float = 1.0, min_examples_per_class: int = 1) -> IntArray:
    """Counts to keep (diagonal) and to prune (off the diagonal) of each class.

    Args:
        joint: Calibrated joint by [class, given, true], shape (K, 2, 2).
        frac_noise: Share of the estimated errors to prune, 0 to 1.
        min_examples_per_class: Least number of examples kept as correct on each side.

    Returns:
        Counts by [class, true, given], shape (K, 2, 2); note the order of the axes.

    Example:
        >>> joint = np.array([[[12, 4], [2, 6]]])
        >>> prune_counts(joint, frac_noise=0.5).tolist()  # prunes 2 of 4 missing and 1 of 2 extraneous tags
        [[[14, 1], [2, 7]]]
    """
    counts = np.asarray(joint, dtype=np.int64).transpose(0, 2, 1)
    given = np.arange(2)
    keep = np.maximum(counts[:, given, given], min_examples_per_class)
    added = keep - counts[:, given, given]
    errors = np.maximum(counts[:, 1 - given, given] - added, 0)

    pruned = errors * float(frac_noise)
    result = np.empty_like(counts)
    # Truncation, not rounding, on both sides of the sum: a part of an example is never flagged.
    result[:, 1 - given, given] = pruned.astype(np.int64)
    result[:, given, given] = (keep + (errors - pruned)).astype(np.int64)
    return result


def flag_counts(
    joint: IntArray,
    *,
    filter_by: str,
    num_absent: IntArray,
    num_present: IntArray,
    frac_noise: float = 1.0,
    min_examples_per_class: int = 1,
    num_to_remove_per_class: Sequence[int] | IntArray | None = None,
    num_to_add_per_class: Sequence[int] | IntArray | None = None,
) -> FlagCounts:
    """Number of cells on each side of each class that an order-statistic filter may flag.

    The numbers are ranks of cut-offs. Cells that tie with a cut-off are flagged with it, and cells
    where prediction and given tag agree are never flagged, so the cells flagged may be more or fewer.

    Args:
        joint: Calibrated joint by [class, given, true], shape (K, 2, 2).
        filter_by: One of `RANK_FILTERS`.
        num_absent: Examples without the tag, shape (K,).
        num_present: Examples with the tag, shape (K,).
        frac_noise: Share of the estimated errors to flag, 0 to 1.
        min_examples_per_class: A side with at most max(1, this many) examples is never flagged.
        num_to_remove_per_class: Extraneous tags to flag in each class instead of the estimate; alone it
            flags no missing tag. Only with `prune_by_noise_rate`.
        num_to_add_per_class: Missing tags to flag in each class instead of the estimate; alone it flags
            no extraneous tag. Only with `prune_by_noise_rate`.

    Returns:
        The ranks, between 0 and the size of the side.

    Raises:
        ValueError: If the filter has no ranks, a count option is given with another filter than
            `prune_by_noise_rate`, or such counts are not K whole numbers of at least 0.

    Example:
        >>> joint, absent, present = np.array([[[12, 4], [2, 6]]]), np.array([16]), np.array([8])
        >>> counts = flag_counts(joint, filter_by="both", num_absent=absent, num_present=present)
        >>> counts.missing.tolist(), counts.extraneous.tolist()
        ([4], [2])
    """
    if filter_by not in RANK_FILTERS:
        raise ValueError(
            f"filter_by is {filter_by!r}: only {', '.join(RANK_FILTERS)} have counts of cells to flag"
        )
    joint = np.asarray(joint, dtype=np.int64)
    absent = np.asarray(num_absent, dtype=np.int64)
    present = np.asarray(num_present, dtype=np.int64)
    counts = prune_counts(joint, frac_noise=frac_noise, min_examples_per_class=min_examples_per_class)

    missing, extraneous = counts[:, 1, 0], counts[:, 0, 1]
    if num_to_remove_per_class is not None or num_to_add_per_class is not None:
        if filter_by != "prune_by_noise_rate":
            raise ValueError(
                "num_to_remove_per_class and num_to_add_per_class need filter_by prune_by_noise_rate, "
                f"not {filter_by}"
            )
        missing = _requested("num_to_add_per_class", num_to_add_per_class, missing)
        extraneous = _requested("num_to_remove_per_class", num_to_remove_per_class, extraneous)
    elif filter_by != "prune_by_noise_rate":
        missing_by_class, extraneous_by_class = absent - counts[:, 0, 0], present - counts[:, 1, 1]
        if filter_by == "both":
            # Two tails of one side with a common end: their intersection is the shorter one.
            missing = np.minimum(missing, missing_by_class)
            extraneous = np.minimum(extraneous, extraneous_by_class)
        else:
            missing, extraneous = missing_by_class, extraneous_by_class

    smallest = max(1, min_examples_per_class)
    return FlagCounts(
        missing=_within_side(missing, absent, smallest),
        extraneous=_within_side(extraneous, present, smallest),
    )


def _requested(name: str, requested: Sequence[int] | NDArray[Any] | None, estimated: IntArray) -> IntArray:
    """Counts asked for in place of estimates; a class without an estimated error has nothing to flag."""
    if requested is None:
        return np.zeros_like(estimated)
    values = np.asarray(requested)
    if values.shape != estimated.shape:
        raise ValueError(
            f"{name} has {values.size} entries, but there are {estimated.size} classes: give one each"
        )
    if values.size and not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{name} must hold whole numbers, found {values.dtype}")
    if (values < 0).any():
        raise ValueError(f"{name} must not be negative, found {values.min()}")
    return np.where(estimated > 0, values, 0).astype(np.int64)


def _within_side(counts: IntArray, size: IntArray, smallest: int) -> IntArray:
    return np.where(size > smallest, np.clip(counts, 0, size), 0)
