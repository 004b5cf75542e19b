"""The report of a committed run: bounded reads of its tables, the page, and where it goes.

What is read grows with the classes and the rows shown: counts by score and by pair of tags are made where
the data are, rows come by rank. A report that fails is told of and loses nothing: the run stands already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spark_ml_audit.errors import reason_of
from spark_ml_audit.lake.files import report_file, write_page
from spark_ml_audit.report.findings import finding_sections
from spark_ml_audit.report.page import (
    ClassChange,
    GateLine,
    ReportData,
    RunFacts,
    SectionTable,
    SinceLastRun,
    display_histograms,
    render_report,
)
from spark_ml_audit.report.page.plots import static_plots
from spark_ml_audit.report.queries import (
    ReportFrames,
    quarantine_reasons,
    score_distribution,
    tag_pairs,
    worst_rows,
)

if TYPE_CHECKING:
    from spark_ml_audit.config.output import OutputConfig, ReportConfig
    from spark_ml_audit.frames.fit import Computation
    from spark_ml_audit.outcomes.history import ChangeCounts, Comparison
    from spark_ml_audit.outcomes.records import Counts, GateResult

_MAX_PAIRS = 100
_SCORE_BINS = 50


@dataclass(frozen=True)
class Report:
    """A report as made.

    Attributes:
        html: The page; None where it was not made.
        path: The file it was written to; None where there is none.
        plots: File name -> PNG.
        notes: Sentences on what was left out on purpose.
        problems: Sentences on what failed.
    """

    html: str | None = None
    path: str | None = None
    plots: Mapping[str, bytes] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def artifacts(self) -> dict[str, str | bytes]:
        """Artifact path -> content, for tracking."""
        page: dict[str, str | bytes] = {} if self.html is None else {"report.html": self.html}
        return page | {f"plots/{name}": image for name, image in self.plots.items()}


def make_report(
    computation: Computation,
    frames: ReportFrames,
    run: RunFacts,
    counts: Counts,
    *,
    config: ReportConfig,
    output: OutputConfig | None,
    gates: Sequence[GateResult] = (),
    warnings: Sequence[str] = (),
    since: SinceLastRun | None = None,
    sections: Sequence[SectionTable] = (),
) -> Report:
    """Make a run's report and write it beside the tables. Never raises for what goes wrong.

    Args:
        computation: The audit.
        frames: The run's rows in its tables, and its source.
        run: What was audited, how and when.
        counts: Of the run.
        config: The `report` section.
        output: Where the file goes; None for none.
        gates: Results of the quality gates.
        warnings: Sentences of the run.
        since: Changes since an earlier run.
        sections: Further tables.
    """
    if not config.enabled:
        return Report()
    try:
        data = collect_report(
            computation,
            frames,
            run,
            counts,
            max_rows=config.max_rows,
            gates=gates,
            warnings=warnings,
            since=since,
            sections=sections,
        )
        html = render_report(data)
    except Exception as error:  # noqa: BLE001 - the run is committed; the reader learns what is missing
        return Report(problems=(f"The report could not be made: {reason_of(error)}.",))
    notes, problems = [], []
    path = None
    if output is not None:
        file = report_file(output, run.run_id)
        if file is None:
            notes.append(
                "The report goes to MLflow only: the output is no folder of this machine. "
                "Set output.files to a local or Volume folder to have the file too."
            )
        else:
            try:
                write_page(file, html)
                path = str(file)
            except OSError as error:
                problems.append(
                    f"The report could not be written to '{file}': {error.strerror or error}. "
                    "Make the folder writable, or set output.files."
                )
    plots: Mapping[str, bytes] = {}
    try:
        plots, more_notes = static_plots(data)
        notes += more_notes
    except Exception as error:  # noqa: BLE001 - as above
        problems.append(f"The static plots could not be drawn: {reason_of(error)}.")
    return Report(html, path, plots, tuple(notes), tuple(problems))


def collect_report(
    computation: Computation,
    frames: ReportFrames,
    run: RunFacts,
    counts: Counts,
    *,
    max_rows: int,
    gates: Sequence[GateResult] = (),
    warnings: Sequence[str] = (),
    since: SinceLastRun | None = None,
    sections: Sequence[SectionTable] = (),
) -> ReportData:
    """Read what a report shows; see `make_report`."""
    any_issue = counts.num_label_issues > 0
    return ReportData(
        run=run,
        counts=counts,
        gates=tuple(
            GateLine(gate.name, gate.passed, gate.value, gate.limit, gate.severity, gate.detail)
            for gate in gates
        ),
        warnings=tuple(warnings),
        classes=computation.classes,
        histograms=display_histograms(computation.profile),
        scores=score_distribution(frames, _SCORE_BINS),
        rows=worst_rows(frames, max_rows) if any_issue and max_rows else (),
        shown_columns=frames.show,
        pairs=tag_pairs(frames, _MAX_PAIRS) if counts.num_missing_tags else (),
        quarantine=quarantine_reasons(frames) if counts.num_quarantined else (),
        since=since,
        sections=(*sections, *finding_sections(frames, counts)),
    )


def since_section(found: Comparison) -> SinceLastRun:
    """What a report says of the run before."""

    def counts(of: ChangeCounts) -> dict[str, int]:
        return {"new": of.newly_flagged, "fixed": of.fixed, "open": of.still_open}

    classes = tuple(
        ClassChange(
            change.tag,
            noise_before=None if change.before is None else change.before.noise,
            noise_now=None if change.now is None else change.now.noise,
            missing_before=None if change.before is None else change.before.num_missing,
            missing_now=None if change.now is None else change.now.num_missing,
            extraneous_before=None if change.before is None else change.before.num_extraneous,
            extraneous_now=None if change.now is None else change.now.num_extraneous,
        )
        for change in found.classes
    )
    against = found.against
    return SinceLastRun(
        run_id=against.run_id,
        started_at=against.started_at,
        source_version=against.source_version,
        health=against.health,
        rows=counts(found.rows),
        cells=counts(found.cells),
        classes=classes,
        notes=found.notes,
    )
