"""Trust per class: the documented rule, whatever the order of the rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.model_quality import ModelQuality, model_quality
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.trust import MIN_SIDE, auc_lower_limit, class_trust, has_support, lift_of
from spark_ml_audit.kernels.trust_levels import GOOD, UNKNOWN, WEAK


def quality_of(given: npt.NDArray[np.bool_], pred_probs: npt.NDArray[Any]) -> ModelQuality:
    profile = ClassProfile(ProfileSpec.for_classes(given.shape[1], pred_probs.dtype))
    profile.add_batch(pred_probs, *np.nonzero(given))
    return model_quality(profile)


def one_class(num_present: int, num_absent: int, skill: float, seed: int = 0) -> ModelQuality:
    """A class whose probabilities differ by `skill` standard deviations between its rows and the others."""
    rng = np.random.default_rng(seed)
    given = np.arange(num_present + num_absent)[:, None] < num_present
    logits = rng.normal(size=given.shape) + skill * given - 2
    return quality_of(given, 1 / (1 + np.exp(-logits)))


@pytest.mark.parametrize(
    ("num_present", "num_absent", "skill", "expected"),
    [
        (200, 2000, 2.0, GOOD),
        (200, 2000, 0.0, WEAK),
        (200, 2000, 0.3, WEAK),
        (2000, 200, 2.0, GOOD),
        (1000, 1000, 1.0, GOOD),  # a common tag cannot have much lift
        (MIN_SIDE - 1, 2000, 5.0, UNKNOWN),
        (2000, MIN_SIDE - 1, 5.0, UNKNOWN),
        (0, 2000, 0.0, UNKNOWN),
        (2000, 0, 0.0, UNKNOWN),
        (MIN_SIDE, 2000, 5.0, GOOD),
    ],
)
def test_trust_follows_the_ranking_and_the_number_of_rows(
    num_present: int, num_absent: int, skill: float, expected: str
) -> None:
    assert class_trust(one_class(num_present, num_absent, skill)) == [expected]


def test_a_few_rows_that_rank_well_by_chance_are_not_good() -> None:
    found = [class_trust(one_class(MIN_SIDE, 200, 0.0, seed))[0] for seed in range(300)]
    # one-sided 95%, and above 0.7 where chance is 0.5
    assert found.count(GOOD) <= 3


@pytest.mark.parametrize("skill", [0.3, 1.0, 2.0])
def test_the_limit_lies_below_the_true_auc_in_95_of_100(skill: float) -> None:
    exact = roc_auc_score(
        np.arange(200_000) < 100_000,
        np.random.default_rng(5).normal(size=200_000) + skill * (np.arange(200_000) < 100_000),
    )
    below = [auc_lower_limit(one_class(30, 300, skill, seed))[0] <= exact for seed in range(400)]
    assert np.mean(below) >= 0.92


def test_estimates_have_support_where_a_model_is_better_than_chance() -> None:
    assert has_support(one_class(200, 2000, 0.5)).tolist() == [True]
    assert has_support(one_class(5, 2000, 3.0)).tolist() == [False]
    assert has_support(one_class(200, 2000, -0.5)).tolist() == [False]


def test_lift_is_one_for_a_model_that_looks_at_no_row() -> None:
    quality = quality_of(np.arange(1000)[:, None] % 4 == 0, np.full((1000, 1), 0.5))
    assert lift_of(quality).tolist() == [1.0]
    assert np.isnan(lift_of(one_class(0, 100, 0.0)))


@settings(max_examples=25, deadline=None)
@drawn(st.integers(0, 2**31), st.integers(0, 60), st.integers(0, 60), st.floats(-1, 3))
def test_the_order_of_the_rows_does_not_matter(seed: int, present: int, absent: int, skill: float) -> None:
    rng = np.random.default_rng(seed)
    given = np.arange(present + absent)[:, None] < present
    probs = 1 / (1 + np.exp(-(rng.normal(size=given.shape) + skill * given)))
    order = rng.permutation(len(given))
    first, second = quality_of(given, probs), quality_of(given[order], probs[order])
    assert class_trust(first) == class_trust(second)
    np.testing.assert_array_equal(auc_lower_limit(first), auc_lower_limit(second))
