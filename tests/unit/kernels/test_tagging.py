"""Thresholds that can be defended: which are tried, which is chosen, and whether their bounds hold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.tagging import (
    CONFIDENCE,
    EVERY_ROW,
    MIN_GIVEN,
    NEVER,
    NO_THRESHOLD,
    NOT_PROVED,
    TOO_FEW,
    TOO_IMPRECISE,
    TaggingEvidence,
    choose_thresholds,
    precision_bound,
    tagging_evidence,
)
from tests.datasets import KINDS, make_dataset


def evidence_of(p: np.ndarray, y: np.ndarray) -> TaggingEvidence:
    profile = ClassProfile(ProfileSpec.for_classes(p.shape[1], p.dtype))
    profile.add_batch(p, *np.nonzero(y))
    return tagging_evidence(profile)


def simulated(n: int, num_classes: int, seed: int, dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
    """Classes from useless to well predicted, from rare to common."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 2, (n, num_classes)) + np.linspace(-4, 1, num_classes)
    y = rng.random((n, num_classes)) < 1 / (1 + np.exp(-logit))
    noise = rng.permutation(np.linspace(0.1, 6, num_classes))
    p = 1 / (1 + np.exp(-(logit + noise * rng.normal(size=logit.shape))))
    return p.astype(dtype), y


# ---- the bound of one share ------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.05, 0.01, 0.002]))
def test_the_bound_is_clopper_pearsons(right: int, wrong: int, level: float) -> None:
    counts = np.array([right]), np.array([right + wrong])
    (found,) = precision_bound(*counts, np.array([level]))
    if right + wrong == 0:
        assert found == 0.0
    else:
        exact = binomtest(right, right + wrong).proportion_ci(1 - 2 * level, method="exact")
        assert found == pytest.approx(exact.low, abs=1e-9)


# ---- what is tried and kept ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_the_rows_at_each_threshold(seed: int, dtype: str) -> None:
    p, y = simulated(700, 9, seed, dtype)
    evidence = evidence_of(p, y)
    assert evidence.num_given.tolist() == y.sum(axis=0).tolist()
    for k, threshold, tagged, right in zip(
        evidence.class_index, evidence.threshold, evidence.num_tagged, evidence.num_right, strict=True
    ):
        chosen = p[:, k] >= threshold
        assert p.dtype.type(threshold) == threshold
        assert (chosen.sum(), (chosen & y[:, k]).sum()) == (tagged, right)
        assert threshold >= y[:, k].mean()
    for k in range(9):
        own = evidence.class_index == k
        assert (np.diff(evidence.threshold[own]) > 0).all()
        assert 0 < own.sum() <= evidence.num_tried[k] <= 26  # 8, 10, 12 ... 610: four to a factor of two
        found = 2 * evidence.num_right[own] / (evidence.num_tagged[own] + evidence.num_given[k])
        assert found.argmax() == 0  # the best F1 comes first


def test_the_tags_given_do_not_decide_what_is_tried() -> None:
    p, y = simulated(900, 5, seed=1)
    flipped = evidence_of(p, np.random.default_rng(0).random(y.shape) < 0.2)
    assert evidence_of(p, y).num_tried.tolist() == flipped.num_tried.tolist()


def test_rows_with_equal_probabilities_are_one_threshold() -> None:
    y = np.zeros((100, 1), bool)
    y[:30] = True
    evidence = evidence_of(np.where(y, 0.75, 0.25).astype(np.float32), y)
    assert evidence.num_tried.tolist() == [2]
    assert (evidence.threshold.tolist(), evidence.num_tagged.tolist()) == ([0.75], [30])


@given(st.integers(0, 10_000), st.sampled_from(KINDS))
def test_the_order_of_rows_does_not_matter(seed: int, kind: str) -> None:
    data = make_dataset(seed, kind)
    order = np.random.default_rng(seed).permutation(len(data.given))
    first = evidence_of(data.pred_probs, data.given)
    again = evidence_of(data.pred_probs[order], data.given[order])
    for name in ("num_given", "num_tried", "class_index", "threshold", "num_tagged", "num_right"):
        assert np.array_equal(getattr(first, name), getattr(again, name))


def test_few_or_no_rows_leave_nothing_to_choose() -> None:
    for n in (0, 1, 7, 8):
        p, y = np.full((n, 2), 0.5, np.float32), np.ones((n, 2), bool)
        choice = choose_thresholds(evidence_of(p, y), 0.0)
        assert choice.threshold.tolist() == [NEVER, NEVER]
        assert set(choice.reason) == {TOO_FEW}


# ---- what is chosen --------------------------------------------------------------------------------

precisions = st.floats(0, 1)


@given(st.integers(0, 10_000), precisions, precisions)
def test_a_higher_least_precision_never_tags_more(seed: int, one: float, other: float) -> None:
    p, y = simulated(300, 6, seed)
    evidence = evidence_of(p, y)
    low, high = (choose_thresholds(evidence, least) for least in sorted([one, other]))
    assert (low.threshold <= high.threshold).all()
    assert ((p >= high.threshold) <= (p >= low.threshold)).all()


@given(st.integers(0, 10_000), precisions, st.sampled_from(KINDS))
def test_what_is_tagged_keeps_its_promises(seed: int, least: float, kind: str) -> None:
    data = make_dataset(seed, kind)
    for p, y in (simulated(300, 6, seed), (data.pred_probs, data.given)):
        choice = choose_thresholds(evidence_of(p, y), least)
        given_rows = y.sum(axis=0)
        for k in np.flatnonzero(choice.is_tagged):
            tagged = p[:, k] >= choice.threshold[k]
            assert choice.bound[k] >= least
            assert choice.threshold[k] >= y[:, k].mean()
            assert given_rows[k] >= MIN_GIVEN
            assert choice.precision[k] == pytest.approx((tagged & y[:, k]).sum() / tagged.sum())
            assert choice.recall[k] == pytest.approx((tagged & y[:, k]).sum() / given_rows[k])
            assert choice.bound[k] <= choice.precision[k]
        assert [reason is None for reason in choice.reason] == choice.is_tagged.tolist()
        assert (choice.threshold[~choice.is_tagged] == NEVER).all()


def test_the_best_f1_is_chosen_where_its_bound_will_do() -> None:
    p, y = simulated(5000, 6, seed=3)
    evidence = evidence_of(p, y)
    first = np.searchsorted(evidence.class_index, np.arange(6))
    assert choose_thresholds(evidence, 0.0).threshold.tolist() == evidence.threshold[first].tolist()


def test_each_class_that_is_not_tagged_has_its_reason() -> None:
    rng = np.random.default_rng(0)
    n = 1000
    y = np.zeros((n, 6), bool)
    y[:3, 0], y[:, 1], y[:300, 2], y[:300, 3], y[:12, 4], y[:300, 5] = True, True, True, True, True, True
    p = np.column_stack([
        rng.random(n),  # 3 rows
        np.full(n, 0.99),
        np.full(n, 0.3) - 0.001,  # just below its share, everywhere
        rng.random(n),  # says nothing
        np.where(y[:, 4], 0.9, 0.01),  # perfect, of a few
        np.where(y[:, 5], 0.9, 0.01),
    ]).astype(np.float32)  # fmt: skip
    choice = choose_thresholds(evidence_of(p, y), 0.8)
    assert choice.reason == (TOO_FEW, EVERY_ROW, NO_THRESHOLD, TOO_IMPRECISE, NOT_PROVED, None)
    assert choice.precision[[4, 5]].tolist() == [1.0, 1.0]
    assert np.isnan(choice.precision[2])
    assert choice.num_tagged[2] == 0
    assert choose_thresholds(evidence_of(p, y), 0.5).reason[4] is None
    assert not choose_thresholds(evidence_of(p, y), 1.0).is_tagged.any()


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.1, 0.5]))
def test_a_class_of_three_rows_and_useless_probabilities_is_never_tagged(seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 3000))
    p = (rng.random((n, 1)) * 3e-4).astype(np.float32)  # best F1 at thresholds near .0002
    y = np.zeros((n, 1), bool)
    y[rng.choice(n, 3, replace=False)] = True
    choice = choose_thresholds(evidence_of(p, y), least)
    assert (choice.threshold.tolist(), choice.reason) == ([NEVER], (TOO_FEW,))


# ---- whether the bounds hold -----------------------------------------------------------------------

REPEATS = 500
SCENARIOS: dict[str, tuple[int, Callable[[np.ndarray], np.ndarray]]] = {
    # rows, chance of the tag for a row whose probability is higher than that of a share u of all rows
    "says nothing, rare": (2000, lambda u: np.full_like(u, 0.03)),
    "says nothing, common": (500, lambda u: np.full_like(u, 0.45)),
    "right half the time at the top": (1000, lambda u: np.where(u > 0.85, 0.5, 0.01)),
    "smooth": (1000, lambda u: u**12),
    "smooth, few rows": (150, lambda u: u**3),
    "best in the middle": (1000, lambda u: np.where(u > 0.98, 0.3, np.where(u > 0.8, 0.6, 0.02))),
}


def held(
    name: str, seed: int, bounds_of: Callable[[TaggingEvidence], np.ndarray] | None = None
) -> tuple[float, np.ndarray]:
    """Share of simulated classes all of whose bounds hold; whether the bound at each chosen one does."""
    n, chance = SCENARIOS[name]
    rng = np.random.default_rng(seed)
    u = rng.random((n, REPEATS))
    y = rng.random(u.shape) < chance(u)
    evidence = evidence_of(u.astype(np.float32), y)
    grid = (np.arange(400_000) + 0.5) / 400_000
    above = np.cumsum(chance(grid)[::-1])[::-1] / np.arange(len(grid), 0, -1)
    place = np.minimum((evidence.threshold * len(grid)).astype(int), len(grid) - 1)
    true = above[place]
    bounds = evidence.bound if bounds_of is None else bounds_of(evidence)
    broken = np.unique(evidence.class_index[bounds > true])
    kept = []
    for least in (0.1, 0.3, 0.5, 0.7):
        choice = choose_thresholds(evidence, least)
        for k in np.flatnonzero(choice.is_tagged):
            where = min(int(choice.threshold[k] * len(grid)), len(grid) - 1)
            kept.append(choice.bound[k] <= above[where])
    return 1 - len(broken) / REPEATS, np.array(kept)


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_bounds_hold_as_often_as_is_said(name: str) -> None:
    together, chosen = held(name, seed=11)
    assert together >= CONFIDENCE
    if len(chosen):
        assert chosen.mean() >= CONFIDENCE


def uncorrected(evidence: TaggingEvidence) -> np.ndarray:
    """The bounds of thresholds each of which was the only one tried."""
    level = np.full(len(evidence.threshold), 1 - CONFIDENCE)
    return precision_bound(evidence.num_right, evidence.num_tagged, level)


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_without_the_correction_they_would_not(name: str) -> None:
    assert held(name, 11, uncorrected)[0] < CONFIDENCE
