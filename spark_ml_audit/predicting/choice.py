"""What `model.kind: auto` trains where `model.budget` or an encoder leaves a choice; why, in one sentence.

Ways to predict are listed, the richest first. Those whose estimated time is beyond the budget fall out; of
the rest the richest is taken, unless a cheaper one predicts held-out rows of an inner check better by more
than chance. Estimates follow from the table and the number of cores, never from a clock: the same table on
the same machine gets the same choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from spark_ml_audit.engines.limits import cores
from spark_ml_audit.models.bundle import MIN_ROWS_OF_A_KIND
from spark_ml_audit.models.costs import fit_seconds
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.registry import resolve_kind
from spark_ml_audit.outcomes.choice import Considered, ModelChoice
from spark_ml_audit.predicting.inner_check import CHECK_ROWS, HELD_OUT, Way, check_ways

if TYPE_CHECKING:
    from spark_ml_audit.config import ModelConfig
    from spark_ml_audit.predicting.training import TrainingSet

Losses = npt.NDArray[np.float64]

_FLOOR = "linear"


@dataclass(frozen=True)
class Task:
    """What is to be predicted, as far as it decides how long that takes.

    Attributes:
        spec: Feature columns.
        characters: Mean characters of a row's texts.
        num_rows: Rows that a fold's model is trained on.
        num_tags: Tags that can be learned.
        folds: Folds.
        cores: Cores; folds are trained beside each other.
    """

    spec: FeatureSpec
    characters: float
    num_rows: int
    num_tags: int
    folds: int
    cores: int

    def minutes(self, kind: str, num_rows: int | None = None, times: int | None = None) -> float:
        """Estimated minutes of all folds by one kind.

        Args:
            kind: The kind.
            num_rows: Rows of a training instead of all of them.
            times: Trainings instead of one per fold.
        """
        rows = self.num_rows if num_rows is None else num_rows
        seconds = fit_seconds(kind, self.spec, self.characters, rows, self.num_tags)
        rounds = -(-(self.folds if times is None else times) // self.cores)
        return seconds * rounds / 60


@dataclass(frozen=True)
class Candidate:
    """A way to predict, with what it is expected to cost."""

    kind: str
    minutes: float

    @property
    def name(self) -> str:
        """As it is told."""
        return self.kind


def plain_candidates(task: Task) -> list[Candidate]:
    """The built-in kinds that fit the columns, the richest first: what `auto` takes by default, then cheaper.

    Example:
        >>> task = Task(FeatureSpec(numeric=("price",)), 0.0, 900, num_tags=3, folds=5, cores=2)
        >>> [item.kind for item in plain_candidates(task)]
        ['tabular', 'joint', 'linear']
    """
    kinds = dict.fromkeys([resolve_kind("auto", task.spec, task.num_tags), "joint", _FLOOR])
    if task.num_tags < 2:  # there is nothing to join
        kinds.pop("joint")
    return [Candidate(kind, task.minutes(kind)) for kind in kinds]


def choose(
    candidates: Sequence[Candidate],
    budget: float | None,
    check: Callable[[Sequence[Candidate]], list[Losses | None]],
    check_minutes: Callable[[Sequence[Candidate]], float],
) -> tuple[Candidate, ModelChoice]:
    """Take one of the candidates.

    Args:
        candidates: The richest first; the last one is taken if none is within the budget.
        budget: Minutes; None for no limit.
        check: Held-out losses of candidates by row, as `check_ways`.
        check_minutes: What that costs.

    Returns:
        The candidate and what is told of the choice.
    """
    within = [item for item in candidates if budget is None or item.minutes <= budget]
    beyond = [item for item in candidates if item not in within]
    losses: dict[str, Losses] = {}
    if not within:
        chosen = candidates[-1]
    else:
        chosen = within[0]
        if len(within) > 1 and (budget is None or chosen.minutes + check_minutes(within) <= budget):
            found = zip(within, check(within), strict=True)
            losses = {item.name: loss for item, loss in found if loss is not None}
            for cheaper in within[1:]:
                if _is_better(losses.get(cheaper.name), losses.get(chosen.name)):
                    chosen = cheaper
    means = {name: float(loss.mean()) for name, loss in losses.items()}
    considered = tuple(
        Considered(name=item.name, minutes=round(item.minutes, 4), log_loss=means.get(item.name))
        for item in candidates
    )
    reason = _reason(chosen, within, beyond, budget, means, len(next(iter(losses.values()), ())))
    return chosen, ModelChoice(kind=chosen.kind, budget=budget, reason=reason, considered=considered)


def choose_model(training: TrainingSet, model: ModelConfig) -> tuple[TrainingSet, ModelChoice]:
    """What is to be trained, its kind chosen.

    Args:
        training: What would be trained.
        model: The `model` section.
    """
    task = task_of(training)
    rows = min(CHECK_ROWS, training.counts.rows.num_audited) * (HELD_OUT - 1) // HELD_OUT
    chosen, choice = choose(
        plain_candidates(task),
        model.budget,
        lambda items: check_ways(training, [Way(item.kind, task.spec) for item in items]),
        lambda items: sum(task.minutes(item.kind, rows, 1) for item in items),
    )
    return replace(training, kind=chosen.kind), choice


def task_of(training: TrainingSet) -> Task:
    """The same for the estimates."""
    counts, features = training.counts, training.features
    present, labelled = counts.present.sum(axis=0), counts.rows.num_audited
    learned = int((np.minimum(present, labelled - present) >= MIN_ROWS_OF_A_KIND).sum())
    trained = labelled
    if not training.sample.takes_all:
        # rows drawn by a tag come on top, as many again: `plan_sample` halves its budget
        trained = round(min(2 * training.sample.plain_rate, 1.0) * labelled)
    folds = training.plan.num_folds
    return Task(
        spec=features.spec,
        characters=_characters(training),
        num_rows=trained * (folds - 1) // folds,
        num_tags=learned,
        folds=folds,
        cores=cores(),
    )


def _characters(training: TrainingSet) -> float:
    """Mean length of a row's texts in the sample, which cuts long ones."""
    sample, total = training.features.sample, 0
    for name in training.features.spec.text:
        for value in sample[name]:
            if isinstance(value, str):
                total += len(value)
            elif isinstance(value, list | tuple | np.ndarray):
                total += sum(len(part) for part in value if isinstance(part, str))
    return total / max(len(sample), 1)


def _is_better(cheaper: Losses | None, chosen: Losses | None) -> bool:
    """Whether the cheaper way predicts the same rows better by more than a standard error."""
    if cheaper is None or chosen is None:
        return chosen is None and cheaper is not None
    gain = chosen - cheaper
    return bool(gain.mean() > gain.std() / np.sqrt(len(gain)))


def _reason(
    chosen: Candidate,
    within: Sequence[Candidate],
    beyond: Sequence[Candidate],
    budget: float | None,
    means: dict[str, float],
    num_rows: int,
) -> str:
    limit = "" if budget is None else f" of the {_minutes(budget)} allowed (model.budget)"
    parts = [f"auto chose {chosen.name}, estimated at {_minutes(chosen.minutes)}{limit}"]
    if not within:
        parts = [
            f"auto chose {chosen.name}: even that is estimated at {_minutes(chosen.minutes)}, beyond the "
            f"{_minutes(budget or 0.0)} allowed (model.budget)"
        ]
        beyond = [item for item in beyond if item is not chosen]
    if beyond:
        named = ", ".join(f"{item.name} ({_minutes(item.minutes)})" for item in beyond)
        parts.append(f"{named} would take longer than allowed")
    others = [name for name in means if name != chosen.name]
    if chosen.name in means and others:
        named = ", ".join(f"{means[name]:.4f} by {name}" for name in others)
        parts.append(
            f"its log loss on {num_rows:,} held-out rows of an inner check is {means[chosen.name]:.4f}, "
            f"{named}"
        )
    elif len(within) > 1:
        parts.append("there was no time for an inner check")
    return "; ".join(parts) + "."


def _minutes(value: float) -> str:
    """Minutes as people say them."""
    if value < 1:
        return f"{max(60 * value, 0.1):.2g} s" if value < 1 / 6 else f"{60 * value:.0f} s"
    return f"{value:.3g} min" if value < 120 else f"{value / 60:.3g} h"
