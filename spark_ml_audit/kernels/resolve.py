"""From a profile to exact cut-offs: exact counts at the thresholds and exact order statistics.

The profile knows each distribution up to a bin. The confident joint needs exact counts at its two cuts;
the filters need the r-th largest p among y=0 and the r-th smallest among y=1. A `Resolver` asks for both
in one pass over the rows (the ranks are already known within bounds), and asks again only for windows
that turned out wrong or too crowded to list by distinct value. What it asks and keeps is bounded by the
number of classes, never by rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.ambiguity import AmbiguityOptions, DoubtBands
from spark_ml_audit.kernels.confident_joint import calibrate_joint
from spark_ml_audit.kernels.cutoffs import (
    ConfidentCuts,
    Cutoffs,
    confident_cuts,
    cut_values,
    disagreement_cuts,
    last_values_below,
)
from spark_ml_audit.kernels.float_keys import KeyArray, from_keys
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.profile import ClassProfile, IntArray, Thresholds
from spark_ml_audit.kernels.pruning import RANK_FILTERS, flag_counts
from spark_ml_audit.kernels.records import Records
from spark_ml_audit.kernels.resolve_counts import ABSENT, PRESENT, ResolveRequest

# Distinct values (or groups of values) that all windows of one pass may report together.
_TOTAL_GROUPS = 1 << 18
_MIN_GROUPS, _MAX_GROUPS = 64, 1 << 16


@dataclass(frozen=True)
class PruneOptions:
    """Which cells to flag (algorithm notes, "How many to flag").

    Attributes:
        filter_by: One of the cell filters: prune_by_noise_rate, prune_by_class, both,
            confident_learning, predicted_neq_given.
        frac_noise: Share of the estimated errors to flag, 0 to 1.
        min_examples_per_class: Keep at least this many examples per class and side.
        num_to_remove_per_class: Extraneous tags to flag, K counts; with prune_by_noise_rate only.
        num_to_add_per_class: Missing tags to flag, K counts; with prune_by_noise_rate only.
    """

    filter_by: str = "prune_by_noise_rate"
    frac_noise: float = 1.0
    min_examples_per_class: int = 1
    num_to_remove_per_class: tuple[int, ...] | None = None
    num_to_add_per_class: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Resolution:
    """The exact result per class, shape (K,) unless said otherwise.

    Attributes:
        thresholds: t1 and t0.
        num_given: Examples with the tag.
        joint: Calibrated confident joint [given, true], shape (K, 2, 2).
        cutoff_missing: Value of the filter's own cut-off in the column's dtype (as float64); NaN = never.
        cutoff_extraneous: The same for given tags.
        num_missing: Cells flagged as missing, ties at the cut-off included.
        num_extraneous: Cells flagged as extraneous.
        num_ambiguous: Cells in doubt (see `ambiguity`), given or not.
        cutoffs: The same as a stateless rule, with the disagreement rule worked in.
    """

    thresholds: Thresholds
    num_given: IntArray
    joint: IntArray
    cutoff_missing: npt.NDArray[np.float64]
    cutoff_extraneous: npt.NDArray[np.float64]
    num_missing: IntArray
    num_extraneous: IntArray
    num_ambiguous: IntArray
    cutoffs: Cutoffs


class Resolver:
    """Finds the exact cut-offs of every class, asking for passes over the rows as it needs them.

    Usage: while ``resolver.request`` is not None, count it over all rows, add the records up and hand them
    to `update`; then read `resolution`.

    >>> profile = ClassProfile(ProfileSpec.for_classes(1, np.float64))
    >>> profile.add_batch(np.array([[0.9], [0.2], [0.8], [0.1]]), np.array([0, 1]), np.array([0, 0]))
    >>> resolver = Resolver(profile, PruneOptions())
    >>> resolver.request is None  # the profile alone does not say which values the cut-offs are
    False
    """

    def __init__(
        self,
        profile: ClassProfile,
        options: PruneOptions,
        ambiguity: AmbiguityOptions | None = None,
        joint: IntArray | None = None,
    ) -> None:
        """Begin.

        Args:
            profile: Of the rows.
            options: Which cells to flag.
            ambiguity: What counts as ambiguous.
            joint: Takes the place of the confident joint, by [class, given, true], shape (K, 2, 2).
        """
        self._profile = profile
        self._options = options
        self._given_joint = joint
        self._spec: ProfileSpec = profile.spec
        size, dtype = self._spec.num_classes, self._spec.dtype
        self._thresholds = profile.thresholds()
        self._confident: ConfidentCuts = confident_cuts(self._thresholds, dtype)
        self._disagree = disagreement_cuts(size, dtype)
        self._edges = self._spec.bin_edges()
        self._side_counts = np.stack([profile.num_absent, profile.num_present])
        self._histograms = (profile.absent_histogram, profile.present_histogram)
        self._cumulative = [np.cumsum(histogram, axis=1) for histogram in self._histograms]
        # Where the confident guesses change, then from where on tags may be missing; and among the given:
        # below where tags may be extraneous.
        self._tail_missing, self._tail_extraneous = self._effective_tail_cuts()
        in_doubt = DoubtBands.of(self._thresholds, dtype, ambiguity or AmbiguityOptions()).cuts()
        self._cuts = np.stack(
            [self._confident.present, self._confident.absent, self._tail_missing, *in_doubt]
        )
        self._given_cuts = self._tail_extraneous[np.newaxis]
        self._below: IntArray | None = None
        self._joint: IntArray = np.zeros((size, 2, 2), dtype=np.int64)
        self._rank: IntArray = np.zeros((2, size), dtype=np.int64)
        self._found = np.full((2, size), -1, dtype=np.int64)
        self._found_below = np.zeros((2, size), dtype=np.int64)
        self._found_at = np.zeros((2, size), dtype=np.int64)
        self._groups = int(np.clip(_TOTAL_GROUPS // (2 * size), _MIN_GROUPS, _MAX_GROUPS))
        self._window = np.zeros((2, 2, size), dtype=np.int64)  # (low, high) by side and class
        self._window_below = np.zeros((2, size), dtype=np.int64)
        self._window_count = np.zeros((2, size), dtype=np.int64)
        self._speculate()

    # ---- what to ask -------------------------------------------------------------------------------

    @property
    def request(self) -> ResolveRequest | None:
        """What the next pass has to count; None when everything is exact."""
        waiting = (self._window[0] < self._window[1]).any()
        if self._below is not None and not waiting:
            return None
        asks_cuts = slice(None if self._below is None else 0)
        low, high = self._window
        return ResolveRequest(
            dtype=self._spec.dtype,
            cuts=self._cuts[asks_cuts],
            given_cuts=self._given_cuts[asks_cuts],
            low=low,
            high=high,
            shift=self._shifts(),
        )

    def _shifts(self) -> IntArray:
        """Groups per window stay within budget; few cells cannot make many groups and are not grouped."""
        width: IntArray = self._window[1] - self._window[0]
        shifts: IntArray = np.zeros_like(width)
        crowded = self._window_count > self._groups
        while True:
            wide = crowded & ((np.maximum(width - 1, 0) >> shifts) + 1 > self._groups)
            if not wide.any():
                return shifts
            shifts[wide] += 1

    def _effective_tail_cuts(self) -> tuple[KeyArray, KeyArray]:
        missing, extraneous = self._disagree
        if self._options.filter_by == "confident_learning":
            missing = np.maximum(missing, self._confident.at_threshold)
            extraneous = np.minimum(extraneous, self._confident.beyond_threshold)
        return missing, extraneous

    def _speculate(self) -> None:
        """First windows: where the ranks can lie as far as the histogram knows."""
        if self._options.filter_by not in RANK_FILTERS:
            return
        low, high = self._rank_bounds()
        guess, _ = self._ranks(self._raw_joint(self._interpolated(0), self._interpolated(1)))
        reach = self._groups // 2
        for side in (ABSENT, PRESENT):
            for k in np.flatnonzero((high[side] > 0) & (self._side_counts[side] > 0)).tolist():
                first, last = self._positions(side, k, int(low[side, k]), int(high[side, k]))
                middle, _ = self._positions(side, k, int(guess[side, k]), int(guess[side, k]))
                # a wide range is not worth listing: try around the guess, and ask again if it was wrong
                near_first = max(first, min(middle - reach, last))
                near_last = min(last, max(middle + reach, first))
                self._open_bins(side, k, near_first, near_last)

    def _positions(self, side: int, k: int, low_rank: int, high_rank: int) -> tuple[int, int]:
        """Ascending 0-based positions that ranks low..high (1-based, from the suspicious end) stand for."""
        count = int(self._side_counts[side, k])
        low_rank, high_rank = (min(max(rank, 1), count) for rank in (low_rank, high_rank))
        return (count - high_rank, count - low_rank) if side == ABSENT else (low_rank - 1, high_rank - 1)

    def _bins_around(self, side: int, k: int, first: int, last: int) -> tuple[int, int]:
        """Bins that hold the cells at two ascending positions."""
        start, stop = np.searchsorted(self._cumulative[side][k], [first, last], side="right")
        return int(start), int(stop)

    def _open_bins(self, side: int, k: int, first: int, last: int) -> None:
        """Ask for the bins between two ascending positions."""
        cumulative = self._cumulative[side][k]
        start, stop = self._bins_around(side, k, first, last)
        self._window[:, side, k] = self._edges[start], self._edges[stop + 1]
        below = int(cumulative[start - 1]) if start else 0
        self._window_below[side, k] = below
        self._window_count[side, k] = int(cumulative[stop]) - below

    # ---- counts at the cuts ------------------------------------------------------------------------

    def _cut_bin(self, cut_index: int) -> tuple[IntArray, IntArray, npt.NDArray[np.float64]]:
        """Cells per side in bins below the cut's bin, cells in that bin, share of the bin below the cut."""
        cuts = self._cuts[cut_index]
        bins = np.minimum(np.searchsorted(self._edges, cuts, side="right") - 1, self._spec.num_bins)
        inner = np.minimum(bins, self._spec.num_bins - 1)
        share = np.where(
            bins == inner, (cuts - self._edges[inner]) / (self._edges[inner + 1] - self._edges[inner]), 1.0
        )
        classes = np.arange(self._spec.num_classes)
        inside = np.stack([histogram[classes, inner] for histogram in self._histograms])
        through = np.stack([cumulative[classes, inner] for cumulative in self._cumulative])
        return through - inside, inside, share

    def _interpolated(self, cut_index: int) -> IntArray:
        before, inside, share = self._cut_bin(cut_index)
        return before + np.rint(inside * share).astype(np.int64)

    def _below_bounds(self, cut_index: int) -> tuple[IntArray, IntArray]:
        """Fewest and most cells below a cut that the histogram allows, shape (2, K) each."""
        before, inside, share = self._cut_bin(cut_index)
        return before + np.where(share < 1, 0, inside), before + np.where(share > 0, inside, 0)

    def _raw_joint(self, below_present_cut: IntArray, below_absent_cut: IntArray) -> IntArray:
        guessed_present = self._side_counts - below_present_cut
        return np.stack([below_absent_cut, guessed_present], axis=-1).transpose(1, 0, 2)

    def _ranks(self, raw_joint: IntArray) -> tuple[IntArray, IntArray]:
        """Ranks per side and class (0 = flag nothing; all 0 for filters without ranks), and the joint."""
        options = self._options
        absent, present = self._side_counts
        joint = self._given_joint
        if joint is None:
            joint = calibrate_joint(raw_joint, absent, present)
        if options.filter_by not in RANK_FILTERS:
            return np.zeros_like(self._side_counts), joint
        counts = flag_counts(
            joint,
            filter_by=options.filter_by,
            frac_noise=options.frac_noise,
            min_examples_per_class=options.min_examples_per_class,
            num_to_remove_per_class=options.num_to_remove_per_class,
            num_to_add_per_class=options.num_to_add_per_class,
            num_absent=absent,
            num_present=present,
        )
        return np.stack([counts.missing, counts.extraneous]), joint

    def _rank_bounds(self) -> tuple[IntArray, IntArray]:
        """Smallest and largest rank per side and class that the histogram allows (widened by rounding).

        More cells guessed against their tag and fewer guessed with it raise a rank, and the two sides
        of a class do not touch each other.
        """
        least, most = zip(self._below_bounds(0), self._below_bounds(1), strict=True)
        # Without the tag "present" is the guess against it, with the tag "absent"; fewer cells below the
        # first cut are more guesses "present", more cells below the second more guesses "absent".
        fewest = self._raw_joint(*(np.stack([most[c][ABSENT], least[c][PRESENT]]) for c in (0, 1)))
        most_flagged = self._raw_joint(*(np.stack([least[c][ABSENT], most[c][PRESENT]]) for c in (0, 1)))
        low, high = self._ranks(fewest)[0], self._ranks(most_flagged)[0]
        certain = np.logical_and(*(least[c] == most[c] for c in (0, 1))).all(axis=0)
        # the joint rounds twice, each time by up to one
        slack = np.where(certain, 0, 2)
        return np.maximum(np.minimum(low, high) - slack, 0), np.maximum(low, high) + slack

    # ---- what comes back ---------------------------------------------------------------------------

    def update(self, records: Records) -> None:
        """Take the added-up answers to `request` over all rows."""
        request = self.request
        if request is None:
            raise ValueError("nothing was asked")
        if self._below is None:
            self._below = self._read_cuts(records)
            self._rank, self._joint = self._ranks(self._raw_joint(self._below[:, 0], self._below[:, 1]))
        inside = records["slot"] >= 0
        index, slot, cells = (records[name][inside] for name in ("class_index", "slot", "a"))
        order = np.lexsort((slot, index))
        index, slot, cells = index[order], slot[order], cells[order]
        size = self._spec.num_classes
        starts = np.searchsorted(index, np.arange(2 * size + 1))
        for target in range(2 * size):
            side, k = divmod(target, size)
            part = slice(starts[target], starts[target + 1])
            self._narrow(side, k, slot[part], cells[part], int(request.shift[side, k]))

    def _read_cuts(self, records: Records) -> IntArray:
        num_cuts = len(self._cuts) + len(self._given_cuts)
        below = np.zeros((2, num_cuts, self._spec.num_classes), dtype=np.int64)
        chosen = records["slot"] < 0
        cut, k = -1 - records["slot"][chosen], records["class_index"][chosen]
        below[ABSENT, cut, k] = records["a"][chosen]
        below[PRESENT, cut, k] = records["b"][chosen]
        return below

    def _narrow(self, side: int, k: int, groups: IntArray, cells: IntArray, shift: int) -> None:
        low = int(self._window[0, side, k])
        rank = int(self._rank[side, k])
        self._window[:, side, k] = 0
        if rank == 0 or self._found[side, k] >= 0:
            return
        position, _ = self._positions(side, k, rank, rank)
        below = int(self._window_below[side, k])
        cumulative = below + np.cumsum(cells)
        if not len(cells) or position < below or position >= cumulative[-1]:
            self._open_bins(side, k, position, position)
            return
        at = int(np.searchsorted(cumulative, position, side="right"))
        below = int(cumulative[at] - cells[at])
        start = low + (int(groups[at]) << shift)
        if shift == 0:
            self._found[side, k] = start
            self._found_below[side, k], self._found_at[side, k] = below, cells[at]
            return
        self._window[:, side, k] = start, start + (1 << shift)
        self._window_below[side, k], self._window_count[side, k] = below, cells[at]

    # ---- results -----------------------------------------------------------------------------------

    @property
    def resolution(self) -> Resolution:
        """The exact result; only once `request` is None."""
        if self.request is not None or self._below is None:
            raise ValueError("rows still have to be counted")
        dtype = self._spec.dtype
        missing_cut, extraneous_cut = self._tail_missing, self._tail_extraneous
        num_missing = self._side_counts[ABSENT] - self._below[ABSENT, 2]
        num_extraneous = self._below[PRESENT, len(self._cuts)]
        in_doubt = self._below[:, 4] - self._below[:, 3]
        if self._options.filter_by in RANK_FILTERS:
            # the stricter of the rank's cut and the disagreement rule, and its count
            found = self._found >= 0
            at_missing, at_extraneous = self._found[ABSENT], self._found[PRESENT]
            num_missing = np.where(
                at_missing >= missing_cut, self._side_counts[ABSENT] - self._found_below[ABSENT], num_missing
            )
            num_extraneous = np.where(
                at_extraneous < extraneous_cut,
                self._found_below[PRESENT] + self._found_at[PRESENT],
                num_extraneous,
            )
            num_missing = np.where(found[ABSENT], num_missing, 0)
            num_extraneous = np.where(found[PRESENT], num_extraneous, 0)
            never = np.iinfo(np.int64).max
            missing_cut = np.where(found[ABSENT], np.maximum(at_missing, missing_cut), never)
            extraneous_cut = np.where(found[PRESENT], np.minimum(at_extraneous + 1, extraneous_cut), 0)
            values = from_keys(np.maximum(self._found, 0), dtype).astype(np.float64)
            cutoff_missing, cutoff_extraneous = np.where(found, values, np.nan)
        else:
            cutoff_missing, cutoff_extraneous = self._fixed_cutoffs()
        return Resolution(
            thresholds=self._thresholds,
            num_given=self._profile.num_present,
            joint=self._joint,
            cutoff_missing=cutoff_missing,
            cutoff_extraneous=cutoff_extraneous,
            num_missing=num_missing,
            num_extraneous=num_extraneous,
            num_ambiguous=in_doubt.sum(axis=0),
            cutoffs=Cutoffs(dtype, cut_values(missing_cut, dtype), last_values_below(extraneous_cut, dtype)),
        )

    def _fixed_cutoffs(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        dtype, size = self._spec.dtype, self._spec.num_classes
        if self._options.filter_by == "predicted_neq_given":
            return np.zeros(size), np.ones(size)
        missing = cut_values(self._confident.at_threshold, dtype).astype(np.float64)
        extraneous = last_values_below(self._confident.beyond_threshold, dtype).astype(np.float64)
        return np.where(missing > 1, np.nan, missing), np.where(extraneous < 0, np.nan, extraneous)
