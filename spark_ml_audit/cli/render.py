"""Outcomes as readable plain text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from spark_ml_audit.outcomes.audit import (
    AuditOutcome,
    CheckReport,
    ClassRow,
    Counts,
    GateResult,
    PredictOutcome,
    TagOutcome,
)
from spark_ml_audit.outcomes.history import (
    FIXED,
    NEWLY_FLAGGED,
    ChangeCounts,
    ClassChange,
    CompareOutcome,
    Comparison,
    RunRef,
    TrendOutcome,
)

_Outcome: TypeAlias = AuditOutcome | PredictOutcome | TagOutcome
_Finished: TypeAlias = _Outcome | CompareOutcome | TrendOutcome

_MAX_TAG_WIDTH = 40
_MAX_LISTED_RUNS = 20
_MAX_LISTED_CLASSES = 10

_HEADLINES = {
    "ok": "done",
    "gate_failed": "done, but a quality gate failed",
    "not_delivered": "done, but not everything was delivered",
}


def render_outcome(outcome: AuditOutcome) -> str:
    """Write an audit's outcome as text of several lines, without a final newline."""
    counts = outcome.counts
    lines = [
        *_headline("Audit", outcome),
        "",
        _health(outcome),
        f"Rows:   {number(counts.num_rows)} read, {number(counts.num_audited)} audited, "
        f"{number(counts.num_unlabelled)} unlabelled, {number(counts.num_quarantined)} quarantined",
        f"Tags:   {number(counts.num_missing_tags)} missing, {number(counts.num_extraneous_tags)} extraneous",
        *_other_findings(counts),
    ]
    if outcome.worst_classes:
        lines += ["", "Most affected classes", *_class_table(outcome.worst_classes)]
    if outcome.gates:
        lines += ["", "Quality gates", *(_gate(gate) for gate in outcome.gates)]
    if outcome.since is not None:
        lines += ["", f"Since run {clean(outcome.since.against.run_id)}", *_changes(outcome.since)]
    return "\n".join([*lines, *_ending(outcome, {"report": outcome.report})])


def render_predict(outcome: PredictOutcome) -> str:
    """Write the outcome of `predict` as text of several lines, without a final newline."""
    by = f"{number(outcome.folds)} folds" if outcome.folds is not None else "no training, a given model"
    lines = [
        *_headline("Predictions", outcome),
        "",
        f"Rows:   {number(outcome.num_rows)} read, {number(outcome.num_predicted)} predicted "
        f"({number(outcome.num_unlabelled)} of them unlabelled), "
        f"{number(outcome.num_quarantined)} quarantined",
        f"Model:  {clean(outcome.kind)}, {by}, {number(outcome.num_trained)} rows trained on, "
        f"{number(outcome.num_classes)} classes",
    ]
    if outcome.quality:
        figures = [
            (name.replace("_", " "), "-" if value is None else f"{value:.4f}")
            for name, value in outcome.quality.items()
        ]
        lines += ["", "Quality out of fold" if outcome.folds is not None else "Quality", *pairs(figures)]
    return "\n".join([*lines, *_ending(outcome, {"model": outcome.model_uri})])


def render_tag(outcome: TagOutcome) -> str:
    """Write the outcome of `tag` as text of several lines, without a final newline."""
    lines = [
        *_headline("Tags", outcome),
        f"Model:  {clean(outcome.model_uri)}, {number(outcome.num_classes)} classes",
        "",
        f"Rows:   {number(outcome.num_rows)} read, {number(outcome.num_tagged)} tagged, "
        f"{number(outcome.num_quarantined)} quarantined",
        f"Tags:   {number(outcome.num_tags)}{_per_row(outcome)}",
    ]
    return "\n".join([*lines, *_ending(outcome, {})])


def render_check(report: CheckReport) -> str:
    """Write the findings of `check` as text of several lines, without a final newline."""
    version = f", version {clean(report.source_version)}" if report.source_version is not None else ""
    rows = number(report.num_rows) if report.num_rows is not None else "not counted"
    tags = [clean(tag, _MAX_TAG_WIDTH) for tag in report.classes[:_MAX_LISTED_CLASSES]]
    more = len(report.classes) - len(tags)
    return "\n".join(
        [
            f"Source: {clean(report.source)}{version}",
            f"Rows:   {rows}",
            "",
            "Columns",
            *pairs(report.schema),
            "",
            "Found",
            *pairs(
                [
                    ("labels", report.labels_format),
                    ("pred_probs", f"{report.pred_probs_format} of {report.dtype}"),
                    (
                        "classes",
                        f"{number(len(report.classes))}: {', '.join(tags)}"
                        + (f" and {number(more)} more" if more else ""),
                    ),
                ]
            ),
            *(["", "Notes", *(f"  - {clean(note)}" for note in report.notes)] if report.notes else []),
            *(["", "An audit would write", *pairs(report.tables.items())] if report.tables else []),
        ]
    )


def render_compare(outcome: CompareOutcome) -> str:
    """Write the outcome of `compare` as text of several lines, without a final newline."""
    found = outcome.comparison
    lines = [
        f"Comparison of {clean(found.run.run_id)} with {clean(found.against.run_id)}: "
        f"{_HEADLINES[outcome.status]}",
        *(
            ["They had been compared before; the tables were not changed."]
            if outcome.already_finished
            else []
        ),
        f"Source: {clean(found.run.source)}",
        "",
        *_table(
            ("run", "version", "audited", "with issue", "missing", "extraneous", "health"),
            [_run_line(found.against, "before: "), _run_line(found.run, "now: ")],
        ),
        "",
        "Changes",
        *_changes(found),
    ]
    if found.rows_came or found.rows_went:
        lines.append(
            f"  {number(found.rows_came or 0)} audited rows came, {number(found.rows_went or 0)} went"
        )
    for change, word in ((NEWLY_FLAGGED, "newly flagged"), (FIXED, "fixed")):
        reasons = {name: count for name, count in found.cell_reasons.get(change, {}).items() if count}
        if reasons:
            said = ", ".join(f"{name.replace('_', ' ')} {number(count)}" for name, count in reasons.items())
            lines.append(f"  why cells are {word}: {said}")
    for word, tags in (("came", found.classes_came), ("went", found.classes_went)):
        if tags:
            lines.append(f"  classes that {word}: {', '.join(clean(tag, _MAX_TAG_WIDTH) for tag in tags)}")
    return "\n".join([*lines, *_ending(outcome, {})])


def render_trend(outcome: TrendOutcome) -> str:
    """Write the outcome of `trend` as text of several lines, without a final newline."""
    trend = outcome.trend
    shown = trend.runs[-_MAX_LISTED_RUNS:]
    lines = [
        f"Trend of {clean(trend.source)}: {number(len(trend.runs))} of {number(trend.num_runs)} runs, "
        f"{number(len(trend.classes))} of {number(trend.num_classes)} classes",
        "",
        *_table(
            ("run", "version", "audited", "with issue", "missing", "extraneous", "health"),
            [_run_line(run.ref) for run in shown],
        ),
    ]
    if trend.classes:
        rows = []
        for row in trend.classes:
            known = [value for value in row.noise if value is not None]
            first, now = (percent(known[0]), percent(known[-1])) if known else ("-", "-")
            rows.append((clean(row.tag, _MAX_TAG_WIDTH), first, now))
        lines += ["", *_table(("noise of the tag", "first", "newest"), rows)]
    return "\n".join([*lines, *_ending(outcome, {"page": outcome.file})])


def clean(text: str, width: int | None = None) -> str:
    """Make a text from data safe for a terminal, and cut it to `width` columns if given.

    Control, formatting and unassigned characters are escaped: they could move the cursor, reverse the
    reading direction or hide what stands there.
    """
    shown = "".join(_visible(char) for char in text)
    if width is None or _columns(shown) <= width:
        return shown
    kept = ""
    for char in shown:
        if _columns(kept + char) > width - 1:
            break
        kept += char
    return kept + "…"


def _visible(char: str) -> str:
    if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp"):
        return char.encode("unicode_escape").decode("ascii")
    return char


def _columns(text: str) -> int:
    """Count the terminal columns of a text: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _headline(what: str, outcome: _Outcome) -> list[str]:
    version = f", version {clean(outcome.source_version)}" if outcome.source_version is not None else ""
    return [
        f"{what} {clean(outcome.run_id)}: {_HEADLINES[outcome.status]}",
        *(["This run had finished before; nothing was changed."] if outcome.already_finished else []),
        f"Source: {clean(outcome.source)}{version}",
    ]


def _ending(outcome: _Finished, more: Mapping[str, str | None]) -> list[str]:
    """Warnings, what was written, times."""
    lines: list[str] = []
    if outcome.warnings:
        lines += ["", "Warnings", *(f"  - {clean(warning)}" for warning in outcome.warnings)]
    tables = {} if isinstance(outcome, TrendOutcome) else outcome.tables
    written = {**tables, **{name: place for name, place in more.items() if place is not None}}
    lines += ["", "Written", *pairs([*written.items(), ("MLflow run", outcome.mlflow_run_id or "none")])]
    if outcome.stages:
        total = sum(outcome.stages.values())
        each = ", ".join(f"{clean(name)} {seconds:.1f}" for name, seconds in outcome.stages.items())
        lines += ["", f"Time: {total:.1f} s ({each})"]
    return lines


def _per_row(outcome: TagOutcome) -> str:
    return f" ({outcome.num_tags / outcome.num_tagged:.2f} per row)" if outcome.num_tagged else ""


def _health(outcome: AuditOutcome) -> str:
    counts = outcome.counts
    if counts.health is None:
        return "Health: none, no row was audited"
    return (
        f"Health: {percent(counts.health)}; {number(counts.num_label_issues)} of "
        f"{number(counts.num_audited)} audited rows have a label issue"
    )


def _other_findings(counts: Counts) -> list[str]:
    """What was found beside wrong tags; nothing on what was not looked for."""
    found = [
        ("ambiguous rows", counts.num_ambiguous),
        ("outliers", counts.num_outliers),
        ("groups of near-duplicates with differing tags", counts.num_duplicate_groups),
    ]
    said = ", ".join(f"{number(count)} {name}" for name, count in found if count is not None)
    return [f"Also:   {said}"] if said else []


def _run_line(run: RunRef, before: str = "") -> tuple[str, ...]:
    return (
        f"{before}{clean(run.run_id)}",
        "-" if run.source_version is None else clean(run.source_version),
        number(run.num_audited),
        number(run.num_label_issues),
        number(run.num_missing_tags),
        number(run.num_extraneous_tags),
        "-" if run.health is None else percent(run.health),
    )


def _changes(found: Comparison) -> list[str]:
    """Rows, cells and the classes that changed most."""
    lines = [_change_counts("rows", found.rows), _change_counts("cells", found.cells)]
    if found.classes:
        rows = [_class_change(change) for change in found.classes[:_MAX_LISTED_CLASSES]]
        lines += _table(("tag", "newly flagged", "fixed", "still open", "noise before", "now"), rows)
    return lines


def _change_counts(what: str, counts: ChangeCounts) -> str:
    return (
        f"  {what + ':':6} {number(counts.newly_flagged)} newly flagged, {number(counts.fixed)} fixed, "
        f"{number(counts.still_open)} still open"
    )


def _class_change(change: ClassChange) -> tuple[str, ...]:
    noises = [None if row is None else row.noise for row in (change.before, change.now)]
    return (
        clean(change.tag, _MAX_TAG_WIDTH),
        *(number(count) for count in change.cells.to_json().values()),
        *("-" if noise is None else percent(noise) for noise in noises),
    )


def _class_table(rows: Sequence[ClassRow]) -> list[str]:
    table = [
        (
            clean(row.tag, _MAX_TAG_WIDTH),
            number(row.num_given),
            number(row.num_missing),
            number(row.num_extraneous),
            percent(row.label_noise) if row.label_noise is not None else "-",
        )
        for row in rows
    ]
    return _table(("tag", "given", "missing", "extraneous", "noise"), table)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Lines of a table with a head, the first column to the left and the others to the right."""
    return columns_of([head, *rows])


def columns_of(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table, its first column to the left, the others to the right."""
    widths = [max(_columns(line[column]) for line in table) for column in range(len(table[0]))]
    return [
        "  "
        + line[0]
        + " " * (widths[0] - _columns(line[0]))
        + "".join(f"  {cell:>{width}}" for cell, width in zip(line[1:], widths[1:], strict=True))
        for line in table
    ]


def _gate(gate: GateResult) -> str:
    relation = "at least" if gate.name.startswith("min_") else "at most"
    verdict = "passed" if gate.passed else "FAILED" if gate.severity == "fail" else "warns "
    return (
        f"  {verdict}  {clean(gate.name)}: {_value(gate.value)}, allowed {relation} {_value(gate.limit)}"
        + (f". {clean(gate.detail)}" if gate.detail else "")
    )


def pairs(named: Iterable[tuple[str, str]]) -> list[str]:
    """Lines of names and values, the values below each other."""
    cleaned = [(clean(name), clean(value)) for name, value in named]
    width = max((_columns(name) for name, _ in cleaned), default=0)
    return [f"  {name}{' ' * (width - _columns(name))}  {value}" for name, value in cleaned]


def number(value: int) -> str:
    """A whole number with thousands set apart."""
    return f"{value:,}"


def _value(value: float | int | None) -> str:
    if value is None:
        return "none"
    return number(value) if isinstance(value, int) else f"{value:.6g}"


def percent(share: float) -> str:
    """A share as percent."""
    return f"{100 * share:.2f} %"
