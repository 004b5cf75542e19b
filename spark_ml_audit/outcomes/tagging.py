"""Which classes `tag` gives to new rows and which not, and why; how often, beside what was expected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from spark_ml_audit.kernels import tagging
from spark_ml_audit.kernels.tagging import TaggingChoice, TaggingEvidence
from spark_ml_audit.outcomes.base import Record
from spark_ml_audit.text import percent, plural

TAGGING_COLUMNS = (
    "decision_threshold",
    "num_tagged",
    "num_right",
    "precision",
    "precision_bound",
    "recall",
    "not_tagged",
)
"""What `tagging_rows` says of a class beside its name: threshold, counts and figures out of fold."""


@dataclass(frozen=True)
class NotTagged(Record):
    """A class that is not given to new rows.

    Attributes:
        tag: Its name.
        num_given: Labelled rows with it.
        reason: too_few_given, given_to_every_row, no_threshold, too_imprecise or not_proved.
        why: The same as a clause, with the numbers.
    """

    tag: str
    num_given: int
    reason: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Tagging(Record):
    """What defends the tags that a model gives.

    Attributes:
        min_precision: Least lower bound of a class's precision; None where thresholds have no bound, those
            of models of another origin or of an older version.
        confidence: Of the bounds of one class; None as above.
        num_classes_given: Classes that new rows may get.
        expected_tags_per_row: Mean number of tags of the labelled rows at these thresholds, out of fold;
            None as above.
        not_tagged: The other classes, the most frequent first.
    """

    min_precision: float | None
    confidence: float | None
    num_classes_given: int
    expected_tags_per_row: float | None
    not_tagged: tuple[NotTagged, ...] = ()

    derived: ClassVar[tuple[str, ...]] = ("num_classes_not_given",)

    @property
    def num_classes_not_given(self) -> int:
        """Classes that no row gets."""
        return len(self.not_tagged)

    @classmethod
    def of(cls, classes: Sequence[str], evidence: TaggingEvidence, choice: TaggingChoice) -> Tagging:
        """What a choice of thresholds comes to.

        Args:
            classes: Tag names, K.
            evidence: What was chosen from.
            choice: The choice.
        """
        left_out = [
            NotTagged(tag, int(evidence.num_given[k]), reason, _why(reason, k, evidence, choice))
            for k, (tag, reason) in enumerate(zip(classes, choice.reason, strict=True))
            if reason is not None
        ]
        shares = expected_shares(evidence, choice)
        return cls(
            min_precision=choice.min_precision,
            confidence=tagging.CONFIDENCE,
            num_classes_given=int(choice.is_tagged.sum()),
            expected_tags_per_row=float(shares.sum()) if evidence.num_rows else None,
            not_tagged=tuple(sorted(left_out, key=lambda item: -item.num_given)),
        )

    @classmethod
    def without_bounds(cls, num_classes_given: int) -> Tagging:
        """What is known of thresholds that nothing defends."""
        return cls(
            min_precision=None,
            confidence=None,
            num_classes_given=num_classes_given,
            expected_tags_per_row=None,
        )

    @classmethod
    def from_mapping(cls, values: dict[str, Any]) -> Tagging:
        """What `to_dict` gave."""
        left_out = tuple(NotTagged(**item) for item in values["not_tagged"])
        known = {name: values[name] for name in cls.__dataclass_fields__ if name != "not_tagged"}
        return cls(**known, not_tagged=left_out)


@dataclass(frozen=True)
class TagRate(Record):
    """How often a class was given, and how often it was expected.

    Attributes:
        tag: Its name.
        share: Share of the new rows that got it.
        expected_share: Share of the labelled rows that get it out of fold, at the same threshold.
    """

    tag: str
    share: float
    expected_share: float


@dataclass(frozen=True, kw_only=True)
class TagRates(Record):
    """Tags of new rows beside those expected from the labelled rows, out of fold, at the same thresholds.

    Attributes:
        tags_per_row: Mean number of tags of the new rows; None without rows.
        expected_tags_per_row: The same of the labelled rows; None where it is not known.
        is_far_off: Whether the two differ by a factor of 2 or more, and by more than chance allows; None
            where they were not compared.
        why_not_compared: Why; None where they were.
        classes_far_off: Classes of which the same is true, those of the most rows first; the first ten.
        num_classes_far_off: How many classes in all.
    """

    tags_per_row: float | None
    expected_tags_per_row: float | None
    is_far_off: bool | None = None
    why_not_compared: str | None = None
    classes_far_off: tuple[TagRate, ...] = ()
    num_classes_far_off: int = 0


def nothing_given(said: Tagging) -> list[str]:
    """A sentence where no class can be given at all.

    >>> nothing_given(Tagging.without_bounds(num_classes_given=3))
    []
    """
    if said.num_classes_given:
        return []
    return [
        "No class can be given to new rows: none has tags enough whose precision out of fold is proved to be "
        f"tag.min_precision {said.min_precision:g} or more. Label more rows, add features, or lower it."
    ]


def expected_shares(evidence: TaggingEvidence, choice: TaggingChoice) -> tagging.FloatArray:
    """Share of the labelled rows that each class is given to out of fold, shape (K,)."""
    given = np.where(choice.is_tagged, choice.num_tagged, 0)
    return np.asarray(given / max(evidence.num_rows, 1), dtype=np.float64)


def tagging_rows(
    classes: Sequence[str], evidence: TaggingEvidence, choice: TaggingChoice
) -> list[dict[str, Any]]:
    """One record per class: its tag, index, number of given, and `TAGGING_COLUMNS`.

    The figures of a class that is not tagged are those at its most precise threshold; its
    `decision_threshold` is None.
    """
    rows = []
    for k, (tag, reason) in enumerate(zip(classes, choice.reason, strict=True)):
        has_figures = bool(choice.num_tagged[k])
        figures = (choice.num_tagged, choice.num_right, choice.precision, choice.bound, choice.recall)
        values = [array[k].item() if has_figures else None for array in figures]
        threshold = None if reason is not None else float(choice.threshold[k])
        why = None if reason is None else _why(reason, k, evidence, choice)
        row = dict(zip(TAGGING_COLUMNS, [threshold, *values, why], strict=True))
        rows.append({"tag": tag, "class_index": k, "num_given": int(evidence.num_given[k]), **row})
    return rows


def _why(reason: str, k: int, evidence: TaggingEvidence, choice: TaggingChoice) -> str:
    num_given, num_rows = int(evidence.num_given[k]), evidence.num_rows
    right, tagged = int(choice.num_right[k]), int(choice.num_tagged[k])
    counts = f"{right:,} of {tagged:,} tags right out of fold"
    clauses: dict[str, Callable[[], str]] = {
        tagging.TOO_FEW: lambda: f"given to {plural(num_given, 'row')}, fewer than {tagging.MIN_GIVEN}",
        tagging.EVERY_ROW: lambda: "given to every row, so nothing was learnt of it",
        tagging.NO_THRESHOLD: lambda: (
            f"no probabilities stand out above its share of the rows, {percent(num_given / num_rows)}"
        ),
        tagging.TOO_IMPRECISE: lambda: f"too imprecise: {counts} at best ({percent(right / tagged, 1)})",
        tagging.NOT_PROVED: lambda: (
            f"not proved: {counts} ({percent(right / tagged, 1)}) prove "
            # a lower bound is rounded down
            f"{percent(np.floor(1000 * choice.bound[k]) / 1000, 1)} only"
        ),
    }
    return clauses[reason]()
