"""The confident joint of each class: calibration, noise rates and label quality.

Every class is a two-way problem of its own (given absent/present against true absent/present), so
everything here is an array over K classes and no class sees another. Notation and steps follow
Northcutt, Jiang, Chuang, "Confident Learning" (JAIR 2021), sections 3.1 and 3.2, and Thyagarajan et
al., "Identifying Incorrect Annotations in Multi-Label Classification Data" (2022), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

COMPARISON_MARGIN = 1e-6
"""Slack of the method's comparisons of probabilities (not of the order-statistic cut-offs)."""

THRESHOLD_FLOOR = 2 * COMPARISON_MARGIN
"""Thresholds are clipped below here, so that a probability of 0 is never confident."""

NEVER_CONFIDENT = 2.0
"""Threshold of a side without examples: above any probability."""

_TINY = 1e-100

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class JointRates:
    """Noise rates and prevalence estimated from calibrated joints; 0/0 is NaN.

    Attributes:
        given_absent_true_present: P(given absent | true present), shape (K,).
        given_present_true_absent: P(given present | true absent), shape (K,).
        true_present_given_absent: P(true present | given absent), shape (K,).
        true_absent_given_present: P(true absent | given present), shape (K,).
        prevalence: Estimated share of examples to which the tag truly applies, shape (K,).
    """

    given_absent_true_present: FloatArray
    given_present_true_absent: FloatArray
    true_present_given_absent: FloatArray
    true_absent_given_present: FloatArray
    prevalence: FloatArray


@dataclass(frozen=True)
class ClassQuality:
    """Quality of each class as counted from the flags; NaN where nothing was audited.

    Attributes:
        label_noise: Share of examples whose given tag is flagged as extraneous, shape (K,).
        inverse_label_noise: Share of examples that are flagged as missing the tag, shape (K,).
        label_quality: 1 - label_noise, shape (K,).
    """

    label_noise: FloatArray
    inverse_label_noise: FloatArray
    label_quality: FloatArray


def calibrate_joint(counts: IntArray, num_absent: IntArray, num_present: IntArray) -> IntArray:
    """Calibrate raw confident joints to the counts of given tags, as whole numbers.

    The diagonal is raised to at least 1, each row is scaled to the examples given that way, the whole
    to the number of examples, and each row is rounded so that its total survives ("Confident
    Learning", equation 3). The order of the float64 operations is part of the definition: exact
    halves depend on it.

    Args:
        counts: Confident examples by [class, given, guessed true], shape (K, 2, 2).
        num_absent: Examples without the tag, shape (K,).
        num_present: Examples with the tag, shape (K,).

    Returns:
        Calibrated joint by [class, given, true], shape (K, 2, 2).

    Raises:
        ValueError: If the shapes do not agree.

    Example:
        >>> counts = np.array([[[6, 2], [1, 3]]])  # 12 of 24 examples are confident
        >>> calibrate_joint(counts, num_absent=np.array([16]), num_present=np.array([8])).tolist()
        [[[12, 4], [2, 6]]]
    """
    counts = np.asarray(counts, dtype=np.int64)
    given = np.stack([np.asarray(num_absent), np.asarray(num_present)], axis=-1).astype(np.int64)
    if counts.shape != (given.shape[0], 2, 2):
        raise ValueError(
            f"counts has shape {counts.shape}, but there are {given.shape[0]} classes: expected (K, 2, 2)"
        )
    joint = counts.copy()
    joint[:, [0, 1], [0, 1]] = np.maximum(joint[:, [0, 1], [0, 1]], 1)

    row_sums = joint.sum(axis=2)
    scaled = joint / row_sums[:, :, None] * given[:, :, None]
    # Written out: a reduction would be free to add in another order.
    total = scaled[:, 0, 0] + scaled[:, 1, 0] + scaled[:, 0, 1] + scaled[:, 1, 1]
    scaled = scaled / np.maximum(total, _TINY)[:, None, None] * given.sum(axis=1)[:, None, None]
    return _round_rows(scaled)


def _round_rows(exact: FloatArray) -> IntArray:
    """Round half to even, then give or take 1 where a row's total has changed.

    Two entries are off by at most 1 together: the entry with the largest (short) or smallest (over)
    remainder changes; of equal ones the second gains, the first loses.
    """
    rounded = np.rint(exact)
    difference = np.rint(exact[..., 0] + exact[..., 1]) - (rounded[..., 0] + rounded[..., 1])
    remainder = exact - rounded
    first_is_larger = remainder[..., 0] > remainder[..., 1]
    first_changes = np.where(difference > 0, first_is_larger, ~(remainder[..., 1] < remainder[..., 0]))
    rounded[..., 0] += np.where(first_changes, difference, 0.0)
    rounded[..., 1] += np.where(first_changes, 0.0, difference)
    return rounded.astype(np.int64)


def joint_rates(joint: IntArray) -> JointRates:
    """Noise rates and true prevalence of each class ("Confident Learning", section 3.1).

    Args:
        joint: Calibrated joint by [class, given, true], shape (K, 2, 2).

    Returns:
        The rates, NaN where nothing supports one.

    Example:
        >>> rates = joint_rates(np.array([[[12, 4], [2, 6]]]))
        >>> rates.given_absent_true_present.tolist()  # 4 of the 10 that truly have the tag
        [0.4]
        >>> rates.true_absent_given_present.tolist()  # 2 of the 8 that were given it
        [0.25]
        >>> rates.prevalence.round(3).tolist()
        [0.417]
    """
    joint = np.asarray(joint, dtype=np.int64)
    by_true = joint.sum(axis=1)
    by_given = joint.sum(axis=2)
    return JointRates(
        given_absent_true_present=_ratio(joint[:, 0, 1], by_true[:, 1]),
        given_present_true_absent=_ratio(joint[:, 1, 0], by_true[:, 0]),
        true_present_given_absent=_ratio(joint[:, 0, 1], by_given[:, 0]),
        true_absent_given_present=_ratio(joint[:, 1, 0], by_given[:, 1]),
        prevalence=_ratio(by_true[:, 1], by_true.sum(axis=1)),
    )


def class_quality(num_missing: IntArray, num_extraneous: IntArray, num_audited: int) -> ClassQuality:
    """Label noise and quality of each class from the exact counts of flagged cells.

    Args:
        num_missing: Flagged cells without the tag, shape (K,).
        num_extraneous: Flagged cells with the tag, shape (K,).
        num_audited: Examples audited.

    Returns:
        Shares of all audited examples, NaN when there are none.

    Example:
        >>> found = class_quality(np.array([1, 0]), np.array([2, 0]), num_audited=10)
        >>> found.label_noise.tolist(), found.inverse_label_noise.tolist(), found.label_quality.tolist()
        ([0.2, 0.0], [0.1, 0.0], [0.8, 1.0])
    """
    audited = np.full(np.shape(num_missing), num_audited, dtype=np.int64)
    noise = _ratio(np.asarray(num_extraneous), audited)
    return ClassQuality(
        label_noise=noise,
        inverse_label_noise=_ratio(np.asarray(num_missing), audited),
        label_quality=1.0 - noise,
    )


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> FloatArray:
    ratio = np.full(np.shape(part), np.nan, dtype=np.float64)
    np.divide(part, whole, out=ratio, where=np.asarray(whole) != 0)
    return ratio
