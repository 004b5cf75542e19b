"""Outcomes as readable plain text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from spark_ml_audit.cli.render_annotators import annotator_lines
from spark_ml_audit.cli.render_decided import decided_lines, order_lines
from spark_ml_audit.cli.render_encoder import render_encoder
from spark_ml_audit.cli.render_features import render_features, render_left_out
from spark_ml_audit.cli.render_parts import TAG_WIDTH, ending, mlflow, pairs, table
from spark_ml_audit.cli.render_tagging import tagging_lines
from spark_ml_audit.kernels.trust_levels import GOOD
from spark_ml_audit.outcomes.audit import AuditOutcome, CheckOutcome
from spark_ml_audit.outcomes.history import (
    FIXED,
    NEWLY_FLAGGED,
    ChangeCounts,
    ClassChange,
    CompareOutcome,
    Comparison,
    TrendOutcome,
)
from spark_ml_audit.outcomes.predict import PredictOutcome, TagOutcome
from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult
from spark_ml_audit.outcomes.runs import RunRef
from spark_ml_audit.text import for_terminal, number, percent

_Outcome: TypeAlias = AuditOutcome | PredictOutcome | TagOutcome
_Finished: TypeAlias = _Outcome | CompareOutcome | TrendOutcome

_MAX_LISTED_RUNS = 20
_MAX_LISTED_CLASSES = 10
_MAX_LISTED_CELLS = 5

_HEADLINES = {
    "ok": "done",
    "gate_failed": "done, but a quality gate failed",
    "not_delivered": "done, but not everything was delivered",
}


def render_outcome(outcome: AuditOutcome) -> str:
    """Write an audit's outcome as text of several lines, without a final newline."""
    counts = outcome.counts
    lines = [
        *_headline("Audit", outcome, outcome.alert),
        "",
        *_disagreement(outcome),
        f"Rows:   {number(counts.num_rows)} read, {number(counts.num_audited)} audited, "
        f"{number(counts.num_unlabelled)} unlabelled, {number(counts.num_quarantined)} quarantined",
        f"Tags:   {number(counts.num_missing_tags)} missing, {number(counts.num_extraneous_tags)} extraneous",
        *order_lines(outcome.decisions),
        *_by_trust(outcome),
        *_other_findings(counts),
        *([f"Model:  {outcome.calibration.sentence}"] if outcome.calibration is not None else []),
        *_first_look(outcome),
    ]
    if outcome.worst_classes:
        lines += ["", "Most affected classes", *_class_table(outcome.worst_classes)]
    if outcome.gates:
        lines += ["", "Quality gates", *(_gate(gate) for gate in outcome.gates)]
    if outcome.since_last_run is not None:
        lines += [
            "",
            f"Since run {for_terminal(outcome.since_last_run.against.run_id)}{_of_other(outcome)}",
            *_changes(outcome.since_last_run),
        ]
    if outcome.choice is not None:
        lines.append(f"Model:  {for_terminal(outcome.choice.reason)}")
    lines += render_features(outcome.use)
    return "\n".join([*lines, *_ending(outcome, {"report": outcome.report})])


def render_predict(outcome: PredictOutcome) -> str:
    """Write the outcome of `predict` as text of several lines, without a final newline."""
    by = f"{number(outcome.folds)} folds" if outcome.folds is not None else "no training, a given model"
    lines = [
        *_headline("Predictions", outcome, outcome.alert),
        "",
        f"Rows:   {number(outcome.num_rows)} read, {number(outcome.num_predicted)} predicted "
        f"({number(outcome.num_unlabelled)} of them unlabelled), "
        f"{number(outcome.num_quarantined)} quarantined",
        f"Model:  {for_terminal(outcome.kind)}, {by}, {number(outcome.num_trained)} rows trained on, "
        f"{number(outcome.num_classes)} classes",
        *([] if outcome.choice is None else [f"        {for_terminal(outcome.choice.reason)}"]),
        *decided_lines(outcome.num_corrected_cells, outcome.num_excluded_rows),
        *render_encoder(outcome.encoder),
        *render_features(outcome.use),
    ]
    if outcome.quality:
        figures = [
            (name.replace("_", " "), "–" if value is None else f"{value:.4f}")
            for name, value in outcome.quality.items()
        ]
        lines += ["", "Quality out of fold" if outcome.folds is not None else "Quality", *pairs(figures)]
    if outcome.tagging is not None and outcome.model_uri is not None:
        lines += ["", "Tags that this model gives to new rows", *tagging_lines(outcome.tagging)]
    return "\n".join([*lines, *_ending(outcome, {"model": outcome.model_uri})])


def render_tag(outcome: TagOutcome) -> str:
    """Write the outcome of `tag` as text of several lines, without a final newline."""
    lines = [
        *_headline("Tags", outcome),
        f"Model:  {for_terminal(outcome.model_uri)}, {number(outcome.num_classes)} classes",
        "",
        f"Rows:   {number(outcome.num_rows)} read, {number(outcome.num_tagged)} tagged, "
        f"{number(outcome.num_quarantined)} quarantined",
        f"Tags:   {number(outcome.num_tags)}{_per_row(outcome)}",
    ]
    if outcome.tagging is not None:
        lines += ["", "Tags that this model gives", *tagging_lines(outcome.tagging, outcome.rates)]
    return "\n".join([*lines, *_ending(outcome, {})])


def render_check(report: CheckOutcome) -> str:
    """Write the findings of `check` as text of several lines, without a final newline."""
    version = f", version {for_terminal(report.source_version)}" if report.source_version is not None else ""
    rows = number(report.num_rows)
    tags = [for_terminal(tag, TAG_WIDTH) for tag in report.classes[:_MAX_LISTED_CLASSES]]
    more = len(report.classes) - len(tags)
    return "\n".join(
        [
            f"Source: {for_terminal(report.source)}{version}",
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
            *render_left_out(report.use),
            *(
                ["", "Warnings", *(f"  - {for_terminal(text)}" for text in report.warnings)]
                if report.warnings
                else []
            ),
            *(["", "Notes", *(f"  - {for_terminal(note)}" for note in report.notes)] if report.notes else []),
            *(["", "An audit would write", *pairs(report.tables.items())] if report.tables else []),
        ]
    )


def render_compare(outcome: CompareOutcome) -> str:
    """Write the outcome of `compare` as text of several lines, without a final newline."""
    found = outcome.comparison
    lines = [
        f"Comparison of {for_terminal(found.run.run_id)} with {for_terminal(found.against.run_id)}: "
        f"{_HEADLINES[outcome.status]}",
        *(
            ["They had been compared before; the tables were not changed."]
            if outcome.already_finished
            else []
        ),
        f"Source: {for_terminal(found.run.source)}"
        + (f" and {for_terminal(found.against.source)}" if found.against.source != found.run.source else ""),
        "",
        *table(
            [
                ("run", "version", "audited", "with issue", "missing", "extraneous", "health"),
                *[_run_line(found.against, "before: "), _run_line(found.run, "now: ")],
            ]
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
            lines.append(f"  classes that {word}: {', '.join(for_terminal(tag, TAG_WIDTH) for tag in tags)}")
    return "\n".join([*lines, *_ending(outcome, {})])


def render_trend(outcome: TrendOutcome) -> str:
    """Write the outcome of `trend` as text of several lines, without a final newline."""
    trend = outcome.trend
    shown = trend.runs[-_MAX_LISTED_RUNS:]
    lines = [
        f"Trend of {for_terminal(trend.source)}: {number(len(trend.runs))} of {number(trend.num_runs)} runs, "
        f"{number(len(trend.classes))} of {number(trend.num_classes)} classes",
        "",
        *table(
            [
                ("run", "version", "audited", "with issue", "missing", "extraneous", "health"),
                *[_run_line(run.ref) for run in shown],
            ]
        ),
    ]
    if trend.classes:
        rows = []
        for row in trend.classes:
            known = [value for value in row.noise if value is not None]
            first, now = (percent(known[0]), percent(known[-1])) if known else ("–", "–")
            rows.append((for_terminal(row.tag, TAG_WIDTH), first, now))
        lines += ["", *table([("noise of the tag", "first", "newest"), *rows])]
    return "\n".join([*lines, *_ending(outcome, {"page": outcome.report})])


def _headline(what: str, outcome: _Outcome, alert: str | None = None) -> list[str]:
    version = (
        f", version {for_terminal(outcome.source_version)}" if outcome.source_version is not None else ""
    )
    return [
        f"{what} {for_terminal(outcome.run_id)}: {_HEADLINES[outcome.status]}",
        *([] if alert is None else [f"Careful: {for_terminal(alert)}"]),
        *(["This run had finished before; nothing was changed."] if outcome.already_finished else []),
        f"Source: {for_terminal(outcome.source)}{version}",
        *(_continues(outcome) if isinstance(outcome, AuditOutcome) else []),
        *([] if outcome.engine is None else [f"Engine: {outcome.engine}"]),
    ]


def _of_other(outcome: AuditOutcome) -> str:
    """The source of the run before, where it is another one."""
    since = outcome.since_last_run
    if since is None or since.against.source == since.run.source:
        return ""
    return f" of {for_terminal(since.against.source)}, which this one continues"


def _continues(outcome: AuditOutcome) -> list[str]:
    """What an audit of a corrected copy goes on from."""
    return [
        f"        continues {for_terminal(origin.source)} (run {for_terminal(origin.run_id)}, "
        f"correction {for_terminal(origin.correction_id)})"
        for origin in outcome.continues[:1]
    ]


def _ending(outcome: _Finished, more: Mapping[str, str | None]) -> list[str]:
    """Warnings, what was written, times."""
    tables = {} if isinstance(outcome, TrendOutcome) else outcome.tables
    written = {**tables, **{name: place for name, place in more.items() if place is not None}}
    written |= mlflow(outcome.mlflow_run_id, outcome.mlflow_open)
    return ending(outcome.warnings, written, outcome.stages)


def _per_row(outcome: TagOutcome) -> str:
    return f" ({outcome.num_tags / outcome.num_tagged:.2f} per row)" if outcome.num_tagged else ""


def _disagreement(outcome: AuditOutcome) -> list[str]:
    counts = outcome.counts
    if counts.health is None:
        return ["No row was audited"]
    issues, audited = number(counts.num_label_issues), number(counts.num_audited)
    return [
        f"Model and tags disagree on {issues} of {audited} audited rows",
        f"Health: {percent(counts.health)} (share of rows without a disagreement, not of correct rows)",
        *([] if outcome.errors is None else [outcome.errors.sentence]),
    ]


def _by_trust(outcome: AuditOutcome) -> list[str]:
    """Flags by how far they can be trusted, where they differ in that."""
    if len(outcome.by_trust) < 2 and all(item.trust == GOOD for item in outcome.by_trust):
        return []
    rows = [
        (item.trust, number(item.num_classes), number(item.num_missing), number(item.num_extraneous))
        for item in outcome.by_trust
    ]
    return ["", *table([("trust", "classes", "missing", "extraneous"), *rows]), ""]


def _first_look(outcome: AuditOutcome) -> list[str]:
    """What to look at before anything else: the first of either list, and the command that draws some."""
    lines: list[str] = []
    if outcome.next_command is not None:
        lines += ["", "Look at some of both first:", f"  {for_terminal(outcome.next_command)}"]
    for what, cells in (("add", outcome.to_add), ("remove", outcome.to_remove)):
        if cells:
            rows = [
                (
                    for_terminal(cell.tag, TAG_WIDTH),
                    for_terminal(cell.id, TAG_WIDTH),
                    _probability(cell.pred_prob),
                    cell.trust or "–",
                )
                for cell in cells[:_MAX_LISTED_CELLS]
            ]
            lines += ["", *table([(f"tags to {what}", "row", "probability", "trust"), *rows])]
    if outcome.precision:
        lines += ["", *(item.sentence for item in outcome.precision)]
    return lines + annotator_lines(outcome.annotators)


def _probability(value: float) -> str:
    """A probability as percent that is 0 or 100 only where it is."""
    if 0.9999 < value < 1:
        return ">99.99%"
    return "<0.01%" if 0 < value < 0.0001 else percent(value)


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
        f"{before}{for_terminal(run.run_id)}",
        "–" if run.source_version is None else for_terminal(run.source_version),
        number(run.num_audited),
        number(run.num_label_issues),
        number(run.num_missing_tags),
        number(run.num_extraneous_tags),
        percent(run.health),
    )


def _changes(found: Comparison) -> list[str]:
    """Rows, cells and the classes that changed most."""
    lines = [_change_counts("rows", found.rows), _change_counts("cells", found.cells)]
    if found.classes:
        rows = [_class_change(change) for change in found.classes[:_MAX_LISTED_CLASSES]]
        head = ("tag", "newly flagged", "fixed", "still open", "noise before", "now")
        lines += table([head, *rows])
    return lines


def _change_counts(what: str, counts: ChangeCounts) -> str:
    return (
        f"  {what + ':':6} {number(counts.newly_flagged)} newly flagged, {number(counts.fixed)} fixed, "
        f"{number(counts.still_open)} still open"
    )


def _class_change(change: ClassChange) -> tuple[str, ...]:
    noises = [None if row is None else row.noise for row in (change.before, change.now)]
    return (
        for_terminal(change.tag, TAG_WIDTH),
        *(number(count) for count in change.cells.to_dict().values()),
        *(percent(noise) for noise in noises),
    )


def _class_table(rows: Sequence[ClassRow]) -> list[str]:
    lines = [
        (
            for_terminal(row.tag, TAG_WIDTH),
            number(row.num_given),
            number(row.num_missing),
            number(row.num_extraneous),
            row.trust or "–",
        )
        for row in rows
    ]
    return table([("tag", "given", "missing", "extraneous", "trust"), *lines])


def _gate(gate: GateResult) -> str:
    relation = "at least" if gate.name.startswith("min_") else "at most"
    verdict = "passed" if gate.passed else "FAILED" if gate.severity == "fail" else "warns "
    return (
        f"  {verdict}  {for_terminal(gate.name)}: {number(gate.value)}, "
        f"allowed {relation} {number(gate.limit)}" + (f". {for_terminal(gate.detail)}" if gate.detail else "")
    )
