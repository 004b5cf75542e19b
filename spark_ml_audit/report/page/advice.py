"""Plain sentences on what a run means and what to do next, from the report's records alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from spark_ml_audit.outcomes.records import ClassRow, affected
from spark_ml_audit.report.page.data import ReportData, TagPair
from spark_ml_audit.text import enumerated, for_page, number, percent, plural

_NAMED = 3
_TAG_WIDTH = 60
# A class with fewer given tags has estimates of little worth.
_FEW_GIVEN = 10
# Classes this noisy point at a tag's definition, or at the model, rather than at single slips.
_NOISY = 0.3
_CONCENTRATED = 0.5
_MIN_PAIR_ROWS = 3


@dataclass(frozen=True)
class Advice:
    """One thing to do: what, in a few words, and why and how, in sentences."""

    title: str
    text: str


def headline(data: ReportData) -> str:
    """The result in one sentence.

    >>> from spark_ml_audit.outcomes.records import Counts
    >>> from spark_ml_audit.report.page.data import RunFacts
    >>> run = RunFacts("20260131t180000z-0a1b2c3d", "ok", "data/films", "7", "0.2.0", "18:00", "18:05")
    >>> headline(ReportData(run, Counts(1000, 1000, 0, 0, 40, 30, 15, health=0.96)))
    'Model and tags disagree on 40 of 1,000 audited rows (4.00%): 30 tags seem missing, 15 seem wrong.'
    """
    counts = data.counts
    if not counts.num_audited:
        return "No row could be audited." if counts.num_rows else "The source has no rows."
    rows = plural(counts.num_audited, "audited row")
    if not counts.num_label_issues:
        return f"No label issue was found in {rows}."
    missing, wrong = counts.num_missing_tags, counts.num_extraneous_tags
    return (
        f"Model and tags disagree on {counts.num_label_issues:,} of {rows} "
        f"({percent(counts.num_label_issues / counts.num_audited)}): {plural(missing, 'tag')} "
        f"{'seems' if missing == 1 else 'seem'} missing, {number(wrong)} "
        f"{'seems' if wrong == 1 else 'seem'} wrong."
    )


def next_steps(data: ReportData) -> list[Advice]:
    """What to do next, most urgent first.

    >>> from spark_ml_audit.outcomes.records import Counts
    >>> from spark_ml_audit.report.page.data import RunFacts
    >>> run = RunFacts("20260131t180000z-0a1b2c3d", "ok", "data/films", "7", "0.2.0", "18:00", "18:05")
    >>> data = ReportData(run, Counts(1000, 990, 4, 6, 40, 30, 15, health=0.96))
    >>> [step.title for step in next_steps(data)]
    ['Repair the rows in quarantine', 'Look at some flags of either kind first', 'Annotate the rest']
    """
    found = [*_gates(data), *_quarantine(data), *_review(data), *_concentration(data), *_noisy(data)]
    found += [*_pairs(data), *_weak(data), *_rare(data), *_unlabelled(data)]
    if not found:
        found.append(Advice("Nothing to do", "No issue, no rejected row, no failed gate."))
    return found


def _gates(data: ReportData) -> list[Advice]:
    failed = [gate for gate in data.gates if not gate.passed]
    return [
        Advice(
            f"{'Failed gate' if gate.severity == 'fail' else 'Warning of gate'} {for_page(gate.name)}",
            f"It found {number(gate.value)}, the limit is {number(gate.limit)}. {_sentence(gate.detail)}"
            "Mend the data, or change the limit in the section gate of the config if it does not fit.",
        )
        for gate in failed
    ]


def _quarantine(data: ReportData) -> list[Advice]:
    if not data.counts.num_quarantined:
        return []
    most = f", most often for {data.quarantine[0].reason}" if data.quarantine else ""
    return [
        Advice(
            "Repair the rows in quarantine",
            f"{plural(data.counts.num_quarantined, 'row')} could not be read{most}. The table quarantine "
            "holds each with its reason; correct them in the source and run again.",
        )
    ]


def _review(data: ReportData) -> list[Advice]:
    if not data.counts.num_label_issues:
        return []
    return [
        Advice(
            "Look at some flags of either kind first",
            "The command sample --how first-look draws 15 tags to add and 15 to remove; judged, they say how "
            "often flags are right here. A flag is a place to look, not a verdict. The lists below start "
            "with those most worth a look.",
        )
    ]


def _concentration(data: ReportData) -> list[Advice]:
    rows = affected(data.classes)
    held = list(accumulate(row.num_missing + row.num_extraneous for row in rows))
    if len(rows) < 4:
        return []
    count = 1 + next(i for i, found in enumerate(held) if found >= _CONCENTRATED * held[-1])
    if count > max(len(data.classes) // 5, 1):
        return []
    share = percent(held[count - 1] / held[-1], 1)
    return [
        Advice(
            f"Begin with {'one tag' if count == 1 else f'{count} tags'}",
            f"{_tags(rows[:count])} {'holds' if count == 1 else 'hold'} {share} of all flagged tags. "
            f"Agree on what {'it means' if count == 1 else 'they mean'} before correcting row by row.",
        )
    ]


def _noisy(data: ReportData) -> list[Advice]:
    rows = [
        row
        for row in data.classes
        if row.num_given >= _FEW_GIVEN and (row.prob_true_absent_given_present or 0) >= _NOISY
    ]
    if not rows:
        return []
    rows.sort(key=lambda row: -(row.prob_true_absent_given_present or 0))
    worst = percent(rows[0].prob_true_absent_given_present, 1)
    much = worst if len(rows) == 1 else f"{percent(_NOISY, 1)} to {worst}"
    return [
        Advice(
            "Check the definition of noisy tags",
            f"{_tags(rows)}: an estimated {much} of the rows with such a tag should not have it. That much "
            "is rarely carelessness: either annotators read it differently, or the model does not know it.",
        )
    ]


def pair_lift(pair: TagPair, data: ReportData, given: dict[str, ClassRow]) -> float | None:
    """How many times more often A is missing where B was given than anywhere; None where undefined."""
    missing, other = given.get(pair.missing), given.get(pair.given)
    if missing is None or other is None or not missing.num_missing or not other.num_given:
        return None
    return pair.num_rows * data.counts.num_audited / (missing.num_missing * other.num_given)


def _pairs(data: ReportData) -> list[Advice]:
    by_tag = {row.tag: row for row in data.classes}
    strong = [
        pair
        for pair in data.pairs
        if pair.num_rows >= _MIN_PAIR_ROWS and (pair_lift(pair, data, by_tag) or 0) >= 2
    ]
    if not strong:
        return []
    pair = strong[0]
    first = f"{_tag(pair.missing)} is missing on {plural(pair.num_rows, 'row')} that carry {_tag(pair.given)}"
    if 2 * pair.num_swapped >= pair.num_rows:
        then = "mostly the given tag is flagged too: annotators seem to confuse the two"
    else:
        then = "if the second implies the first, a rule can add it everywhere"
    return [Advice("Look at tags that go together", f"{first}; {then}. More pairs are listed below.")]


def _weak(data: ReportData) -> list[Advice]:
    rows = [
        row
        for row in data.classes
        if row.num_given
        and row.num_given < data.counts.num_audited
        and row.threshold_present <= 1 - row.threshold_absent
    ]
    if not rows:
        return []
    return [
        Advice(
            "Trust flags of weak classes less",
            f"For {_tags(rows)} the model gives no higher probability where the tag is given than where it "
            "is not. Improve the model there first.",
        )
    ]


def _rare(data: ReportData) -> list[Advice]:
    rows = [row for row in data.classes if 0 < row.num_given < _FEW_GIVEN]
    if not rows:
        return []
    return [
        Advice(
            "Mind the rare tags",
            f"{plural(len(rows), 'tag')} ({_tags(rows)}) {'is' if len(rows) == 1 else 'are'} given to fewer "
            f"than {_FEW_GIVEN} rows; what is estimated from so few is uncertain.",
        )
    ]


def _unlabelled(data: ReportData) -> list[Advice]:
    if not data.counts.num_unlabelled:
        return []
    return [
        Advice(
            "Annotate the rest",
            f"{plural(data.counts.num_unlabelled, 'row')} without labels took no part. The command tag can "
            "suggest tags for them.",
        )
    ]


def _sentence(text: str) -> str:
    return f"{for_page(text, 300).rstrip('. ')}. " if text else ""


def _tag(name: str) -> str:
    return f"“{for_page(name, _TAG_WIDTH)}”"


def _tags(rows: list[ClassRow]) -> str:
    names = [_tag(row.tag) for row in rows[:_NAMED]]
    more = len(rows) - len(names)
    return enumerated([*names, *([f"{more:,} more"] if more > 0 else [])])
