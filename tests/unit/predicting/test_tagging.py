"""A choice of thresholds told by class, and what a model carries of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from spark_ml_audit.kernels.tagging import TaggingEvidence, choose_thresholds
from spark_ml_audit.outcomes.tagging import Tagging, nothing_given
from spark_ml_audit.predicting.model_store import TaggingRule, about_model
from spark_ml_audit.predicting.tagging import TAGGING_COLUMNS, expected_shares, tagging_of, tagging_rows

CLASSES = ("billing", "rare", "vague", "unproved", "always", "flat")


def ints(*values: int) -> Any:
    return np.array(values, dtype=np.int64)


EVIDENCE = TaggingEvidence(
    num_rows=1000,
    num_given=ints(200, 3, 300, 40, 1000, 500),
    num_tried=ints(20, 20, 20, 20, 1, 1),
    class_index=ints(0, 0, 1, 2, 3),
    threshold=np.array([0.25, 0.5, 0.25, 0.375, 0.75]),
    num_tagged=ints(220, 100, 8, 400, 8),
    num_right=ints(176, 95, 1, 140, 8),
)


def test_each_class_has_its_figures_or_its_reason() -> None:
    choice = choose_thresholds(EVIDENCE, 0.6)
    rows = tagging_rows(CLASSES, EVIDENCE, choice)
    assert [row["tag"] for row in rows] == list(CLASSES)
    billing = rows[0]
    assert billing["decision_threshold"] == 0.25
    assert (billing["num_tagged"], billing["num_right"], billing["precision"]) == (220, 176, 0.8)
    assert billing["recall"] == 0.88
    assert 0.6 <= billing["precision_bound"] < 0.8
    assert billing["not_tagged"] is None
    assert [row["not_tagged"] for row in rows[1:]] == [
        "given to 3 rows, fewer than 10",
        "too imprecise: 140 of 400 tags right out of fold at best (35.0%)",
        "not proved: 8 of 8 tags right out of fold (100.0%) prove 47.2% only",
        "given to every row, so nothing was learnt of it",
        "no probabilities stand out above its share of the rows, 50.00%",
    ]
    assert all(row["decision_threshold"] is None for row in rows[1:])
    assert rows[5]["precision"] is None
    assert set(rows[0]) == {"tag", "class_index", "num_given", *TAGGING_COLUMNS}
    json.dumps(rows, allow_nan=False)


def test_the_summary_adds_up() -> None:
    choice = choose_thresholds(EVIDENCE, 0.6)
    said = tagging_of(CLASSES, EVIDENCE, choice)
    assert (said.num_classes_given, said.num_classes_not_given) == (1, 5)
    assert said.expected_tags_per_row == 0.22
    assert expected_shares(EVIDENCE, choice).tolist() == [0.22, 0, 0, 0, 0, 0]
    assert [item.tag for item in said.not_tagged] == ["always", "flat", "vague", "unproved", "rare"]
    assert Tagging.from_mapping(json.loads(json.dumps(said.to_dict()))) == said
    assert nothing_given(said) == []
    nothing = tagging_of(CLASSES, EVIDENCE, choose_thresholds(EVIDENCE, 0.99))
    (sentence,) = nothing_given(nothing)
    assert "tag.min_precision 0.99" in sentence


def test_what_a_model_carries_is_what_was_counted() -> None:
    rule = TaggingRule(0.6, EVIDENCE)
    again = TaggingRule.from_mapping(json.loads(json.dumps(rule.to_mapping())))
    assert again is not None
    assert again.min_precision == 0.6
    for least in (0.0, 0.3, 0.6, 0.9):
        first, second = (choose_thresholds(one.evidence, least) for one in (rule, again))
        assert first.threshold.tolist() == second.threshold.tolist()
        assert first.reason == second.reason
    assert TaggingRule.from_mapping(None) is None


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"evidence": {}},
        {"min_precision": None},
        {"evidence": {**EVIDENCE.to_mapping(), "threshold": [0.5]}},
    ],
)
def test_what_is_no_rule_is_refused(changed: dict[str, Any]) -> None:
    values = {**TaggingRule(0.6, EVIDENCE).to_mapping(), **changed} if changed else {}
    with pytest.raises(ValueError, match=r"no rule for tags|no counts at thresholds|different lengths"):
        TaggingRule.from_mapping(values)


def test_what_mlflow_shows_of_a_model_is_bounded() -> None:
    size = 3000
    evidence = TaggingEvidence(
        100, np.ones(size, np.int64), np.ones(size, np.int64), ints(), np.array([]), ints(), ints()
    )
    choice = choose_thresholds(evidence, 0.5)
    about = about_model(tagging_of([f"tag{k}" for k in range(size)], evidence, choice))
    assert about["num_classes_not_given"] == about["num_classes"] == size
    assert len(about["not_tagged"]) == 100
    assert about["not_tagged"][0] == "tag0: given to 1 row, fewer than 10"
