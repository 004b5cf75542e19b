"""What is told of an output and of a new config, as readable plain text."""

from __future__ import annotations

from spark_ml_audit.cli.render_parts import pairs, table
from spark_ml_audit.outcomes.history import ListedRun, OpenOutcome, RunsOutcome
from spark_ml_audit.outcomes.starting import Choice, InitOutcome
from spark_ml_audit.text import for_terminal, number, percent

_SOURCE_WIDTH = 40
_LISTED_OTHERS = 6


def render_runs(outcome: RunsOutcome) -> str:
    """Write the runs of an output as text of several lines, without a final newline."""
    head = ("run", "source", "version", "rows", "with issue", "health", "gates", "report")
    shown = [_line(run) for run in outcome.runs]
    lines = [
        f"{number(len(outcome.runs))} of {number(outcome.num_runs)} runs, newest first",
        "",
        *table([head, *shown]),
    ]
    newest = next((run.report for run in outcome.runs if run.report is not None), None)
    if newest is not None:
        lines += ["", f"Newest report: {for_terminal(newest)}"]
    return "\n".join(lines)


def _line(run: ListedRun) -> tuple[str, ...]:
    ref = run.ref
    return (
        for_terminal(ref.run_id),
        for_terminal(ref.source, _SOURCE_WIDTH),
        "–" if ref.source_version is None else for_terminal(ref.source_version, 12),
        number(ref.num_rows),
        number(ref.num_label_issues),
        percent(ref.health),
        run.gate_status,
        "yes" if run.report is not None else "no",
    )


def render_open(outcome: OpenOutcome) -> str:
    """Write where a report is, its path on a line of its own."""
    said = "is open in the browser" if outcome.opened else "was not opened"
    return "\n".join(
        [
            *(for_terminal(text) for text in outcome.warnings),
            for_terminal(outcome.report or ""),
            f"The report of run {for_terminal(outcome.run_id)} {said}.",
        ]
    )


def _chosen(choice: Choice) -> str:
    others = f" (or {', '.join(choice.others[:_LISTED_OTHERS])})" if choice.others else ""
    return f"{choice.shown}: {choice.why}{others}"


def render_init(outcome: InitOutcome) -> str:
    """Write what was chosen for a config and why, as text of several lines, without a final newline."""
    lines = [
        f"Config: {for_terminal(outcome.config)}",
        f"Source: {for_terminal(outcome.source)}, {number(len(outcome.schema))} columns, first "
        f"{number(outcome.num_rows_read)} rows looked at",
        "",
        "Chosen",
        *pairs((choice.key, _chosen(choice)) for choice in outcome.choices),
    ]
    if outcome.warnings:
        lines += ["", "Warnings", *(f"  - {for_terminal(text)}" for text in outcome.warnings)]
    said = "To see what an audit would do" if outcome.is_auditable else "Once the config is complete"
    return "\n".join([*lines, "", f"{said}:", f"  {for_terminal(outcome.next_command)}"])
