"""Tables and scores of whole data sets against cleanlab's."""

from __future__ import annotations

import functools
import inspect
import math
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from spark_ml_audit.arrays import dataset
from spark_ml_audit.errors import ConfigError, InputError
from tests.datasets import KINDS, Dataset, make_dataset
from tests.paths import PROJECT
from tests.reference import taken_by_reference
from tests.unit.arrays.test_filter import _without_tied_flags

cleanlab = pytest.importorskip("cleanlab.multilabel_classification.dataset")
from cleanlab.count import compute_confident_joint  # noqa: E402

FUNCTIONS = (
    "common_multilabel_issues",
    "rank_classes_by_multilabel_quality",
    "overall_multilabel_health_score",
    "multilabel_health_summary",
)


@pytest.fixture(autouse=True)
def _quiet_reference_in_one_process(monkeypatch: pytest.MonkeyPatch):
    for name in ("find_multilabel_issues_per_class", "find_label_issues"):
        monkeypatch.setattr(cleanlab, name, functools.partial(getattr(cleanlab, name), n_jobs=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@functools.cache
def datasets() -> list[Dataset]:
    found = [taken_by_reference(make_dataset(seed), "predicted_neq_given") for seed in range(3 * len(KINDS))]
    kept = [data for data in found if data is not None and _without_tied_flags(data, "prune_by_noise_rate")]
    assert len(kept) > 15
    return kept


def in_class_order(table: pd.DataFrame) -> pd.DataFrame:
    keys = [name for name in ("Class Index", "In Suggested Label") if name in table]
    return table.sort_values(keys, ignore_index=True)


def assert_table_equals(ours: pd.DataFrame, theirs: pd.DataFrame, by: str, ascending: bool) -> None:
    """The same rows, both sorted by the column; equal values may change places; counts as they are."""
    assert list(ours.columns) == list(theirs.columns)
    assert list(ours.index) == list(theirs.index)
    np.testing.assert_array_equal(ours[by], theirs[by])
    assert ours[by].is_monotonic_increasing if ascending else ours[by].is_monotonic_decreasing
    # cleanlab cuts share * rows to a whole number, which may be one less than the count
    counts = [name for name in ours.columns if name.endswith("Label Issues")]
    one, other = in_class_order(ours), in_class_order(theirs)
    for name in counts:
        assert set(one[name] - other[name]) <= {0, 1}
    pd.testing.assert_frame_equal(
        one.drop(columns=counts), other.drop(columns=counts), check_exact=True, check_dtype=False
    )


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("with_joint", [False, True])
def test_tables_equal_cleanlabs(named: bool, with_joint: bool) -> None:
    for data in datasets():
        size = data.pred_probs.shape[1]
        options: dict = {"class_names": [f"tag {k}" for k in range(size)]} if named else {}
        args = (data.labels, data.pred_probs)
        joint = None
        if with_joint:
            joint = compute_confident_joint(*args, multi_label=True, calibrate=False)
        assert_table_equals(
            dataset.common_multilabel_issues(*args, confident_joint=joint, **options),
            cleanlab.common_multilabel_issues(*args, confident_joint=joint, **options),
            "Issue Probability",
            ascending=False,
        )
        theirs = cleanlab.rank_classes_by_multilabel_quality(*args, joint=joint, **options)
        for name in ("joint", "confident_joint"):
            ours = dataset.rank_classes_by_multilabel_quality(*args, **{name: joint}, **options)
            assert_table_equals(ours, theirs, "Label Quality Score", ascending=True)
        assert dataset.overall_multilabel_health_score(*args, confident_joint=joint) == (
            cleanlab.overall_multilabel_health_score(*args, confident_joint=joint)
        )


def test_summary_holds_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    data = datasets()[0]
    args = (data.labels, data.pred_probs)
    ours = dataset.multilabel_health_summary(*args, verbose=False, num_examples=len(data.labels))
    assert capsys.readouterr().out == ""
    theirs = cleanlab.multilabel_health_summary(*args, verbose=False)
    assert ours.keys() == theirs.keys()
    assert ours["overall_multilabel_health_score"] == theirs["overall_multilabel_health_score"]
    pd.testing.assert_frame_equal(
        ours["classes_by_multilabel_quality"], dataset.rank_classes_by_multilabel_quality(*args)
    )
    pd.testing.assert_frame_equal(ours["common_multilabel_issues"], dataset.common_multilabel_issues(*args))
    dataset.multilabel_health_summary(*args)
    told = capsys.readouterr().out
    assert f"Labels of {len(data.labels)} examples: {ours['overall_multilabel_health_score']:.2%}" in told
    for name in ("classes_by_multilabel_quality", "common_multilabel_issues"):
        assert ours[name].to_string() in told  # every column


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_are_cleanlabs(name: str) -> None:
    ours, theirs = (inspect.signature(getattr(module, name)).parameters for module in (dataset, cleanlab))
    assert [(p.name, p.kind) for p in ours.values()] == [(p.name, p.kind) for p in theirs.values()]


def test_names_of_classes_as_a_dict_or_any_iterable() -> None:
    data = make_dataset(0, kind="plain")
    size = data.pred_probs.shape[1]
    names = [f"tag {k}" for k in range(size)]
    wanted = dataset.common_multilabel_issues(data.labels, data.pred_probs, class_names=names)
    for given in (dict(enumerate(names)), tuple(names), np.array(names), pd.Series(names), iter(names)):
        found = dataset.common_multilabel_issues(data.labels, data.pred_probs, class_names=given)
        pd.testing.assert_frame_equal(found, wanted)


def test_no_rows_have_no_shares() -> None:
    none = ([], np.zeros((0, 3)))
    assert math.isnan(dataset.overall_multilabel_health_score(*none))
    assert dataset.common_multilabel_issues(*none)["Issue Probability"].isna().all()
    assert dataset.rank_classes_by_multilabel_quality(*none)["Label Issues"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("common_multilabel_issues", {"class_names": ["a"]}, "class_names"),
        ("common_multilabel_issues", {"class_names": "ab"}, "class_names"),
        ("common_multilabel_issues", {"class_names": {0: "a"}}, "class_names"),
        ("common_multilabel_issues", {"confident_joint": np.ones((2, 2))}, "confident_joint"),
        (
            "rank_classes_by_multilabel_quality",
            {"joint": np.ones((2, 2, 2)), "confident_joint": np.ones((2, 2, 2))},
            "joint",
        ),
        ("multilabel_health_summary", {"num_examples": 5}, "num_examples"),
        ("multilabel_health_summary", {"verbose": "no"}, "verbose"),
    ],
    ids=str,
)
def test_what_would_be_ignored_is_refused(name: str, options: dict, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        getattr(dataset, name)([[0], [1]], np.full((2, 2), 0.5), **options)
    assert refused.value.key == key


@pytest.mark.parametrize("name", FUNCTIONS)
def test_labels_and_probabilities_are_asked_for(name: str) -> None:
    with pytest.raises(InputError, match="pred_probs: there are none"):
        getattr(dataset, name)([[0]])
    with pytest.raises(InputError, match="labels: there are none"):
        getattr(dataset, name)(pred_probs=np.ones((1, 1)))


def test_pandas_is_loaded_by_the_first_table() -> None:
    script = """
import sys
from spark_ml_audit.arrays import dataset
args = [[0], []], [[0.9], [0.2]]
assert dataset.overall_multilabel_health_score(*args) == 1.0
assert "pandas" not in sys.modules
dataset.common_multilabel_issues(*args)
assert "pandas" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True, timeout=120)
