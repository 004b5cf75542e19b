from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spark_ml_audit.kernels.cell_scores import CELL_SCORES, adjust_pred_probs, cell_scores, self_confidence
from spark_ml_audit.kernels.label_quality import AGGREGATES, aggregate, ema, ema_depth, mean, minimum, softmin
from tests.oracle import oracle_audit

LABELS = [[0], [0, 1], [0, 2], [1]]
PROBS = np.array([[0.9, 0.1, 0.1], [0.9, 0.1, 0.8], [0.9, 0.1, 0.6], [0.2, 0.8, 0.3]])
ROWS = np.array([0, 1, 1, 2, 2, 3])
COLS = np.array([0, 0, 1, 0, 2, 1])
DTYPES = (np.float32, np.float64)


def score_matrices(dtype: type = np.float64, max_side: int = 12) -> st.SearchStrategy[np.ndarray]:
    shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=max_side)
    width = 32 if dtype == np.float32 else 64
    return hnp.arrays(dtype, shapes, elements=st.floats(0, 1, width=width, allow_subnormal=False))


def given_tags(pred_probs: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return np.nonzero(np.random.default_rng(seed).random(pred_probs.shape) < 0.3)


def test_worked_example() -> None:
    cells = cell_scores(PROBS, ROWS, COLS)
    np.testing.assert_allclose(cells[1], [0.9, 0.1, 0.2], atol=1e-15)
    np.testing.assert_allclose(ema(cells), [0.9, 0.148, 0.66, 0.72], atol=1e-15)
    np.testing.assert_allclose(
        oracle_audit(LABELS, PROBS).label_quality_score, [0.9, 0.148, 0.66, 0.72], atol=1e-15
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_self_confidence_stays_in_the_dtype_of_the_column(dtype: type) -> None:
    p = PROBS.astype(dtype)
    cells = self_confidence(p, ROWS, COLS)
    assert cells.dtype == dtype
    assert cells[0, 1] == 1 - p[0, 1]
    assert cells[1, 1] == p[1, 1]


def test_margin_is_self_confidence_in_a_two_way_problem() -> None:
    np.testing.assert_array_equal(
        cell_scores(PROBS, ROWS, COLS, "normalized_margin"), cell_scores(PROBS, ROWS, COLS)
    )


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_saturated_probabilities_have_the_worst_entropy_score_even_where_they_agree(p: float) -> None:
    cells = cell_scores(np.array([[p, p]]), np.array([0]), np.array([0]), "confidence_weighted_entropy")
    np.testing.assert_array_equal(cells, [[0.0, 0.0]])


@pytest.mark.parametrize("method", CELL_SCORES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_cell_scores_lie_between_0_and_1(method: str, dtype: type) -> None:
    exponents = np.linspace(-30, 0, 4001)
    p = np.concatenate([10**exponents, 1 - 10**exponents]).astype(dtype)[:, None]
    for rows in (np.array([], dtype=np.int64), np.arange(len(p))):
        cells = cell_scores(p, rows, np.zeros_like(rows), method)
        assert (cells >= 0).all()
        assert (cells <= 1).all()


def test_unknown_names_are_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match="score is 'entropy': choose one of self_confidence"):
        cell_scores(PROBS, ROWS, COLS, "entropy")
    with pytest.raises(ValueError, match="aggregate is 'max': choose one of ema"):
        aggregate(PROBS, "max")


def test_adjusted_probabilities_are_centred_on_the_thresholds() -> None:
    p = np.array([[0.7, 0.2]])
    adjusted = adjust_pred_probs(p, np.array([0.8, 0.3]), np.array([0.6, 0.9]))
    # Class 0: q - t0 + m = 0.3 - 0.6 + 0.8, p - t1 + m = 0.7 - 0.8 + 0.8.
    np.testing.assert_allclose(adjusted, [[0.7 / 1.2, 0.8 / 1.6]], atol=1e-15)


@given(score_matrices(), st.floats(2e-6, 1), st.sampled_from([2e-6, 0.4, 1.0, 2.0]))
def test_adjusted_probabilities_stay_probabilities(p: np.ndarray, t1: float, t0: float) -> None:
    size = p.shape[1]
    adjusted = adjust_pred_probs(p, np.full(size, t1), np.full(size, t0))
    assert (adjusted >= 0).all()
    assert (adjusted <= 1).all()


def plain_ema(row: np.ndarray, alpha: float) -> float:
    scores = sorted(map(float, row), reverse=True)
    average = scores[0]
    for s in scores[1:]:
        average = alpha * s + (1 - alpha) * average
    return average


@given(score_matrices(max_side=40), st.sampled_from([0.0, 1e-12, 0.01, 0.5, 0.8, 0.999, 1.0]))
def test_ema_equals_the_recursion_from_the_largest_score_down(scores: np.ndarray, alpha: float) -> None:
    expected = [plain_ema(row, alpha) for row in scores]
    np.testing.assert_allclose(ema(scores, alpha), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [23, 24, 50, 184, 1000])
def test_ema_of_wide_rows_needs_only_the_smallest_scores(dtype: type, width: int) -> None:
    scores = np.random.default_rng(width).random((30, width)).astype(dtype)
    np.testing.assert_allclose(ema(scores), [plain_ema(row, 0.8) for row in scores], rtol=0, atol=1e-15)


def test_ema_depth_at_the_edges() -> None:
    assert ema_depth(0.8, 1000) == 23
    assert ema_depth(0.8, 5) == 5
    assert ema_depth(1.0, 1000) == 1
    assert ema_depth(0.0, 1000) == 1000
    assert ema_depth(1e-18, 1000) == 1000
    keep = 1 - 0.3
    assert keep ** ema_depth(0.3, 1000) < 1e-16 <= keep ** (ema_depth(0.3, 1000) - 1)


def test_ema_at_the_edges_of_alpha() -> None:
    scores = np.array([[0.2, 0.9, 0.5], [1.0, 1.0, 0.0]])
    np.testing.assert_array_equal(ema(scores, 0.0), [0.9, 1.0])
    np.testing.assert_array_equal(ema(scores, 1.0), [0.2, 0.0])
    np.testing.assert_array_equal(ema(scores, None), ema(scores, 0.5))


@pytest.mark.parametrize("method", AGGREGATES)
def test_one_class_scores_as_its_cell(method: str) -> None:
    scores = np.array([[0.0], [0.25], [1.0]])
    np.testing.assert_array_equal(aggregate(scores, method), scores[:, 0])


@pytest.mark.parametrize("method", AGGREGATES)
@given(scores=score_matrices())
def test_aggregates_lie_between_worst_and_best_cell(method: str, scores: np.ndarray) -> None:
    result = aggregate(scores, method)
    assert (result >= scores.min(axis=1) - 1e-15).all()
    assert (result <= scores.max(axis=1) + 1e-15).all()


@pytest.mark.parametrize("method", AGGREGATES)
def test_equal_perfect_cells_score_exactly_1(method: str) -> None:
    assert aggregate(np.ones((1, 37)), method)[0] == 1.0


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_outside_0_to_1_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha must be between 0 and 1"):
        ema(PROBS, alpha)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature_must_be_above_0(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be above 0"):
        softmin(PROBS, temperature)


def test_softmin_goes_from_the_worst_cell_to_the_mean() -> None:
    np.testing.assert_allclose(softmin(PROBS, 1e-9), minimum(PROBS), atol=1e-12)
    np.testing.assert_allclose(softmin(PROBS, 1e9), mean(PROBS), atol=1e-8)


@pytest.mark.parametrize("method", AGGREGATES)
def test_no_rows_give_no_scores_and_no_classes_are_refused(method: str) -> None:
    assert aggregate(np.empty((0, 4)), method).shape == (0,)
    with pytest.raises(ValueError, match="at least one class"):
        aggregate(np.empty((4, 0)), method)


@pytest.mark.parametrize("method", AGGREGATES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("num_rows", "width"), [(1000, 3), (1000, 50), (9000, 41), (300, 700), (60, 9001)])
def test_a_rows_score_has_the_same_bits_in_any_batch(
    method: str, dtype: type, num_rows: int, width: int
) -> None:
    scores = np.random.default_rng(width).random((num_rows, width)).astype(dtype)
    whole = aggregate(scores, method)
    np.testing.assert_array_equal(aggregate(np.asfortranarray(scores), method), whole)
    np.testing.assert_array_equal(aggregate(scores[::-1], method)[::-1], whole)
    np.testing.assert_array_equal(aggregate(np.ascontiguousarray(scores[:, ::-1])[:, ::-1], method), whole)
    for i in (0, 1, 7, num_rows // 2, num_rows - 1):
        assert aggregate(scores[i : i + 1], method)[0] == whole[i]
    np.testing.assert_array_equal(aggregate(scores[5:38], method), whole[5:38])


@pytest.mark.parametrize("method", CELL_SCORES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_cells_score_has_the_same_bits_in_any_batch(method: str, dtype: type) -> None:
    p = np.random.default_rng(4).random((1000, 37)).astype(dtype)
    rows, cols = given_tags(p)
    whole = cell_scores(p, rows, cols, method)
    np.testing.assert_array_equal(cell_scores(np.asfortranarray(p), rows, cols, method), whole)
    for i in (0, 3, 999):
        mine = rows == i
        alone = cell_scores(p[i : i + 1], rows[mine] - i, cols[mine], method)
        np.testing.assert_array_equal(alone[0], whole[i])


@pytest.mark.parametrize("dtype", DTYPES)
def test_adjusted_probabilities_have_the_same_bits_in_any_batch(dtype: type) -> None:
    p = np.random.default_rng(4).random((1000, 37)).astype(dtype)
    t1, t0 = np.random.default_rng(5).random((2, 37)).astype(dtype)
    whole = adjust_pred_probs(p, t1, t0)
    assert whole.dtype == dtype
    np.testing.assert_array_equal(adjust_pred_probs(np.asfortranarray(p), t1, t0), whole)
    np.testing.assert_array_equal(adjust_pred_probs(p[3:4], t1, t0)[0], whole[3])


@pytest.mark.parametrize("method", AGGREGATES)
def test_inputs_are_left_alone(method: str) -> None:
    for width in (3, 400):
        scores = np.random.default_rng(0).random((20, width))
        before = scores.copy()
        aggregate(scores, method)
        np.testing.assert_array_equal(scores, before)
    for name in CELL_SCORES:
        before = PROBS.copy()
        cell_scores(PROBS, ROWS, COLS, name)
        np.testing.assert_array_equal(PROBS, before)
