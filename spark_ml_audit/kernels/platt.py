"""Platt scaling fitted to counts of cells by log-odds: two numbers per class.

A calibrated probability is ``1 / (1 + exp(-(slope * z + intercept)))``, z being the log-odds of the given one
(Platt, "Probabilistic outputs for support vector machines", 1999). Fitted by Newton's method as in Lin, Lin
and Weng, "A note on Platt's probabilistic outputs", Machine Learning 2007, to Platt's smoothed targets, so
that classes told apart without an error have a finite fit too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.float_keys import FloatArray
from spark_ml_audit.kernels.profile import IntArray

Floats = npt.NDArray[np.float64]

MIN_SLOPE = 0.01
"""Slope of probabilities that tell nothing, or the contrary: drawn to the tag's share, in their order."""

LIMIT = float(np.log(2.0**16 - 1))
"""Log-odds of 1 - 2**-16: in fits and log losses no probability counts as nearer to 0 or 1."""

REACH = float(np.log(2.0**28 - 1))
"""Log-odds of 1 - 2**-28, up to which a calibrator is applied as it is: overconfident models put many cells
beyond `LIMIT`, and which of them is furthest out says which tag is likeliest wrong."""

# Beyond that log-odds go on at a slope that keeps their order and hardly moves a probability.
_SLOPE_BEYOND = 2.0**-12
_MAX_BEYOND = 1024.0
_MAX_EXPONENT = 700.0  # exp of it is finite
_MAX_STEPS = 60
_TOLERANCE = 1e-10
_RIDGE = 1e-12


def log_odds(probs: FloatArray) -> Floats:
    """Log-odds, bounded, of probabilities of any shape.

    >>> log_odds(np.array([0.0, 2.0**-17, 0.5, 0.75, 1.0])).round(2).tolist()
    [-19.66, -11.78, 0.0, 1.1, 19.66]
    """
    values = np.asarray(probs, dtype=np.float64)
    with np.errstate(divide="ignore"):
        found: Floats = np.log(values / (1.0 - values))
    inner = np.clip(found, -REACH, REACH)
    inner += np.clip(found - inner, -_MAX_BEYOND, _MAX_BEYOND) * _SLOPE_BEYOND
    return inner


def expit(values: Floats) -> Floats:
    """Probabilities of log-odds.

    >>> expit(np.array([-2000.0, 0.0])).tolist()[1]
    0.5
    """
    found: Floats = np.clip(values, -_MAX_EXPONENT, _MAX_EXPONENT)
    np.negative(found, out=found)
    np.exp(found, out=found)
    found += 1.0
    np.reciprocal(found, out=found)
    return found


def nearest_points(values: Floats, size: int) -> IntArray:
    """The nearest point, of a grid of so many, to each of some log-odds.

    >>> nearest_points(np.array([-20.0, 0.0, LIMIT]), 353).tolist()
    [0, 176, 352]
    """
    scaled = np.clip(values, -LIMIT, LIMIT)
    scaled += LIMIT
    scaled *= (size - 1) / (2 * LIMIT)
    places: IntArray = np.rint(scaled).astype(np.int64)
    return places


def fit_platt(grid: Floats, absent: FloatArray, present: FloatArray) -> tuple[Floats, Floats]:
    """Slopes and intercepts of P problems, fitted to counts of cells by log-odds.

    Args:
        grid: Log-odds, shape (M,).
        absent: Cells where the tag was not given, shape (P, M); whole numbers.
        present: Cells where it was.

    Returns:
        Slope and intercept, shape (P,) each; NaN where no cell is given or all are.

    Example:
        >>> grid = np.array([-2.0, 2.0])  # says 12% and 88% where a quarter and three quarters are right
        >>> slope, intercept = fit_platt(grid, np.array([[7500, 2500]]), np.array([[2500, 7500]]))
        >>> slope.round(2).tolist(), abs(intercept.round(3)).tolist()
        ([0.55], [0.0])
    """
    absent, present = np.asarray(absent, dtype=np.float64), np.asarray(present, dtype=np.float64)
    num_absent, num_present = absent.sum(axis=1), present.sum(axis=1)
    found = np.full((2, len(absent)), np.nan)
    usable = np.flatnonzero((num_absent > 0) & (num_present > 0))
    if not len(usable):
        return found[0], found[1]
    cells = absent[usable] + present[usable]
    lower = 1 / (num_absent[usable] + 2)
    upper = (num_present[usable] + 1) / (num_present[usable] + 2)
    targets = absent[usable] * lower[:, None] + present[usable] * upper[:, None]
    # where all log-odds are one, only the intercept can be told
    slope, intercept = _newton(grid, cells, targets, fixed=(cells > 0).sum(axis=1) < 2, at=1.0)
    low = ~(slope >= MIN_SLOPE)
    if low.any():
        again = _newton(grid, cells[low], targets[low], fixed=np.ones(int(low.sum()), bool), at=MIN_SLOPE)
        slope[low], intercept[low] = again
    found[0, usable], found[1, usable] = slope, intercept
    return found[0], found[1]


def _newton(
    grid: Floats, cells: Floats, targets: Floats, fixed: npt.NDArray[np.bool_], at: float
) -> tuple[Floats, Floats]:
    """Newton's method with step halving, all problems abreast; slopes that are fixed stay at `at`."""
    slope, intercept = np.full(len(cells), at), np.zeros(len(cells))
    wanted = targets.sum(axis=1), (targets * grid).sum(axis=1)
    loss = _losses(grid, cells, wanted, slope, intercept)
    open_ = np.arange(len(cells))
    squares = grid**2
    for _ in range(_MAX_STEPS):
        own = cells[open_]
        p = expit(slope[open_, None] * grid + intercept[open_, None])
        expected = own * p
        first = expected.sum(axis=1) - wanted[0][open_]
        second = np.where(fixed[open_], 0.0, (expected * grid).sum(axis=1) - wanted[1][open_])
        expected *= 1 - p
        h00 = expected.sum(axis=1) + _RIDGE
        h01 = np.where(fixed[open_], 0.0, (expected * grid).sum(axis=1))
        h11 = np.where(fixed[open_], 1.0, (expected * squares).sum(axis=1) + _RIDGE)
        determinant = h00 * h11 - h01 * h01
        determinant = np.where(determinant > 0, determinant, np.inf)
        move = (h11 * first - h01 * second) / determinant, (h00 * second - h01 * first) / determinant
        is_open = _step(grid, cells, wanted, (slope, intercept, loss), open_, move)
        open_ = open_[is_open]
        if not len(open_):
            break
    return slope, intercept


def _step(
    grid: Floats,
    cells: Floats,
    wanted: tuple[Floats, Floats],
    state: tuple[Floats, Floats, Floats],
    open_: IntArray,
    move: tuple[Floats, Floats],
) -> npt.NDArray[np.bool_]:
    """Take the longest step of those halved ones that lowers the loss; which problems gained by it."""
    slope, intercept, loss = state
    gained = np.zeros(len(open_), dtype=np.bool_)
    size, left = 1.0, np.arange(len(open_))
    while len(left) and size > 1e-8:
        at = open_[left]
        new_slope, new_intercept = slope[at] - size * move[1][left], intercept[at] - size * move[0][left]
        own = wanted[0][at], wanted[1][at]
        new_loss = _losses(grid, cells[at], own, new_slope, new_intercept)
        better = new_loss < loss[at]
        chosen = at[better]
        gained[left[better]] = loss[chosen] - new_loss[better] > _TOLERANCE * np.abs(loss[chosen])
        slope[chosen], intercept[chosen] = new_slope[better], new_intercept[better]
        loss[chosen] = new_loss[better]
        left, size = left[~better], size / 2
    return gained


def _losses(
    grid: Floats, cells: Floats, wanted: tuple[Floats, Floats], slope: Floats, intercept: Floats
) -> Floats:
    """Summed log losses against targets: those of no tag at all, less what the targets take off."""
    values = slope[:, None] * grid + intercept[:, None]
    found: Floats = (cells * np.logaddexp(0.0, values)).sum(axis=1)
    return found - intercept * wanted[0] - slope * wanted[1]


def summed_losses(
    grid: Floats, absent: FloatArray, present: FloatArray, slope: Floats, intercept: Floats
) -> Floats:
    """Log loss of the calibrated cells against the given tags, summed, shape (P,); NaN stands for 1 and 0.

    >>> grid, counts = np.array([0.0]), np.array([[10]])
    >>> summed_losses(grid, counts, 0 * counts, np.array([np.nan]), np.array([np.nan])).round(2).tolist()
    [6.93]
    """
    values = np.nan_to_num(slope, nan=1.0)[:, None] * grid + np.nan_to_num(intercept, nan=0.0)[:, None]
    found: Floats = (absent * np.logaddexp(0.0, values) + present * np.logaddexp(0.0, -values)).sum(axis=1)
    return found
