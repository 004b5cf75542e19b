"""Which classes `tag` gives to new rows and which not, and why; how often, beside what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from spark_ml_audit.outcomes.base import Record


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

    @property
    def metrics(self) -> dict[str, float | None]:
        """Its numbers, under the names that MLflow gets."""
        return {
            "num_classes_given": self.num_classes_given,
            "num_classes_not_given": self.num_classes_not_given,
            "expected_tags_per_row": self.expected_tags_per_row,
        }

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
    def from_mapping(cls, values: Mapping[str, Any]) -> Tagging:
        """What `to_dict` gave.

        >>> said = Tagging.without_bounds(num_classes_given=3)
        >>> Tagging.from_mapping(said.to_dict()) == said
        True
        """
        left_out = tuple(NotTagged(**item) for item in values["not_tagged"])
        known = {item.name: values[item.name] for item in fields(cls) if item.name != "not_tagged"}
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
