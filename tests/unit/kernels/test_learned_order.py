"""The regression on decided cells: beside scikit-learn and SciPy, at its limits, whatever the shape."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from spark_ml_audit.kernels.learned_limits import MIN_DECISIONS, MIN_RANDOM_SHARE
from spark_ml_audit.kernels.learned_order import (
    CLASS_SD,
    CLIP,
    COMMON_SD,
    SLOPE_SD,
    DecidedCells,
    LearnedOrder,
    averaged,
    fit_order,
    log_odds,
)


def decided(n: int, seed: int = 0, num_random: int | None = None) -> DecidedCells:
    """Decisions that contradict the model: it is overconfident, and given tags are mostly right."""
    rng = np.random.default_rng(seed)
    probs, given, classes = rng.uniform(0.01, 0.99, n), rng.random(n) < 0.5, rng.integers(0, 4, n)
    odds = 0.4 * log_odds(probs) + np.where(given, 1.5, -0.5) + np.array([0, 1, -1, 0.5])[classes]
    present = rng.random(n) < 1 / (1 + np.exp(-odds))
    return DecidedCells(
        probs, given, classes, present, np.arange(n) < (n if num_random is None else num_random)
    )


def design(cells: DecidedCells) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the regression times the standard deviation of their prior, and the codes of the effects."""
    own = 2 * cells.class_index + cells.given
    codes = np.unique(own)
    side = np.where(cells.given, 0.5, -0.5)
    common = np.stack([np.ones(len(cells)), log_odds(cells.pred_prob), side], axis=1)
    scaled = [common * [COMMON_SD, SLOPE_SD, COMMON_SD], (own[:, None] == codes) * CLASS_SD]
    return np.concatenate(scaled, axis=1), codes


def effects_of(order: LearnedOrder, codes: np.ndarray) -> list[float]:
    return [order.classes[code // 2, code % 2 == 1] for code in codes.tolist()]


@pytest.mark.parametrize("n", [30, 400])
def test_it_is_scikit_learns_ridge_where_the_model_says_nothing(n: int) -> None:
    """At p = 1/2 the slope has no say, and the prior is a ridge around 0."""
    cells = replace(decided(n), pred_prob=np.full(n, 0.5))
    columns, codes = design(cells)
    model = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=10_000, solver="newton-cg")
    expected = model.fit(columns, cells.present).coef_[0]
    found = fit_order(cells)
    assert found.slope == 1.0
    assert [found.intercept, found.given] == pytest.approx([expected[0], expected[2]], abs=1e-5)
    assert effects_of(found, codes) == pytest.approx((CLASS_SD * expected[3:]).tolist(), abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_mode_that_scipy_finds(seed: int) -> None:
    cells = decided(150, seed)
    columns, codes = design(cells)
    offset, target = log_odds(cells.pred_prob), cells.present

    def loss(values: np.ndarray) -> float:
        odds = offset + columns @ values
        return float((np.logaddexp(0, odds) - target * odds).sum() + values @ values / 2)

    expected = minimize(loss, np.zeros(columns.shape[1]), method="BFGS", options={"gtol": 1e-8}).x
    found = fit_order(cells)
    values = [found.intercept, (found.slope - 1) / SLOPE_SD, found.given, *effects_of(found, codes)]
    assert values == pytest.approx(
        (expected * np.r_[np.ones(3), np.full(len(codes), CLASS_SD)]).tolist(), abs=1e-4
    )


def test_without_decisions_the_model_is_right() -> None:
    none = fit_order(decided(0))
    assert none == LearnedOrder()
    probs, given = np.array([0.0, 0.2, 0.7, 1.0]), np.array([True, True, False, False])
    wrong = none.wrong(probs, given, np.arange(4))
    assert wrong == pytest.approx([1 - CLIP, 0.8, 0.7, 1 - CLIP], abs=1e-9)


def test_few_decisions_move_it_little_and_many_move_it_to_what_they_say() -> None:
    probs, given, classes = np.array([0.95]), np.array([False]), np.array([0])
    shares = []
    for n in (1, 10, 100, 10_000):
        present = np.arange(n) % 10 == 9  # a tenth applies, of which the model is sure
        cells = DecidedCells(np.full(n, 0.95), present & False, present * 0, present, present)
        shares.append(float(fit_order(cells).wrong(probs, given, classes)[0]))
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.6  # one surprise moves it, of 0.95, this far
    assert shares[-1] == pytest.approx(0.1, abs=0.002)


def test_decisions_that_agree_with_the_model_change_little() -> None:
    rng = np.random.default_rng(1)
    probs = rng.uniform(0.01, 0.99, 5000)
    given = rng.random(5000) < 0.5
    right = DecidedCells(probs, given, rng.integers(0, 4, 5000), rng.random(5000) < probs, given)
    found = fit_order(right)
    assert [found.intercept, found.slope, found.given] == pytest.approx([0, 1, 0], abs=0.15)


def test_a_class_is_shifted_on_the_side_that_was_judged_and_others_are_not() -> None:
    cells = decided(300)
    only = cells.class_index == 2
    kept = only & ~cells.given
    wrong = replace(cells, class_index=np.where(kept, 7, 0), present=np.where(kept, True, cells.present))
    found = fit_order(wrong)
    assert set(found.classes) == {(7, False), (0, False), (0, True)}
    at, sides = np.full(3, 0.5), np.array([False, True, False])
    chance = found.wrong(at, sides, np.array([7, 7, 5]))
    assert chance[0] > chance[2] + 0.1


def test_all_decisions_alike_have_a_finite_fit() -> None:
    for present in (True, False):
        cells = replace(decided(500), present=np.full(500, present))
        found = fit_order(cells)
        wrong = found.wrong(np.array([0.0, 1.0]), np.array([False, False]), np.array([0, 3]))
        assert np.isfinite(wrong).all()
        assert (wrong > 0.5).all() if present else wrong[0] < 0.5


def test_a_cells_chance_does_not_depend_on_its_batch() -> None:
    found, cells = fit_order(decided(200)), decided(1001, seed=5)
    whole = found.wrong(cells.pred_prob, cells.given, cells.class_index)
    for step in (1, 7, 64):
        parts = [
            found.wrong(
                cells.pred_prob[i : i + step], cells.given[i : i + step], cells.class_index[i : i + step]
            )
            for i in range(0, 1001, step)
        ]
        assert np.array_equal(np.concatenate(parts), whole)


def test_thousands_of_classes_are_fitted() -> None:
    rng = np.random.default_rng(0)
    n = 20_000
    cells = DecidedCells(
        rng.random(n), rng.random(n) < 0.5, rng.integers(0, 5000, n), rng.random(n) < 0.5, np.ones(n, bool)
    )
    found = fit_order(cells)
    assert len(found.classes) == len(np.unique(2 * cells.class_index + cells.given))
    assert found.slope < 0.1  # these decisions are coins


def test_it_is_kept_as_json() -> None:
    found = fit_order(decided(120))
    assert LearnedOrder.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_half_of_the_order_before_stays() -> None:
    assert averaged(np.array([1.0, 0.0]), np.array([0.0, 1.0])).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("number", "num_random", "enough"),
    [
        (MIN_DECISIONS, MIN_DECISIONS * MIN_RANDOM_SHARE, True),
        (MIN_DECISIONS, MIN_DECISIONS * MIN_RANDOM_SHARE - 1, False),
        (MIN_DECISIONS - 1, MIN_DECISIONS - 1, False),
        (5 * MIN_DECISIONS, MIN_DECISIONS, True),
        (0, 0, False),
    ],
)
def test_few_decisions_or_few_random_ones_are_not_enough(
    number: int, num_random: float, enough: bool
) -> None:
    assert decided(number, num_random=int(num_random)).are_enough == enough
