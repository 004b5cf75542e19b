"""The order of the lists: by trust and reliability, and by what people decided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from spark_ml_audit.kernels.review_estimates import rate_interval
from spark_ml_audit.kernels.usefulness import (
    ENOUGH_DECISIONS,
    EXTRANEOUS_SIDE,
    MISSING_SIDE,
    pooled_precision,
    usefulness,
)

AUC, AP = np.array([0.9, 0.8, 0.6]), np.array([0.8, 0.3, 0.1])
TRUST: list[str | None] = ["good", "good", "weak"]


def counts(**places: int) -> Any:
    found = np.zeros((3, 2), dtype=np.int64)
    for name, value in places.items():
        found[int(name[1]), int(name[2])] = value
    return found


def test_without_decisions_each_direction_has_its_own_measure() -> None:
    found = usefulness(AUC, AP, TRUST)
    assert found.weight[:, MISSING_SIDE].tolist() == AP.tolist()
    assert found.weight[:, EXTRANEOUS_SIDE].tolist() == AUC.tolist()
    assert found.tier.tolist() == [[0, 0], [0, 0], [1, 1]]


def test_runs_that_did_not_look_have_no_order_among_classes() -> None:
    nothing = np.full(3, np.nan)
    found = usefulness(nothing, nothing, [None, None, None])
    assert found.tier.tolist() == [[0, 0]] * 3
    assert found.weight.tolist() == [[1, 1]] * 3


def test_a_class_without_figures_is_as_the_others_on_the_average() -> None:
    found = usefulness(
        np.array([0.9, np.nan, 0.7]), np.array([0.2, np.nan, 0.4]), ["good", "unknown", "good"]
    )
    assert found.weight[1].tolist() == pytest.approx([0.3, 0.8])
    assert found.tier[1].tolist() == [2, 2]


def test_decisions_move_a_class_up_or_down_and_outweigh_its_trust() -> None:
    enough = ENOUGH_DECISIONS
    judged, right = counts(c00=10, c20=enough), counts(c00=1, c20=enough)
    found, before = usefulness(AUC, AP, TRUST, judged, right), usefulness(AUC, AP, TRUST)
    assert found.weight[0, 0] < before.weight[0, 0]
    assert found.weight[2, 0] > before.weight[2, 0]
    assert found.tier[:, 0].tolist() == [0, 0, 0]
    # nothing is known of the other direction
    assert found.weight[:, 1].tolist() == before.weight[:, 1].tolist()
    assert found.tier[:, 1].tolist() == before.tier[:, 1].tolist()
    few = usefulness(AUC, AP, TRUST, counts(c20=enough - 1), counts(c20=enough - 1))
    assert few.tier[2, 0] == 1


@settings(max_examples=50, deadline=None)
@drawn(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1)), min_size=1, max_size=6))
def test_pooled_shares_lie_between_the_class_and_its_direction(classes: list[tuple[int, float]]) -> None:
    judged = np.array([[number, 0] for number, _ in classes], dtype=np.int64)
    right = np.array([[round(number * share), 0] for number, share in classes], dtype=np.int64)
    found = pooled_precision(judged, right)
    mean = (right[:, 0].sum() + 1) / (judged[:, 0].sum() + 2)
    for k, (number, _) in enumerate(classes):
        own = right[k, 0] / number if number else mean
        assert min(own, mean) - 1e-12 <= found[k, 0] <= max(own, mean) + 1e-12
    assert found[:, 1].tolist() == [0.5] * len(classes)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.61, 0.95])
def test_after_a_first_look_the_interval_covers_the_truth_in_90_of_100_reviews(share: float) -> None:
    """15 of the first hundred, drawn at random, as `sample --how first-look` draws them."""
    rng = np.random.default_rng(3)
    hundred = np.arange(100) < round(100 * share)
    covered = 0
    for _ in range(1000):
        limits = rate_interval(int(rng.permutation(hundred)[:15].sum()), 15)
        assert limits.low is not None
        assert limits.high is not None
        covered += limits.low <= share <= limits.high
    assert covered >= 900
