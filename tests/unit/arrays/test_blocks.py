"""Results depend on neither threads nor blocks nor the order of rows, nor on how arrays lie in memory."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_ml_audit import arrays
from spark_ml_audit.arrays import labelled, row_blocks
from spark_ml_audit.arrays.labelled import Labelled
from tests.datasets import make_dataset
from tests.oracle import FILTERS

SCORES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def everything(labels: Any, probs: Any, filter_by: str, score: str, n_jobs: int) -> list[Any]:
    """What the functions say of the rows, in an order that follows the rows'."""
    find: dict[str, Any] = {"filter_by": filter_by, "n_jobs": n_jobs}
    return [
        arrays.find_label_issues(labels, probs, **find),
        arrays.find_multilabel_issues_per_class(labels, probs, **find),
        arrays.get_label_quality_scores(labels, probs, method=score),
        arrays.get_label_quality_scores(labels, probs, adjust_pred_probs=True),
        arrays.get_label_quality_scores(labels, probs, aggregator_kwargs={"method": "softmin"}),
        arrays.get_label_quality_scores_per_class(labels, probs, method=score),
    ]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    filter_by=st.sampled_from(FILTERS),
    score=st.sampled_from(SCORES),
    threads=st.integers(1, 4),
    cells=st.integers(1, 300),
    order=st.randoms(use_true_random=False),
    layout=st.sampled_from(["C", "F", "strided", "reversed"]),
)
def test_blocks_threads_and_row_order_change_nothing(
    seed: int, filter_by: str, score: str, threads: int, cells: int, order: Any, layout: str
) -> None:
    data = make_dataset(seed)
    plain = everything(data.labels, data.pred_probs, filter_by, score, 1)
    ranked = arrays.find_label_issues(data.labels, data.pred_probs, score, filter_by=filter_by)
    rows = list(range(len(data.labels)))
    order.shuffle(rows)
    probs = laid_out(data.pred_probs[rows], layout)
    labels = [order.sample(data.labels[row], len(data.labels[row])) for row in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_blocks, "BLOCK_CELLS", cells)
        patch.setattr(labelled, "_MIN_CELLS_PER_THREAD", 1)
        patch.setattr(labelled, "_MOST_RECORDS", 50)
        patch.setattr(labelled, "_PROFILE_SHARE", 1e-6)  # a profile for every thread
        moved = everything(labels, probs, filter_by, score, threads)
        also = arrays.find_label_issues(labels, probs, score, filter_by=filter_by, n_jobs=threads)
    for one, other in zip(plain, moved, strict=True):
        np.testing.assert_array_equal(one[rows], other)
    assert sorted(np.array(rows)[also]) == sorted(ranked)
    scores = plain[2]
    np.testing.assert_array_equal(scores[np.array(rows, dtype=int)[also]], scores[ranked])


def laid_out(probs: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers, otherwise in memory."""
    if layout == "strided":
        return np.repeat(np.repeat(probs, 2, axis=0), 3, axis=1)[::2, ::3]
    if layout == "reversed":
        return np.ascontiguousarray(probs[::-1, ::-1])[::-1, ::-1]
    return np.array(probs, order=layout)  # type: ignore[call-overload]


def test_large_arrays_are_shared_among_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK_CELLS", 64)
    monkeypatch.setattr(labelled, "_MIN_CELLS_PER_THREAD", 64)
    data = Labelled.from_arguments(np.zeros((400, 2)), np.full((400, 2), 0.3), n_jobs=3)
    assert data.threads == 3
    together = threading.Barrier(3, timeout=60)
    seen = set()

    def meet(block: Any) -> int:
        if block.start < 3 * 32:  # the first three blocks wait for each other
            together.wait()
        seen.add(threading.get_ident())
        return block.start

    assert list(data.map(meet)) == list(range(0, 400, 32))
    assert len(seen) == 3
    assert threading.get_ident() not in seen


def test_small_arrays_start_no_thread() -> None:
    assert Labelled.from_arguments([[0]], [[0.5]], n_jobs=8).threads == 1


def test_an_error_in_a_thread_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK_CELLS", 8)
    monkeypatch.setattr(labelled, "_MIN_CELLS_PER_THREAD", 8)
    data = Labelled.from_arguments(np.zeros((40, 2)), np.full((40, 2), 0.3), n_jobs=2)

    def fail(block: Any) -> None:
        raise ZeroDivisionError(block.start)

    with pytest.raises(ZeroDivisionError, match=r"^0$"):
        list(data.map(fail))


def test_nothing_given_is_changed() -> None:
    data = make_dataset(3, kind="saturated", dtype="float64")
    probs = data.pred_probs.copy()
    probs[probs == 0] = -0.0
    before, labels = probs.copy(), [list(row) for row in data.labels]
    everything(data.labels, probs, "low_self_confidence", "self_confidence", 2)
    assert probs.tobytes() == before.tobytes()
    assert data.labels == labels
