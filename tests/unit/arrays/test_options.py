"""Arguments that would be ignored, or mean something else than was meant, are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from spark_ml_audit import arrays
from spark_ml_audit.errors import ConfigError

LABELS, PROBS = [[0], [1], []], np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.3]])
JOINT = np.ones((2, 2, 2), dtype=int)
FIND = (arrays.find_label_issues, arrays.find_multilabel_issues_per_class)


@pytest.mark.parametrize("function", FIND)
@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"filter_by": "prune"}, "filter_by"),
        ({"filter_by": None}, "filter_by"),
        ({"frac_noise": 1.5}, "frac_noise"),
        ({"frac_noise": -0.1}, "frac_noise"),
        ({"frac_noise": float("nan")}, "frac_noise"),
        ({"frac_noise": "1"}, "frac_noise"),
        ({"frac_noise": True}, "frac_noise"),
        ({"min_examples_per_class": -1}, "min_examples_per_class"),
        ({"min_examples_per_class": 1.5}, "min_examples_per_class"),
        ({"num_to_remove_per_class": 3}, "num_to_remove_per_class"),
        ({"num_to_remove_per_class": [1]}, "num_to_remove_per_class"),
        ({"num_to_remove_per_class": [1, -1]}, "num_to_remove_per_class"),
        ({"num_to_remove_per_class": [1.0, 2.0]}, "num_to_remove_per_class"),
        ({"num_to_remove_per_class": [1, 1], "filter_by": "both"}, "num_to_remove_per_class"),
        ({"confident_joint": np.ones((2, 2))}, "confident_joint"),
        ({"confident_joint": np.ones((3, 2, 2))}, "confident_joint"),
        ({"confident_joint": JOINT / 8}, "confident_joint"),
        ({"confident_joint": -JOINT}, "confident_joint"),
        ({"confident_joint": JOINT * np.nan}, "confident_joint"),
        ({"confident_joint": JOINT.astype(str)}, "confident_joint"),
        ({"rank_by_kwargs": {"adjust_pred_probs": True}}, "rank_by_kwargs"),
        ({"rank_by_kwargs": True}, "rank_by_kwargs"),
        ({"return_indices_ranked_by": "margin"}, "return_indices_ranked_by"),
        ({"return_indices_ranked_by": True}, "return_indices_ranked_by"),
        (
            {"return_indices_ranked_by": "self_confidence", "rank_by_kwargs": {"adjust": True}},
            "rank_by_kwargs",
        ),
        (
            {"return_indices_ranked_by": "self_confidence", "rank_by_kwargs": {"adjust_pred_probs": 1}},
            "rank_by_kwargs['adjust_pred_probs']",
        ),
        (
            {
                "return_indices_ranked_by": "confidence_weighted_entropy",
                "rank_by_kwargs": {"adjust_pred_probs": True},
            },
            "adjust_pred_probs",
        ),
        ({"n_jobs": 0}, "n_jobs"),
        ({"n_jobs": -1}, "n_jobs"),
        ({"n_jobs": 1.5}, "n_jobs"),
        ({"n_jobs": True}, "n_jobs"),
        ({"verbose": 1}, "verbose"),
        ({"low_memory": True}, "low_memory"),
        ({"low_memory": None}, "low_memory"),
    ],
    ids=str,
)
def test_refused_by_name(function, options: dict, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        function(LABELS, PROBS, **options)
    assert refused.value.key == key
    assert refused.value.fix


@pytest.mark.parametrize("function", FIND)
@pytest.mark.parametrize(
    "filter_by",
    ["confident_learning", "predicted_neq_given", "low_self_confidence", "low_normalized_margin"],
)
@pytest.mark.parametrize(
    "options",
    [
        {"frac_noise": 0.5},
        {"min_examples_per_class": 2},
        {"num_to_remove_per_class": [1, 1]},
        {"confident_joint": JOINT},
    ],
    ids=str,
)
def test_what_a_filter_has_no_use_for_is_refused(function, filter_by: str, options: dict) -> None:
    with pytest.raises(ConfigError, match="no use with filter_by") as refused:
        function(LABELS, PROBS, filter_by=filter_by, **options)
    assert refused.value.key == next(iter(options))


@pytest.mark.parametrize("function", FIND)
def test_defaults_may_be_spelled_out(function) -> None:
    function(LABELS, PROBS, filter_by="confident_learning", frac_noise=1, min_examples_per_class=1)
    function(LABELS, PROBS, rank_by_kwargs={}, confident_joint=None, n_jobs=np.int64(3), low_memory=False)
    function(LABELS, PROBS, confident_joint=JOINT.astype(float).tolist(), verbose=np.bool_(False))
