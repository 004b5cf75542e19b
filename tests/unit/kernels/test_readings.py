"""Readings of columns: figures as scikit-learn has them, nothing told by chance, single elements by count."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_auc_score

from spark_ml_audit.kernels.readings import (
    best_elements,
    one_for_each_set,
    read_by_elements,
    read_by_rank,
    read_by_value,
    separation,
)


def best_f1(given: np.ndarray, scores: np.ndarray) -> float:
    precision, recall, _ = precision_recall_curve(given, scores)
    total = precision + recall
    return float(np.max(2 * precision * recall / np.where(total > 0, total, 1)))


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_scikit_learn_ties_included(seed: int) -> None:
    rng = np.random.default_rng(seed)
    given = rng.random((300, 4)) < [0.05, 0.3, 0.5, 0.95]
    scores = np.round(rng.random((300, 4)) + 0.4 * given, 1 + seed % 2)
    found = separation(scores, given.astype(np.int64), 1 - given.astype(np.int64))
    for k in range(4):
        assert found.auc[k] == pytest.approx(roc_auc_score(given[:, k], scores[:, k]))
        assert found.f1[k] == pytest.approx(best_f1(given[:, k], scores[:, k]))
    ranked = read_by_rank(-scores[:, 0], given)
    for k in range(4):
        own = roc_auc_score(given[:, k], scores[:, 0])
        assert ranked.auc[k] == pytest.approx(max(own, 1 - own))


def test_a_value_says_nothing_of_its_own_fold() -> None:
    rng = np.random.default_rng(1)
    given = rng.random((2000, 30)) < 0.2
    folds = np.arange(2000) % 5
    for codes in (np.arange(2000), rng.integers(0, 700, 2000), rng.integers(0, 2, 2000)):
        found = read_by_value(codes, given, folds)
        assert np.abs(found.auc - 0.5).max() < 0.1
        assert found.f1.max() < 0.45
    told = read_by_value(given[:, 0].astype(np.int64), given[:, :1], folds)
    assert (told.auc[0], told.f1[0]) == (1.0, 1.0)


def test_readings_are_the_same_for_any_order_of_tags_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from spark_ml_audit.kernels import readings

    rng = np.random.default_rng(2)
    given, codes = rng.random((400, 7)) < 0.3, rng.integers(0, 9, 400)
    rows, elements = np.repeat(np.arange(400), 2), np.tile([0, 1], 400) + 2 * np.repeat(codes % 4, 2)
    folds = np.arange(400) % 5

    def all_figures(tags: np.ndarray) -> list[np.ndarray]:
        parts = [
            read_by_value(codes, tags, folds),
            read_by_rank(codes.astype(float), tags),
            read_by_elements(rows, elements, tags, folds),
        ]
        return [figures for part in parts for figures in (part.auc, part.f1)]

    whole = all_figures(given)
    for turned, figures in zip(all_figures(given[:, ::-1]), whole, strict=True):
        assert np.array_equal(turned[::-1], figures)
    monkeypatch.setattr(readings, "_BLOCK_CELLS", 900)
    for in_blocks, figures in zip(all_figures(given), whole, strict=True):
        assert np.array_equal(in_blocks, figures)


def test_the_best_element_is_that_of_all_by_count() -> None:
    rng = np.random.default_rng(3)
    holds, given = rng.random((200, 12)) < 0.3, rng.random((200, 3)) < 0.4
    holds[:, 7] = given[:, 1] ^ (rng.random(200) < 0.02)
    rows, elements = np.nonzero(holds)
    best = best_elements(rows, elements, given, 12)
    for k in range(3):
        f1 = [
            2 * (holds[:, e] & given[:, k]).sum() / (holds[:, e].sum() + given[:, k].sum()) for e in range(12)
        ]
        assert best.element[k] == int(np.argmax(f1))
        assert best.f1[k] == pytest.approx(max(f1))
        assert best.auc[k] == pytest.approx(roc_auc_score(given[:, k], holds[:, best.element[k]]))
    assert best.element[1] == 7


def test_values_and_sets_of_tags_stand_for_each_other_but_for_some_slack() -> None:
    rng = np.random.default_rng(4)
    given = rng.random((500, 3)) < 0.5
    code = given @ np.array([1, 2, 4])
    assert one_for_each_set(code, given, slack=0.0)
    assert not one_for_each_set(code % 4, given, slack=0.05)
    assert not one_for_each_set(rng.integers(0, 8, 500), given, slack=0.05)
    assert not one_for_each_set(np.zeros(500, np.int64), np.zeros((500, 3), bool), slack=0.05)
