"""Who said what of a cell, and which verdict stands: one rule, for audits, corrections, reviews and pages.

1. What was taken back does not count.
2. Of every person the newest verdict counts; different ones of one person at the same time cancel each other.
3. An adjudication stands before all others, the newest one.
4. Else the majority of the people stands; `unsure` is no vote where anybody is sure.
5. Else the newest verdict stands; different ones at the same time leave the cell contradictory.
6. A bulk acceptance stands only where nobody has judged the cell itself.

Everything here is relational and follows from the rows alone, whatever their order, their repeats and who
wrote them first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from spark_ml_audit.arrow.layout import ID

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame

VERDICTS = ("present", "absent", "unsure")
TAG, VERDICT, WHO, WHEN, NOTE = "tag", "verdict", "who", "when", "note"
DECISION_ID, KIND, BULK_ID, UNDOES, SAMPLE_ID, RUN_ID = (
    "decision_id",
    "kind",
    "bulk_id",
    "undoes",
    "sample_id",
    "run_id",
)
SINGLE, BULK, ADJUDICATED, UNDO, ROW = "single", "bulk", "adjudicated", "undo", "row"
"""Kinds of records: a person's verdict on one cell (also null), a bulk acceptance's, one that settles a
dispute, one that takes another back, one on a whole row."""

EXCLUDED, INCLUDED = "exclude", "include"
"""Verdicts on a whole row."""

LEVEL, IS_GOOD = "level", "is_good"
BASIS, NUM_PRESENT, NUM_ABSENT, NUM_UNSURE, IS_DISPUTED = (
    "basis",
    "num_present",
    "num_absent",
    "num_unsure",
    "is_disputed",
)
_CELL = (ID, TAG)
_BY_BULK, BY_PERSON, _BY_ADJUDICATOR = 0, 1, 2
"""Levels of votes: what a bulk acceptance, a person, an adjudicator says."""


def without_undone(records: Frame) -> Frame:
    """The decisions that hold: no records of undoing, and none that one of them takes back.

    Args:
        records: A table of decisions with the columns kind, decision_id, bulk_id, undoes.
    """
    kind = nw.col(KIND)
    taken_back = records.filter((kind == UNDO) & ~nw.col(UNDOES).is_null()).select(UNDOES).unique()
    left = records.filter(kind.is_null() | (kind != UNDO))
    for name in (DECISION_ID, BULK_ID):
        left = left.join(taken_back, left_on=name, right_on=UNDOES, how="anti")
    return left


def person_votes(decisions: Frame) -> Frame:
    """What every person says of every cell by now.

    Args:
        decisions: From `decisions.check_decisions`.

    Returns:
        One row per id, tag, who and level (0 bulk, 1 a person's own, 2 adjudication): verdict (null where
        none is known or one person's newest contradict each other), when, note, is_good (whether any
        verdict was a known one).
    """
    kind = nw.col(KIND)
    level = (
        nw.when(kind == ADJUDICATED)
        .then(nw.lit(_BY_ADJUDICATOR))
        .when(kind == BULK)
        .then(nw.lit(_BY_BULK))
        .otherwise(nw.lit(BY_PERSON))
    )
    keys = (*_CELL, WHO, LEVEL)
    is_good = nw.col(VERDICT).is_in(VERDICTS)
    marked = decisions.with_columns(level.alias(LEVEL))
    marked = marked.with_columns(nw.when(is_good).then(nw.col(WHEN)).max().over(*keys).alias("last_when"))
    is_last = is_good & _is_greatest(WHEN)
    verdict = nw.when(is_last).then(nw.col(VERDICT))
    grouped = marked.group_by(*keys).agg(
        verdict.max().alias("greatest"),
        verdict.min().alias("least"),
        nw.col("last_when").max().alias(WHEN),
        nw.when(is_last).then(nw.col(NOTE)).max().alias(NOTE),
    )
    greatest = nw.col("greatest")
    return grouped.select(
        *keys,
        nw.when(greatest == nw.col("least")).then(greatest).alias(VERDICT),
        WHEN,
        NOTE,
        (~greatest.is_null()).alias(IS_GOOD),
    )


def _is_greatest(name: str) -> nw.Expr:
    greatest = nw.col(f"last_{name}")
    return (nw.col(name) == greatest) | greatest.is_null()


def settled_votes(votes: Frame) -> Frame:
    """The verdict that stands for every cell, by the rule above.

    Args:
        votes: From `person_votes`.

    Returns:
        One row per id and tag: is_good; verdict (null where nothing stands), who, when, note; basis
        (adjudicated, agreed, majority, newest, bulk; null where nothing stands); num_present, num_absent,
        num_unsure (people, by their own newest verdict); is_disputed (people differ and nobody has settled
        it).
    """
    vote = nw.col(VERDICT)
    is_own = nw.col(LEVEL) == BY_PERSON

    def people(verdict: str) -> nw.Expr:
        return nw.when(is_own & (vote == verdict)).then(1).otherwise(0).sum().over(*_CELL)

    counted = votes.with_columns(
        nw.when(nw.col(IS_GOOD)).then(nw.col(LEVEL)).max().over(*_CELL).alias("top"),
        people("present").alias(NUM_PRESENT),
        people("absent").alias(NUM_ABSENT),
        people("unsure").alias(NUM_UNSURE),
    )
    present, absent = nw.col(NUM_PRESENT), nw.col(NUM_ABSENT)
    is_sure = vote.is_in(("present", "absent"))
    among_people = (
        nw.when(present > absent)
        .then(vote == "present")
        .when(absent > present)
        .then(vote == "absent")
        .when(present > 0)
        .then(is_sure)
        .otherwise(nw.lit(True))
    )
    is_top = nw.col(IS_GOOD) & (nw.col(LEVEL) == nw.col("top")) & ~vote.is_null()
    counts_here = is_top & (~is_own | among_people)
    # a null is neither true nor false to one of the engines
    marked = counted.with_columns(nw.when(counts_here).then(nw.lit(True)).otherwise(False).alias("counts"))
    counts = nw.col("counts")
    marked = marked.with_columns(nw.when(counts).then(nw.col(WHEN)).max().over(*_CELL).alias("last_when"))
    is_last = counts & _is_greatest(WHEN)
    # of votes that agree, the greatest who and then the greatest note stand: the choice never depends on
    # order (a null is the least)
    marked = marked.with_columns(nw.when(is_last).then(nw.col(WHO)).max().over(*_CELL).alias("last_who"))
    verdict = nw.when(is_last).then(vote)
    grouped = marked.group_by(*_CELL).agg(
        verdict.max().alias("greatest"),
        verdict.min().alias("least"),
        nw.when(is_last & _is_greatest(WHO)).then(nw.col(NOTE)).max().alias(NOTE),
        nw.when(nw.col(IS_GOOD)).then(1).otherwise(0).max().alias("any_good"),
        *[
            nw.col(name).max().alias(name)
            for name in ("top", "last_who", "last_when", NUM_PRESENT, NUM_ABSENT, NUM_UNSURE)
        ],
    )
    return _told(grouped)


def _told(grouped: Frame) -> Frame:
    present, absent, unsure = nw.col(NUM_PRESENT), nw.col(NUM_ABSENT), nw.col(NUM_UNSURE)
    stands = nw.col("greatest") == nw.col("least")
    top = nw.col("top")
    basis = (
        nw.when(top == _BY_ADJUDICATOR)
        .then(nw.lit(ADJUDICATED))
        .when(top == _BY_BULK)
        .then(nw.lit(BULK))
        .when((present == absent) & (present > 0))
        .then(nw.lit("newest"))
        .when((present > 0) & (absent > 0))
        .then(nw.lit("majority"))
        .otherwise(nw.lit("agreed"))
    )
    disputed = (present > 0) & (absent > 0) & (top != _BY_ADJUDICATOR)
    values = {VERDICT: nw.col("greatest"), WHO: nw.col("last_who"), WHEN: nw.col("last_when")}
    return grouped.select(
        *_CELL,
        (nw.col("any_good") == 1).alias(IS_GOOD),
        *[nw.when(stands).then(value).alias(name) for name, value in values.items()],
        nw.when(stands).then(nw.col(NOTE)).alias(NOTE),
        nw.when(stands).then(basis).alias(BASIS),
        *[value.alias(name) for name, value in ((NUM_PRESENT, present), (NUM_ABSENT, absent))],
        unsure.alias(NUM_UNSURE),
        nw.when(disputed).then(nw.lit(True)).otherwise(False).alias(IS_DISPUTED),
    )
