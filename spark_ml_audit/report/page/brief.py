"""A run in short: what a notebook or an interpreter shows of it. Texts of the data are made harmless here."""

from __future__ import annotations

from collections.abc import Sequence

from spark_ml_audit.outcomes.records import ClassRow, affected
from spark_ml_audit.report.page.advice import headline
from spark_ml_audit.report.page.data import ReportData, WorstRow
from spark_ml_audit.report.page.render import render_fragment
from spark_ml_audit.text import columns_wide, for_terminal, number

WORST = 10
"""Rows, and classes, that are shown."""

_WIDTH = 40


def brief_html(data: ReportData) -> str:
    """A run as a piece of HTML that stands in a notebook: no script, every style in place.

    Args:
        data: The run, its worst rows and classes.

    Example:
        >>> from spark_ml_audit.outcomes.records import Counts
        >>> from spark_ml_audit.report.page.data import RunFacts
        >>> run = RunFacts("20260131t180000z-0a1b2c3d", "ok", "<b>", None, "0.2.0", "18:00", "18:05")
        >>> shown = brief_html(ReportData(run, Counts(9, 9, 0, 0, 1, 1, 0, health=8 / 9)))
        >>> "&lt;b&gt;" in shown, "<b>" in shown
        (True, False)
    """
    return render_fragment(
        "brief.html.j2",
        data=data,
        run=data.run,
        counts=data.counts,
        headline=headline(data),
        rows=data.rows[:WORST],
        classes=affected(data.classes)[:WORST],
        tags=_tags,
    )


def brief_text(data: ReportData) -> str:
    """A run as text of several lines, without a final newline.

    Example:
        >>> from spark_ml_audit.outcomes.records import Counts
        >>> from spark_ml_audit.report.page.data import RunFacts
        >>> run = RunFacts("20260131t180000z-0a1b2c3d", "ok", "data/films", None, "0.2.0", "18:00", "18:05")
        >>> print(brief_text(ReportData(run, Counts(9, 9, 0, 0, 0, 0, 0, health=1.0))))
        Audit of data/films
        No label issue was found in 9 audited rows.
    """
    lines = [f"Audit of {for_terminal(data.run.source, 100)}", headline(data)]
    counts = data.counts
    if counts.num_quarantined or counts.num_unlabelled:
        lines.append(
            f"Rows: {number(counts.num_rows)} read, {number(counts.num_audited)} audited, "
            f"{number(counts.num_unlabelled)} unlabelled, {number(counts.num_quarantined)} in quarantine."
        )
    if data.alert:
        lines.append(f"Take care: {for_terminal(data.alert)}")
    if data.calibration and (data.calibration.is_applied or data.calibration.is_worth_it):
        lines.append(f"Model: {data.calibration.sentence}.")
    if data.rows:
        head = (data.run.id_name, *data.shown_columns, "score", "given", "add", "remove")
        lines += ["", "Worst rows", *_table([head, *(_row_cells(row) for row in data.rows[:WORST])])]
    most = affected(data.classes)[:WORST]
    if most:
        head = ("tag", "given", "add", "remove", "AUC", "trust")
        lines += ["", "Tags with the most flags", *_table([head, *map(_class_cells, most)])]
    return "\n".join(lines)


def _row_cells(row: WorstRow) -> tuple[str, ...]:
    shown = (text or "" for text in row.shown)
    lists = (row.given, _tags(row, "missing"), _tags(row, "extraneous"))
    return (row.id, *shown, f"{row.score:.4f}", *(", ".join(tags) for tags in lists))


def _class_cells(row: ClassRow) -> tuple[str, ...]:
    counts = (number(row.num_given), number(row.num_missing), number(row.num_extraneous))
    return (row.tag, *counts, "–" if row.auc is None else f"{row.auc:.3f}", row.trust or "–")


def _tags(row: WorstRow, issue: str) -> tuple[str, ...]:
    return tuple(cell.tag for cell in row.flagged if cell.issue == issue)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of texts as lines, columns below each other."""
    cells = [[for_terminal(text, _WIDTH) for text in row] for row in rows]
    widths = [max(columns_wide(text) for text in column) for column in zip(*cells, strict=True)]
    padded = (
        "  ".join(text + " " * (width - columns_wide(text)) for text, width in zip(row, widths, strict=True))
        for row in cells
    )
    return [f"  {line}".rstrip() for line in padded]
