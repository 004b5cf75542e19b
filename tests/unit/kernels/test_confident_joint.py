from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_ml_audit.kernels.confident_joint import calibrate_joint, class_quality, joint_rates
from tests.oracle import oracle_audit

LABELS = [[0], [0, 1], [0, 2], [1]]
PROBS = np.array([[0.9, 0.1, 0.1], [0.9, 0.1, 0.8], [0.9, 0.1, 0.6], [0.2, 0.8, 0.3]])

small = st.integers(0, 40)
large = st.integers(0, 10**12)


@st.composite
def consistent_counts(draw: st.DrawFn, number: st.SearchStrategy[int] = small) -> tuple[np.ndarray, ...]:
    """Raw joints of one to four classes whose rows do not exceed the sides."""
    num_classes = draw(st.integers(1, 4))
    counts = np.array([[[draw(number) for _ in range(2)] for _ in range(2)] for _ in range(num_classes)])
    uncounted = np.array([[draw(number) for _ in range(2)] for _ in range(num_classes)])
    sides = counts.sum(axis=2) + uncounted
    return counts, sides[:, 0], sides[:, 1]


@given(consistent_counts())
def test_rows_of_a_calibrated_joint_add_up_to_the_given_tags(case: tuple[np.ndarray, ...]) -> None:
    counts, absent, present = case
    joint = calibrate_joint(counts, absent, present)
    np.testing.assert_array_equal(joint.sum(axis=2), np.stack([absent, present], axis=1))
    assert joint.dtype == np.int64
    assert (joint >= 0).all()


@given(consistent_counts(large))
def test_large_counts_keep_their_shares(case: tuple[np.ndarray, ...]) -> None:
    counts, absent, present = case
    joint = calibrate_joint(counts, absent, present)
    raised = np.maximum(counts, np.eye(2, dtype=np.int64))
    exact = raised / raised.sum(axis=2, keepdims=True) * np.stack([absent, present], axis=1)[:, :, None]
    np.testing.assert_allclose(joint, exact, atol=1.01, rtol=1e-12)


@given(consistent_counts())
def test_classes_are_calibrated_independently(case: tuple[np.ndarray, ...]) -> None:
    counts, absent, present = case
    together = calibrate_joint(counts, absent, present)
    for k in range(len(counts)):
        alone = calibrate_joint(counts[[k]], absent[[k]], present[[k]])
        np.testing.assert_array_equal(together[[k]], alone)


def test_an_exact_half_goes_to_the_second_entry_of_its_row() -> None:
    # The row [1, 1] over 3 examples is 1.5 + 1.5, which rounds to 2 + 2: the first entry gives one back.
    over = calibrate_joint(np.array([[[1, 1], [0, 5]]]), np.array([3]), np.array([5]))
    np.testing.assert_array_equal(over[0], [[1, 2], [0, 5]])
    # Over 1 example it is 0.5 + 0.5, which rounds to 0 + 0: the second entry gains one.
    short = calibrate_joint(np.array([[[1, 1], [0, 5]]]), np.array([1]), np.array([5]))
    np.testing.assert_array_equal(short[0], [[0, 1], [0, 5]])


def test_the_diagonal_counts_at_least_one_before_calibration() -> None:
    joint = calibrate_joint(np.array([[[0, 3], [0, 0]]]), np.array([8]), np.array([4]))
    np.testing.assert_array_equal(joint[0], [[2, 6], [0, 4]])


@pytest.mark.parametrize(
    ("absent", "present", "expected"),
    [(0, 0, [[0, 0], [0, 0]]), (9, 0, [[9, 0], [0, 0]]), (0, 9, [[0, 0], [0, 9]])],
)
def test_sides_without_examples_stay_empty(absent: int, present: int, expected: list[list[int]]) -> None:
    counts = np.zeros((1, 2, 2), dtype=np.int64)
    joint = calibrate_joint(counts, np.array([absent]), np.array([present]))
    np.testing.assert_array_equal(joint[0], expected)


def test_ten_thousand_classes_are_one_call() -> None:
    counts = np.random.default_rng(0).integers(0, 1000, size=(10_000, 2, 2))
    sides = counts.sum(axis=2) + 5
    joint = calibrate_joint(counts, sides[:, 0], sides[:, 1])
    np.testing.assert_array_equal(joint.sum(axis=2), sides)


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(K, 2, 2\)"):
        calibrate_joint(np.zeros((3, 2, 2), dtype=np.int64), np.zeros(2, np.int64), np.zeros(2, np.int64))


def test_rates_of_a_known_joint() -> None:
    rates = joint_rates(np.array([[[60, 20], [5, 15]]]))
    assert rates.given_absent_true_present[0] == 20 / 35
    assert rates.given_present_true_absent[0] == 5 / 65
    assert rates.true_present_given_absent[0] == 20 / 80
    assert rates.true_absent_given_present[0] == 5 / 20
    assert rates.prevalence[0] == 35 / 100


def test_rates_without_support_are_nan() -> None:
    rates = joint_rates(np.array([[[9, 0], [0, 0]], [[0, 0], [0, 0]]]))
    np.testing.assert_array_equal(rates.given_absent_true_present, [np.nan, np.nan])
    np.testing.assert_array_equal(rates.given_present_true_absent, [0.0, np.nan])
    np.testing.assert_array_equal(rates.true_present_given_absent, [0.0, np.nan])
    np.testing.assert_array_equal(rates.true_absent_given_present, [np.nan, np.nan])
    np.testing.assert_array_equal(rates.prevalence, [0.0, np.nan])


def test_class_quality_is_one_minus_the_share_of_extraneous_tags() -> None:
    quality = class_quality(np.array([3, 0]), np.array([1, 4]), 10)
    np.testing.assert_array_equal(quality.label_noise, [0.1, 0.4])
    np.testing.assert_array_equal(quality.inverse_label_noise, [0.3, 0.0])
    np.testing.assert_array_equal(quality.label_quality, [0.9, 0.6])
    assert np.isnan(class_quality(np.array([0]), np.array([0]), 0).label_quality).all()


def test_kernel_summary_equals_the_oracle_on_the_worked_example() -> None:
    truth = oracle_audit(LABELS, PROBS)
    present = truth.given.sum(axis=0)
    joint = calibrate_joint(truth.raw_joint, 4 - present, present)
    rates = joint_rates(joint)
    for k, row in enumerate(truth.classes):
        assert [[row["joint_00"], row["joint_01"]], [row["joint_10"], row["joint_11"]]] == joint[k].tolist()
        for kernel, column in (
            (rates.given_absent_true_present, "prob_given_absent_true_present"),
            (rates.given_present_true_absent, "prob_given_present_true_absent"),
            (rates.true_present_given_absent, "prob_true_present_given_absent"),
            (rates.true_absent_given_present, "prob_true_absent_given_present"),
            (rates.prevalence, "estimated_prevalence"),
        ):
            np.testing.assert_equal(kernel[k], np.nan if row[column] is None else row[column])


@settings(max_examples=30)
@given(consistent_counts())
def test_inputs_are_left_alone(case: tuple[np.ndarray, ...]) -> None:
    before = [array.copy() for array in case]
    calibrate_joint(*case)
    for array, copy in zip(case, before, strict=True):
        np.testing.assert_array_equal(array, copy)
