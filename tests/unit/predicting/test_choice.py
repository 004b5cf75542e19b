"""What `auto` chooses under a budget: by estimates, then by held-out losses; told in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.outcomes.choice import ModelChoice
from spark_ml_audit.predicting.choice import Candidate, Losses, Task, candidates_of, choose

RICH, PLAIN, CHEAP = Candidate("joint", 8.0), Candidate("tabular", 4.0), Candidate("linear", 1.0)


def chosen(budget: float | None, shifts: dict[str, float], check_minutes: float = 0.1) -> ModelChoice:
    """The choice among the three, whose held-out losses differ by so much."""
    base = np.random.default_rng(0).random(400)

    def check(items: Sequence[Candidate]) -> list[Losses | None]:
        noise = np.random.default_rng(1).normal(0, 0.01, (len(items), 400))
        return [
            base + shifts[item.name] + row if item.name in shifts else None
            for item, row in zip(items, noise, strict=True)
        ]

    candidate, choice = choose([RICH, PLAIN, CHEAP], budget, check, lambda items: check_minutes)
    assert choice.kind == candidate.kind
    assert [item.name for item in choice.considered] == ["joint", "tabular", "linear"]
    return choice


def test_the_richest_within_the_budget_is_taken_unless_a_cheaper_one_is_surely_better() -> None:
    assert chosen(10.0, {"joint": 0.0, "tabular": 0.1, "linear": 0.2}).kind == "joint"
    assert chosen(10.0, {"joint": 0.2, "tabular": 0.1, "linear": 0.3}).kind == "tabular"
    assert chosen(10.0, {"joint": 0.2, "tabular": 0.1, "linear": 0.0}).kind == "linear"
    # a difference that chance explains changes nothing
    assert chosen(10.0, {"joint": 0.0002, "tabular": 0.1, "linear": 0.0}).kind == "joint"
    # one that cannot be trained is not chosen
    assert chosen(10.0, {"tabular": 0.1, "linear": 0.3}).kind == "tabular"


def test_fine_tuning_is_told_with_the_losses_of_what_stands_for_it() -> None:
    ways = [Candidate("joint", 8.0, "finetune"), Candidate("joint", 3.0, "frozen"), Candidate("linear", 1.0)]
    means = {"joint with frozen encoder": 0.25, "linear": 0.5}

    def check(items: Sequence[Candidate]) -> list[Losses | None]:
        return [np.full(400, means[item.name]) for item in items]

    candidate, choice = choose(ways, 10.0, check, lambda items: 0.1, "encoder")
    assert candidate.level == "finetune"
    assert choice.reason.endswith(
        "the log loss of joint with frozen encoder on 400 held-out rows of an inner check is 0.2500, 0.5000 "
        "by linear."
    )


def test_what_is_beyond_the_budget_is_not_tried() -> None:
    choice = chosen(5.0, {"joint": 0.0, "tabular": 0.1, "linear": 0.2})
    assert choice.kind == "tabular"
    assert "joint (8 min) would take longer than allowed" in choice.reason
    losses = {item.name: item.log_loss for item in choice.considered}
    assert losses["joint"] is None
    assert losses["tabular"] is not None
    only = chosen(2.0, {})
    assert only.kind == "linear"
    assert "inner check" not in only.reason
    floor = chosen(0.5, {})
    assert floor.kind == "linear"
    assert "even that is estimated at 1 min, beyond the 30 s allowed" in floor.reason


def test_without_time_for_a_check_the_richest_stands_and_this_is_said() -> None:
    choice = chosen(8.05, {"joint": 0.2, "tabular": 0.1, "linear": 0.0})
    assert choice.kind == "joint"
    assert "no time for an inner check" in choice.reason


def test_the_sentence_tells_losses_and_rows() -> None:
    reason = chosen(10.0, {"joint": 0.0, "tabular": 0.1, "linear": 0.2}).reason
    assert reason.startswith("auto chose joint, estimated at 8 min of the 10 min allowed (model.budget);")
    assert "400 held-out rows" in reason
    assert " by tabular, " in reason


@pytest.mark.parametrize(
    ("spec", "num_tags", "kinds"),
    [
        (FeatureSpec(text=("a",)), 5, ["joint", "linear"]),
        (FeatureSpec(text=("a",)), 1, ["linear"]),
        (FeatureSpec(numeric=("a",)), 65, ["joint", "linear"]),
        (FeatureSpec(numeric=("a",)), 1, ["tabular", "linear"]),
    ],
)
def test_candidates_begin_with_what_auto_takes_by_default(
    spec: FeatureSpec, num_tags: int, kinds: list[str]
) -> None:
    found = candidates_of(Task(spec, 100.0, 1000, num_tags, 5, 2, num_predicted=1250))
    assert [item.kind for item in found] == kinds
    assert all(item.minutes > 0 for item in found)


def test_folds_beside_each_other_take_less_time() -> None:
    one, two = (Task(FeatureSpec(text=("a",)), 100.0, 1000, 9, 5, cores, 1250) for cores in (1, 2))
    assert one.minutes("joint") == pytest.approx(two.minutes("joint") * 5 / 3)
