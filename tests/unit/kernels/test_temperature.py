"""One temperature for all classes: its fit, what it leaves as it is, where it stays away."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from spark_ml_audit.kernels.calibrate import Calibrators, grid_of
from spark_ml_audit.kernels.calibration_limits import MIN_SIDE
from spark_ml_audit.kernels.cell_scores import self_confidence
from spark_ml_audit.kernels.platt import MIN_SLOPE, expit, log_odds, nearest_points, summed_losses
from spark_ml_audit.kernels.temperature import MAX_SLOPE, fit_slope, fit_temperature


def counted(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grid, and counts of cells of shape (K, M), not given and given."""
    classes, grid = z.shape[1], grid_of(z.shape[1])
    places = nearest_points(z, len(grid)) + np.arange(classes) * len(grid)
    absent, present = (
        np.bincount(places[y == side], minlength=classes * len(grid)).reshape(classes, -1)
        for side in (False, True)
    )
    return grid, absent, present


def drawn(
    sharpness: float, rows: int = 4000, classes: int = 3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds too large by a factor, and the tags given."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, classes)) * 2 - 1 - np.arange(classes)
    return sharpness * z, rng.random(z.shape) < expit(z)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 2.5])
def test_the_slope_is_that_of_the_least_log_loss(sharpness: float) -> None:
    grid, absent, present = counted(*drawn(sharpness))
    one = absent.sum(axis=0)[None], present.sum(axis=0)[None]
    best = minimize_scalar(
        lambda slope: summed_losses(grid, *one, np.array([slope]), np.zeros(1))[0],
        bounds=(MIN_SLOPE, MAX_SLOPE),
        method="bounded",
        options={"xatol": 1e-9},
    )
    found = fit_slope(grid, absent.sum(axis=0), present.sum(axis=0))
    assert found == pytest.approx(best.x, abs=1e-5)
    assert found == pytest.approx(1 / sharpness, rel=0.1)


def test_what_is_told_is_the_log_loss_of_the_probabilities_that_result() -> None:
    z, y = drawn(3.0)
    found, gain = fit_temperature(*counted(z, y))
    probs = found.apply(expit(z))
    for k in range(3):
        loss = -np.log(np.where(y[:, k], probs[:, k], 1 - probs[:, k])).mean()
        # told as if no probability were nearer to 0 or 1 than 2**-16; here those that are nearer are right
        assert 0.95 * gain.calibrated[k] < loss < 1.002 * gain.calibrated[k]
    assert gain.is_worth_it
    assert found.num_folds == 0
    assert len(set(found.slope.tolist())) == 1
    assert found.intercept.tolist() == [0.0] * 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(2.0**-20, 1 - 2.0**-20), min_size=6, max_size=60),
    st.floats(MIN_SLOPE, MAX_SLOPE),
    st.randoms(use_true_random=False),
)
def test_cells_stay_in_their_order_by_self_confidence(values: list[float], slope: float, random) -> None:
    probs = np.array(values[: len(values) // 3 * 3]).reshape(-1, 3)
    y = np.array([[random.random() < 0.4 for _ in range(3)] for _ in probs])
    grid, absent, present = counted(log_odds(probs), y)
    found, _ = fit_temperature(grid, absent, present, always=True)
    found = Calibrators(np.full(3, slope), np.zeros(3), found.fold_slope, found.fold_intercept)
    before, after = (self_confidence(one, *np.nonzero(y)).ravel() for one in (probs, found.apply(probs)))
    order = np.argsort(before, kind="stable")
    assert (np.diff(after[order]) >= -1e-12).all()


def test_it_stays_away_where_it_saves_nothing_or_too_little_is_known() -> None:
    z, y = drawn(1.0, rows=300)
    slope = fit_slope(*(part if part.ndim == 1 else part.sum(axis=0) for part in counted(z, y)))
    calibrated = z * slope  # nothing is left to save
    found, gain = fit_temperature(*counted(calibrated, y))
    assert not found.calibrated.any()
    assert gain.gain == 0
    always, gain = fit_temperature(*counted(calibrated, y), always=True)
    assert always.calibrated.all()
    assert gain.gain < 0

    few = np.zeros_like(y)
    few.reshape(-1)[: MIN_SIDE - 1] = True
    assert not fit_temperature(*counted(3 * z, few), always=True)[0].calibrated.any()


@pytest.mark.parametrize("always", [True, False])
def test_probabilities_that_say_nothing_stay_as_they_are(always: bool) -> None:
    rng = np.random.default_rng(0)
    probs = 0.5 + rng.uniform(-0.007, 0.007, (500, 2))
    grid, absent, present = counted(log_odds(probs), rng.random(probs.shape) < 0.4)
    assert fit_slope(grid, absent.sum(axis=0), present.sum(axis=0)) == 1.0
    found, gain = fit_temperature(grid, absent, present, always=always)
    assert found.apply(probs) == pytest.approx(probs, abs=1e-12)
    assert gain.gain == pytest.approx(0.0, abs=2e-3)


def test_the_surest_cells_stay_apart() -> None:
    probs = 1 - 2.0 ** -np.arange(3, 17)[:, None]
    none = np.zeros((0, 1))
    sharpest = Calibrators(np.array([MAX_SLOPE]), np.zeros(1), none, none)
    assert (np.diff(sharpest.apply(probs)[:, 0]) > 0).all()


@pytest.mark.parametrize(("side", "slope"), [(True, MAX_SLOPE), (False, MIN_SLOPE)])
def test_tags_told_apart_without_an_error_or_always_wrongly_have_a_finite_slope(
    side: bool, slope: float
) -> None:
    z = np.repeat([[-2.0], [2.0]], 50, axis=0)
    grid, absent, present = counted(z, (z > 0) == side)
    assert fit_slope(grid, absent[0], present[0]) == slope
