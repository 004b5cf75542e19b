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
from spark_ml_audit.models.costs import IMAGE_TOKENS, EncoderSize, fit_seconds
from spark_ml_audit.models.encoders.choose import IMAGES, TEXTS, is_function
from spark_ml_audit.models.encoders.images import PIXELS
from spark_ml_audit.models.encoders.installed import installed_encoder
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.image_learner import KIND as CNN
from spark_ml_audit.models.registry import resolve_kind
from spark_ml_audit.outcomes.choice import Considered, ModelChoice
from spark_ml_audit.predicting.encoding import can_be_tuned, open_encoder
from spark_ml_audit.predicting.inner_check import CHECK_ROWS, HELD_OUT, Way, check_ways

if TYPE_CHECKING:
    from spark_ml_audit.config import ModelConfig
    from spark_ml_audit.predicting.plan import PredictionPlan
    from spark_ml_audit.predicting.training import TrainingSet
    from spark_ml_audit.progress import Progress

Losses = npt.NDArray[np.float64]

FROZEN, FINETUNE = "frozen", "finetune"
_FLOOR = "linear"
_SAID_OF_LEVEL = {FROZEN: "frozen encoder", FINETUNE: "fine-tuned encoder"}


@dataclass(frozen=True)
class Task:
    """What is to be predicted, as far as it decides how long that takes.

    Attributes:
        spec: Feature columns.
        characters: Mean characters of a row's texts.
        num_rows: Rows that a fold's model is trained on.
        num_tags: Tags that can be learned.
        folds: Folds.
        cores: Cores; folds are trained beside each other, texts encoded.
        num_predicted: Rows that are predicted.
    """

    spec: FeatureSpec
    characters: float
    num_rows: int
    num_tags: int
    folds: int
    cores: int
    num_predicted: int

    def minutes(self, kind: str, size: EncoderSize | None = None, level: str | None = None) -> float:
        """Estimated minutes of all folds by one kind, with an encoder of that size at that level."""
        width = 0 if size is None else size.width
        seconds = fit_seconds(kind, self.spec, self.characters, self.num_rows, self.num_tags, width)
        seconds *= -(-self.folds // self.cores)
        if size is not None:
            seconds += size.frozen_seconds(self.characters, self.num_predicted) / self.cores
        if size is not None and level == FINETUNE:
            tuned = size.finetune_seconds(self.characters, self.num_predicted, self.folds)
            seconds += tuned / self.cores
        return seconds / 60

    def check_minutes(self, kind: str, num_rows: int, width: int) -> float:
        """Estimated minutes of one model of the inner check."""
        return fit_seconds(kind, self.spec, self.characters, num_rows, self.num_tags, width) / 60


@dataclass(frozen=True)
class Candidate:
    """A way to predict, with what it is expected to cost.

    Attributes:
        kind: Kind of model.
        minutes: Estimated time.
        level: Level of the encoder; None without one.
    """

    kind: str
    minutes: float
    level: str | None = None

    @property
    def name(self) -> str:
        """As it is told."""
        return self.kind if self.level is None else f"{self.kind} with {_SAID_OF_LEVEL[self.level]}"


def candidates_of(task: Task, size: EncoderSize | None = None, levels: Sequence[str] = ()) -> list[Candidate]:
    """The ways to predict, the richest first: with an encoder, what `auto` takes by default, cheaper ones.

    Args:
        task: What is to be predicted.
        size: Of the encoder; None without one.
        levels: Levels that it may be used at, the richest first.

    Example:
        >>> task = Task(FeatureSpec(numeric=("price",)), 0.0, 900, 3, folds=5, cores=2, num_predicted=1000)
        >>> [item.name for item in candidates_of(task)]
        ['tabular', 'joint', 'linear']
        >>> text = replace(task, spec=FeatureSpec(text=("title",)), characters=80.0)
        >>> [item.name for item in candidates_of(text, EncoderSize(384, 5, 6), ["frozen"])]
        ['joint with frozen encoder', 'joint', 'linear']
    """
    joint = "joint" if task.num_tags > 1 else _FLOOR  # one tag has nothing to be joined with
    plain = replace(task.spec, image=())
    kinds = dict.fromkeys([resolve_kind("auto", plain, task.num_tags), "joint", _FLOOR])
    if joint == _FLOOR:
        kinds.pop("joint")
    if not plain.columns:
        kinds = {}
    encoded = [] if size is None else [Candidate(joint, task.minutes(joint, size, it), it) for it in levels]
    return encoded + [Candidate(kind, task.minutes(kind)) for kind in kinds]


def choose(
    candidates: Sequence[Candidate],
    budget: float | None,
    check: Callable[[Sequence[Candidate]], list[Losses | None]],
    check_minutes: Callable[[Sequence[Candidate]], float],
    encoder: str | None = None,
) -> tuple[Candidate, ModelChoice]:
    """Take one of the candidates.

    Args:
        candidates: The richest first; the last one is taken if none is within the budget.
        budget: Minutes; None for no limit.
        check: Held-out losses of candidates by row, as `check_ways`.
        check_minutes: What that costs.
        encoder: The encoder of the candidates that have a level.

    Returns:
        The candidate and what is told of the choice.
    """
    within = _within(candidates, budget)
    # fine-tuning is judged out of fold where it is trained; here it stands and falls with the frozen encoder
    compared = [item for item in within if item.level != FINETUNE]
    beyond = [item for item in candidates if item not in within]
    losses: dict[str, Losses] = {}
    checked = False
    if not within:
        chosen = candidates[-1]
    else:
        chosen = within[0]
        if len(compared) > 1 and (budget is None or chosen.minutes + check_minutes(compared) <= budget):
            checked = True
            found = zip(compared, check(compared), strict=True)
            losses = {item.name: loss for item, loss in found if loss is not None}
            best = compared[0]
            for cheaper in compared[1:]:
                if _is_better(losses.get(cheaper.name), losses.get(best.name)):
                    best = cheaper
            chosen = chosen if best is compared[0] else best
    means = {name: float(loss.mean()) for name, loss in losses.items()}
    considered = tuple(
        Considered(name=item.name, minutes=round(item.minutes, 4), log_loss=means.get(item.name))
        for item in candidates
    )
    num_rows = len(next(iter(losses.values()), ())) if checked else None
    reason = _reason(chosen, within, beyond, budget, means, num_rows)
    return chosen, ModelChoice(
        kind=chosen.kind,
        encoder=None if chosen.level is None else encoder,
        encoder_level=chosen.level,
        budget=budget,
        reason=reason,
        considered=considered,
    )


def _within(candidates: Sequence[Candidate], budget: float | None) -> list[Candidate]:
    return [item for item in candidates if budget is None or item.minutes <= budget]


def settle(
    plan: PredictionPlan,
    recorded: ModelChoice | None,
    vectors: Callable[[str], TrainingSet],
    progress: Progress,
    *,
    is_done: bool = False,
) -> tuple[PredictionPlan, ModelChoice | None]:
    """The plan with the model that is trained, and vectors of its encoder; what was chosen and why.

    Args:
        plan: What is asked for.
        recorded: The choice of an earlier try of the same run.
        vectors: Makes the vectors of an encoder and the training set that reads them.
        progress: Shows and times the stages.
        is_done: Whether that try has committed its predictions: nothing is chosen any more.
    """
    training, model = plan.training, plan.model
    if training is None:
        return plan, None
    if recorded is not None and recorded.kind != CNN:
        return _settled(plan, recorded, None, vectors), recorded
    if training.images is not None and model.encoder is None:
        return _of_images(plan, training, vectors, progress)
    if is_done or not plan.needs_choice:
        return plan if model.encoder is None else replace(plan, training=vectors(model.encoder)), None
    task, (encoder, size, levels) = task_of(training), _encoder_of(model, training.features.spec)
    candidates = candidates_of(task, size, levels)
    within = _within(candidates, model.budget)
    made = None
    if encoder is not None and any(item.level for item in within):
        made = vectors(encoder)
    rows = min(CHECK_ROWS, training.counts.rows.num_audited) * (HELD_OUT - 1) // HELD_OUT
    width = 0 if size is None else size.width

    def check(items: Sequence[Candidate]) -> list[Losses | None]:
        return check_ways(made or training, [Way(item.kind, item.level is not None) for item in items])

    with progress.stage("choose"):
        _, choice = choose(
            candidates,
            model.budget,
            check,
            lambda items: sum(task.check_minutes(it.kind, rows, width if it.level else 0) for it in items),
            encoder,
        )
    progress.note(choice.reason)
    return _settled(plan, choice, made, vectors), choice


def _of_images(
    plan: PredictionPlan,
    training: TrainingSet,
    vectors: Callable[[str], TrainingSet],
    progress: Progress,
) -> tuple[PredictionPlan, ModelChoice | None]:
    """A network trained on the pixels, unless another kind is asked for: there is nothing else to choose."""
    budget, choice = plan.model.budget, None
    if budget is not None:
        network = Candidate(CNN, task_of(training).minutes(CNN))
        _, choice = choose([network], budget, lambda items: [None for _ in items], lambda items: 0.0)
        progress.note(choice.reason)
    return replace(plan, training=vectors(PIXELS)), choice


def _settled(
    plan: PredictionPlan,
    choice: ModelChoice,
    made: TrainingSet | None,
    vectors: Callable[[str], TrainingSet],
) -> PredictionPlan:
    training = plan.training
    if choice.encoder is not None:
        training = made or vectors(choice.encoder)
    if training is None:
        raise ValueError("a choice is made where there is something to train")
    model = plan.model.model_copy(
        update={
            "kind": choice.kind,
            "encoder": choice.encoder,
            "encoder_level": choice.encoder_level or FROZEN,
            "budget": None,
        }
    )
    return replace(plan, model=model, training=replace(training, kind=choice.kind))


def _encoder_of(
    model: ModelConfig, spec: FeatureSpec
) -> tuple[str | None, EncoderSize | None, tuple[str, ...]]:
    """The encoder that may be used, its size, and the levels that are considered, the richest first.

    Without a name one is looked for among the installed packages, and only where there is a budget: without
    budget and encoder nothing depends on what is installed. Fine-tuning is considered where there is a budget
    for it, or where it is asked for.
    """
    encoder = model.encoder
    if encoder is None and model.budget is not None and spec.text:
        encoder = installed_encoder()
    if encoder is None:
        return None, None, ()
    opened = open_encoder(encoder, IMAGES if spec.image else TEXTS)
    tokens = IMAGE_TOKENS if spec.image else None
    size = EncoderSize(opened.width, max(opened.candidates), opened.num_layers, tokens)
    if is_function(encoder) or spec.image:
        return encoder, size, (FROZEN,)
    tunes = model.encoder_level == FINETUNE or (
        model.budget is not None and "encoder_level" not in model.model_fields_set
    )
    return encoder, size, (FINETUNE, FROZEN) if tunes and can_be_tuned(encoder) else (FROZEN,)


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
        num_predicted=labelled + counts.rows.num_unlabelled,
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
    num_rows: int | None,
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
    judged = replace(chosen, level=FROZEN) if chosen.level == FINETUNE else chosen
    others = [name for name in means if name != judged.name]
    if judged.name in means and others:
        named = ", ".join(f"{means[name]:.4f} by {name}" for name in others)
        whose = "its log loss" if judged is chosen else f"the log loss of {judged.name}"
        parts.append(
            f"{whose} on {num_rows:,} held-out rows of an inner check is {means[judged.name]:.4f}, {named}"
        )
    elif len(within) > 1 and chosen is within[0]:
        lacking = "was no time" if num_rows is None else "are too few rows"
        parts.append(f"there {lacking} for an inner check")
    return "; ".join(parts) + "."


def _minutes(value: float) -> str:
    """Minutes as people say them."""
    if value < 1:
        return f"{max(60 * value, 0.1):.2g} s" if value < 1 / 6 else f"{60 * value:.0f} s"
    return f"{value:.3g} min" if value < 120 else f"{value / 60:.3g} h"
