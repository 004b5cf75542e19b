"""Which cells a reviewer is shown: strata of all cells, and a draw that depends on ids and seed alone.

Every (row, class) cell of an audit lies in one stratum: flagged or not, tag given or not, and for the
unflagged ones how far the model doubts the given value. Within a stratum the cells with the lowest hashes
are drawn: a simple random sample, the same whatever the order or partitioning of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.float_keys import FloatArray
from spark_ml_audit.kernels.profile import IntArray

DOUBT_BANDS: tuple[tuple[float, str], ...] = (
    (0.5, "doubt over 50%"),
    (0.1, "doubt 10-50%"),
    (0.01, "doubt 1-10%"),
    (0.0, "doubt below 1%"),
)
"""Least doubt of each band of unflagged cells, and its name; doubt is p, or 1 - p where the tag is given."""

# What share of a band may be wrong, as far as allocation is concerned: a wrong guess costs precision of the
# estimates, never their validity.
_BAND_GUESS = (0.5, 0.2, 0.03, 0.002)
_MOST_LEAST = 5
_FLAGGED_SHARE = 0.5


@dataclass(frozen=True)
class Stratum:
    """A part of all cells.

    Attributes:
        name: As the sample table shows it.
        given: Whether its cells carry the tag: their errors are extraneous tags, else missing ones.
        flagged: Whether the audit flagged them.
        guess: Share of errors assumed for allocation.

    Example:
        >>> [(stratum.name, stratum.direction) for stratum in (STRATA[2], STRATA[6])]
        [('not given, doubt over 50%', 'missing'), ('given, doubt over 50%', 'extraneous')]
    """

    name: str
    given: bool
    flagged: bool
    guess: float

    @property
    def direction(self) -> str:
        """What an error in this stratum is: missing or extraneous."""
        return "extraneous" if self.given else "missing"


def _strata() -> tuple[Stratum, ...]:
    found = [Stratum("flagged missing", False, True, 0.5), Stratum("flagged extraneous", True, True, 0.5)]
    for given, what in ((False, "not given"), (True, "given")):
        for (_, band), guess in zip(DOUBT_BANDS, _BAND_GUESS, strict=True):
            found.append(Stratum(f"{what}, {band}", given, False, guess))
    return tuple(found)


STRATA: tuple[Stratum, ...] = _strata()
"""All strata, by code."""


def stratum_codes(
    pred_probs: FloatArray, rows: IntArray, cols: IntArray, flagged: IntArray
) -> npt.NDArray[np.int8]:
    """Code of the stratum of every cell of a batch.

    Args:
        pred_probs: Shape (n, K).
        rows: Row of each given tag; cols: its class.
        cols: See rows.
        flagged: Flagged cells as row * K + class.

    Returns:
        Positions in `STRATA`, int8 of shape (n, K).

    Example:
        >>> pred_probs = np.array([[0.95, 0.6], [0.9, 0.004]])
        >>> codes = stratum_codes(pred_probs, rows=np.array([0]), cols=np.array([0]), flagged=np.array([2]))
        >>> for row in codes:
        ...     print([STRATA[code].name for code in row])
        ['given, doubt 1-10%', 'not given, doubt over 50%']
        ['flagged missing', 'not given, doubt below 1%']
    """
    doubt = pred_probs.copy()
    doubt[rows, cols] = 1 - doubt[rows, cols]
    # edges ascend for digitize; the band of most doubt comes first
    edges = np.array([least for least, _ in DOUBT_BANDS[-2::-1]], dtype=pred_probs.dtype)
    codes = (1 + len(DOUBT_BANDS) - np.digitize(doubt, edges)).astype(np.int8)
    codes[rows, cols] += len(DOUBT_BANDS)
    flat = codes.reshape(-1)
    flat[flagged] = np.where(flat[flagged] < 2 + len(DOUBT_BANDS), 0, 1)
    return codes


def cell_hashes(row_hashes: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.int64]:
    """A hash of every cell from a hash of its row, in [0, 2^63); shape (n, K).

    The finaliser of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).

    >>> together, alone = cell_hashes(np.array([17, 42]), 3), cell_hashes(np.array([42]), 3)
    >>> together[1].tolist() == alone[0].tolist()  # a row's hashes depend on that row alone
    True
    >>> len(np.unique(together))
    6
    """
    with np.errstate(over="ignore"):
        step = np.arange(1, num_classes + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        mixed = row_hashes.astype(np.int64).view(np.uint64)[:, None] + step[None, :]
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    hashes: npt.NDArray[np.int64] = (mixed >> np.uint64(1)).view(np.int64)
    return hashes


class CellDraw:
    """The cells with the lowest hashes of every stratum, over the batches of a task.

    Attributes:
        counts: Cells seen of every stratum, shape (number of strata,).

    Example:
        >>> draw = CellDraw(most=2)
        >>> codes = np.array([[4, 4], [4, 0]], dtype=np.int8)
        >>> sorted(draw.select(codes, hashes=np.array([[30, 10], [20, 99]])).tolist())  # all but the 30
        [1, 2, 3]
        >>> draw.counts[[0, 4]].tolist()
        [1, 3]
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.counts = np.zeros(len(STRATA), dtype=np.int64)
        self._limits = np.full(len(STRATA), np.iinfo(np.int64).max, dtype=np.int64)
        self._lowest = [np.zeros(0, dtype=np.int64) for _ in STRATA]

    def select(self, codes: npt.NDArray[np.int8], hashes: npt.NDArray[np.int64]) -> IntArray:
        """Flat positions of a batch's cells that may still be among the lowest; at most `most` per stratum.

        What was selected before and is crowded out now is left to the caller's last, global selection; over
        b batches that is `most` * ln b cells or so.
        """
        flat, values = codes.ravel(), hashes.ravel()
        self.counts += np.bincount(flat, minlength=len(STRATA))
        found = np.flatnonzero(values <= self._limits[flat])
        kept = []
        for code in np.unique(flat[found]):
            own = found[flat[found] == code]
            if len(own) >= self._most:
                own = own[np.argpartition(values[own], self._most - 1)[: self._most]]
            merged = np.sort(np.concatenate([self._lowest[code], values[own]]))[: self._most]
            self._lowest[code] = merged
            if len(merged) == self._most:
                self._limits[code] = merged[-1]
            kept.append(own)
        return np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)


def allocate(
    sizes: npt.NDArray[np.int64], total: int, per_stratum: int | None = None
) -> npt.NDArray[np.int64]:
    """How many cells to draw from each stratum.

    Half go to the flagged strata. The rest go to the unflagged ones in proportion to size times guessed
    standard deviation (Neyman's allocation), at least a few each: without any, nothing is known of a stratum.

    Args:
        sizes: Cells of each stratum of `STRATA`.
        total: Cells to draw in all.
        per_stratum: The same number for every stratum instead.

    Returns:
        Numbers per stratum, none above its size; their sum is `total` where there are that many cells and
        `total` leaves room for the least numbers.

    Example:
        >>> sizes = np.array([40, 10, 0, 20, 100, 800, 0, 5, 5, 20])
        >>> allocate(sizes, total=60).tolist()
        [20, 10, 0, 4, 6, 11, 0, 3, 3, 3]
        >>> allocate(sizes, total=60, per_stratum=6).tolist()
        [6, 6, 0, 6, 6, 6, 0, 5, 5, 6]
    """
    if per_stratum is not None:
        return np.minimum(sizes, per_stratum)
    flagged = np.array([stratum.flagged for stratum in STRATA])
    guess = np.array([stratum.guess for stratum in STRATA])
    drawn = _share(np.where(flagged, np.minimum(sizes, 1), 0.0), sizes, int(total * _FLAGGED_SHARE))
    few = min(_MOST_LEAST, max(1, int(total * (1 - _FLAGGED_SHARE)) // int((~flagged).sum())))
    least = np.where(flagged, 0, np.minimum(sizes, few))
    if drawn.sum() + least.sum() > total:  # too few for every stratum: the smaller bands of doubt go first
        least = np.where(np.cumsum(least) + drawn.sum() <= total, least, 0)
    drawn = drawn + least
    weights = np.where(flagged, 0.0, sizes * np.sqrt(guess * (1 - guess)))
    drawn = drawn + _share(weights, sizes - drawn, total - int(drawn.sum()))
    return drawn + _share(np.minimum(sizes - drawn, 1.0), sizes - drawn, total - int(drawn.sum()))


def _share(weights: npt.NDArray[np.float64], room: npt.NDArray[np.int64], total: int) -> IntArray:
    """Divide `total` by weight, none above its room; what does not fit goes to the others."""
    given = np.zeros(len(room), dtype=np.int64)
    weights = np.where(room > 0, weights, 0.0)
    while total - given.sum() > 0 and (open_weights := np.where(room > given, weights, 0.0)).sum() > 0:
        left = total - int(given.sum())
        exact = open_weights / open_weights.sum() * left
        more = np.minimum(np.floor(exact).astype(np.int64), room - given)
        if not more.any():
            # the largest remainders get one each, earlier strata first among equals
            order = np.argsort(-exact, kind="stable")[:left]
            more[order] = (open_weights[order] > 0).astype(np.int64)
        given += more
    return given
