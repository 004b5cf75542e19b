"""How many of the surest missing tags are proved by evidence the model never saw.

A package that depends on GTK uses GTK, whatever its volunteers have tagged. Dependencies and archive
sections prove some tags of 18 of the demo's classes; a tag they do not prove may be missing all the
same, so the share of proved tags among the findings is a lower bound of their precision.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class EvidenceCheck:
    """Result of `check_against_evidence`.

    Attributes:
        num_checked: How many of the surest missing tags were looked at (at most the number asked for).
        num_proved: How many of those the evidence proves.
        num_classes: For how many classes there is a rule that can prove a tag.
        num_cells: Cells (package, class with a rule) whose tag is not given.
        num_proved_cells: How many of those cells the evidence proves to lack their tag.
    """

    num_checked: int
    num_proved: int
    num_classes: int
    num_cells: int
    num_proved_cells: int

    @property
    def base_rate(self) -> float:
        """Share of the cells without their tag that are proved: what guessing at random would reach."""
        return self.num_proved_cells / self.num_cells if self.num_cells else 0.0

    @property
    def precision(self) -> float:
        """Share of the checked missing tags that are proved."""
        return self.num_proved / self.num_checked if self.num_checked else 0.0

    def sentence(self) -> str:
        """The result in one sentence for the demo's summary."""
        return (
            f"Of the {self.num_checked} surest missing tags among the {self.num_classes} classes with "
            f"independent evidence, dependencies or sections prove {self.num_proved} "
            f"(base rate {self.base_rate:.1%})."
        )


def check_against_evidence(
    surest: Iterable[tuple[str, str]],
    *,
    ids: Sequence[str],
    given: Sequence[Collection[str]],
    proved: Sequence[Collection[str]],
    classes: Collection[str],
    first: int = 100,
) -> EvidenceCheck:
    """Counts the proved ones among the surest missing tags of an audit.

    Everything is held in memory: the function is meant for tables of the demo's size, not for the
    tables users audit.

    Args:
        surest: Pairs (id, tag) of missing tags, surest first. Tags outside `classes` are passed over;
            reading stops after `first` tags inside.
        ids: N ids, without repeats.
        given: The given tags of each id.
        proved: The tags which the evidence proves for each id.
        classes: Classes for which a rule exists that can prove a tag.
        first: How many of the surest missing tags to look at.

    Returns:
        The counts; see `EvidenceCheck`.

    Raises:
        ValueError: The three sequences differ in length, or `surest` names an id that is not in `ids`.
    """
    if not len(ids) == len(given) == len(proved):
        raise ValueError(
            f"ids, given and proved must be of one length, found {len(ids)}, {len(given)} and {len(proved)}"
        )
    with_rule = frozenset(classes)
    proof = {key: with_rule.intersection(tags) for key, tags in zip(ids, proved, strict=True)}

    num_checked = num_proved = 0
    for key, tag in surest:
        if num_checked >= first:
            break
        if tag not in with_rule:
            continue
        if key not in proof:
            raise ValueError(f"id {key!r} is not in the evidence table: audit the table it was made for")
        num_checked += 1
        num_proved += tag in proof[key]

    num_given = num_proved_cells = 0
    for key, tags in zip(ids, given, strict=True):
        held = with_rule.intersection(tags)
        num_given += len(held)
        num_proved_cells += len(proof[key] - held)
    return EvidenceCheck(
        num_checked=num_checked,
        num_proved=num_proved,
        num_classes=len(with_rule),
        num_cells=len(ids) * len(with_rule) - num_given,
        num_proved_cells=num_proved_cells,
    )
