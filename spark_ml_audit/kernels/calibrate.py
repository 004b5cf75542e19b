"""Cross-fitted calibration: probabilities put right by two numbers per class, and what that is worth.

Each class has a calibrator of its own (`kernels.platt`). A row's is fitted on the rows of the other folds, so
that no given tag moves its own probability. Slopes are positive: the order of a class's probabilities stays
within a fold, and a model worse than chance is not turned round.

All is fitted on counts of cells by class, fold and log-odds, on a grid so fine that the fit is that of the
rows themselves to about three digits: integers that add up in any order, bounded by the number of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.calibration_limits import LEAST_GAIN, MIN_SIDE
from spark_ml_audit.kernels.float_keys import FloatArray
from spark_ml_audit.kernels.platt import (
    LIMIT,
    expit,
    fit_platt,
    log_odds,
    nearest_points,
    summed_losses,
)
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.kernels.records import Records, make_records

Floats = npt.NDArray[np.float64]

NUM_FOLDS = 5
"""Folds that calibrators are fitted across."""

_MAX_GRID_CELLS = 1 << 21
_GRID_POINTS = (33, 353)
_BLOCK_CELLS = 1 << 16
# Two parameters fitted cost about as many nats, all rows of a class together, once rows are new (Akaike).
_COST = 2.0


@dataclass(frozen=True, eq=False)
class Calibrators:
    """Calibrators of K classes; NaN where a class stays as it is.

    Attributes:
        slope: Fitted on all rows, for rows that are none of them, shape (K,).
        intercept: The same.
        fold_slope: Fitted on the rows of all folds but one, for the rows of that one, shape (F, K); F is 0
            where rows have no folds.
        fold_intercept: The same.

    Example:
        >>> none = np.zeros((0, 2))
        >>> halved = Calibrators(np.array([0.5, np.nan]), np.array([0.0, np.nan]), none, none)
        >>> halved.apply(np.array([[0.9, 0.9]])).round(3).tolist()
        [[0.75, 0.9]]
    """

    slope: Floats
    intercept: Floats
    fold_slope: Floats
    fold_intercept: Floats

    @property
    def num_folds(self) -> int:
        """F."""
        return len(self.fold_slope)

    @property
    def calibrated(self) -> npt.NDArray[np.bool_]:
        """Classes that have a calibrator, shape (K,)."""
        found: npt.NDArray[np.bool_] = np.isfinite(self.slope)
        return found

    def keep(self, chosen: npt.NDArray[np.bool_]) -> Calibrators:
        """The same with the calibrators of some classes alone, shape (K,)."""
        parts = (self.slope, self.intercept, self.fold_slope, self.fold_intercept)
        return Calibrators(*(np.where(chosen, part, np.nan) for part in parts))

    def apply(self, probs: FloatArray, folds: IntArray | None = None) -> Floats:
        """Calibrated probabilities, float64.

        Args:
            probs: Shape (n, K).
            folds: Fold of each row, shape (n,); None where the rows have none, as those of other tables.
        """
        out = np.array(probs, dtype=np.float64)
        width = out.shape[1] if out.ndim == 2 else 0
        slopes, intercepts = self.fold_slope, self.fold_intercept
        if folds is None or not self.num_folds:
            slopes, intercepts = self.slope[None], self.intercept[None]
            folds = np.zeros(len(out), dtype=np.int64)
        columns = np.flatnonzero(self.calibrated)
        if not len(columns):
            return out
        whole = len(columns) == width
        if not whole:
            slopes, intercepts = slopes[:, columns], intercepts[:, columns]
        step = max(1, _BLOCK_CELLS // len(columns))
        for start in range(0, len(out), step):
            block = out[start : start + step]
            own = folds[start : start + step]
            values = log_odds(block if whole else block[:, columns])
            values *= slopes[own]
            values += intercepts[own]
            if whole:
                block[...] = expit(values)
            else:
                block[:, columns] = expit(values)
        return out


# ---- counts by log-odds ------------------------------------------------------------------------------


def grid_of(num_classes: int, num_folds: int = NUM_FOLDS) -> Floats:
    """Points of the grid of log-odds, ascending: as many as memory allows.

    >>> len(grid_of(50)), len(grid_of(10_000))
    (353, 41)
    """
    least, most = _GRID_POINTS
    size = min(most, max(least, _MAX_GRID_CELLS // (num_classes * num_folds))) | 1  # odd: 0 is a point
    points: Floats = np.linspace(-LIMIT, LIMIT, size)
    return points


class OddsCounts:
    """Cells by fold, class and log-odds, given and not.

    Attributes:
        grid: Log-odds of the M points.
        absent: Cells where the tag was not given, shape (F, K, M).
        present: Cells where it was.
    """

    def __init__(self, num_classes: int, num_folds: int) -> None:
        self.grid = grid_of(num_classes, num_folds)
        shape = (num_folds, num_classes, len(self.grid))
        self.absent: IntArray = np.zeros(shape, dtype=np.int64)
        self.present: IntArray = np.zeros(shape, dtype=np.int64)

    def add_batch(self, probs: FloatArray, folds: IntArray, rows: IntArray, cols: IntArray) -> None:
        """Add a batch of rows in place.

        Args:
            probs: Shape (n, K).
            folds: Fold of each row.
            rows: Row of each given tag; cols: its class.
            cols: See rows.
        """
        _, classes, size = self.absent.shape
        first = np.arange(classes, dtype=np.int64) * size
        absent, present = self.absent.reshape(-1), self.present.reshape(-1)
        step = max(1, _BLOCK_CELLS // max(1, classes))
        for start in range(0, len(probs), step):
            codes = nearest_points(log_odds(probs[start : start + step]), size)
            codes += first
            codes += (folds[start : start + step] * (classes * size))[:, None]
            np.add.at(absent, codes.ravel(), 1)
        given = nearest_points(log_odds(probs[rows, cols]), size)
        given += (folds[rows] * classes + cols) * size
        np.add.at(present, given, 1)
        np.subtract.at(absent, given, 1)

    def to_records(self) -> Records:
        """The non-zero content as columns that add up (see `kernels.records`)."""
        folds, classes, points = np.nonzero(self.absent | self.present)
        chosen = folds, classes, points
        return make_records(
            classes, folds * len(self.grid) + points, self.absent[chosen], self.present[chosen]
        )

    @classmethod
    def from_records(cls, num_classes: int, num_folds: int, records: Records) -> OddsCounts:
        """Rebuild counts from summed records of `to_records`, in any order."""
        found = cls(num_classes, num_folds)
        folds, points = np.divmod(records["slot"], len(found.grid))
        found.absent[folds, records["class_index"], points] = records["a"]
        found.present[folds, records["class_index"], points] = records["b"]
        return found


# ---- what it is worth --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CalibrationGain:
    """Log losses of K classes, mean per row, against the given tags.

    Attributes:
        log_loss: Of the probabilities as given, shape (K,); NaN without rows.
        calibrated: Of the calibrated ones, for rows that the calibrator has not seen: measured or expected.
    """

    log_loss: Floats
    calibrated: Floats

    @property
    def gain(self) -> float:
        """Share of the log loss of all cells together that is saved; 0 where there is none.

        >>> CalibrationGain(np.array([0.25, 0.25]), np.array([0.125, 0.25])).gain
        0.25
        """
        now, then = float(np.sum(self.log_loss)), float(np.sum(self.calibrated))
        return (now - then) / now if now > 0 else 0.0

    @property
    def is_worth_it(self) -> bool:
        """Whether mode `auto` calibrates: the classes together save `LEAST_GAIN` or more."""
        return self.gain >= LEAST_GAIN


def _supported(absent: Floats, present: Floats) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (absent.sum(axis=-1) >= MIN_SIDE) & (present.sum(axis=-1) >= MIN_SIDE)
    return found


def expected_gain(grid: Floats, absent: IntArray, present: IntArray) -> CalibrationGain:
    """What calibration is expected to save, from counts over all rows.

    The loss of a fit on all rows is raised by what two fitted numbers make it look better than it is
    (Akaike, "A new look at the statistical model identification", 1974).

    Args:
        grid: Log-odds, shape (M,).
        absent: Cells where the tag was not given, shape (K, M).
        present: Cells where it was.

    Example:
        >>> grid = np.array([-4.0, 4.0])  # 2% and 98%, where a quarter and three quarters are right
        >>> found = expected_gain(grid, np.array([[7500, 2500]]), np.array([[2500, 7500]]))
        >>> found.log_loss.round(3).tolist(), found.calibrated.round(3).tolist(), found.is_worth_it
        ([1.018], [0.562], True)
    """
    counts = absent.astype(np.float64), present.astype(np.float64)
    rows = absent.sum(axis=1) + present.sum(axis=1)
    as_given = np.full(len(absent), np.nan)
    now = summed_losses(grid, *counts, as_given, as_given)
    then = summed_losses(grid, *counts, *fit_platt(grid, *counts)) + _COST
    then = np.where(_supported(*counts) & (then < now), then, now)
    with np.errstate(invalid="ignore", divide="ignore"):
        return CalibrationGain(now / rows, then / rows)


def cross_fit(counts: OddsCounts, *, always: bool) -> tuple[Calibrators, CalibrationGain]:
    """Calibrators fitted across folds, and what they save on rows that they have not seen.

    Args:
        counts: Cells by fold, class and log-odds; with one fold, all rows share one calibrator.
        always: Whether classes are calibrated that lose by it.

    Returns:
        The calibrators: none for classes without `MIN_SIDE` rows of either kind, and unless `always`, none
        for classes whose log loss they do not lower.
    """
    absent, present = counts.absent.astype(np.float64), counts.present.astype(np.float64)
    folds, classes, size = absent.shape
    all_absent, all_present = absent.sum(axis=0), present.sum(axis=0)
    slope, intercept = fit_platt(counts.grid, all_absent, all_present)
    chosen = _supported(all_absent, all_present)
    as_given = np.full(classes, np.nan)
    now = summed_losses(counts.grid, all_absent, all_present, as_given, as_given)
    if folds == 1:
        own = np.zeros((0, classes)), np.zeros((0, classes))
        then = summed_losses(counts.grid, all_absent, all_present, slope, intercept) + _COST
    else:
        rest = (all_absent - absent).reshape(-1, size), (all_present - present).reshape(-1, size)
        fitted = fit_platt(counts.grid, *rest)
        own = fitted[0].reshape(folds, classes), fitted[1].reshape(folds, classes)
        chosen &= np.isfinite(own[0]).all(axis=0)
        losses = summed_losses(
            counts.grid, absent.reshape(-1, size), present.reshape(-1, size), fitted[0], fitted[1]
        )
        then = losses.reshape(folds, classes).sum(axis=0)
    if not always:
        chosen &= then < now
    rows = (all_absent + all_present).sum(axis=1)
    found = Calibrators(slope, intercept, *own).keep(chosen)
    with np.errstate(invalid="ignore", divide="ignore"):
        return found, CalibrationGain(now / rows, np.where(chosen, then, now) / rows)


def as_columns(found: Calibrators) -> dict[str, list[Any]]:
    """Calibrators as the class table has them: K values per column, None for classes that have none.

    >>> none = np.zeros((0, 1))
    >>> columns = as_columns(Calibrators(np.array([0.5]), np.array([-1.0]), none, none))
    >>> columns["calibration_slope"], columns["calibration_fold_slopes"]
    ([0.5], [()])
    """
    known = found.calibrated.tolist()
    columns: dict[str, list[Any]] = {
        "calibration_slope": found.slope.tolist(),
        "calibration_intercept": found.intercept.tolist(),
        "calibration_fold_slopes": [tuple(own) for own in found.fold_slope.T.tolist()],
        "calibration_fold_intercepts": [tuple(own) for own in found.fold_intercept.T.tolist()],
    }
    return {
        name: [value if is_known else None for value, is_known in zip(values, known, strict=True)]
        for name, values in columns.items()
    }
