"""Scores of arrays against cleanlab's, for every method and argument."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from spark_ml_audit.arrays import get_label_quality_scores, get_label_quality_scores_per_class
from spark_ml_audit.errors import ConfigError
from tests.datasets import KINDS, Dataset, from_arrays, make_dataset
from tests.oracle import oracle_audit

cleanlab = pytest.importorskip("cleanlab.multilabel_classification.rank")

pytestmark = pytest.mark.filterwarnings("ignore")  # of the reference

SEEDS = range(4 * len(KINDS))
METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def datasets() -> list[Dataset]:
    """Those that cleanlab scores: two classes or more, labels given and not given."""
    found = [make_dataset(seed) for seed in SEEDS]
    return [data for data in found if data.given.shape[1] > 1 and data.given.any() and not data.given.all()]


def slack(data: Dataset) -> float:
    return 1e-6 if data.pred_probs.dtype == np.float32 else 1e-12


def distinct(data: Dataset, method: str) -> np.ndarray:
    """Cells whose score says more than its rounding: the entropy's is ln(e + 1) / e for tiny e."""
    inner = (data.pred_probs > 1e-4) & (data.pred_probs < 1 - 1e-4)
    return inner if method == "confidence_weighted_entropy" else np.ones_like(inner)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("adjust", [False, True])
def test_scores_per_class_equal_cleanlabs(method: str, adjust: bool) -> None:
    if adjust and method == "confidence_weighted_entropy":
        return
    for data in datasets():
        options = {"method": method, "adjust_pred_probs": adjust}
        ours = get_label_quality_scores_per_class(data.labels, data.pred_probs, **options)
        theirs = cleanlab.get_label_quality_scores_per_class(data.labels, data.pred_probs, **options)
        assert ours.dtype == theirs.dtype == np.float64
        assert ours.shape == theirs.shape
        kept = distinct(data, method)
        np.testing.assert_allclose(ours[kept], theirs[kept], rtol=0, atol=slack(data), err_msg=data.name)


AGGREGATES = [
    {},
    None,
    {"method": "exponential_moving_average", "alpha": 0.8},
    {"method": "exponential_moving_average"},
    {"method": "exponential_moving_average", "alpha": None},
    {"method": "exponential_moving_average", "alpha": 1},
    {"method": "exponential_moving_average", "alpha": 0},
    {"method": "softmin"},
    {"method": "softmin", "temperature": 2.5},
    {"method": np.mean},
    {"method": np.min},
    {"method": np.quantile, "q": 0.25},
]


# named by number: a function shows its address, which differs between test processes
@pytest.mark.parametrize("aggregator", AGGREGATES, ids=range(len(AGGREGATES)))
def test_scores_equal_cleanlabs(aggregator: dict | None) -> None:
    for data in datasets():
        theirs = cleanlab.get_label_quality_scores(data.labels, data.pred_probs, aggregator_kwargs=aggregator)
        ours = get_label_quality_scores(data.labels, data.pred_probs, aggregator_kwargs=aggregator)
        assert ours.dtype == theirs.dtype == np.float64
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=slack(data), err_msg=data.name)


@pytest.mark.parametrize("method", ["Self_Confidence", "normalized_margin"])
@pytest.mark.parametrize("adjust", [False, True])
def test_methods_of_scores_equal_cleanlabs(method: str, adjust: bool) -> None:
    for data in datasets():
        options = {"method": method, "adjust_pred_probs": adjust}
        ours = get_label_quality_scores(data.labels, data.pred_probs, **options)
        theirs = cleanlab.get_label_quality_scores(data.labels, data.pred_probs, **options)
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=slack(data), err_msg=data.name)


def test_wide_rows_equal_cleanlabs() -> None:
    rng = np.random.default_rng(3)
    for dtype in (np.float32, np.float64):
        p = rng.random((50, 900)).astype(dtype)
        data = from_arrays("wide", rng.random(p.shape) < 0.1, p)
        theirs = cleanlab.get_label_quality_scores(data.labels, p)
        np.testing.assert_allclose(get_label_quality_scores(data.labels, p), theirs, rtol=0, atol=slack(data))


def test_what_cleanlab_cannot_score_equals_the_oracle() -> None:
    for seed in range(2 * len(KINDS)):
        data = make_dataset(seed)
        for adjust in (False, True):
            wanted = oracle_audit(data.labels, data.pred_probs, adjust_pred_probs=adjust)
            ours = get_label_quality_scores(data.labels, data.pred_probs, adjust_pred_probs=adjust)
            np.testing.assert_allclose(ours, wanted.label_quality_score, rtol=0, atol=slack(data))


@pytest.mark.parametrize("function", [get_label_quality_scores, get_label_quality_scores_per_class])
def test_parameters_are_cleanlabs(function) -> None:
    ours = inspect.signature(function).parameters
    theirs = inspect.signature(getattr(cleanlab, function.__name__)).parameters
    assert [(p.name, p.kind) for p in ours.values()] == [(p.name, p.kind) for p in theirs.values()]
    for name in set(ours) - {"aggregator_kwargs"}:  # None is what cleanlab's default says
        assert ours[name].default == theirs[name].default


def test_the_default_aggregate_is_cleanlabs() -> None:
    data = make_dataset(0)
    default = inspect.signature(cleanlab.get_label_quality_scores).parameters["aggregator_kwargs"].default
    np.testing.assert_array_equal(
        get_label_quality_scores(data.labels, data.pred_probs),
        get_label_quality_scores(data.labels, data.pred_probs, aggregator_kwargs=default),
    )


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"method": "margin"}, "method"),
        ({"method": None}, "method"),
        ({"adjust_pred_probs": 1}, "adjust_pred_probs"),
        ({"adjust_pred_probs": True, "method": "confidence_weighted_entropy"}, "adjust_pred_probs"),
        ({"aggregator_kwargs": {"alpha": 0.5}}, "aggregator_kwargs['method']"),
        ({"aggregator_kwargs": {"method": "mean"}}, "aggregator_kwargs['method']"),
        ({"aggregator_kwargs": "softmin"}, "aggregator_kwargs"),
        ({"aggregator_kwargs": {"method": "softmin", "alpha": 0.8}}, "aggregator_kwargs of softmin"),
        ({"aggregator_kwargs": {"method": "softmin", "temperature": 0}}, "aggregator_kwargs['temperature']"),
        (
            {"aggregator_kwargs": {"method": "exponential_moving_average", "alpha": 1.2}},
            "aggregator_kwargs['alpha']",
        ),
        (
            {"aggregator_kwargs": {"method": "exponential_moving_average", "alpha": "a"}},
            "aggregator_kwargs['alpha']",
        ),
        (
            {"aggregator_kwargs": {"method": "exponential_moving_average", "temperature": 1}},
            "aggregator_kwargs of exponential_moving_average",
        ),
        ({"aggregator_kwargs": {"method": np.min, "axis": 0}}, "aggregator_kwargs"),
    ],
)
def test_what_would_be_ignored_or_fail_is_refused(options: dict, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        get_label_quality_scores([[0], [1]], np.full((2, 2), 0.5), **options)
    assert refused.value.key == key
    assert refused.value.fix
