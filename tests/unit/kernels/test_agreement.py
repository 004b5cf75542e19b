"""Agreement of reviewers: a published example, what it is of two raters by hand, bad and empty input."""

from __future__ import annotations

import numpy as np
import pytest

from spark_ml_audit.kernels.agreement import agreement, as_ratings

# Gwet, Handbook of Inter-Rater Reliability, 4th edition, 2014, table 2.10: four raters, twelve units, five
# categories, ratings missing (the data set cac.raw4raters of the R package irrCAC).
_N = 0
PUBLISHED = [
    [1, 1, _N, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4],
    [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [_N, 5, 5, 5], [_N, _N, 1, 1], [_N, _N, 3, _N],
]  # fmt: skip


def test_the_published_example_comes_out_as_published() -> None:
    found = agreement(as_ratings(np.array(PUBLISHED) - 1, 5))
    assert found.num_subjects == 11
    assert found.percent == pytest.approx(0.8181818, abs=1e-7)
    assert found.ac1 == pytest.approx(0.77544, abs=5e-6)
    assert found.ac1_error == pytest.approx(0.14295, abs=5e-6)
    assert found.ac1_low == pytest.approx(0.461, abs=5e-4)
    assert found.ac1_high == 1.0


def test_patterns_with_their_numbers_are_the_same_as_single_subjects() -> None:
    rng = np.random.default_rng(1)
    ratings = as_ratings(rng.integers(-1, 2, size=(300, 3)), 2)
    patterns, times = np.unique(ratings, axis=0, return_counts=True)
    single, grouped = agreement(ratings), agreement(patterns, times)
    for name in ("num_subjects", "percent", "ac1", "ac1_error", "ac1_low", "percent_high"):
        assert getattr(single, name) == pytest.approx(getattr(grouped, name), rel=1e-9)


def test_ac1_of_two_raters_is_what_it_is_by_hand() -> None:
    # 80 both present, 5 both absent, 15 differ: pa .85; present .875; pe = 2 * .875 * .125
    found = agreement(np.array([[2, 0], [0, 2], [1, 1]]), np.array([80, 5, 15]))
    chance = 2 * 0.875 * 0.125
    assert found.percent == pytest.approx(0.85)
    assert found.ac1 == pytest.approx((0.85 - chance) / (1 - chance))
    # 85 of 100 by Clopper and Pearson
    assert (found.percent_low, found.percent_high) == pytest.approx((0.76469, 0.91355), abs=1e-4)


def test_nobody_who_differs_is_no_certainty() -> None:
    found = agreement(np.array([[2, 0]]), np.array([3]))
    assert (found.percent, found.ac1, found.ac1_high) == (1.0, 1.0, 1.0)
    assert found.percent_low == pytest.approx(0.2924, abs=1e-4)
    assert found.ac1_low == pytest.approx(0.2924, abs=1e-4)


def test_without_shared_subjects_nothing_is_said() -> None:
    for ratings in (np.zeros((0, 2), dtype=np.int64), np.array([[1, 0], [0, 1]]), np.array([[0, 0]])):
        found = agreement(ratings)
        assert (found.num_subjects, found.percent, found.ac1) == (0, None, None)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    # two raters who each see a truth with errors: AC1 of the whole population is known
    present, error, number = 0.8, 0.1, 200
    agree = (1 - error) ** 2 + error**2
    share = present * (1 - error) + (1 - present) * error
    chance = 2 * share * (1 - share)
    truth = (agree - chance) / (1 - chance)
    covered = 0
    for _ in range(400):
        is_present = rng.random(number) < present
        verdicts = np.stack([is_present ^ (rng.random(number) < error) for _ in range(2)], axis=1)
        found = agreement(as_ratings(verdicts.astype(np.int64), 2))
        covered += bool(found.ac1_low is not None and found.ac1_low <= truth <= (found.ac1_high or 0))
    assert 0.92 <= covered / 400 <= 0.98
