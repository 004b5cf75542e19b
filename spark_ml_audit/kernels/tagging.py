"""Which tags may be given to new rows: thresholds whose precision out of fold has a lower bound.

A class is tagged where p >= threshold. Of the labelled rows with p >= threshold out of fold, `num_right` of
`num_tagged` carry the tag, and the one-sided Clopper-Pearson bound says how low the precision may be.
Trying many thresholds and keeping the best would make that bound too good, so:

* few thresholds are tried: those that tag the 8, 10, 12, 14, 16, 20 ... 32 ... 64 ... rows of the largest p,
  four to a factor of two. The probabilities alone decide which they are, not the tags given;
* each bound is at the level 1 - 0.05 / m, m being the number of thresholds tried for the class (Bonferroni).
  With 95 % confidence *all* m bounds of a class hold at once, so any of them may be chosen, by any rule, and
  again by another least precision when the model is applied.

It holds for rows that are independent of each other and like the labelled ones, for the given tags taken as
the truth, and for each class by itself: of 100 classes that just pass, 5 may fall short.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from spark_ml_audit.kernels.float_keys import from_keys
from spark_ml_audit.kernels.profile import ClassProfile, IntArray

FloatArray = npt.NDArray[np.float64]

NEVER = 2.0
"""Decision threshold of a class that is never tagged."""

CONFIDENCE = 0.95
"""Confidence of a class's bounds, all of them together."""

MIN_GIVEN = 10
"""Labelled rows with the tag below which a class is not tagged, whatever the least precision."""

TOO_FEW, EVERY_ROW, NO_THRESHOLD = "too_few_given", "given_to_every_row", "no_threshold"
TOO_IMPRECISE, NOT_PROVED = "too_imprecise", "not_proved"
"""Why a class is not tagged; see `TaggingChoice`."""

_FEWEST_TAGGED = 8
_STEP = 2.0**0.25  # fewer would miss the best F1 by more; of more, each would be proved less


@dataclass(frozen=True, eq=False)
class TaggingEvidence:
    """What a choice of thresholds needs: counts out of fold at those that may be chosen.

    Per class only the thresholds from the one of the best F1 upwards are kept, in ascending order: lower ones
    find more rows at the price of more wrong tags than that is worth. None lies below the share of the rows
    that carry the tag, so that a row is tagged only where the model takes it for likelier than any row.

    Attributes:
        num_rows: Rows with known tags.
        num_given: Rows with the tag, shape (K,).
        num_tried: Thresholds tried, m, shape (K,).
        class_index: Class of each threshold kept, ascending, shape (C,).
        threshold: Its value, of the profile's dtype, shape (C,).
        num_tagged: Rows with p >= threshold, shape (C,).
        num_right: Those of them that carry the tag, shape (C,).
    """

    num_rows: int
    num_given: IntArray
    num_tried: IntArray
    class_index: IntArray
    threshold: FloatArray
    num_tagged: IntArray
    num_right: IntArray

    @property
    def bound(self) -> FloatArray:
        """Lower confidence bound of the precision at each threshold, shape (C,)."""
        tried = np.maximum(self.num_tried[self.class_index], 1)
        return precision_bound(self.num_right, self.num_tagged, (1 - CONFIDENCE) / tried)

    def to_mapping(self) -> dict[str, Any]:
        """Return the numbers as JSON holds them: a few dozen per class."""
        return {
            item.name: value if isinstance(value, int) else value.tolist()
            for item in fields(self)
            for value in [getattr(self, item.name)]
        }

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> TaggingEvidence:
        """Rebuild what `to_mapping` gave.

        Raises:
            ValueError: Numbers are missing or do not fit each other.
        """
        try:
            found: dict[str, Any] = {
                item.name: np.array(values[item.name], np.float64 if item.name == "threshold" else np.int64)
                for item in fields(cls)
            }
        except (KeyError, TypeError) as error:
            raise ValueError(f"no counts at thresholds: {error!r}") from error
        evidence = cls(**{**found, "num_rows": int(values["num_rows"])})
        per_class, per_threshold = ("num_given", "num_tried"), ("threshold", "num_tagged", "num_right")
        classes, size = found["num_given"].size, found["class_index"].size
        if any(found[name].shape != (classes,) for name in per_class) or any(
            found[name].shape != (size,) for name in per_threshold
        ):
            raise ValueError("counts at thresholds of different lengths")
        return evidence


@dataclass(frozen=True, eq=False)
class TaggingChoice:
    """Thresholds chosen for a least precision; arrays have shape (K,).

    Figures of a class that is not tagged are those at its most precise threshold (the one of the highest
    bound), which may still not do; NaN where it has none.

    Attributes:
        min_precision: What was asked for.
        threshold: Probability from which a tag is given; `NEVER` where it is not.
        precision: Share of the tagged rows that carry the tag, out of fold.
        bound: Lower confidence bound of that precision.
        recall: Share of the rows with the tag that are tagged.
        num_tagged: Rows tagged out of fold; 0 where there is no threshold.
        num_right: Those of them that carry the tag.
        reason: Per class None where it is tagged, else `TOO_FEW` (given to fewer than `MIN_GIVEN` rows),
            `EVERY_ROW` (given to all, so nothing was learnt), `NO_THRESHOLD` (no probability tells rows
            apart above the tag's share), `TOO_IMPRECISE` (precision below the least) or `NOT_PROVED` (the
            precision would do, but rows are too few for its bound).
    """

    min_precision: float
    threshold: FloatArray
    precision: FloatArray
    bound: FloatArray
    recall: FloatArray
    num_tagged: IntArray
    num_right: IntArray
    reason: tuple[str | None, ...]

    @property
    def is_tagged(self) -> npt.NDArray[np.bool_]:
        """Classes that are given to new rows."""
        return self.threshold < NEVER


def precision_bound(num_right: IntArray, num_tagged: IntArray, level: FloatArray) -> FloatArray:
    """One-sided lower Clopper-Pearson bound of a share; 0 where nothing was right.

    Args:
        num_right: Successes.
        num_tagged: Trials, at least as many.
        level: Chance that the bound is above the true share, at most.

    Example:
        >>> right, tagged = np.array([9, 5, 0]), np.array([10, 5, 4])
        >>> precision_bound(right, tagged, np.full(3, 0.05)).round(3).tolist()
        [0.606, 0.549, 0.0]
    """
    right = num_right.astype(np.float64)
    wrong = num_tagged.astype(np.float64) - right
    found = betaincinv(np.maximum(right, 1.0), wrong + 1.0, level)
    return np.where(right > 0, found, 0.0)


def tagging_evidence(profile: ClassProfile) -> TaggingEvidence:
    """Count what the thresholds tried tag, right and wrong, out of fold.

    Args:
        profile: Of out-of-fold probabilities.

    Example:
        >>> from spark_ml_audit.kernels.histogram import ProfileSpec
        >>> profile = ClassProfile(ProfileSpec.for_classes(1, np.float64))
        >>> pred_probs = np.linspace(0.005, 0.995, 100)[:, None]  # the last 25 rows have the tag
        >>> profile.add_batch(pred_probs, rows=np.arange(75, 100), cols=np.zeros(25, dtype=np.int64))
        >>> evidence = tagging_evidence(profile)
        >>> int(evidence.num_tried[0]), evidence.num_tagged.tolist(), evidence.num_right.tolist()
        (15, [27, 23, 20, 16, 14, 12, 10, 8], [25, 23, 20, 16, 14, 12, 10, 8])
        >>> evidence.bound[[0, -1]].round(2).tolist()  # 25 of 27, and 8 of 8
        [0.69, 0.49]
    """
    spec, num_rows = profile.spec, profile.num_rows
    edges = from_keys(spec.bin_edges()[:-1], spec.dtype).astype(np.float64)[::-1]
    targets = _numbers_tagged(num_rows)
    num_given = profile.num_present.copy()
    tried = np.zeros(spec.num_classes, dtype=np.int64)
    kept: list[tuple[IntArray, ...]] = []
    thresholds: list[FloatArray] = []
    for k in range(spec.num_classes):
        right = np.cumsum(profile.present_histogram[k, ::-1])
        tagged = right + np.cumsum(profile.absent_histogram[k, ::-1])
        # from the top, the first bin with which so many rows are tagged; it has rows of its own
        bins = np.unique(np.searchsorted(tagged, targets))
        tried[k] = len(bins)
        own = _from_the_best(edges[bins], tagged[bins], right[bins], int(num_given[k]), num_rows)
        chosen = bins[own]
        kept.append((np.full(len(chosen), k, dtype=np.int64), tagged[chosen], right[chosen]))
        thresholds.append(edges[chosen])
    columns = [np.concatenate(parts).astype(np.int64) for parts in zip(*kept, strict=True)]
    return TaggingEvidence(
        num_rows, num_given, tried, columns[0], np.concatenate(thresholds), columns[1], columns[2]
    )


def _numbers_tagged(num_rows: int) -> IntArray:
    """How many rows the thresholds tried shall tag: 8, 10, 12, 14, 16 ... up to all."""
    if num_rows < _FEWEST_TAGGED:
        return np.array([], dtype=np.int64)
    steps = int(np.log(num_rows / _FEWEST_TAGGED) / np.log(_STEP)) + 2
    numbers = np.ceil(_FEWEST_TAGGED * _STEP ** np.arange(steps) - 1e-9).astype(np.int64)
    return np.asarray(numbers[numbers <= num_rows])


def _from_the_best(
    edges: FloatArray, tagged: IntArray, right: IntArray, num_given: int, num_rows: int
) -> IntArray:
    """Positions of the thresholds from that of the best F1 upwards, ascending; all given descending."""
    if not num_given:
        return np.array([], dtype=np.int64)
    allowed = np.flatnonzero(edges >= num_given / num_rows)
    if not len(allowed):
        return allowed
    f1 = 2 * right[allowed] / (tagged[allowed] + num_given)
    best = int(np.argmax(f1))  # of equals the highest, which tags fewest rows
    return np.asarray(allowed[: best + 1][::-1], dtype=np.int64)


def choose_thresholds(evidence: TaggingEvidence, min_precision: float) -> TaggingChoice:
    """Per class the lowest threshold kept whose bound reaches the least precision.

    That is the one of the best F1 where its bound will do, else the next higher one that does. A higher least
    precision never lowers a threshold.

    Args:
        evidence: From `tagging_evidence`.
        min_precision: Least lower bound of the precision, 0..1.

    Example:
        >>> ints = lambda *values: np.array(values, dtype=np.int64)
        >>> evidence = TaggingEvidence(
        ...     1000, ints(100, 3), ints(10, 10), ints(0, 0, 1), np.array([0.25, 0.5, 0.25]),
        ...     ints(120, 40, 8), ints(80, 38, 3),
        ... )
        >>> evidence.bound.round(2).tolist()
        [0.55, 0.79, 0.05]
        >>> choose_thresholds(evidence, 0.5).threshold.tolist(), choose_thresholds(evidence, 0.5).reason
        ([0.25, 2.0], (None, 'too_few_given'))
        >>> choose_thresholds(evidence, 0.7).threshold.tolist()
        [0.5, 2.0]
        >>> choose_thresholds(evidence, 0.9).reason
        ('not_proved', 'too_few_given')
    """
    bound, size = evidence.bound, len(evidence.num_given)
    chosen = np.full(size, -1, dtype=np.int64)
    most = np.full(size, -1, dtype=np.int64)
    starts = np.searchsorted(evidence.class_index, np.arange(size + 1))
    for k in range(size):
        own = bound[starts[k] : starts[k + 1]]
        if len(own):
            most[k] = starts[k] + int(np.argmax(own))
            enough = np.flatnonzero(own >= min_precision)
            if len(enough) and MIN_GIVEN <= evidence.num_given[k] < evidence.num_rows:
                chosen[k] = starts[k] + enough[0]
    is_tagged, known = chosen >= 0, most >= 0
    shown = np.where(is_tagged, chosen, most)

    def at(values: npt.NDArray[np.int64]) -> IntArray:
        found = np.zeros(size, dtype=np.int64)
        found[known] = values[shown[known]]
        return found

    def figure(values: FloatArray) -> FloatArray:
        found = np.full(size, np.nan)
        found[known] = values[known]
        return found

    num_tagged, num_right = at(evidence.num_tagged), at(evidence.num_right)
    bounds, thresholds = np.full(size, np.nan), np.full(size, NEVER)
    bounds[known] = bound[shown[known]]
    thresholds[is_tagged] = evidence.threshold[chosen[is_tagged]]
    precision = figure(num_right / np.maximum(num_tagged, 1))
    return TaggingChoice(
        min_precision=min_precision,
        threshold=thresholds,
        precision=precision,
        bound=bounds,
        recall=figure(num_right / np.maximum(evidence.num_given, 1)),
        num_tagged=num_tagged,
        num_right=num_right,
        reason=_reasons(evidence, is_tagged, precision, min_precision),
    )


def _reasons(
    evidence: TaggingEvidence, is_tagged: npt.NDArray[np.bool_], precision: FloatArray, min_precision: float
) -> tuple[str | None, ...]:
    rules = (
        (is_tagged, None),
        (evidence.num_given < MIN_GIVEN, TOO_FEW),
        (evidence.num_given >= evidence.num_rows, EVERY_ROW),
        (np.isnan(precision), NO_THRESHOLD),
        (precision < min_precision, TOO_IMPRECISE),
        (np.ones(len(precision), dtype=bool), NOT_PROVED),
    )
    first = np.argmax(np.array([applies for applies, _ in rules]), axis=0)
    return tuple(rules[place][1] for place in first)
