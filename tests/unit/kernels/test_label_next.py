"""Which rows are to be labelled next: budgets kept, near-copies apart, the same in any order of rows."""

from __future__ import annotations

import numpy as np
import pytest

from spark_ml_audit.kernels.label_next import (
    RANDOM,
    batch_budget,
    cell_doubt,
    choose_next,
    class_need,
    nominate,
    nominations,
)


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, hashes and vectors of 400 rows."""
    rng = np.random.default_rng(5)
    probs = rng.beta(0.3, 3.0, size=(400, 4))
    hashes = rng.permutation(10**6)[:400].astype(np.int64)
    order = np.argsort(hashes)
    return probs[order], hashes[order], rng.normal(size=(400, 8))[order]


@pytest.mark.parametrize(("size", "per_class"), [(10, None), (37, None), (1, None), (50, 7)])
def test_a_budget_is_spent_in_full_a_fifth_at_random(size, per_class):
    need = class_need(np.array([3, 50, 4000]), np.array([False, True, True]))
    budget = batch_budget(need, size, per_class)
    assert budget.sum() == (size if per_class is None else 3 * per_class + round(3 * per_class / 4))
    assert budget[-1] == int(budget.sum() / 5)
    if per_class is None and size >= 10:
        assert budget[0] > budget[1] > budget[2]


def test_the_share_at_random_is_kept_in_every_beginning(rows):
    probs, hashes, vectors = rows
    budget = batch_budget(np.full(4, 0.25), 50)
    chosen = choose_next(probs, hashes, budget, vectors, vectors[:20] + 5)
    assert len({one.row for one in chosen}) == 50
    drawn = np.cumsum([one.class_index == RANDOM for one in chosen])
    assert drawn.tolist() == [(n + 1) // 5 for n in range(50)]
    # in the order of the hashes, but for rows that a class got before
    random = [one.row for one in chosen if one.class_index == RANDOM]
    assert random == sorted(random)


def test_classes_in_need_get_rows_of_their_own(rows):
    probs, hashes, _ = rows
    budget = batch_budget(class_need(np.array([10, 10, 10, 100_000]), np.ones(4, dtype=bool)), 40)
    for_class = [one.class_index for one in choose_next(probs, hashes, budget)]
    assert min(for_class.count(k) for k in range(3)) >= 5
    assert for_class.count(3) <= 1
    first = next(one.row for one in choose_next(probs, hashes, budget) if one.class_index == 0)
    assert cell_doubt(probs)[first, 0] == cell_doubt(probs)[:, 0].max()


def test_rows_of_its_own_for_every_class(rows):
    probs, hashes, vectors = rows
    probs[:, 3] = 0.9  # any row counts for this class
    budget = batch_budget(np.full(4, 0.25), 0, per_class=6)
    for_class = [one.class_index for one in choose_next(probs, hashes, budget, vectors, shared=False)]
    assert [for_class.count(k) for k in (0, 1, 2, 3, RANDOM)] == [6] * 5
    for_class = [one.class_index for one in choose_next(probs, hashes, budget, vectors)]
    assert for_class.count(3) < 3


def test_near_copies_of_what_was_chosen_come_last(rows):
    probs, hashes, vectors = rows
    probs, hashes, vectors = probs[:20], hashes[:20], vectors[:20]
    twice = (np.vstack([probs, probs]), np.concatenate([hashes, hashes + 1]), np.vstack([vectors] * 2))
    chosen = choose_next(twice[0], twice[1], np.array([8, 8, 8, 8, 8]), twice[2])
    assert len(chosen) == 40
    assert len({one.row % 20 for one in chosen[:20]}) == 20


def test_a_row_like_those_labelled_is_worth_less(rows):
    _, hashes, vectors = rows
    probs = np.full((400, 1), 0.4)
    labelled = vectors[:200]
    chosen = choose_next(probs, hashes, np.array([50, 0]), vectors, labelled)
    assert all(one.row >= 200 for one in chosen)


def test_nominations_do_not_depend_on_how_rows_are_split(rows):
    probs, hashes, _ = rows
    wanted = nominations(np.array([3, 0, 1, 2, 4]))
    doubt = np.round(cell_doubt(probs), 2)  # with ties
    whole = nominate(doubt, hashes, wanted)
    parts = [np.arange(400)[k::3] for k in range(3)]
    for place, (k, best) in enumerate(whole):
        found = np.concatenate(
            [part[nominate(doubt[part], hashes[part], wanted)[place][1]] for part in parts]
        )
        order = np.zeros(400) if k == RANDOM else -doubt[:, k]
        ranked = found[np.lexsort((hashes[found], order[found]))][: len(best)]
        assert hashes[ranked].tolist() == hashes[best].tolist()
        assert len(best) == wanted[place]


def test_few_rows_and_no_vectors():
    assert choose_next(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.array([1, 1, 1])) == []
    probs, hashes = np.array([[0.2, 0.0], [0.0, 0.0]]), np.array([5, 4])
    assert [one.row for one in choose_next(probs, hashes, np.array([2, 2, 1]))] == [0, 1]
    same = np.ones((2, 3))  # nothing tells them apart
    assert len(choose_next(probs, hashes, np.array([2, 2, 1]), same, same)) == 2
