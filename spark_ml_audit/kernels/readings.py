"""How well given tags can be read off one column: by rank, by value out of fold, by single elements.

A column is read by what stands in it, not by a model that generalises: a value tells of a tag what it told in
other rows. All counts are whole numbers and ties count as ties, so nothing depends on the order of classes,
and on that of rows only as far as the folds do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

# Cells of values by classes that are held at a time.
_BLOCK_CELLS = 1 << 22


@dataclass(frozen=True)
class Reading:
    """How far a column tells each of K tags.

    Attributes:
        auc: Area under the ROC curve, shape (K,); ties count half.
        f1: Largest F1 of any threshold, shape (K,): 1 for exact agreement.
    """

    auc: FloatArray
    f1: FloatArray

    def better(self, other: Reading) -> Reading:
        """Per tag the reading of the larger AUC."""
        own = self.auc >= other.auc
        return Reading(np.where(own, self.auc, other.auc), np.where(own, self.f1, other.f1))


def separation(scores: FloatArray, present: IntArray, absent: IntArray) -> Reading:
    """AUC and best F1 of scores for cells of rows, tag by tag.

    Args:
        scores: Of m cells, shape (m, K).
        present: Rows of each cell that carry the tag, shape (m, K).
        absent: Rows of each cell that do not, shape (m, K).

    Returns:
        The reading; NaN AUC and F1 0 where no row carries the tag, NaN AUC where all do.

    Example:
        >>> present, absent = np.array([[1], [1], [0]]), np.array([[0], [1], [2]])
        >>> found = separation(np.array([[0.9], [0.5], [0.1]]), present, absent)
        >>> found.auc.round(3).tolist(), found.f1.tolist()  # 5 of 6 pairs in order, one tied
        ([0.917], [0.8])
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=0)
    # only where a score is the last of its like may a threshold lie
    is_end = np.vstack([ranked[1:] != ranked[:-1], np.ones((1, scores.shape[1]), dtype=bool)])
    places = [np.take_along_axis(counts, order, axis=0) for counts in (present, absent)]
    return _in_order(places[0], places[1], is_end)


def _in_order(present: IntArray, absent: IntArray, is_end: BoolArray) -> Reading:
    """The same of cells that are sorted, best first; thresholds lie where `is_end` says."""
    hits, misses = np.cumsum(present, axis=0), np.cumsum(absent, axis=0)
    num_present, num_absent = hits[-1], misses[-1]
    hits, misses = np.where(is_end, hits, 0), np.where(is_end, misses, 0)
    hits_before, misses_before = _before(hits), _before(misses)
    area = np.where(is_end, (misses - misses_before) * (hits + hits_before), 0).sum(axis=0) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = area / (num_present * num_absent)
        f1 = 2 * hits / (hits + misses + num_present)
    return Reading(auc, np.nan_to_num(f1).max(axis=0))


def _before(ends: IntArray) -> IntArray:
    """Per place the number at the last threshold before it."""
    shifted = np.vstack([np.zeros((1, ends.shape[1]), dtype=ends.dtype), ends[:-1]])
    before: IntArray = np.maximum.accumulate(shifted, axis=0)
    return before


def read_by_rank(values: FloatArray, given: BoolArray) -> Reading:
    """A number as a score, large or small ones first, whichever tells more.

    Args:
        values: Shape (n,), no NaN.
        given: Shape (n, K).

    Example:
        >>> read_by_rank(np.array([5.0, 1.0, 7.0]), np.array([[False], [True], [False]])).auc.tolist()
        [1.0]
    """
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-np.inf) > 0)
    if not len(starts):
        return Reading(np.full(given.shape[1], np.nan), np.zeros(given.shape[1]))
    rows = np.diff(starts, append=len(values))[:, None]
    found: list[Reading] = []
    for block in _blocks(given.shape[1], len(values)):
        present = np.add.reduceat(given[order, block].astype(np.int64), starts, axis=0)
        absent, is_end = rows - present, np.ones(present.shape, dtype=bool)
        found.append(
            _in_order(present, absent, is_end).better(_in_order(present[::-1], absent[::-1], is_end))
        )
    return _joined(found)


def read_by_value(codes: IntArray, given: BoolArray, folds: IntArray) -> Reading:
    """A value as the score that it earned in other folds: the smoothed share of its rows with the tag.

    Args:
        codes: Value of each row, from 0, shape (n,).
        given: Shape (n, K).
        folds: Fold of each row, from 0, shape (n,).

    Example:
        >>> codes, given = np.array([0, 0, 1, 1, 2, 2]), np.array([[1], [1], [0], [0], [0], [0]], dtype=bool)
        >>> read_by_value(codes, given, folds=np.array([0, 1, 0, 1, 0, 1])).f1.tolist()
        [1.0]
    """
    num_codes, num_folds = int(codes.max(initial=-1)) + 1, int(folds.max(initial=-1)) + 1
    cells, num_cells = folds * num_codes + codes, num_codes * num_folds
    total = np.bincount(cells, minlength=num_cells).reshape(num_folds, num_codes, 1)
    found: list[Reading] = []
    for block in _blocks(given.shape[1], num_cells):
        rows, cols = np.nonzero(given[:, block])
        width = given[:, block].shape[1]
        pairs = np.bincount(cells[rows] * width + cols, minlength=num_cells * width)
        present = pairs.reshape(num_folds, num_codes, width)
        scores = _rates(present.sum(axis=0) - present, total.sum(axis=0) - total)
        flat = present.reshape(num_cells, width)
        found.append(separation(scores.reshape(num_cells, width), flat, total.reshape(num_cells, 1) - flat))
    return _joined(found)


def _rates(present: IntArray, total: IntArray) -> FloatArray:
    """Shares, drawn to that of the whole by the weight of one row; shapes (folds, values, K and 1)."""
    prior = present.sum(axis=1, keepdims=True) / np.maximum(total.sum(axis=1, keepdims=True), 1)
    rates: FloatArray = (present + prior) / (total + 1)
    return rates


def read_by_elements(rows: IntArray, elements: IntArray, given: BoolArray, folds: IntArray) -> Reading:
    """A list as the largest score of its elements, each earned in other folds.

    Args:
        rows: Row of each element, ascending; an element is in a row once.
        elements: Its code, from 0.
        given: Shape (n, K).
        folds: Fold of each row, from 0, shape (n,).

    Example:
        >>> given = np.array([[1], [0], [1], [0]], dtype=bool)
        >>> rows, elements = np.array([0, 0, 1, 2, 3]), np.array([0, 1, 1, 0, 1])
        >>> read_by_elements(rows, elements, given, folds=np.array([0, 0, 1, 1])).auc.tolist()
        [1.0]
    """
    n, num_elements = len(given), int(elements.max(initial=-1)) + 1
    held, starts = np.unique(rows, return_index=True)
    found: list[Reading] = []
    for block in _blocks(given.shape[1], max(n, len(rows), num_elements)):
        chosen = given[:, block]
        scores = np.empty(chosen.shape)
        for fold in np.unique(folds):
            learned, judged = folds != fold, folds == fold
            prior = chosen[learned].mean(axis=0) if learned.any() else np.zeros(chosen.shape[1])
            kept = learned[rows]
            counts = _counts_of(rows[kept], elements[kept], num_elements, chosen)
            rates = (counts + prior) / (np.bincount(elements[kept], minlength=num_elements)[:, None] + 1)
            scores[judged] = prior
            if len(rows):
                best = np.maximum.reduceat(rates[elements], starts, axis=0)
                here = judged[held]
                scores[held[here]] = best[here]
        present = chosen.astype(np.int64)
        found.append(separation(scores, present, 1 - present))
    return _joined(found)


def _counts_of(rows: IntArray, elements: IntArray, num_elements: int, given: BoolArray) -> IntArray:
    """Rows that hold an element and carry a tag, shape (elements, K)."""
    columns = [np.bincount(elements[given[rows, k]], minlength=num_elements) for k in range(given.shape[1])]
    return np.column_stack(columns) if columns else np.zeros((num_elements, 0), dtype=np.int64)


@dataclass(frozen=True)
class BestElements:
    """The single element that tells each of K tags best.

    Attributes:
        element: Its code, shape (K,); -1 where there is no element.
        precision: Share of the rows with the element that carry the tag.
        recall: Share of the rows with the tag that hold the element.
        auc: Of its presence, taken for a score.
    """

    element: IntArray
    precision: FloatArray
    recall: FloatArray
    auc: FloatArray

    @property
    def f1(self) -> FloatArray:
        """Harmonic mean of precision and recall."""
        total = self.precision + self.recall
        f1: FloatArray = 2 * self.precision * self.recall / np.where(total > 0, total, 1.0)
        return f1


def best_elements(rows: IntArray, elements: IntArray, given: BoolArray, num_elements: int) -> BestElements:
    """Per tag the element of the largest F1; of equal ones the lowest code.

    Args:
        rows: Row of each element; an element is in a row once.
        elements: Its code, from 0.
        given: Shape (n, K), every tag on some rows and not on others.
        num_elements: Number of codes.

    Example:
        >>> given = np.array([[1], [1], [0], [0]], dtype=bool)
        >>> rows, elements = np.array([0, 1, 1, 2, 3]), np.array([0, 0, 1, 1, 1])
        >>> best = best_elements(rows, elements, given, num_elements=2)
        >>> best.element.tolist(), best.precision.tolist(), best.recall.tolist(), best.auc.tolist()
        ([0], [1.0], [1.0], [1.0])
    """
    k = given.shape[1]
    if not num_elements:
        zero = np.zeros(k)
        return BestElements(np.full(k, -1), zero, zero, np.full(k, 0.5))
    held, num_given = np.bincount(elements, minlength=num_elements), given.sum(axis=0)
    best, hits = np.zeros(k, dtype=np.int64), np.zeros(k, dtype=np.int64)
    for place in range(k):
        both = np.bincount(elements[given[rows, place]], minlength=num_elements)
        best[place] = int(np.argmax(both / (held + num_given[place])))  # half of F1
        hits[place] = both[best[place]]
    found = held[best]
    recall = hits / np.maximum(num_given, 1)
    false = (found - hits) / np.maximum(len(given) - num_given, 1)
    return BestElements(best, hits / np.maximum(found, 1), recall, (recall + 1 - false) / 2)


def share_that_implies(codes: IntArray, given: BoolArray, least: float, min_rows: int) -> tuple[float, int]:
    """Share of rows whose value implies some tag, and the number of tags that are so implied.

    Args:
        codes: Value of each row, from 0, shape (n,).
        given: Shape (n, K).
        least: Share of a value's rows from which it implies a tag.
        min_rows: Rows that such a value must have.

    Example:
        >>> given = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0]], dtype=bool)
        >>> share_that_implies(np.array([0, 0, 1, 1, 1]), given, least=0.9, min_rows=2)
        (0.4, 1)
    """
    if not len(codes) or not given.shape[1]:
        return 0.0, 0
    num_codes = int(codes.max()) + 1
    held = np.bincount(codes, minlength=num_codes)
    counts = _counts_of(np.arange(len(codes)), codes, num_codes, given)
    implies = (counts >= least * held[:, None]) & (held >= min_rows)[:, None]
    return float(held[implies.any(axis=1)].sum() / len(codes)), int(implies.any(axis=0).sum())


def one_for_each_set(codes: IntArray, given: BoolArray, slack: float) -> bool:
    """Whether values and sets of tags stand for each other, one for one but for some slack.

    Args:
        codes: Value of each row, shape (n,).
        given: Shape (n, K).
        slack: Share of pairs of value and set that there may be beyond those of a perfect match.

    Example:
        >>> given = np.array([[1, 0], [1, 1], [1, 0], [0, 0]], dtype=bool)
        >>> one_for_each_set(np.array([7, 3, 7, 5]), given, slack=0.0)
        True
        >>> one_for_each_set(np.array([7, 3, 3, 5]), given, slack=0.0)
        False
    """
    packed = np.ascontiguousarray(np.packbits(given, axis=1))
    _, sets = np.unique(packed.view(f"V{packed.shape[1]}").ravel(), return_inverse=True)
    num_sets, num_values = len(np.unique(sets)), len(np.unique(codes))
    num_pairs = len(np.unique(codes * num_sets + sets))
    return bool(num_sets > 1 and num_pairs <= (1 + slack) * min(num_sets, num_values))


def _blocks(num_classes: int, num_cells: int) -> Iterator[slice]:
    step = max(1, _BLOCK_CELLS // max(num_cells, 1))
    for start in range(0, num_classes, step):
        yield slice(start, start + step)


def _joined(readings: list[Reading]) -> Reading:
    if not readings:
        return Reading(np.zeros(0), np.zeros(0))
    return Reading(
        np.concatenate([part.auc for part in readings]), np.concatenate([part.f1 for part in readings])
    )
