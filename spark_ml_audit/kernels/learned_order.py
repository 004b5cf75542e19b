"""What people's decisions teach about the order in which undecided cells are worth a look.

How likely is it that a tag truly applies, given what the model says of the cell, whether the tag is given,
and of which class it is? A logistic regression of the decided cells answers that:

    log-odds(true) = a + b * log-odds(p) + c * side + u[class, side]

with side 1/2 where the tag is given, else -1/2. The coefficients have Gaussian priors around "the model is
right": b around 1, all others around 0, with the standard deviations `SLOPE_SD`, `COMMON_SD` (a, c) and
`CLASS_SD` (u). The mode of the posterior, ridge regression towards that point, is found by Newton's method. A
class without decisions has the effects 0, and without any decision the answer is p itself. Effects of classes
are a diagonal block of the Hessian, so that thousands of classes cost linear time (partial pooling: Gelman,
Hill, "Data Analysis Using Regression and Multilevel/Hierarchical Models", 2007, ch. 12).

What is learned is averaged half and half with the score of the order before: where few or odd decisions
mislead the fit, half of that order stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.learned_limits import MIN_DECISIONS, MIN_RANDOM_SHARE

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

SLOPE_SD = 0.5
"""Prior standard deviation of the slope b around 1."""

COMMON_SD = 1.0
"""Prior standard deviation of the intercept a and of the coefficient c of the given tag."""

CLASS_SD = 0.5
"""Prior standard deviation of the effect of a class on either side."""

LEARNED_SHARE = 0.5
"""Weight of what was learned; the rest is the order before."""

CLIP = 1e-6
"""Probabilities are kept this far from 0 and 1."""

_MEAN = np.array([0.0, 1.0, 0.0])
_PRECISION = 1 / np.square([COMMON_SD, SLOPE_SD, COMMON_SD])
_OWN_PRECISION = 1 / CLASS_SD**2
_MOST_STEPS, _CLOSE = 100, 1e-10
_DIGITS = 9


@dataclass(frozen=True, eq=False)
class DecidedCells:
    """Cells that people decided, as they were when people were shown them.

    Attributes:
        pred_prob: Probability of the tag, float64, shape (n,).
        given: Whether the tag was given, shape (n,).
        class_index: Class of the cell, shape (n,).
        present: Whether it applies, by the decision that stands; shape (n,).
        is_random: Whether a decision on it answers a random sample; shape (n,).
    """

    pred_prob: FloatArray
    given: BoolArray
    class_index: IntArray
    present: BoolArray
    is_random: BoolArray

    def __len__(self) -> int:
        return len(self.pred_prob)

    @property
    def num_random(self) -> int:
        """Those that answer random samples."""
        return int(self.is_random.sum())

    @property
    def are_enough(self) -> bool:
        """Whether an order may be learned from them."""
        return len(self) >= MIN_DECISIONS and self.num_random >= MIN_RANDOM_SHARE * len(self)


@dataclass(frozen=True)
class LearnedOrder:
    """Coefficients of the fit (see the module text).

    Attributes:
        intercept: a.
        slope: b.
        given: c.
        classes: Effects u of the classes that have any: (class index, whether given) -> effect.

    Example:
        >>> order = LearnedOrder(classes={(1, False): 1.0})
        >>> probs, given = np.array([0.9, 0.9, 0.2]), np.array([False, False, True])
        >>> order.wrong(probs, given, np.array([0, 1, 0])).round(3).tolist()
        [0.9, 0.961, 0.8]
    """

    intercept: float = 0.0
    slope: float = 1.0
    given: float = 0.0
    classes: Mapping[tuple[int, bool], float] = field(default_factory=dict)

    def wrong(self, pred_prob: FloatArray, given: BoolArray, class_index: IntArray) -> FloatArray:
        """The chance that the given value of cells is wrong, shape (n,).

        Args:
            pred_prob: Probabilities of the tags.
            given: Whether the tags are given.
            class_index: Their classes.
        """
        codes = 2 * class_index + given
        known = {2 * k + side: effect for (k, side), effect in self.classes.items()}
        effects = np.zeros(max([int(codes.max(initial=-1)), *known]) + 1)
        effects[list(known)] = list(known.values())
        odds = self.intercept + self.slope * log_odds(pred_prob) + self.given * _side(given) + effects[codes]
        # to the digits that no shape of a batch can change
        found: FloatArray = np.round(_sigmoid(np.where(given, -odds, odds)), _DIGITS)
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: effects of classes as [class index, whether given, effect]."""
        effects = [[k, side, effect] for (k, side), effect in sorted(self.classes.items())]
        return {"intercept": self.intercept, "slope": self.slope, "given": self.given, "classes": effects}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LearnedOrder:
        """Back from `to_dict`.

        >>> order = LearnedOrder(0.5, 0.9, -0.1, {(3, True): 0.25})
        >>> LearnedOrder.from_dict(order.to_dict()) == order
        True
        """
        effects = {(int(k), bool(side)): float(effect) for k, side, effect in values["classes"]}
        return cls(float(values["intercept"]), float(values["slope"]), float(values["given"]), effects)


def log_odds(pred_prob: FloatArray) -> FloatArray:
    """Log-odds of probabilities, which are kept `CLIP` away from 0 and 1.

    >>> log_odds(np.array([0.5, 0.9, 1.0])).round(2).tolist()
    [0.0, 2.2, 13.82]
    """
    kept = np.clip(pred_prob.astype(np.float64), CLIP, 1 - CLIP)
    found: FloatArray = np.log(kept) - np.log1p(-kept)
    return found


def averaged(before: Any, wrong: Any) -> Any:
    """Half the score of the order before, half the chance that was learned.

    Args:
        before: Numbers, arrays or columns of a frame.
        wrong: The same kind.

    >>> averaged(np.array([0.8]), np.array([0.4])).round(2).tolist()
    [0.6]
    """
    return (1 - LEARNED_SHARE) * before + LEARNED_SHARE * wrong


def fit_order(cells: DecidedCells) -> LearnedOrder:
    """Fit the regression on decided cells; without any, it says what the model says.

    Args:
        cells: In an order that does not depend on who read them: sums are made in it.

    Example:
        >>> nothing = np.zeros(0, dtype=bool)
        >>> cells = DecidedCells(nothing * 1.0, nothing, nothing * 1, nothing, nothing)
        >>> fit_order(cells) == LearnedOrder()
        True
        >>> right = np.arange(200) % 2 == 0  # of 200 tags that the model is sure to be missing, half are
        >>> cells = DecidedCells(np.full(200, 0.9), right & False, right * 0, right, right)
        >>> fit_order(cells).wrong(np.array([0.9]), np.array([False]), np.array([0])).round(2).tolist()
        [0.5]
    """
    if not len(cells):
        return LearnedOrder()
    codes, place = np.unique(2 * cells.class_index + cells.given, return_inverse=True)
    columns = np.stack([np.ones(len(cells)), log_odds(cells.pred_prob), _side(cells.given)], axis=1)
    problem = _Problem(columns, cells.present.astype(np.float64), place, len(codes))
    common, effects = _mode(problem)
    known = {(code // 2, code % 2 == 1): u for code, u in zip(codes.tolist(), effects.tolist(), strict=True)}
    intercept, slope, given = common.tolist()
    return LearnedOrder(intercept, slope, given, known)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Common columns, what is to be explained, and the place of each cell among the `size` effects."""

    columns: FloatArray
    target: FloatArray
    place: IntArray
    size: int

    def odds(self, common: FloatArray, effects: FloatArray) -> FloatArray:
        return _dot(self.columns, common) + effects[self.place]

    def sums(self, values: FloatArray) -> FloatArray:
        """Of the cells of every effect."""
        return np.bincount(self.place, values, self.size).astype(np.float64)

    def posterior(self, common: FloatArray, effects: FloatArray) -> float:
        """Its logarithm, but for a constant."""
        odds = self.odds(common, effects)
        away = (_PRECISION * np.square(common - _MEAN)).sum() + _OWN_PRECISION * np.square(effects).sum()
        return float((self.target * odds - np.logaddexp(0, odds)).sum() - away / 2)

    def step(self, common: FloatArray, effects: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Newton's step; the diagonal block of the effects is eliminated (Schur complement)."""
        chance = _sigmoid(self.odds(common, effects))
        rest, weighted = self.target - chance, self.columns * (chance * (1 - chance))[:, None]
        slope = (self.columns * rest[:, None]).sum(axis=0) - _PRECISION * (common - _MEAN)
        slope_own = self.sums(rest) - _OWN_PRECISION * effects
        block = np.stack([(self.columns * column[:, None]).sum(axis=0) for column in weighted.T])
        mixed = np.stack([self.sums(column) for column in weighted.T], axis=1)
        own = self.sums(chance * (1 - chance)) + _OWN_PRECISION
        scaled = mixed / own[:, None]
        left = block + np.diag(_PRECISION)
        left -= np.stack([(scaled * column[:, None]).sum(axis=0) for column in mixed.T])
        step = np.linalg.solve(left, slope - (scaled * slope_own[:, None]).sum(axis=0))
        return step, (slope_own - _dot(mixed, step)) / own


def _mode(problem: _Problem) -> tuple[FloatArray, FloatArray]:
    """The common coefficients and effects of the greatest posterior.

    It is strictly concave, so that steps, halved where they go too far, always reach its one maximum.
    """
    common, effects = _MEAN.copy(), np.zeros(problem.size)
    best = problem.posterior(common, effects)
    for _ in range(_MOST_STEPS):
        step, step_own = problem.step(common, effects)
        part = 1.0
        while (tried := problem.posterior(common + part * step, effects + part * step_own)) < best:
            part /= 2
            if part < _CLOSE:  # no step is better: the maximum, as far as floats can tell
                return common, effects
        common, effects, best = common + part * step, effects + part * step_own, tried
        if max(np.abs(step).max(), np.abs(step_own).max()) < _CLOSE:
            break
    return common, effects


def _dot(columns: FloatArray, values: FloatArray) -> FloatArray:
    """A product without BLAS, whose rounding depends on the shape."""
    found: FloatArray = (columns * values).sum(axis=1)
    return found


def _side(given: BoolArray) -> FloatArray:
    return np.where(given, 0.5, -0.5)


def _sigmoid(odds: FloatArray) -> FloatArray:
    found: FloatArray = np.exp(-np.logaddexp(0, -odds))
    return found
