"""What cleanlab cannot audit, or hardly: no rows, one class, one side only, nothing given."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from spark_ml_audit import arrays
from tests.oracle import EXAMPLE_FILTERS, FILTERS
from tests.paths import PROJECT

DTYPES = ("float32", "float64")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("filter_by", FILTERS)
@pytest.mark.parametrize("labels", [[], np.zeros((0, 3), dtype=bool)], ids=["list", "array"])
def test_no_rows(filter_by: str, dtype: str, labels: Any) -> None:
    probs = np.zeros((0, 3), dtype=dtype)
    assert arrays.find_label_issues(labels, probs, filter_by=filter_by).shape == (0,)
    ranked = arrays.find_label_issues(labels, probs, "self_confidence", filter_by=filter_by)
    assert ranked.shape == (0,)
    assert ranked.dtype == np.int64
    assert arrays.find_multilabel_issues_per_class(labels, probs, filter_by=filter_by).shape == (0, 3)
    issues, given, pairs = arrays.find_multilabel_issues_per_class(
        labels, probs, "self_confidence", filter_by=filter_by
    )
    assert [len(part) for part in (issues, given, pairs)] == [3, 3, 3]
    assert all(len(part) == 0 for part in (*issues, *given, *pairs))
    assert arrays.get_label_quality_scores(labels, probs).shape == (0,)
    assert arrays.get_label_quality_scores(labels, probs, adjust_pred_probs=True).shape == (0,)
    assert arrays.get_label_quality_scores_per_class(labels, probs).shape == (0, 3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("filter_by", FILTERS)
def test_nothing_is_given(filter_by: str, dtype: str) -> None:
    probs = np.array([[0.9, 0.1], [0.1, 0.2], [0.2, 0.1], [0.1, 0.3]], dtype=dtype)
    cells = arrays.find_multilabel_issues_per_class([[], [], [], []], probs, filter_by=filter_by)
    assert not cells[:, 1].any()
    # a class that nobody has is never confidently there: only a disagreement can be told
    assert cells[:, 0].tolist() == [filter_by == "predicted_neq_given", False, False, False]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("filter_by", FILTERS)
def test_a_class_given_to_every_row_misses_nowhere(filter_by: str, dtype: str) -> None:
    probs = np.array([[0.9, 0.1], [0.1, 0.2], [0.8, 0.1], [0.9, 0.3]], dtype=dtype)
    given = np.array([[1, 0], [1, 0], [1, 0], [1, 1]])
    cells = arrays.find_multilabel_issues_per_class(given, probs, filter_by=filter_by)
    assert cells[:, 0].tolist() == [False, filter_by == "predicted_neq_given", False, False]


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_class_scores_itself(dtype: str) -> None:
    probs = np.array([[0.9], [0.25]], dtype=dtype)
    scores = arrays.get_label_quality_scores([[0], []], probs)
    np.testing.assert_array_equal(scores, [probs[0, 0], 0.75])
    assert arrays.find_label_issues([[0], []], probs).tolist() == [False, False]


def test_one_row() -> None:
    for filter_by in FILTERS:
        found = arrays.find_label_issues([[0]], [[0.1, 0.9]], filter_by=filter_by)
        assert found.tolist() == [filter_by == "predicted_neq_given"]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_all_probabilities_alike_are_flagged_alike(value: float) -> None:
    given = np.arange(40).reshape(20, 2) % 3 == 0
    for filter_by in set(FILTERS) - set(EXAMPLE_FILTERS):
        cells = arrays.find_multilabel_issues_per_class(given, np.full((20, 2), value), filter_by=filter_by)
        for k in range(2):
            assert len(set(zip(given[:, k], cells[:, k], strict=True))) == 2


def test_many_classes_for_few_rows() -> None:
    rng = np.random.default_rng(0)
    probs = rng.random((30, 5000)).astype(np.float32)
    given = rng.random(probs.shape) < probs * 0.1
    cells = arrays.find_multilabel_issues_per_class(given, probs)
    np.testing.assert_array_equal(arrays.find_label_issues(given, probs), cells.any(axis=1))
    alone = arrays.find_multilabel_issues_per_class(given[:, 7:9], probs[:, 7:9])
    np.testing.assert_array_equal(cells[:, 7:9], alone)  # no class sees another


def test_importing_it_loads_numpy_alone() -> None:
    script = """
import sys
before = set(sys.modules)
from spark_ml_audit.arrays import find_label_issues, get_label_quality_scores
from spark_ml_audit import arrays
assert arrays.filter.find_label_issues is find_label_issues
found = find_label_issues([[0], []], [[0.9], [0.2]])
scores = get_label_quality_scores([[0], []], [[0.9], [0.2]])
own = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
assert own == {"numpy", "spark_ml_audit"}, own
ours = {".".join(n.split(".")[:2]) for n in sys.modules if n.startswith("spark_ml_audit.")}
assert ours == {f"spark_ml_audit.{n}" for n in ("_version", "arrays", "errors", "kernels")}, ours
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(set(arrays.__all__) - {"dataset", "filter", "rank"}))
def test_every_function_is_reached_in_both_ways(name: str) -> None:
    homes = [module for module in (arrays.dataset, arrays.filter, arrays.rank) if hasattr(module, name)]
    module = next(m for m in homes if getattr(m, name).__module__ == m.__name__)
    assert getattr(arrays, name) is getattr(module, name)
