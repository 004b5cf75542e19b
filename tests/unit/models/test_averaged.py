"""Two stacks averaged: what each reads, when the mean is taken, bits of rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import log_loss

from spark_ml_audit.models.averaged import AveragedTags
from spark_ml_audit.models.design import Design
from spark_ml_audit.models.stacked import FirstLayer, StackedTags

WIDTH, TAGS = 6, 3


def rows(num_rows: int, seed: int, *, word_share: float, vector_noise: float) -> tuple[Design, np.ndarray]:
    """Words that each stand for a tag, shown in a share of the rows, beside vectors that tell roughly."""
    rng = np.random.default_rng(seed)
    given = rng.random((num_rows, TAGS)) < 0.3
    words = (given & (rng.random(given.shape) < word_share)).astype(np.float32)
    others = (rng.random((num_rows, 20)) < 0.2).astype(np.float32)
    mixing = np.random.default_rng(0).normal(size=(TAGS, WIDTH))
    vectors = given @ mixing + vector_noise * rng.normal(size=(num_rows, WIDTH))
    sparse = csr_matrix(np.hstack([words, others]) / 2, dtype=np.float32)
    return Design(sparse, vectors.astype(np.float32)), given


def fitted(design: Design, given: np.ndarray, joint: bool = True) -> AveragedTags:
    return AveragedTags.fit(design, WIDTH, given, np.arange(len(given)) % 2, joint, seed=1)


@pytest.mark.parametrize("joint", [True, False])
def test_the_log_odds_are_the_mean_of_a_stack_with_the_vectors_and_one_without(joint: bool) -> None:
    design, given = rows(300, 1, word_share=0.6, vector_noise=2.0)
    found = fitted(design, given, joint)
    assert found.plain is not None
    inner = np.arange(300) % 2
    words = Design(design.sparse, np.zeros((300, 0), np.float32))
    with_vectors = FirstLayer.fit(design, given, inner, eliminate=True).completed(design, given, joint, 1)
    without = StackedTags.fit(words, given, inner, joint, 1)
    mean = (with_vectors.logits(design) + without.logits(words)) / 2
    assert found.predict_proba(design) == pytest.approx(1 / (1 + np.exp(-mean)), abs=1e-6)


def test_a_mean_that_is_no_better_is_not_taken() -> None:
    design, given = rows(400, 2, word_share=0.0, vector_noise=0.4)  # words say nothing, vectors all
    found = fitted(design, given)
    assert found.plain is None
    new, truth = rows(400, 3, word_share=0.0, vector_noise=0.4)
    probs = found.predict_proba(new)
    share = np.tile(given.mean(axis=0), (400, 1))
    assert log_loss(truth.ravel(), probs.ravel()) < 0.6 * log_loss(truth.ravel(), share.ravel())
    assert np.array_equal(probs, found.full.predict_proba(new))


def test_without_other_columns_the_vectors_are_read_alone() -> None:
    design, given = rows(100, 4, word_share=0.5, vector_noise=1.0)
    alone = Design(csr_matrix((100, 0), dtype=np.float32), design.dense)
    found = fitted(alone, given)
    assert found.plain is None
    assert found.predict_proba(alone).shape == (100, TAGS)


def test_other_dense_columns_stay_in_both() -> None:
    design, given = rows(300, 5, word_share=0.6, vector_noise=2.0)
    price = np.random.default_rng(6).normal(size=(300, 2)).astype(np.float32)
    both = Design(design.sparse, np.hstack([price, design.dense]))
    found = fitted(both, given)
    assert found.plain is not None
    assert len(found.plain.ridge.weights) == design.sparse.shape[1] + 2
    assert len(found.full.ridge.weights) == both.width


def test_a_row_is_predicted_by_itself_to_the_last_bit() -> None:
    design, given = rows(300, 7, word_share=0.6, vector_noise=2.0)
    found = fitted(design, given)
    assert found.plain is not None
    whole = found.predict_proba(design)
    for part in (slice(0, 1), slice(17, 150), slice(299, 300)):
        assert np.array_equal(found.predict_proba(design.take(part)), whole[part])
