"""How far reviewers agree: percent agreement and Gwet's AC1, for any number of raters and missing ratings.

AC1 and its variance are those of Gwet, "Computing inter-rater reliability and its variance in the presence of
high agreement", British Journal of Mathematical and Statistical Psychology 61, 2008, with missing ratings as
in his Handbook of Inter-Rater Reliability, 4th edition, 2014. Unlike kappa it does not fall where nearly all
verdicts are alike, as they are on flags that are mostly right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.profile import IntArray


@dataclass(frozen=True)
class Agreement:
    """Agreement of two or more raters on subjects.

    Attributes:
        num_subjects: Subjects that two or more rated.
        percent: Chance that two raters of a subject agree, averaged over these subjects; None without any.
        percent_low: Lower limit of its interval: Clopper-Pearson, exact for two raters.
        percent_high: Upper limit.
        ac1: Gwet's AC1: agreement beyond chance; None where it is not defined.
        ac1_low: Lower limit of its interval, by Student's t; where nothing differs at all, and its
            standard error is 0, from that of the percent agreement.
        ac1_high: Upper limit.
        ac1_error: Its standard error.
    """

    num_subjects: int
    percent: float | None = None
    percent_low: float | None = None
    percent_high: float | None = None
    ac1: float | None = None
    ac1_low: float | None = None
    ac1_high: float | None = None
    ac1_error: float | None = None


def agreement(ratings: IntArray, times: IntArray | None = None, confidence: float = 0.95) -> Agreement:
    """Agreement from counts of ratings.

    Args:
        ratings: Raters who put a subject into a category, shape (patterns, categories); subjects that
            nobody rated are left out.
        times: Subjects of each pattern; 1 by default.
        confidence: Of the intervals.

    Example:
        >>> verdicts = np.array([[2, 0], [0, 2], [1, 1]])  # both present, both absent, one of each
        >>> found = agreement(verdicts, times=np.array([90, 5, 5]))
        >>> found.percent, round(found.ac1, 3)
        (0.95, 0.942)
    """
    times = np.ones(len(ratings), dtype=np.int64) if times is None else times
    raters = ratings.sum(axis=1)
    kept = (raters > 0) & (times > 0)
    ratings, times, raters = ratings[kept], times[kept], raters[kept]
    is_shared = raters > 1
    num_subjects, num_shared = int(times.sum()), int(times[is_shared].sum())
    if not num_shared:
        return Agreement(0)
    pairs = np.maximum(raters * (raters - 1), 1)
    agreeing = np.where(is_shared, (ratings * (ratings - 1)).sum(axis=1) / pairs, 0.0)
    percent = float((times * agreeing).sum() / num_shared)
    low, high = _share_interval(percent, num_shared, confidence)
    found = Agreement(num_shared, percent, low, high)
    classified = ratings / raters[:, None]
    shares = (times[:, None] * classified).sum(axis=0) / num_subjects
    by_chance = float((shares * (1 - shares)).sum() / (ratings.shape[1] - 1))
    if num_subjects < 2 or by_chance >= 1:
        return found
    ac1 = (percent - by_chance) / (1 - by_chance)
    own = np.where(is_shared, num_subjects / num_shared * (agreeing - by_chance) / (1 - by_chance), 0.0)
    own_chance = (classified * (1 - shares)).sum(axis=1) / (ratings.shape[1] - 1)
    own = own - 2 * (1 - ac1) * (own_chance - by_chance) / (1 - by_chance)
    variance = float((times * (own - ac1) ** 2).sum()) / num_subjects / (num_subjects - 1)
    error = float(np.sqrt(variance))
    if error > 1e-9:
        reach = _student(num_subjects - 1, confidence) * error
        ac1_low, ac1_high = max(ac1 - reach, -1.0), min(ac1 + reach, 1.0)
    else:
        ac1_low, ac1_high = (max((limit - by_chance) / (1 - by_chance), -1.0) for limit in (low, high))
    return Agreement(num_shared, percent, low, high, ac1, ac1_low, ac1_high, error)


def _share_interval(share: float, number: int, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson's interval, for counts that need not be whole."""
    from scipy import special  # takes a while to import, and few runs have several reviewers

    yes, no, tail = share * number, (1 - share) * number, (1 - confidence) / 2
    low = float(special.betaincinv(yes, no + 1, tail)) if yes > 1e-9 else 0.0
    high = float(special.betaincinv(yes + 1, no, 1 - tail)) if no > 1e-9 else 1.0
    return low, high


def _student(freedom: int, confidence: float) -> float:
    from scipy import special

    return float(special.stdtrit(freedom, (1 + confidence) / 2))


def as_ratings(verdicts: npt.NDArray[np.int64], num_categories: int) -> IntArray:
    """Counts of ratings from one column per rater.

    Args:
        verdicts: Category of every subject by every rater, -1 for none; shape (subjects, raters).
        num_categories: How many categories there are.

    Example:
        >>> as_ratings(np.array([[0, 0, -1], [1, 0, 1]]), 2).tolist()
        [[2, 0], [1, 2]]
    """
    found: IntArray = (verdicts[:, :, None] == np.arange(num_categories)).sum(axis=1)
    return found
