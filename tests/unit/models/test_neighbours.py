"""Vectors, neighbours and scores of outliers, without Spark."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from spark_ml_audit.arrow.encode import embedding_vectors
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.neighbours import NeighbourIndex, OutlierScale
from spark_ml_audit.models.vectors import VectorEncoder, most_common_width, unit_vectors


def clusters(num_rows: int, seed: int, width: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(40, width))
    return unit_vectors(centres[rng.integers(0, 40, num_rows)] + rng.normal(size=(num_rows, width)) * 0.3)


def true_distances(queries: np.ndarray, reference: np.ndarray, neighbours: int) -> np.ndarray:
    squares = ((queries[:, None].astype(float) - reference[None].astype(float)) ** 2).sum(axis=2)
    return np.sqrt(np.sort(squares, axis=1)[:, :neighbours])


@pytest.mark.parametrize("num_rows", [3, 300, 6000])
def test_neighbours_are_those_of_brute_force(num_rows: int) -> None:
    reference, queries = clusters(num_rows, 1), clusters(100, 2)
    index = NeighbourIndex.build(reference, np.arange(num_rows), 10)
    assert (index.num_lists > 0) == (num_rows >= 4000)
    found = pickle.loads(pickle.dumps(index)).search(queries, None, 10)[1]
    expected = true_distances(queries, reference, 10)
    assert found.shape == expected.shape
    recall = np.mean(found <= expected[:, -1:] + 1e-6)
    assert recall >= 0.95
    if not index.num_lists:
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_vectors_without_clusters_are_searched_exhaustively() -> None:
    noise = np.random.default_rng(0).normal(size=(5000, 48)).astype(np.float32)
    index = NeighbourIndex.build(noise, np.arange(5000), 10)
    assert index.num_lists == 0
    np.testing.assert_allclose(
        index.search(noise[:50], None, 5)[1], true_distances(noise[:50], noise, 5), atol=1e-5
    )


def test_exhaustive_search_may_go_through_the_reference_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, queries = clusters(300, 1), clusters(20, 2)
    monkeypatch.setattr("spark_ml_audit.models.neighbours._COLUMNS", 64)
    found = NeighbourIndex.build(reference, np.arange(300), 10).search(queries, None, 10)[1]
    np.testing.assert_allclose(found, true_distances(queries, reference, 10), atol=1e-6)


def test_a_row_is_not_its_own_neighbour_and_its_distance_not_its_batchs() -> None:
    reference = clusters(5000, 3)
    keys = np.random.default_rng(0).permutation(5000)
    index = NeighbourIndex.build(reference, keys, 10)
    positions, distances = index.search(reference[:300], keys[:300], 10)
    assert (positions != np.arange(300)[:, None]).all()
    assert (distances > 0).all()
    scale = OutlierScale.of(*index.search(reference, keys, 10), 3.0)
    whole = scale.measures(positions, distances)
    for rows in ([7], [299, 7, 0], list(range(20, 290))):
        part = scale.measures(*index.search(reference[rows], keys[rows], 10))
        np.testing.assert_array_equal(part, whole[rows])
    alone = NeighbourIndex.build(reference[:1], keys[:1], 10)
    assert alone.search(reference[:1], keys[:1], 10)[0].tolist() == [[-1]]


def test_a_measure_at_the_limit_scores_one_half() -> None:
    scale = OutlierScale(np.array([4.0, 4.0]), 0.1, limit=9.0)
    assert scale.measures(np.array([[0, 1], [1, -1]]), np.array([[6.0, 8.0], [2.0, np.inf]])).tolist() == [
        3.5,
        1,
    ]
    assert scale.scores(np.array([0.0, 9.0, 27.0])).tolist() == [0.0, 0.5, 0.75]
    copies = OutlierScale.of(np.array([[1], [0]]), np.zeros((2, 1)), 3.0)
    assert copies.limit == 0
    assert copies.scores(np.array([0.0, 0.1])).tolist() == [0.0, 1.0]


def test_rows_far_from_all_and_rows_beside_a_dense_cluster_are_both_found() -> None:
    rng = np.random.default_rng(0)
    dense, loose = 0.02 * rng.normal(size=(300, 4)), 5 + rng.normal(size=(300, 4))
    odd = np.array([[0.6, 0.6, 0.6, 0.6], [30.0, 30.0, 30.0, 30.0]])
    vectors = np.concatenate([dense, loose, odd]).astype(np.float32)
    index = NeighbourIndex.build(vectors, np.arange(602), 10)
    found = index.search(vectors, np.arange(602), 10)
    measures = OutlierScale.of(*found, 3.0).measures(*found)
    assert set(np.argsort(measures)[-2:]) == {600, 601}


def test_only_finite_embeddings_of_the_common_width_can_be_compared() -> None:
    rows = [
        [1.0, 2.0],
        None,
        [1.0],
        [float("nan"), 0.0],
        [None, 1.0],
        [0.0, 0.0],
        [],
        [1e300, 0.0],
        [3.0, 4.0],
    ]
    for lists in (
        pa.array(rows, pa.list_(pa.float64())),
        pa.array([None, *rows], pa.list_(pa.float64()))[1:],
    ):
        vectors, usable = embedding_vectors(lists, 2)
        assert usable.tolist() == [True, False, False, False, False, True, False, False, True]
        assert vectors[usable].tolist() == [[1, 2], [0, 0], [3, 4]]
        assert np.isfinite(vectors).all()
    assert most_common_width(np.array([2, 0, 1, 2, 2, 2, 0, 2, 2])) == 2
    assert not embedding_vectors(pa.array(rows, pa.list_(pa.float64())), 0)[1].any()


TOPICS = (
    "the cat sat on the mat and purred at the small dog",
    "stock markets fell as the bank raised interest rates again",
    "the striker scored a late goal and won the cup final",
)


def test_a_text_in_other_words_is_far_from_the_reference() -> None:
    rng = np.random.default_rng(0)
    texts = []
    for i in range(300):
        words = TOPICS[i % 3].split()
        texts.append(" ".join(rng.permutation(words)[:8]))
    spec = FeatureSpec(text=("body",))
    encoder = VectorEncoder.fit(pd.DataFrame({"body": texts}), spec, {})
    reference, usable = encoder.transform(pd.DataFrame({"body": texts}), {}, reference=True)
    assert usable.all()
    np.testing.assert_allclose(np.linalg.norm(reference, axis=1), 1, atol=1e-3)
    index = NeighbourIndex.build(reference, np.arange(300), 10)
    asked = pd.DataFrame({"body": ["quantum chromodynamics lattice gauge", TOPICS[0], "", None]})
    queries, usable = encoder.transform(asked, {})
    assert usable.tolist() == [True, True, False, False]
    far, near = index.search(queries[:2], None, 10)[1].mean(axis=1)
    assert far > 1.3 > 1.0 > near


def test_numbers_categories_and_dates_are_compared_robustly() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "price": np.append(rng.normal(100, 5, 300), [1e9, np.nan]),
            "kind": np.append(np.array(["a", "b"], dtype=object)[rng.integers(0, 2, 300)], ["odd", None]),
            "day": pd.date_range("2024-01-01", periods=302).date,
        }
    )
    spec = FeatureSpec(numeric=("price",), categorical=("kind",), date=("day",))
    encoder = VectorEncoder.fit(frame, spec, {})
    reference, usable = encoder.transform(frame, {}, reference=True)
    assert usable.all()
    assert np.isfinite(reference).all()
    index = NeighbourIndex.build(reference, np.arange(302), 10)
    distances = index.search(reference, np.arange(302), 10)[1].mean(axis=1)
    assert set(np.argsort(distances)[-2:]) == {300, 301}
