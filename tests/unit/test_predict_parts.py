"""What prediction computes without Spark: sampling rates, taken-back prevalence, widths, rank correlation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from spark_ml_audit.errors import InputError
from spark_ml_audit.models.scorers import check_width, shift_log_odds
from spark_ml_audit.predicting.folds import plan_sample
from spark_ml_audit.predicting.quality import rank_correlation


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


def test_taking_a_prevalence_back_is_bayes_rule() -> None:
    # likelihood ratio 4 under a prior of 1/2, then under one of 1/10
    probs = np.array([[0.8, 0.0], [0.8, 1.0]], dtype=np.float32)
    shifted = shift_log_odds(probs, np.array([np.log(1 / 9), 3.0]))
    assert shifted.dtype == np.float32
    assert shifted[0, 0] == pytest.approx(4 / 13)
    assert shifted[:, 1].tolist() == [0.0, 1.0]
    assert shift_log_odds(probs, None) is probs


def test_outputs_of_any_shape_become_probabilities_or_an_error() -> None:
    frame = pd.DataFrame({"b": [0.1, 0.2], "a": [0.9, 0.8]})
    assert check_width(frame, 2, ("a", "b"), "m").tolist() == np.float32([[0.9, 0.1], [0.8, 0.2]]).tolist()
    lists = pd.DataFrame({"out": [[0.1, 0.2], [0.3, 0.4]]})
    assert check_width(lists, 2, ("a", "b"), "m").shape == (2, 2)
    for wrong in (
        np.zeros((2, 3)),
        np.zeros(2),
        np.zeros((3, 2)),
        np.full((2, 2), 1.5),
        np.full((2, 2), np.nan),
    ):
        with pytest.raises(InputError) as caught:
            check_width(wrong, 2, ("a", "b"), "models:/m/1")
        assert caught.value.key == "model.uri"


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 200), rng.normal(size=200)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(a, np.ones(200)) is None
    assert rank_correlation(a[:1], b[:1]) is None
