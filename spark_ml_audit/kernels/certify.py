"""How many of the surest flags may be accepted unseen: a precision that blind random decisions prove.

The flagged cells of one class and direction are ordered by confidence, and some of them, drawn at random,
were judged. Of every set "confidence at least t" of a fixed grid the hypothesis "its precision is below the
bound" is tested by a test martingale for sampling without replacement: the likelihood of what was seen,
averaged over all precisions from the bound up, against the greatest likelihood below it (Waudby-Smith,
Ramdas, "Confidence sequences for sampling without replacement", NeurIPS 2020). By Ville's inequality it ever
exceeds 1 / alpha with a chance of alpha at most if the hypothesis is true: one may look after every decision
and stop when one likes. Over the sets goes the fallback procedure (Wiens, "A fixed sequence Bonferroni
procedure for testing multiple endpoints", Pharmaceutical Statistics 2003; in this use: Angelopoulos et al.,
"Learn then test", 2021): from the smallest set down, each start (all cells, the surest half, quarter, ...)
has a share of alpha, and a set that is proved hands its share on to the next larger one. So the chance that
any set is said to be proved and is not is alpha at most, however many were looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.profile import IntArray

NUM_BINS = 1000
"""Bins of confidence: cut-offs are thousandths."""

_PER_OCTAVE = 8
_MOST_STARTS = 8
_SUPPORT = 400
_FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Certificate:
    """The largest set of the surest flags whose precision is proved.

    Attributes:
        least_bin: Cells of this bin of confidence and above belong to it; None: no set is proved.
        num_cells: Its cells; 0 for none.
        num_judged: Blind random decisions on cells of it; where none is proved, on all flagged cells.
        num_right: Those that found the flag right.
    """

    least_bin: int | None
    num_cells: int
    num_judged: int
    num_right: int

    @property
    def accept_above(self) -> float | None:
        """The least confidence of its cells; None for no set."""
        return None if self.least_bin is None else self.least_bin / NUM_BINS


@dataclass(frozen=True, eq=False)
class Evidence:
    """Flagged cells that were drawn at random and judged without a hint.

    Attributes:
        bins: Bin of confidence of every one, shape (m,), in any order.
        right: Whether its flag was found right; what is not sure counts as wrong.
        floors: Least bin of the cells among which it was drawn, 0 for all of them; None: all are 0. A cell
            tells of the sets that lie within those.
    """

    bins: IntArray
    right: npt.NDArray[np.bool_]
    floors: IntArray | None = None


def certify(
    counts: IntArray,
    evidence: Evidence,
    bound: float = 0.9,
    confidence: float = 0.95,
    known: tuple[IntArray, IntArray] | None = None,
) -> Certificate:
    """Find the largest set of the surest flags whose precision is at least a bound.

    Proved is both: of all cells of the set at least that share is right, and so it is of those that nobody
    has judged, which are the ones to be accepted.

    Args:
        counts: All flagged cells of a class and direction by bin of confidence, ascending, shape (B,).
        evidence: What blind random decisions found.
        bound: Precision to prove, in (0, 1).
        confidence: Chance, at least, that what is said to be proved is true.
        known: Other judged cells by bin, and those of them whose flag is right: however they were chosen,
            they tell nothing of the others, and are no part of what is accepted.

    Example:
        >>> counts = np.zeros(NUM_BINS, dtype=np.int64)
        >>> counts[[600, 900]] = 1000, 3000
        >>> judged = np.repeat([600, 900], [30, 90])
        >>> found = certify(counts, Evidence(judged, right=judged == 900))
        >>> found.accept_above, found.num_cells, found.num_judged
        (0.9, 3000, 90)
        >>> certify(counts, Evidence(judged[:40], right=judged[:40] == 900)).num_cells
        0
    """
    number = len(counts)
    bins, right = evidence.bins, evidence.right
    floors = np.zeros_like(bins) if evidence.floors is None else evidence.floors
    # sets by their least bin
    sizes = _from_the_top(counts)
    judged, found = _covering(floors, bins, number), _covering(floors[right], bins[right], number)
    others = [np.zeros(number, dtype=np.int64)] * 2 if known is None else list(map(_from_the_top, known))
    # what was drawn from a smaller set was no part of what larger ones were drawn from: known besides
    inside = (_from_the_top(np.bincount(found_bins, minlength=number)) for found_bins in (bins, bins[right]))
    others = [
        known_there + all_there - drawn
        for known_there, all_there, drawn in zip(others, inside, (judged, found), strict=True)
    ]
    alpha, carried, best = 1 - confidence, 0.0, None
    for least, share in _grid(sizes):
        level = carried + alpha * share
        size, number_judged, number_right = (int(values[least]) for values in (sizes, judged, found))
        aside = int(others[0][least]), int(others[1][least])
        wanted = -math.log(level) if level > 0 else math.inf
        evidence_for = log_evidence(size, number_judged, number_right, bound, aside, wanted)
        is_proved = level > 0 and evidence_for >= wanted
        carried = level if is_proved else 0.0
        best = least if is_proved else best
    if best is None:
        return Certificate(None, 0, len(bins), int(right.sum()))
    return Certificate(best, int(sizes[best]), int(judged[best]), int(found[best]))


def _from_the_top(counts: IntArray) -> IntArray:
    found: IntArray = np.cumsum(counts[::-1])[::-1]
    return found


def _covering(floors: IntArray, bins: IntArray, num_bins: int) -> IntArray:
    """By least bin of a set, the cells that lie in it and were drawn from a set at least as large."""
    starts, ends = np.bincount(floors, minlength=num_bins + 1), np.bincount(bins + 1, minlength=num_bins + 1)
    covering: IntArray = np.cumsum(starts - ends)[:num_bins]
    return covering


def log_evidence(
    size: int,
    num_judged: int,
    num_right: int,
    bound: float,
    known: tuple[int, int] = (0, 0),
    wanted: float = -math.inf,
) -> float:
    """Logarithm of the evidence that a share of a set's cells are right, and of those that nobody judged.

    Args:
        size: Cells of the set.
        num_judged: Of them drawn at random without replacement, and judged.
        num_right: Judged cells whose flag is right.
        bound: The share in question.
        known: Other judged cells of the set, and the right ones of them.
        wanted: What is enough; what cannot reach it need not be exact.

    Example:
        >>> [log_evidence(1_000_000, number, number, 0.9) > math.log(20) for number in (42, 43)]
        [False, True]
        >>> log_evidence(10, 10, 9, 0.9)  # all were judged: that is a proof
        inf
    """
    if num_right < bound * num_judged - 1e-9 or not num_judged:
        return -math.inf
    most = math.ceil(bound * size - 1e-9) - 1  # the most right cells of a set that is not good enough
    # the judged ones may have been the better part: the others have to be good enough by themselves
    open_cells = size - num_judged - known[0]
    if open_cells > 0:
        least = math.ceil(bound * open_cells - 1e-9)
        most = max(most, num_right + known[1] + least - 1)
    if num_right > most:
        return math.inf
    if most >= num_right * (size + 1) // num_judged or most >= size:
        return -math.inf  # the likelihood peaks among those
    peak_at = min(size - (num_judged - num_right), num_right * (size + 1) // num_judged)
    null, best = _log_likelihood(np.array([most, peak_at]), size, num_judged, num_right)
    if best - null < wanted:
        return float(best - null)  # an average is no more than its greatest part
    least_good = math.ceil(bound * size - 1e-9)
    # whatever was judged: the average is over the same precisions
    others = np.unique(np.linspace(least_good, size, min(_SUPPORT, size - least_good + 1)).astype(np.int64))
    likelihoods = _log_likelihood(others, size, num_judged, num_right)
    peak = likelihoods.max()
    if null == -math.inf or peak == -math.inf:
        return -math.inf  # too many are wrong for any set that is good enough
    return float(peak - null + np.log(np.exp(likelihoods - peak).mean()))


def cells_to_certify(size: int, bound: float = 0.9, confidence: float = 0.95) -> int:
    """The least number of decisions, all of them right, by which all flagged cells may be accepted.

    >>> cells_to_certify(1_000_000), cells_to_certify(1_000_000, bound=0.8), cells_to_certify(30)
    (51, 24, 30)
    """
    level = -math.log((1 - confidence) * _shares(size)[0])
    low, high = 0, size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if log_evidence(size, middle, middle, bound) >= level else (middle, high)
    return high


def _shares(size: int) -> list[float]:
    """Shares of alpha of all cells, the surest half of them, quarter, ...; their sum is 1."""
    number = max(1, min(_MOST_STARTS, int(math.log2(max(size, 1) / 10)) if size > 10 else 1))
    shares = [0.5 ** (k + 1) for k in range(number)]
    shares[0] += 0.5**number
    return shares


def _grid(sizes: IntArray) -> list[tuple[int, float]]:
    """Least bins of the sets to test, the smallest set first, each with its share of alpha.

    It follows from the sizes alone, so it is fixed before anything is judged.
    """
    size = int(sizes[0])
    if not size:
        return []
    shares = _shares(size)
    found: dict[int, float] = {}
    for step in range((len(shares) - 1) * _PER_OCTAVE + 1):
        target = size * 0.5 ** (step / _PER_OCTAVE)
        # the highest bin above which there are so many cells
        least = int(np.flatnonzero(sizes >= target)[-1])
        place, rest = divmod(step, _PER_OCTAVE)
        found[least] = found.get(least, 0.0) + (shares[place] if rest == 0 else 0.0)
    return sorted(found.items(), reverse=True)


def _log_likelihood(right: IntArray, size: int, num_judged: int, num_right: int) -> _FloatArray:
    """Of so many right cells in a set, up to what does not depend on them."""
    wrong, num_wrong = size - right, num_judged - num_right
    possible = (right >= num_right) & (wrong >= num_wrong)
    safe_right, safe_wrong = np.maximum(right, num_right), np.maximum(wrong, num_wrong)
    value = (
        _log_factorial(safe_right)
        - _log_factorial(safe_right - num_right)
        + _log_factorial(safe_wrong)
        - _log_factorial(safe_wrong - num_wrong)
    )
    return np.where(possible, value, -np.inf)


_SMALL = np.cumsum(np.log(np.maximum(np.arange(32), 1)))


def _log_factorial(numbers: IntArray) -> _FloatArray:
    """Logarithms of factorials: from a table, else by Stirling's series.

    >>> bool(np.allclose(_log_factorial(np.array([0, 5, 40])), [0, math.log(120), math.lgamma(41)]))
    True
    """
    large = np.maximum(numbers, 31).astype(np.float64)
    series = 1 / (12 * large) - 1 / (360 * large**3) + 1 / (1260 * large**5)
    stirling = large * np.log(large) - large + 0.5 * np.log(2 * math.pi * large) + series
    return np.where(numbers < 32, _SMALL[np.minimum(numbers, 31)], stirling)
