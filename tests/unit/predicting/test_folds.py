"""Which rows train: sampling rates within a budget, rare tags favoured."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.predicting.folds import plan_sample


@given(
    st.lists(st.integers(0, 5000), min_size=1, max_size=40),
    st.integers(100, 4000),
)
def test_a_sample_stays_within_its_budget_and_favours_rare_tags(present: list[int], budget: int) -> None:
    counts = np.array(present)
    plan = plan_sample(5000, counts, budget)
    # expected rows: those drawn whatever their tags, and at most one per kept positive
    assert 5000 * plan.plain_rate + (counts * plan.tag_rates).sum() <= budget + len(present)
    assert (np.diff(plan.tag_rates[np.argsort(counts, kind="stable")]) <= 0).all()
    assert ((plan.tag_rates > 0) & (plan.tag_rates <= 1)).all()


def test_a_table_within_the_budget_is_taken_whole() -> None:
    plan = plan_sample(100, np.array([3, 0]), 100)
    assert plan.takes_all
    assert plan.chosen(np.array([0.0, 0.999]), np.array([], int), np.array([], int)).all()


def test_a_row_is_taken_at_the_rate_of_its_rarest_tag() -> None:
    plan = plan_sample(10_000, np.array([9000, 10]), 1000)
    keys = np.array([0.04, 0.06, 0.99, 0.99])
    rows, cols = np.array([1, 2, 3]), np.array([0, 0, 1])
    assert plan.tag_rates[1] == 1
    assert plan.chosen(keys, rows, cols).tolist() == [True, bool(plan.tag_rates[0] > 0.06), False, True]
