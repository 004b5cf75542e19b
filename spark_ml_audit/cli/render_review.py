"""Outcomes of the commands after an audit as readable plain text."""

from __future__ import annotations

from spark_ml_audit.cli.render_parts import ending, mlflow, pairs, table
from spark_ml_audit.outcomes.review import (
    CorrectOutcome,
    DecideOutcome,
    Estimate,
    ReviewOutcome,
    SampleOutcome,
)
from spark_ml_audit.text import for_terminal, number

_MOST_STRATA = 20
_FILL_IN = {
    "csv": "Fill in the column verdict (present, absent or unsure), then import it:",
    "label_studio": "Answer its tasks in Label Studio, export them as JSON, then (by that file's name):",
    "argilla": "Answer its records in Argilla, export them as JSON, then (by that file's name):",
}


def render_sample(outcome: SampleOutcome) -> str:
    """Write the outcome of `sample` as text of several lines, without a final newline."""
    lines = [
        f"Sample {for_terminal(outcome.sample_id)}: {number(outcome.num_cells)} cells to judge "
        f"in {number(outcome.num_rows)} rows ({outcome.how})",
        *(["This sample was there before; nothing was drawn."] if outcome.already_finished else []),
        f"Audit:  {for_terminal(outcome.run_id)}",
    ]
    if outcome.strata:
        strata = [
            ("rows chosen", "among", "rows") if outcome.how == "next" else ("stratum", "cells", "drawn")
        ]
        # of many classes those with the most rows
        shown = sorted(outcome.strata, key=lambda item: -item.num_drawn)[:_MOST_STRATA]
        strata += [
            (for_terminal(item.name), number(item.size), number(item.num_drawn))
            for item in outcome.strata
            if item in shown
        ]
        if len(outcome.strata) > len(shown):
            strata.append((f"... and {len(outcome.strata) - len(shown)} more", "", ""))
        lines += ["", *table(strata)]
    if outcome.notes:
        lines += ["", *outcome.notes]
    lines += _next(_FILL_IN[outcome.format], outcome.next_command)
    kind = "CSV" if outcome.format == "csv" else "JSON"
    files = {kind: outcome.csv} if outcome.csv else {}
    written = {
        **outcome.tables,
        **files,
        **{f"{kind} of {name}": file for name, file in outcome.files.items()},
    }
    return "\n".join([*lines, *ending((), written, outcome.stages)])


def render_decide(outcome: DecideOutcome) -> str:
    """Write the outcome of `decide` as text of several lines, without a final newline."""
    if outcome.undone is not None or outcome.num_files_fewer is not None:
        if outcome.undone is None:
            said = f"Compacted: {number(outcome.num_files_fewer or 0)} files fewer, all decisions kept"
        else:
            what = "was taken back before; nothing was changed" if outcome.already_finished else "taken back"
            said = f"Decision {for_terminal(outcome.undone)}: {what}"
        return "\n".join([said, *ending((), outcome.tables, outcome.stages)])
    lines = [
        f"Decisions {for_terminal(outcome.import_id)}: {number(outcome.num_imported)} of "
        f"{number(outcome.num_read)} rows imported",
        *(
            ["The same content had been imported before; nothing was changed."]
            if outcome.already_finished
            else []
        ),
        f"Audit:  {for_terminal(outcome.run_id)}",
        f"Blank:  {number(outcome.num_blank)} rows without a verdict, not judged yet",
    ]
    if outcome.num_known:
        lines.append(f"Known:  {number(outcome.num_known)} rows that had been imported before")
    if outcome.rejected:
        lines += ["", "Set aside", *pairs([(name, number(n)) for name, n in outcome.rejected.items()])]
        lines += [f"  {for_terminal(said)}" for said in outcome.refusals]
        if "verdict_unknown" in outcome.rejected:
            lines.append("Verdicts are present, absent, unsure; or y, n, yes, no, 1, 0, true, false, ?")
    lines += _next("To go on:", outcome.next_command)
    return "\n".join([*lines, *ending((), outcome.tables, outcome.stages)])


def render_review(found: ReviewOutcome) -> str:
    """Write estimates as text of several lines, without a final newline."""
    quantities = [("", "estimate", f"{100 * found.confidence:g}% interval", "extrapolated by the model")]
    quantities += [
        (f"{item.quantity.replace('num_errors', 'errors')}, {item.direction}", *_limits(item))
        for item in found.estimates
    ]
    strata = [("stratum", "cells", "judged", "wrong", "unsure")]
    strata += [
        (
            item.name,
            number(item.size),
            f"{number(item.num_judged)} of {number(item.num_drawn)}",
            number(item.num_errors),
            number(item.num_unsure),
        )
        for item in found.strata
    ]
    lines = [f"Review of audit {for_terminal(found.run_id)}", *_carried(found)]
    if found.sample_id is not None:
        lines += [
            f"Sample: {for_terminal(found.sample_id)}, {number(found.num_judged)} of "
            f"{number(found.num_drawn)} cells judged, {number(found.num_unsure)} unsure",
            "",
            *table(quantities),
            "",
            *table(strata),
        ]
    lines += [*_certified(found), *_agreement(found)]
    lines += _next("To write a corrected copy:", found.next_command)
    written = {**found.tables, **mlflow(found.mlflow_run_id, found.mlflow_open)}
    return "\n".join([*lines, *ending(found.warnings, written, found.stages)])


def _next(said: str, command: str | None) -> list[str]:
    """What to type next, on a line of its own."""
    return [] if command is None else ["", said, f"  {for_terminal(command)}"]


_SHOWN = 20
_FEW = 10
"""Decisions or shared cells of a class of which a summary says nothing yet."""


def _certified(found: ReviewOutcome) -> list[str]:
    """How far flags may be accepted in bulk; classes with something to accept first."""
    if not found.certified:
        return []
    ordered = sorted(found.certified, key=lambda item: (-item.num_open, -item.num_judged, item.tag))
    shown = [item for item in ordered if item.num_cells or item.num_judged >= _FEW][:_SHOWN]
    lines = ["", "Accepting in bulk (correct.accept_certified), by blind random decisions:"]
    lines += [
        f"  {for_terminal(item.tag)}, {item.direction}: {item.sentence}"
        + (f"; {number(item.num_open)} of them undecided" if item.num_cells else "")
        for item in shown
    ]
    more = len(ordered) - len(shown)
    return [*lines, *([f"  {number(more)} more, with few or no decisions yet, in --json"] if more else [])]


def _agreement(found: ReviewOutcome) -> list[str]:
    if not found.agreement:
        return []

    def shown(value: float | None, low: float | None, high: float | None, percent: str = "") -> str:
        if value is None or low is None or high is None:
            return "unknown"
        scale, places = (100, 1) if percent else (1, 2)
        limits = f"{scale * low:.{places}f} to {scale * high:.{places}f}"
        return f"{scale * value:.{places}f}{percent} ({limits})"

    first, *others = found.agreement
    often = sorted((item for item in others if item.num_cells >= _FEW), key=lambda item: -item.num_cells)
    listed = [first, *often[:_SHOWN]]
    rows = [("agreement of reviewers", "cells", "agree", "Gwet's AC1")]
    rows += [
        (
            "all classes" if item.tag is None else for_terminal(item.tag),
            number(item.num_cells),
            shown(item.percent, item.percent_low, item.percent_high, "%"),
            shown(item.ac1, item.ac1_low, item.ac1_high),
        )
        for item in listed
    ]
    lines = ["", *table(rows)]
    if len(listed) < len(found.agreement):
        lines.append(f"  {number(len(found.agreement) - len(listed))} classes with fewer cells in --json")
    if found.num_disputed:
        lines += [
            "",
            f"{number(found.num_disputed)} cells are disputed; draw them with `sample --how disputed`, and "
            "import what settles them with decide.kind=adjudicated.",
        ]
    return lines


def _carried(found: ReviewOutcome) -> list[str]:
    """What the sample of an audit that this one continues can and cannot say of it."""
    if found.sampled_run_id in (None, found.run_id):
        return []
    return [
        f"It continues audit {for_terminal(found.sampled_run_id or '')}, from which the sample was drawn: "
        "the precision holds for its flags that are still open and that nobody has judged, and what people "
        "have put right is taken off the errors."
    ]


def _limits(item: Estimate) -> tuple[str, str, str]:
    def shown(value: float | None) -> str:
        if value is None:
            return "unknown"
        return number(round(value)) if item.quantity == "num_errors" else f"{100 * value:.1f}%"

    between = "unknown" if item.low is None else f"{shown(item.low)} to {shown(item.high)}"
    return shown(item.estimate), between, "" if item.model_estimate is None else shown(item.model_estimate)


def render_correct(outcome: CorrectOutcome) -> str:
    """Write the outcome of `correct` as text of several lines, without a final newline."""
    what = "Correction" if outcome.undoes is None else f"Undo of {for_terminal(outcome.undoes)}"
    version = (
        f", version {for_terminal(outcome.target_version)}" if outcome.target_version is not None else ""
    )
    lines = [
        f"Preview: {number(outcome.num_rows_changed)} rows would change ({outcome.mode} "
        f"{for_terminal(outcome.target)}); nothing was written"
        if outcome.is_preview
        else f"{what} {for_terminal(outcome.correction_id)}: {number(outcome.num_rows_changed)} rows changed "
        f"({outcome.mode})",
        *(["It had been done before; nothing was changed."] if outcome.already_finished else []),
        f"Audit:  {for_terminal(outcome.run_id)}{version}",
        f"Tags:   {number(outcome.num_tags_added)} added, {number(outcome.num_tags_removed)} removed",
        f"Left:   {number(outcome.num_stale)} rows changed since, {number(outcome.num_gone)} gone",
    ]
    if outcome.num_excluded:
        lines.append(f"Out:    {number(outcome.num_excluded)} rows that people excluded are not in the copy")
    if outcome.num_restored:
        lines.append(f"Back:   {number(outcome.num_restored)} rows that had been left out of the copy")
    if outcome.accepted:
        accepted = [("accepted in bulk", "direction", "cells", "by")]
        accepted += [
            (for_terminal(item.tag), item.direction, number(item.num_accepted), for_terminal(item.proof))
            for item in outcome.accepted
        ]
        lines += ["", *table(accepted)]
    if outcome.undoes is None and outcome.mode == "copy" and not outcome.is_preview:
        said = "An audit of the copy continues this one, and shows what the correction did"
        lines += _next(f"{said}:", outcome.next_command) or ["", f"{said}."]
    lines += _next("To take it back:", outcome.undo_command)
    return "\n".join([*lines, *ending(outcome.warnings, outcome.tables, outcome.stages)])
