"""What reviewed random samples say of an audit: precision and recall of its flags, errors in the table.

Each stratum's share of errors has its Clopper-Pearson interval. A quantity that combines strata (recall, the
number of errors) gets a *melded* interval: each stratum's rate is drawn from the beta distribution of its
lower or upper limit, whichever is unfavourable, and quantiles of the combination are taken (Fay, Proschan,
Brittain, "Combining one-sample confidence procedures for inference in the two-sample case", Biometrics
2015). For one stratum that is Clopper-Pearson; it does not collapse where no error was seen, as a bootstrap
would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Draws = npt.NDArray[np.float64]

DIRECTIONS = ("missing", "extraneous")
_NUM_DRAWS = 10_000


@dataclass(frozen=True)
class StratumReview:
    """What reviewers found in a simple random sample of a stratum.

    Attributes:
        direction: missing or extraneous: what an error in it is.
        flagged: Whether its cells were flagged.
        size: Cells in the stratum.
        num_judged: Sampled cells with a verdict, unsure ones left out.
        num_errors: Judged cells whose given value is wrong.
    """

    direction: str
    flagged: bool
    size: int
    num_judged: int
    num_errors: int


@dataclass(frozen=True)
class Interval:
    """A quantity with its confidence interval; estimate None where the sample cannot say."""

    estimate: float | None
    low: float | None
    high: float | None


NOT_KNOWN = Interval(None, None, None)


def rate_interval(num_errors: int, num_judged: int, confidence: float = 0.95) -> Interval:
    """Share of errors with its Clopper-Pearson interval; unknown where nothing was judged.

    >>> found = rate_interval(num_errors=2, num_judged=20)
    >>> found.estimate, round(found.low, 3), round(found.high, 3)
    (0.1, 0.012, 0.317)
    """
    if not num_judged:
        return NOT_KNOWN
    from scipy import special  # takes a while to import, and few audits have decisions

    yes, no, tail = num_errors, num_judged - num_errors, (1 - confidence) / 2
    low = float(special.betaincinv(yes, no + 1, tail)) if yes else 0.0
    high = float(special.betaincinv(yes + 1, no, 1 - tail)) if no else 1.0
    return Interval(num_errors / num_judged, low, high)


def widest_interval(num_judged: int, confidence: float = 0.95) -> float:
    """Width of the Clopper-Pearson interval of a share after so many cells, where it is widest: at one half.

    >>> round(widest_interval(25), 2)
    0.41
    """
    found = rate_interval(num_judged // 2, num_judged, confidence)
    return 1.0 if found.low is None or found.high is None else found.high - found.low


def cells_for_width(width: float, confidence: float = 0.95) -> int:
    """The least number of cells with which the interval of a share is at most so wide, whatever is found.

    Args:
        width: Above 0, below 1.
        confidence: Of the interval.

    Example:
        >>> cells_for_width(widest_interval(25) / 2)
        99
    """
    low, high = 1, 2
    while widest_interval(high, confidence) > width:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if widest_interval(middle, confidence) <= width else (middle, high)
    return high


def precision_of(strata: list[StratumReview], direction: str, confidence: float = 0.95) -> Interval:
    """Share of the flags of a direction that are errors; exact where every flagged cell was judged.

    >>> flags = StratumReview("missing", flagged=True, size=100, num_judged=20, num_errors=15)
    >>> found = precision_of([flags], "missing")
    >>> found.estimate, round(found.low, 2), round(found.high, 2)
    (0.75, 0.51, 0.91)
    """
    own = [item for item in strata if item.flagged and item.direction == direction and item.size]
    if len(own) == 1 and own[0].num_judged == own[0].size:
        share = own[0].num_errors / own[0].size
        return Interval(share, share, share)
    return rate_interval(
        sum(item.num_errors for item in own), sum(item.num_judged for item in own), confidence
    )


def errors_in(
    strata: list[StratumReview], direction: str | None = None, confidence: float = 0.95
) -> Interval:
    """Number of errors in all cells, or in those of one direction.

    Args:
        strata: All strata, without repeats. One that has cells but no judged one makes the number unknown.
        direction: missing, extraneous, or None for both.
        confidence: Of the interval.

    Example:
        >>> flags = StratumReview("missing", flagged=True, size=10, num_judged=10, num_errors=8)
        >>> rest = StratumReview("missing", flagged=False, size=1000, num_judged=100, num_errors=1)
        >>> found = errors_in([flags, rest])
        >>> found.estimate  # 8, and 1 % of 1000
        18.0
        >>> 8 <= found.low < 18 < found.high
        True
    """
    own = [item for item in strata if item.size and direction in (None, item.direction)]
    if any(not item.num_judged for item in own):
        return NOT_KNOWN
    low, high = _tails(confidence)
    return Interval(
        _total(own),
        _quantile(_totals(own, upper=False), low),
        _quantile(_totals(own, upper=True), high),
    )


def recall_of(strata: list[StratumReview], direction: str, confidence: float = 0.95) -> Interval:
    """Share of all errors of a direction that are flagged; unknown where no error was found at all.

    >>> flags = StratumReview("missing", flagged=True, size=10, num_judged=10, num_errors=8)
    >>> rest = StratumReview("missing", flagged=False, size=1000, num_judged=500, num_errors=1)
    >>> recall_of([flags, rest], "missing").estimate  # 8 of 8 + 2
    0.8
    """
    own = [item for item in strata if item.size and item.direction == direction]
    if any(not item.num_judged for item in own) or not _total(own):
        return NOT_KNOWN
    flagged = [item for item in own if item.flagged]
    rest = [item for item in own if not item.flagged]
    found, missed = _total(flagged), _total(rest)
    low, high = _tails(confidence)
    pessimistic = _ratio(_totals(flagged, upper=False), _totals(rest, upper=True))
    optimistic = _ratio(_totals(flagged, upper=True), _totals(rest, upper=False))
    return Interval(found / (found + missed), _quantile(pessimistic, low), _quantile(optimistic, high))


def _tails(confidence: float) -> tuple[float, float]:
    return (1 - confidence) / 2, (1 + confidence) / 2


def _quantile(draws: Draws, level: float) -> float:
    return float(np.quantile(draws, level))


def _total(strata: list[StratumReview]) -> float:
    return sum(item.size * item.num_errors / item.num_judged for item in strata)


def _totals(strata: list[StratumReview], *, upper: bool) -> Draws:
    """Draws of the number of errors from the distributions of the strata's lower or upper limits."""
    # seeded by place, so that the same verdicts always give the same interval
    generator = np.random.default_rng([17, int(upper)])
    draws = np.zeros(_NUM_DRAWS)
    for item in strata:
        draws += item.size * _rates(item, generator, upper=upper)
    return draws


def _rates(item: StratumReview, generator: np.random.Generator, *, upper: bool) -> Draws:
    errors, others = item.num_errors, item.num_judged - item.num_errors
    if item.num_judged >= item.size:  # all were judged: nothing is left to chance
        return np.full(_NUM_DRAWS, errors / item.num_judged)
    if upper:
        return generator.beta(errors + 1, others, _NUM_DRAWS) if others else np.ones(_NUM_DRAWS)
    return generator.beta(errors, others + 1, _NUM_DRAWS) if errors else np.zeros(_NUM_DRAWS)


def _ratio(found: Draws, missed: Draws) -> Draws:
    total = found + missed
    # no errors at all: nothing was overlooked
    return np.divide(found, total, out=np.ones_like(found), where=total > 0)
