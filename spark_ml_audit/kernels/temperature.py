"""Temperature scaling: all log-odds of all classes divided by one number.

``1 / (1 + exp(-z / T))``, z being the log-odds of the given probability (Guo et al., "On calibration of
modern neural networks", ICML 2017, in its form for independent tags). It knows less than a calibrator per
class, and changes less: the order of all cells by self-confidence stays, within a row and within the table
(of a tag given at p and one not given at 1 - p, which are alike but for rounding, either may come first).
One number fitted to all cells is moved by no single tag, so that it needs no folds; folds of its own would
mingle the many cells that an overconfident model puts next to 0 and 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.calibrate import CalibrationGain, Calibrators
from spark_ml_audit.kernels.calibration_limits import MIN_SIDE
from spark_ml_audit.kernels.platt import MIN_SLOPE, expit, summed_losses
from spark_ml_audit.kernels.profile import IntArray

Floats = npt.NDArray[np.float64]

MAX_SLOPE = 3.0
"""Greatest 1 / T: with more, probabilities that differ would all become 1."""

_HALVINGS = 50
_NOTHING = 1e-9  # the middle of a grid is 0 but for rounding
# One number fitted costs about one nat, all cells together, once rows are new (Akaike).
_COST = 1.0


def fit_slope(grid: Floats, absent: IntArray, present: IntArray) -> float:
    """1 / T: the slope of the log-odds that makes the log loss least, found by halving.

    Args:
        grid: Log-odds, shape (M,).
        absent: Cells where the tag was not given, shape (M,).
        present: Cells where it was.

    Returns:
        `MIN_SLOPE` to `MAX_SLOPE`; 1 where all log-odds are 0.

    Example:
        >>> grid = np.array([-2.0, 2.0])  # says 12% and 88% where a quarter and three quarters are right
        >>> round(fit_slope(grid, np.array([7500, 2500]), np.array([2500, 7500])), 2)
        0.55
    """
    weighed, wanted = (absent + present) * grid, float(present @ grid)

    def rises(slope: float) -> bool:  # the loss is convex: beyond its least value it rises
        return bool(weighed @ expit(slope * grid) > wanted)

    low, high = MIN_SLOPE, MAX_SLOPE
    if not np.abs(weighed).max(initial=0.0) > _NOTHING:
        return 1.0
    if rises(low) or not rises(high):
        return low if rises(low) else high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle) else (middle, high)
    return low


def fit_temperature(
    grid: Floats, absent: IntArray, present: IntArray, *, always: bool = False
) -> tuple[Calibrators, CalibrationGain]:
    """One temperature for all classes, and what it is expected to save.

    The loss is raised by what a fitted number makes it look better than it is (Akaike, "A new look at the
    statistical model identification", 1974).

    Args:
        grid: Log-odds, shape (M,).
        absent: Cells where the tag was not given, shape (K, M).
        present: Cells where it was.
        always: Whether it applies where it saves nothing.

    Returns:
        Calibrators that are the same for every class: none where there are fewer than `MIN_SIDE` cells of
        either kind, and unless `always`, none where the log loss does not fall.

    Example:
        >>> grid = np.array([-4.0, 4.0])  # 2% and 98%, where a quarter and three quarters are right
        >>> found, gain = fit_temperature(grid, np.array([[7500, 2500]]), np.array([[2500, 7500]]))
        >>> found.slope.round(3).tolist(), gain.log_loss.round(3).tolist(), gain.calibrated.round(3).tolist()
        ([0.275], [1.018], [0.562])
    """
    classes = len(absent)
    slope = fit_slope(grid, absent.sum(axis=0), present.sum(axis=0))
    now = summed_losses(grid, absent, present, np.ones(classes), np.zeros(classes))
    then = summed_losses(grid, absent, present, np.full(classes, slope), np.zeros(classes)) + _COST / classes
    is_applied = bool(min(absent.sum(), present.sum()) >= MIN_SIDE and (always or then.sum() < now.sum()))
    none = np.zeros((0, classes))
    found = Calibrators(np.full(classes, slope), np.zeros(classes), none, none).keep(
        np.full(classes, is_applied)
    )
    rows = absent.sum(axis=1) + present.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return found, CalibrationGain(now / rows, (then if is_applied else now) / rows)
