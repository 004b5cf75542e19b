"""Decisions in the place of given tags, beside sets of plain Python."""

from __future__ import annotations

import numpy as np
import pytest

from spark_ml_audit.kernels.decided_tags import EXCLUDED, decided_tags


@pytest.mark.parametrize("seed", range(20))
def test_they_are_what_sets_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 12)), int(rng.integers(1, 6))
    given = rng.random((n, k)) < 0.4
    verdicts = {(int(i), int(j)): bool(rng.random() < 0.5) for i, j in np.argwhere(rng.random((n, k)) < 0.3)}
    out = {int(i) for i in np.flatnonzero(rng.random(n) < 0.2)}
    marks = [(i, 2 * j + says) for (i, j), says in verdicts.items()] + [(i, EXCLUDED) for i in out]
    at, codes = np.array(marks, dtype=np.int64).reshape(-1, 2).T
    found = decided_tags(*np.nonzero(given), (at, codes), n, k)
    expected = given.copy()
    for cell, says in verdicts.items():
        expected[cell] = says
    assert np.array_equal(np.stack([found.rows, found.cols]), np.stack(np.nonzero(expected)))
    assert set(np.flatnonzero(found.excluded).tolist()) == out
    kept = [i for i in range(n) if i not in out]
    assert found.num_changed == int((expected ^ given)[kept].sum())


def test_without_decisions_nothing_is_copied() -> None:
    rows, cols = np.array([0, 2]), np.array([1, 0])
    for marks in (None, (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))):
        found = decided_tags(rows, cols, marks, num_rows=3, num_classes=2)
        assert found.rows is rows
        assert found.cols is cols
        assert not found.excluded.any()
