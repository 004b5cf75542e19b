"""Which rows to label next: those that the model doubts, unlike those labelled, for the classes in need.

Pool-based active learning (Settles, "Active Learning Literature Survey", 2009): uncertainty is the least
confidence of each cell (section 3.1; in a cell of two values it orders rows as margin and entropy do),
diversity within a batch and from what is labelled that of k-centre selection (Sener and Savarese, "Active
Learning for Convolutional Neural Networks: A Core-Set Approach", 2018). Every class has a share of the batch
by its need: classes with few given tags, or whose flags cannot be trusted, get more. Some rows are random:
what the model is wrongly sure of is found by nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels.float_keys import FloatArray

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

RANDOM = -1
"""In place of a class: a row drawn at random."""

RANDOM_SHARE = 0.2
"""Share of the rows that are drawn at random."""

UNTRUSTED = 2.0
"""How much more a class gets whose flags cannot be trusted."""

NEAR_COPY = 0.1
"""Rows nearer to one chosen than this share of the usual distance are near-copies of it."""

_SPARE = 3
_LEAST = 5
# Numbers of distances held at a time.
_BLOCK = 1 << 22


def cell_doubt(pred_probs: FloatArray) -> Float64Array:
    """Least confidence of every cell, min(p, 1 - p): 0 sure .. 0.5 in full doubt; shape (n, K).

    >>> cell_doubt(np.array([[0.9, 0.5], [0.25, 0.0]])).round(2).tolist()
    [[0.1, 0.5], [0.25, 0.0]]
    """
    probs = pred_probs.astype(np.float64)
    doubt: Float64Array = np.minimum(probs, 1 - probs)
    return doubt


def class_need(num_given: IntArray, is_trusted: npt.NDArray[np.bool_]) -> Float64Array:
    """Share of a batch that every class is to get, shape (K,).

    In inverse proportion to the square root of its given tags, `UNTRUSTED` times as much where its flags
    cannot be trusted.

    >>> class_need(np.array([99, 9999, 99]), np.array([True, True, False])).round(3).tolist()
    [0.323, 0.032, 0.645]
    """
    weight = np.where(is_trusted, 1.0, UNTRUSTED) / np.sqrt(1.0 + num_given)
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def batch_budget(need: Float64Array, size: int, per_class: int | None = None) -> IntArray:
    """Rows for every class and, in the last place, random ones; shape (K + 1,).

    Args:
        need: Shares of the classes, from `class_need`.
        size: Rows in all.
        per_class: So many for every class instead.

    Example:
        >>> batch_budget(np.array([0.75, 0.25]), size=10).tolist()
        [6, 2, 2]
        >>> batch_budget(np.array([0.75, 0.25]), size=10, per_class=4).tolist()
        [4, 4, 2]
    """
    if per_class is not None:
        own = np.full(len(need), per_class, dtype=np.int64)
        return np.append(own, round(own.sum() * RANDOM_SHARE / (1 - RANDOM_SHARE)))
    num_random = int(size * RANDOM_SHARE)
    exact = need * (size - num_random)
    own = np.floor(exact).astype(np.int64)
    rest = np.argsort(own - exact, kind="stable")[: size - num_random - own.sum()]
    own[rest] += 1
    return np.append(own, num_random)


def nominations(budget: IntArray) -> IntArray:
    """How many candidates every class and the random rows are to have, so that a choice is left."""
    return np.asarray(_SPARE * budget + _LEAST, dtype=np.int64)


def nominate(doubt: Float64Array, hashes: IntArray, wanted: IntArray) -> list[tuple[int, IntArray]]:
    """Candidates among some rows: of each class those in most doubt, and those with the lowest hashes.

    Args:
        doubt: Shape (n, K).
        hashes: Of the rows' ids, by which rows in the same doubt are ordered, shape (n,).
        wanted: From `nominations`, shape (K + 1,).

    Returns:
        Class (or `RANDOM`) and its rows' positions, best first.

    Example:
        >>> doubt = np.array([[0.1, 0.5], [0.4, 0.2], [0.4, 0.0]])
        >>> [(k, rows.tolist()) for k, rows in nominate(doubt, np.array([7, 9, 8]), np.array([2, 1, 1]))]
        [(0, [2, 1]), (1, [0]), (-1, [0])]
    """
    found = [(k, _best(-doubt[:, k], hashes, int(wanted[k]))) for k in range(doubt.shape[1])]
    return [*found, (RANDOM, _best(np.zeros(len(hashes)), hashes, int(wanted[-1])))]


def _best(order: Float64Array, hashes: IntArray, most: int) -> IntArray:
    rows = np.arange(len(order))
    if most < len(order):
        limit = np.partition(order, most - 1)[most - 1]
        rows = np.flatnonzero(order <= limit)
    return np.asarray(rows[np.lexsort((hashes[rows], order[rows]))][:most], dtype=np.int64)


@dataclass(frozen=True)
class ChosenRow:
    """A row to label.

    Attributes:
        row: Its position among the candidates.
        class_index: Class that it was chosen for, or `RANDOM`.
    """

    row: int
    class_index: int


def choose_next(
    pred_probs: FloatArray,
    hashes: IntArray,
    budget: IntArray,
    vectors: FloatArray | None = None,
    labelled: FloatArray | None = None,
    *,
    shared: bool = True,
) -> list[ChosenRow]:
    """Choose rows among candidates, best first: any beginning of the list is a batch of its own.

    In turn the class that is furthest behind its budget gets a row: the one with the greatest product of its
    doubt (as a share of the greatest of that class) and its novelty, the distance to the nearest row that
    is labelled or chosen (as a share of the candidates' median distance from what is labelled, at most 1).
    A chosen row counts for the other classes too, by its probabilities, unless every class is to have rows of
    its own. Random rows lie evenly among them.
    Near-copies of a chosen row wait until nothing else is left.

    Args:
        pred_probs: Of the candidates, shape (n, K).
        hashes: Of their ids, shape (n,); they order the random rows and all that is equal.
        budget: From `batch_budget`, shape (K + 1,).
        vectors: Of the candidates, shape (n, d); None: novelty is not looked at.
        labelled: Of labelled rows, shape (m, d).
        shared: Whether a row counts for other classes than the one that it was chosen for.

    Returns:
        As many rows as the budget has, fewer where there are no more candidates.

    Example:
        >>> pred_probs = np.array([[0.5], [0.49], [0.4], [0.0]])
        >>> vectors = np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [-1.0, 0.0]])
        >>> budget, hashes = np.array([2, 1]), np.arange(4)
        >>> [(one.row, one.class_index) for one in choose_next(pred_probs, hashes, budget, vectors)]
        [(0, 0), (2, 0), (3, -1)]
    """
    doubt = cell_doubt(pred_probs)
    greatest = doubt.max(axis=0, initial=0.0)
    relative = np.divide(doubt, greatest, out=np.zeros_like(doubt), where=greatest > 0)
    novelty = _Novelty.of(len(doubt), vectors, labelled)
    probs, got = pred_probs.astype(np.float64), np.zeros(len(budget))
    is_open = np.ones(len(doubt), dtype=bool)
    wanted, num_classes = np.maximum(budget, 1e-9), doubt.shape[1]
    share = budget[-1] / max(1, int(budget.sum()))
    chosen: list[ChosenRow] = []
    for _ in range(min(len(doubt), int(budget.sum()))):
        behind = np.where(budget[:-1] > 0, got[:-1] / wanted[:-1], np.inf)
        is_random = got[-1] < int(share * (len(chosen) + 1) + 1e-9) or not num_classes
        k = RANDOM if is_random else int(np.argmin(behind))
        worth = relative[:, k] * novelty.values if k != RANDOM else np.ones(len(doubt))
        row = _first(worth, hashes, is_open, novelty.is_copy)
        chosen.append(ChosenRow(row, k))
        is_open[row] = False
        got[k] += 1  # RANDOM is the last place
        if shared:
            got[:-1] += probs[row]
            got[k] -= probs[row, k] if k != RANDOM else 0.0
        novelty.add(row)
    return chosen


def _first(
    worth: Float64Array, hashes: IntArray, is_open: npt.NDArray[np.bool_], is_copy: npt.NDArray[np.bool_]
) -> int:
    """The open row of greatest worth, the lowest hash among equals; near-copies last."""
    rows = np.flatnonzero(is_open & ~is_copy)
    if not len(rows):
        rows = np.flatnonzero(is_open)
    best = rows[worth[rows] == worth[rows].max()]
    return int(best[np.argmin(hashes[best])])


class _Novelty:
    """How far candidates are from what is labelled or chosen."""

    def __init__(self, vectors: Float64Array | None, squares: Float64Array, scale: float) -> None:
        self._vectors, self._scale = vectors, scale
        self._known = squares
        self._chosen = np.full(len(squares), np.inf)
        self.values = np.ones(len(squares))
        self.is_copy = np.zeros(len(squares), dtype=bool)
        self._tell()

    @classmethod
    def of(cls, number: int, vectors: FloatArray | None, labelled: FloatArray | None) -> _Novelty:
        if vectors is None or not number:
            return cls(None, np.full(number, np.inf), 1.0)
        own = vectors.astype(np.float64)
        if labelled is not None and len(labelled):
            squares = nearest_squares(own, labelled)
            scale = float(np.sqrt(np.median(squares)))
        else:
            squares = np.full(number, np.inf)
            scale = float(np.sqrt(np.median(nearest_squares(own, own.mean(axis=0, keepdims=True)))))
        return cls(own, squares, scale)

    def add(self, row: int) -> None:
        """Take a row for chosen."""
        if self._vectors is None:
            return
        apart = self._vectors - self._vectors[row]
        np.minimum(self._chosen, np.einsum("ij,ij->i", apart, apart), out=self._chosen)
        self._tell()

    def _tell(self) -> None:
        if self._vectors is None or self._scale <= 0:
            return
        nearest = np.sqrt(np.minimum(self._known, self._chosen))
        self.values = np.minimum(nearest / self._scale, 1.0)
        self.is_copy = np.sqrt(self._chosen) < NEAR_COPY * self._scale


def nearest_squares(vectors: FloatArray, others: FloatArray) -> Float64Array:
    """Squared distance of each row to the nearest of others, shape (n,).

    >>> nearest_squares(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 1.0]])).tolist()
    [1.0, 18.0]
    """
    own, there = vectors.astype(np.float64), others.astype(np.float64)
    lengths = np.einsum("ij,ij->i", there, there)
    found = np.empty(len(own))
    step = max(1, _BLOCK // max(1, len(there)))
    for start in range(0, len(own), step):
        block = own[start : start + step]
        apart = lengths - 2 * (block @ there.T)
        found[start : start + step] = apart.min(axis=1) + np.einsum("ij,ij->i", block, block)
    return np.maximum(found, 0.0)


def asked_classes(pred_probs: FloatArray, chosen_for: Sequence[int], *, least: float, most: int) -> list[Any]:
    """The classes that people are asked about in each row: the likely ones, the likeliest first.

    Args:
        pred_probs: Shape (n, K).
        chosen_for: Class of each row, or `RANDOM`: asked about in any case.
        least: Probability from which a class is asked about.
        most: Classes per row.

    Example:
        >>> asked_classes(np.array([[0.7, 0.01, 0.2], [0.01, 0.0, 0.02]]), [1, RANDOM], least=0.05, most=2)
        [[0, 1], [2]]
    """
    found = []
    for probs, own in zip(pred_probs.astype(np.float64), chosen_for, strict=True):
        order = np.argsort(-probs, kind="stable")
        likely = [int(k) for k in order if probs[k] >= least][:most] or [int(order[0])]
        if own != RANDOM and own not in likely:
            likely = [*likely[: most - 1], int(own)]
        found.append(likely)
    return found
