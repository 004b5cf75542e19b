from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_ml_audit.kernels.ambiguity import AmbiguityOptions, DoubtBands, find_ambiguous
from spark_ml_audit.kernels.profile import Thresholds
from spark_ml_audit.kernels.resolve import PruneOptions, Resolver
from tests.datasets import KINDS, Dataset, make_dataset
from tests.unit.kernels.test_resolve import counted, profile_of

datasets = st.builds(
    make_dataset, st.integers(0, 500), st.sampled_from(KINDS), st.sampled_from(("float32", "float64"))
)
options = st.builds(
    AmbiguityOptions, st.floats(0.01, 1.0, allow_nan=False), st.integers(min_value=1, max_value=4)
)


def bands_of(present: list[float], absent: list[float], dtype: str = "float64", **kinds: float) -> DoubtBands:
    return DoubtBands.of(
        Thresholds(np.array(present), np.array(absent)),
        dtype,
        AmbiguityOptions(**kinds),  # type: ignore[arg-type]
    )


def plain_doubts(pred_probs: np.ndarray, thresholds: Thresholds) -> np.ndarray:
    """The formula, cell by cell, in float64."""
    doubts = np.zeros(pred_probs.shape)
    for (i, k), p in np.ndenumerate(pred_probs.astype(np.float64)):
        t1, t0 = thresholds.present[k], thresholds.absent[k]
        low, high = 1 - t0 + 1e-6, t1 - 1e-6
        if max(t1, t0) < 2 and high - low > 1e-6:
            doubts[i, k] = max(0.0, 1 - abs(p - (low + high) / 2) / ((high - low) / 2))
    return doubts


def test_doubt_is_least_at_the_thresholds_and_greatest_between_them() -> None:
    bands = bands_of([0.6], [0.8])
    probs = np.array([[0.0], [0.2], [0.3], [0.4], [0.5], [0.6], [1.0]])
    found = find_ambiguous(probs, bands)
    doubts = found.score / (1 - found.score)
    np.testing.assert_allclose(doubts, [0, 0, 0.5, 1, 0.5, 0, 0], atol=1e-4)
    # one class has one cell at most: it is enough
    assert found.is_ambiguous.tolist() == [False, False, False, True, False, False, False]


def test_a_row_is_ambiguous_once_enough_cells_are() -> None:
    bands = bands_of([0.6] * 3, [0.8] * 3)
    found = find_ambiguous(np.array([[0.4, 0.41, 0.0], [0.4, 0.3, 0.3], [0.9, 0.39, 0.41]]), bands)
    assert found.is_ambiguous.tolist() == [True, False, True]
    assert [cells.tolist() for cells in found.cells] == [[0, 0, 1, 2, 2], [0, 1, 0, 1, 2]]
    # doubts of 1 and 2 * 1/2 add up alike
    np.testing.assert_allclose(found.score[1], 2 / 3, atol=1e-4)


@pytest.mark.parametrize(
    ("present", "absent"), [(2.0, 0.9), (0.9, 2.0), (0.5, 0.5), (0.3, 0.4), (0.5000005, 0.5)]
)
def test_a_class_without_room_between_its_thresholds_has_no_doubt(present: float, absent: float) -> None:
    probs = np.linspace(0, 1, 101)[:, None]
    for dtype in ("float32", "float64"):
        bands = bands_of([present], [absent], dtype)
        found = find_ambiguous(probs.astype(dtype), bands)
        assert not found.score.any()
        assert not len(found.cells[0])
        low, high = bands.cuts()
        assert (low == high).all()


@settings(deadline=None, max_examples=60)
@given(data=datasets, wanted=options)
def test_scores_cells_and_class_counts_follow_the_formula(data: Dataset, wanted: AmbiguityOptions) -> None:
    resolver = Resolver(profile_of(data), PruneOptions(), wanted)
    while (request := resolver.request) is not None:
        resolver.update(counted(request, data))
    result, probs = resolver.resolution, data.pred_probs
    found = find_ambiguous(probs, DoubtBands.of(result.thresholds, probs.dtype, wanted))
    # the exact pass and the map agree to the cell
    per_class = np.bincount(found.cells[1], minlength=probs.shape[1])
    np.testing.assert_array_equal(per_class, result.num_ambiguous)
    doubts = plain_doubts(probs, result.thresholds)
    # thresholds a few roundings apart leave a band in which the dtype has few values
    bands = DoubtBands.of(result.thresholds, probs.dtype, wanted)
    coarse = 4 * float(np.finfo(probs.dtype).eps) * bands.units_per_width.astype(np.float64) / (1 << 16)
    total = doubts.sum(axis=1)
    np.testing.assert_allclose(found.score, total / (1 + total), atol=3e-3 + coarse.sum())
    ambiguous = np.zeros(probs.shape, dtype=bool)
    ambiguous[found.cells] = True
    clear = np.abs(doubts - wanted.doubt) > 5e-3 + coarse
    np.testing.assert_array_equal(ambiguous[clear], (doubts >= wanted.doubt)[clear])
    enough = min(wanted.min_tags, probs.shape[1])
    np.testing.assert_array_equal(found.is_ambiguous, ambiguous.sum(axis=1) >= enough)
    assert ((found.score >= 0) & (found.score <= 1)).all()


@pytest.mark.parametrize("width", [1, 3, 50, 1100])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_rows_result_does_not_depend_on_its_batch(width: int, dtype: str) -> None:
    rng = np.random.default_rng(width)
    probs = rng.random((700, width)).astype(dtype)
    bands = bands_of(rng.uniform(0.4, 0.9, width).tolist(), rng.uniform(0.6, 0.99, width).tolist(), dtype)
    whole = find_ambiguous(probs, bands)
    for rows in (np.arange(1), np.arange(13, 301), np.array([699, 5, 5])):
        part = find_ambiguous(probs[rows], bands)
        np.testing.assert_array_equal(part.score, whole.score[rows])
        np.testing.assert_array_equal(part.is_ambiguous, whole.is_ambiguous[rows])
        for place, row in enumerate(rows.tolist()):
            mine, all_of_it = part.cells[1][part.cells[0] == place], whole.cells[1][whole.cells[0] == row]
            np.testing.assert_array_equal(mine, all_of_it)
    assert not len(find_ambiguous(probs[:0], bands).score)
