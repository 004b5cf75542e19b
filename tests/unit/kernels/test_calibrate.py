"""Calibrators: fits against scikit-learn, order and separation, what is expected and what is measured."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from spark_ml_audit.kernels.calibrate import (
    NUM_FOLDS,
    Calibrators,
    OddsCounts,
    cross_fit,
    expected_gain,
    grid_of,
)
from spark_ml_audit.kernels.calibration_limits import MIN_SIDE
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.near_one import NearOne, odds_of
from spark_ml_audit.kernels.platt import (
    LIMIT,
    MIN_SLOPE,
    REACH,
    expit,
    fit_platt,
    log_odds,
    nearest_points,
)
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.records import join_records, sum_records


def counted(z: np.ndarray, y: np.ndarray, size: int = 353) -> tuple[np.ndarray, np.ndarray]:
    places = nearest_points(z, size)
    return tuple(np.bincount(places[y == side], minlength=size)[None] for side in (0, 1))


def drawn(slope: float, intercept: float, rows: int = 20_000, seed: int = 0, spread: float = 3.0):
    """Log-odds, and tags given by probabilities of slope and intercept."""
    rng = np.random.default_rng(seed)
    z = np.clip(rng.normal(size=rows) * spread, -LIMIT, LIMIT)
    return z, (rng.random(rows) < expit(slope * z + intercept)).astype(int)


def batch(rows: int, classes: int, seed: int, sharpness: float = 2.5, dtype: str = "float64"):
    """Overconfident probabilities and the tags given."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, classes)) * 2 - 1.5
    y = rng.random(z.shape) < expit(z)
    return expit(sharpness * z).astype(dtype), y


# ---- fits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, -1.0), (2.0, 0.3), (0.05, -3.0), (1.0, 0.0)])
def test_fits_are_those_of_scikit_learn_without_a_penalty_on_the_smoothed_targets(
    slope: float, intercept: float
) -> None:
    grid = grid_of(1)
    z, y = drawn(slope, intercept)
    z = grid[nearest_points(z, len(grid))]  # on the grid both see the same
    found = np.ravel(fit_platt(grid, *counted(z, y, len(grid))))

    upper, lower = (y.sum() + 1) / (y.sum() + 2), 1 / (len(y) - y.sum() + 2)
    share = np.where(y == 1, upper, lower)
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both = np.r_[z, z][:, None], np.repeat([1, 0], len(z))
        model.fit(*both, sample_weight=np.r_[share, 1 - share])
    assert found == pytest.approx([model.coef_[0, 0], model.intercept_[0]], abs=2e-4)


def test_the_grid_is_fine_enough_for_the_fit_of_the_rows_themselves() -> None:
    z, y = drawn(0.6, -1.2)
    found = np.ravel(fit_platt(grid_of(1), *counted(z, y)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(z[:, None], y)
    assert found == pytest.approx([model.coef_[0, 0], model.intercept_[0]], abs=2e-3)


def test_a_model_worse_than_chance_is_not_turned_round() -> None:
    z, y = drawn(-0.8, -1.0)
    slope, intercept = fit_platt(grid_of(1), *counted(z, y))
    assert slope[0] == MIN_SLOPE
    # what is left says the share of the tag
    assert expit(slope * z + intercept).mean() == pytest.approx(y.mean(), abs=1e-3)


def test_classes_told_apart_without_an_error_have_a_finite_fit() -> None:
    z = np.r_[np.full(50, -2.0), np.full(50, 2.0)]
    slope, intercept = fit_platt(grid_of(1), *counted(z, np.repeat([0, 1], 50)))
    assert np.isfinite(slope[0])
    assert slope[0] > 1
    assert expit(slope * 2.0 + intercept)[0] == pytest.approx(51 / 52, abs=1e-3)  # Platt's target


def test_of_probabilities_that_are_all_one_only_the_share_is_learnt() -> None:
    z = np.full(100, -3.0)
    slope, intercept = fit_platt(grid_of(1), *counted(z, np.repeat([0, 1], [60, 40])))
    assert slope[0] == 1.0
    assert expit(z[:1] + intercept)[0] == pytest.approx(0.4, abs=0.02)


def test_sides_without_a_row_have_no_fit() -> None:
    slope, intercept = fit_platt(grid_of(1), *counted(np.zeros(5), np.ones(5, dtype=int)))
    assert np.isnan(slope[0])
    assert np.isnan(intercept[0])


# ---- applied -----------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=40),
    st.floats(MIN_SLOPE, 8.0),
    st.floats(-6, 6),
)
def test_the_order_of_a_class_stays_and_values_are_probabilities(
    values: list[float], slope: float, intercept: float
) -> None:
    probs = np.sort(np.array(values))[:, None]
    none = np.zeros((0, 1))
    found = Calibrators(np.array([slope]), np.array([intercept]), none, none).apply(probs)[:, 0]
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= -1e-15).all()


def test_beyond_the_limit_the_order_stays_too() -> None:
    z = log_odds(np.array([0.0, 5e-324, 1e-40, 1e-9, 2.0**-16, 0.5, 1 - 1e-9, 1 - 1e-15, 1.0]))
    assert (np.diff(z) > 0).all()
    assert z[0] == pytest.approx(-REACH, abs=0.3)
    assert z[-1] == pytest.approx(REACH, abs=0.3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300), st.sampled_from(["float32", "float64"]))
def test_a_row_is_calibrated_by_itself_to_the_last_bit(first: int, last: int, dtype: str) -> None:
    probs, _ = batch(300, 7, seed=3, dtype=dtype)
    folds = np.arange(300) % NUM_FOLDS
    rng = np.random.default_rng(0)
    across = rng.uniform(0.3, 2, (2, NUM_FOLDS, 7))
    across[:, :, 2] = np.nan  # a class that stays as it is
    own = Calibrators(across[0, 0], across[1, 0], across[0], across[1])
    whole = own.apply(probs, folds)
    part = slice(min(first, last), max(first, last))
    assert np.array_equal(own.apply(probs[part], folds[part]), whole[part])
    assert np.array_equal(whole[:, 2], probs[:, 2].astype(np.float64))


def test_new_rows_get_the_calibrator_of_all_rows() -> None:
    own = Calibrators(np.array([0.5]), np.array([0.0]), np.full((5, 1), 2.0), np.zeros((5, 1)))
    assert own.apply(np.array([[0.9]])) == pytest.approx(0.75)
    assert own.apply(np.array([[0.9]]), np.array([0])) == pytest.approx(0.81 / 0.82)


def test_up_to_there_calibrators_are_applied_as_they_are() -> None:
    probs = np.array([[2.0**-27], [2.0**-20], [0.3], [1 - 2.0**-20]])
    none = np.zeros((0, 1))
    found = Calibrators(np.array([0.5]), np.array([-1.0]), none, none).apply(probs)
    assert found == pytest.approx(expit(0.5 * np.log(probs / (1 - probs)) - 1), rel=1e-12)


# ---- across folds ------------------------------------------------------------------------------------


def odds(probs: np.ndarray, y: np.ndarray, folds: np.ndarray, num_folds: int = NUM_FOLDS) -> OddsCounts:
    counts = OddsCounts(probs.shape[1], num_folds)
    counts.add_batch(probs, folds, *np.nonzero(y))
    return counts


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=6), st.randoms(use_true_random=False))
def test_counts_depend_neither_on_order_nor_on_parts(cuts: list[int], random) -> None:
    probs, y = batch(400, 3, seed=1)
    folds = np.arange(400) % NUM_FOLDS
    whole = odds(probs, y, folds)
    order = np.array(random.sample(range(400), 400))
    edges = [0, *sorted(cuts), 400]
    parts = [
        odds(probs[order[a:b]], y[order[a:b]], folds[order[a:b]]).to_records()
        for a, b in itertools.pairwise(edges)
    ]
    added = OddsCounts.from_records(3, NUM_FOLDS, sum_records(join_records(parts)))
    assert np.array_equal(added.absent, whole.absent)
    assert np.array_equal(added.present, whole.present)
    assert (whole.absent + whole.present).sum() == probs.size


def test_no_given_tag_moves_its_own_probability() -> None:
    probs, y = batch(600, 2, seed=2)
    folds = np.arange(600) % NUM_FOLDS
    before, _ = cross_fit(odds(probs, y, folds), always=True)
    changed = y.copy()
    changed[folds == 3] = ~changed[folds == 3]
    after, _ = cross_fit(odds(probs, changed, folds), always=True)
    assert np.array_equal(before.fold_slope[3], after.fold_slope[3])
    assert np.array_equal(before.fold_intercept[3], after.fold_intercept[3])
    assert (before.fold_slope[0] != after.fold_slope[0]).all()


def test_the_measured_log_loss_is_that_of_the_calibrated_probabilities() -> None:
    probs, y = batch(3000, 3, seed=4)
    folds = np.arange(3000) % NUM_FOLDS
    found, gain = cross_fit(odds(probs, y, folds), always=False)
    calibrated = found.apply(probs, folds)
    for k in range(3):
        assert gain.calibrated[k] == pytest.approx(log_loss(y[:, k], calibrated[:, k]), rel=2e-3)
        kept = expit(np.clip(log_odds(probs[:, k]), -LIMIT, LIMIT))
        assert gain.log_loss[k] == pytest.approx(log_loss(y[:, k], kept), rel=2e-3)
    assert gain.gain > 0.2
    assert gain.is_worth_it


def test_classes_with_few_rows_of_a_kind_and_those_that_lose_stay_as_they_are() -> None:
    probs, y = batch(2000, 3, seed=5, sharpness=1.0)
    y[:, 0] = False
    y[: MIN_SIDE - 1, 0] = True
    folds = np.arange(2000) % NUM_FOLDS
    found, gain = cross_fit(odds(probs, y, folds), always=False)
    assert not found.calibrated[0]
    assert (gain.calibrated <= gain.log_loss).all()
    assert not gain.is_worth_it
    always, _ = cross_fit(odds(probs, y, folds), always=True)
    assert always.calibrated.tolist() == [False, True, True]


# ---- from the profile alone --------------------------------------------------------------------------


def profiled(probs: np.ndarray, y: np.ndarray) -> tuple[ClassProfile, NearOne]:
    spec = ProfileSpec.for_classes(probs.shape[1], probs.dtype)
    profile, near = ClassProfile(spec), NearOne(spec)
    for counts in (profile, near):
        counts.add_batch(probs, *np.nonzero(y))
    return profile, near


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sharpness", [0.4, 1.0, 2.5, 8.0])
def test_what_the_profile_expects_is_what_folds_measure(sharpness: float, dtype: str) -> None:
    probs, y = batch(20_000, 3, seed=6, sharpness=sharpness, dtype=dtype)
    expected = expected_gain(*odds_of(*profiled(probs, y), len(grid_of(3))))
    _, measured = cross_fit(odds(probs, y, np.arange(len(y)) % NUM_FOLDS), always=False)
    assert expected.log_loss == pytest.approx(measured.log_loss, rel=2e-3)
    assert expected.calibrated == pytest.approx(measured.calibrated, rel=4e-3)
    assert expected.is_worth_it == measured.is_worth_it == (sharpness != 1.0)


@pytest.mark.parametrize("num_classes", [1, 40, 9000])
def test_every_cell_of_a_profile_is_on_the_grid_once(num_classes: int) -> None:
    rng = np.random.default_rng(7)
    probs = expit(rng.normal(size=(60, num_classes)) * 9)
    probs[:3] = [[0.0], [1.0], [0.96875]]
    y = rng.random(probs.shape) < 0.3
    size = len(grid_of(num_classes))
    _, absent, present = odds_of(*profiled(probs, y), size)
    assert np.array_equal(absent.sum(axis=1), (~y).sum(axis=0))
    assert np.array_equal(present.sum(axis=1), y.sum(axis=0))
    places = np.cumsum(present.sum(axis=0))
    exact = np.cumsum(np.bincount(nearest_points(log_odds(probs[y]), size), minlength=size))
    off = np.abs(places - exact).max() / y.sum()
    assert off < (0.02 if num_classes == 40 else 0.2)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60), st.integers(0, 60))
def test_counts_near_one_add_up(values: list[float], cut: int) -> None:
    probs = np.array(values, dtype=np.float32)[:, None]
    spec = ProfileSpec.for_classes(1, np.float32)
    whole, parts = NearOne(spec), [NearOne(spec), NearOne(spec)]
    y = np.arange(len(probs)) % 3 == 0
    whole.add_batch(probs, np.flatnonzero(y), np.zeros(y.sum(), dtype=np.int64))
    for near, part in zip(parts, (slice(None, cut), slice(cut, None)), strict=True):
        near.add_batch(probs[part], np.flatnonzero(y[part]), np.zeros(y[part].sum(), dtype=np.int64))
    added = NearOne.from_records(spec, sum_records(join_records([near.to_records() for near in parts])))
    assert np.array_equal(added.absent, whole.absent)
    assert np.array_equal(added.present, whole.present)
    assert whole.absent.sum() + whole.present.sum() == (probs >= whole.start).sum()
