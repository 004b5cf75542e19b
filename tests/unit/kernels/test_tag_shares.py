"""Whether new rows get about as many tags as expected: seldom wrong where they are alike, sure where not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.kernels.tag_shares import far_off_classes, is_mean_far_off


def judged(counts: np.ndarray, expected: float, labelled: int = 20_000) -> bool:
    return is_mean_far_off(float(counts.mean()), float(counts.var()), len(counts), expected, labelled)


@pytest.mark.parametrize("num_rows", [2, 5, 20, 500])
def test_rows_like_the_labelled_ones_are_seldom_called_far_off(num_rows: int) -> None:
    rng = np.random.default_rng(num_rows)
    for shares in (np.full(3, 0.4), np.full(50, 0.02), np.array([0.01])):
        found = [
            judged(np.asarray(rng.random((num_rows, len(shares))) < shares).sum(axis=1), shares.sum())
            for _ in range(1000)
        ]
        # three standard errors of a skewed distribution
        assert np.mean(found) <= 0.03


def test_far_more_or_far_fewer_tags_are_seen() -> None:
    rng = np.random.default_rng(0)
    for factor in (0.3, 3.0):
        found = [judged(rng.poisson(1.5 * factor, 100), 1.5) for _ in range(200)]
        assert np.mean(found) > 0.99
    assert judged(np.zeros(50), 0.5)
    assert not judged(np.full(1000, 1.9), 1.0)  # less than twice as many, however sure


def test_without_rows_or_expectation_nothing_is_far_off() -> None:
    assert not is_mean_far_off(0.0, 0.0, 0, 1.0, 100)
    assert not is_mean_far_off(1.0, 1.0, 100, 1.0, 0)
    assert not is_mean_far_off(0.0, 0.0, 100, 0.0, 100)
    assert far_off_classes(np.zeros(2, np.int64), 0, np.full(2, 0.5), 10).tolist() == [False, False]
    assert far_off_classes(np.zeros(2, np.int64), 10, np.zeros(2), 10).tolist() == [False, False]


@given(st.integers(0, 10_000), st.integers(1, 400), st.integers(20, 5000))
def test_classes_drawn_at_the_expected_shares_are_not_far_off(seed: int, rows: int, labelled: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.beta(0.4, 4, 40)
    expected = rng.binomial(labelled, true) / labelled
    far = far_off_classes(rng.binomial(rows, true), rows, expected, labelled)
    # of one such draw in a thousand at most, a class is
    assert far.sum() <= 1


def test_a_class_that_came_far_more_often_is_named_and_its_neighbours_are_not() -> None:
    expected = np.full(5, 0.05)
    counts = np.array([10, 40, 0, 12, 8])
    assert far_off_classes(counts, 200, expected, 5000).tolist() == [False, True, True, False, False]
