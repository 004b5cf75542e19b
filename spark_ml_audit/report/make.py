"""The report of a committed run: bounded reads of its tables, the page, and where it goes.

What is read grows with the classes and the rows shown: pairs of tags are counted where the data are, unless
all issues are among the rows read; rows come by rank. A report that fails is told of and loses nothing: the
run stands already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.errors import reason_of
from spark_ml_audit.lake.files import page_file, write_page
from spark_ml_audit.report.features import feature_sections
from spark_ml_audit.report.findings import find_rows
from spark_ml_audit.report.lists import list_sections, listed_ids
from spark_ml_audit.report.page import (
    ReasonCount,
    ReportData,
    RunFacts,
    ScoreDistribution,
    SectionTable,
    TagPair,
    WorstRow,
    display_histograms,
    render_report,
)
from spark_ml_audit.report.queries import (
    ReportFrames,
    ShownTexts,
    quarantine_reasons,
    tag_pairs,
    worst_rows,
)

if TYPE_CHECKING:
    from spark_ml_audit.config import OutputConfig, ReportConfig
    from spark_ml_audit.frames.fit import AuditFit
    from spark_ml_audit.outcomes.features import FeatureUse
    from spark_ml_audit.outcomes.history import Comparison
    from spark_ml_audit.outcomes.records import Counts, GateResult
    from spark_ml_audit.outcomes.review import MeasuredPrecision, ReviewedErrors

_MAX_PAIRS = 100


@dataclass(frozen=True)
class Report:
    """A report as made.

    Attributes:
        html: The page; None where it was not made.
        path: The file it was written to; None where there is none.
        notes: Sentences on what was left out on purpose.
        problems: Sentences on what failed.
    """

    html: str | None = None
    path: str | None = None
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def artifacts(self) -> dict[str, str]:
        """Artifact path -> content, for tracking."""
        return {} if self.html is None else {"report.html": self.html}


@dataclass(frozen=True)
class ReportRows:
    """What a report shows of a run's rows; the fields of `ReportData` of the same names."""

    rows: tuple[WorstRow, ...] = ()
    shown_columns: tuple[str, ...] = ()
    pairs: tuple[TagPair, ...] = ()
    quarantine: tuple[ReasonCount, ...] = ()
    errors: ReviewedErrors | None = None
    lists: tuple[SectionTable, ...] = ()
    sections: tuple[SectionTable, ...] = ()


def read_rows(
    frames: ReportFrames,
    counts: Counts,
    config: ReportConfig,
    precision: Sequence[MeasuredPrecision] = (),
) -> ReportRows:
    """Read what a report shows of a run's rows; nothing where there shall be no report.

    Args:
        frames: The rows.
        counts: Of the run.
        config: The `report` section.
        precision: How often flags were right so far.
    """
    if not config.enabled:
        return ReportRows()
    num_worst = config.max_rows if counts.num_label_issues else 0
    worst = frames.worst.slice(0, num_worst).column(frames.id).to_pylist() if num_worst else []
    found = find_rows(frames, counts)
    ids = [*worst, *listed_ids(frames), *(row_id for rows in found for row_id in rows.ids)]
    texts = ShownTexts(frames, list(dict.fromkeys(ids)))
    totals = {MISSING: counts.num_missing_tags, EXTRANEOUS: counts.num_extraneous_tags}
    return ReportRows(
        rows=worst_rows(frames, num_worst, texts) if num_worst else (),
        shown_columns=frames.show,
        pairs=tag_pairs(frames, counts.num_label_issues, _MAX_PAIRS) if counts.num_missing_tags else (),
        quarantine=quarantine_reasons(frames) if counts.num_quarantined else (),
        errors=frames.errors,
        lists=list_sections(frames, totals, precision, texts),
        sections=tuple(rows.section(texts) for rows in found),
    )


def make_report(
    fit: AuditFit,
    rows: Callable[[], ReportRows],
    run: RunFacts,
    counts: Counts,
    scores: ScoreDistribution,
    *,
    config: ReportConfig,
    output: OutputConfig | None,
    gates: Sequence[GateResult] = (),
    warnings: Sequence[str] = (),
    since_last_run: Comparison | None = None,
    alert: str | None = None,
    use: FeatureUse | None = None,
) -> Report:
    """Make a run's report and write it beside the tables. Never raises for what goes wrong.

    Args:
        fit: The audit.
        rows: Gives what is shown of the run's rows (see `read_rows`).
        run: What was audited, how and when.
        counts: Of the run.
        scores: Its rows by score.
        config: The `report` section.
        output: Where the file goes; None for none.
        gates: Results of the quality gates.
        warnings: Sentences of the run.
        since_last_run: Changes since the run before.
        alert: Why no flag should be believed.
        use: What the run's probabilities were learned from; None where it was given them.
    """
    if not config.enabled:
        return Report()
    try:
        found = rows()
        learned = () if use is None else feature_sections(use)
        data = ReportData(
            run=run,
            counts=counts,
            scores=scores,
            gates=tuple(gates),
            warnings=tuple(warnings),
            since_last_run=since_last_run,
            alert=alert,
            classes=fit.classes,
            histograms=display_histograms(fit.profile),
            calibration=fit.calibration,
            **{**vars(found), "sections": (*learned, *found.sections)},
        )
        html = render_report(data)
    except Exception as error:  # noqa: BLE001 - the run is committed; the reader learns what is missing
        return Report(problems=(f"The report could not be made: {reason_of(error)}.",))
    path, notes, problems = _write(output, run.run_id, html)
    return Report(html, path, tuple(notes), tuple(problems))


def _write(output: OutputConfig | None, run_id: str, html: str) -> tuple[str | None, list[str], list[str]]:
    """Write the page; its path, and sentences on what was left out and on what failed."""
    if output is None:
        return None, [], []
    file = page_file(output, run_id)
    if file is None:
        note = (
            "The report goes to MLflow only: the output is no folder of this machine. "
            "Set output.files to a local or Volume folder to have the file too."
        )
        return None, [note], []
    try:
        write_page(file, html)
    except OSError as error:
        problem = (
            f"The report could not be written to '{file}': {error.strerror or error}. "
            "Make the folder writable, or set output.files."
        )
        return None, [], [problem]
    return str(file), [], []
