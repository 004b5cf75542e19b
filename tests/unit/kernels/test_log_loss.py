"""Log loss by class, against scikit-learn on the cells themselves."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

from spark_ml_audit.kernels.log_loss import (
    CLIP,
    log_loss_of,
    loss_records,
    loss_sums,
    sums_of_records,
)
from spark_ml_audit.kernels.records import join_records, make_records, sum_records


def cells(seed: int = 0, n: int = 3000, num_classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.random((n, num_classes)).astype(np.float32) ** 6
    given = rng.random((n, num_classes)) < p
    # an overconfident model: nothing between 0 and 1 for one class, wrong at times
    p[:, 0] = given[:, 0] ^ (rng.random(n) < 0.1)
    given[:, -1] = False
    return p, given


def test_losses_are_those_of_scikit_learn_on_the_clipped_probabilities() -> None:
    p, given = cells()
    found = log_loss_of(loss_sums(p, *np.nonzero(given)), given.sum(axis=0), len(p))
    cut = np.clip(p.astype(np.float64), CLIP, 1 - CLIP)
    expected = [log_loss(given[:, k], cut[:, k], labels=[False, True]) for k in range(p.shape[1])]
    np.testing.assert_allclose(found.by_class, expected, atol=1e-6)
    assert found.by_class[0] > 1
    assert found.macro == pytest.approx(np.mean(expected[:-1]), abs=1e-6)
    assert found.micro == pytest.approx(np.mean(expected), abs=1e-6)
    share = np.tile(given.mean(axis=0), (len(p), 1))
    prior = [log_loss(given[:, k], share[:, k], labels=[False, True]) for k in range(p.shape[1] - 1)]
    np.testing.assert_allclose(found.of_prior[:-1], prior, atol=1e-9)
    assert found.of_prior[-1] == 0
    assert found.macro_of_prior == pytest.approx(np.mean(prior))


@pytest.mark.parametrize("size", [1, 17, 3000])
def test_sums_do_not_depend_on_batches(size: int) -> None:
    p, given = cells(1)
    parts = [
        loss_records(loss_sums(p[i : i + size], *np.nonzero(given[i : i + size])))
        for i in range(0, len(p), size)
    ]
    other = make_records([-3, 0], [-9, 4], 5)  # of another pass
    records = sum_records(join_records([*parts, other]))
    whole = loss_sums(p, *np.nonzero(given))
    np.testing.assert_array_equal(sums_of_records(records, p.shape[1]), whole)


def test_without_rows_nothing_is_known() -> None:
    nothing = np.zeros((2, 2), dtype=np.int64)
    found = log_loss_of(nothing, np.zeros(2, dtype=np.int64), 0)
    assert set(found.summary().values()) == {None}
    one_sided = log_loss_of(nothing, np.array([3, 0]), 3)
    assert (one_sided.summary()["macro_log_loss"], one_sided.micro) == (None, 0.0)
