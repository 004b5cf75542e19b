"""The report of a result of Python: made of its tables, written as a file, shown in a notebook."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import escape

from spark_ml_audit._version import __version__
from spark_ml_audit.config.arguments import said_in_python
from spark_ml_audit.config.features import as_tuple
from spark_ml_audit.config.output import OutputConfig, ReportConfig
from spark_ml_audit.errors import DeliveryError
from spark_ml_audit.frames.cell_lists import class_usefulness, first_cells
from spark_ml_audit.lake.files import write_page
from spark_ml_audit.lake.schemas import DUPLICATES, EXAMPLES, ISSUES, QUARANTINE, TAG_ISSUES
from spark_ml_audit.report.make import make_report, read_rows
from spark_ml_audit.report.page import ReportData, RunFacts
from spark_ml_audit.report.page.brief import WORST
from spark_ml_audit.report.queries import MAX_LISTED, ReportFrames, ShownTexts, check_shown, worst_rows
from spark_ml_audit.text import redact

if TYPE_CHECKING:
    from spark_ml_audit.auditing.computed import ComputedAudit
    from spark_ml_audit.report.make import Report

_FOLDER = "audits"
_HEIGHT = 720


@dataclass(frozen=True)
class ReportPage:
    """A report as a file, which a notebook shows in place.

    Attributes:
        path: The file.
        html: The page: one file that loads nothing.
        max_rows: Most rows it lists.

    Example:
        >>> ReportPage("audits/reports/a.html", "<p>Done</p>", 200)
        ReportPage('audits/reports/a.html')
    """

    path: str
    html: str = field(repr=False)
    max_rows: int = field(repr=False)

    def __repr__(self) -> str:
        return f"ReportPage({self.path!r})"

    def _repr_html_(self) -> str:
        """The page in a frame of its own, whose scripts reach nothing of the notebook."""
        return (
            f'<iframe srcdoc="{escape(self.html)}" sandbox="allow-scripts" width="100%" height="{_HEIGHT}" '
            f'style="border: 0" title="Report of a label audit"></iframe>'
        )

    def open(self) -> bool:
        """Show the page in a browser; whether one was found."""
        return webbrowser.open(Path(self.path).absolute().as_uri())


def report_of(
    result: ComputedAudit, path: str | None, show: str | Sequence[str] | None, max_rows: int
) -> ReportPage:
    """Make and write the report of a result.

    Args:
        result: The audit.
        path: File to write; None for that of its output, else one below the working directory.
        show: Columns to show beside a row's id; None for those of the result.
        max_rows: Most rows it lists.

    Raises:
        ConfigError: `max_rows` does not fit.
        InputError: A column to show is not there.
        DeliveryError: The page cannot be made or written.
    """
    shown = result.given.show if show is None else as_tuple(show if isinstance(show, str) else tuple(show))
    check_shown(result.given.opened.schema, shown)
    config = ReportConfig.parse({"max_rows": max_rows}, "report")
    output = result.output
    if path is None and (output is None or (output.path or output.files) is None):
        output = OutputConfig(path=_FOLDER)
    made = _make(result, config, shown, output if path is None else None)
    if made.html is None or made.problems:
        raise DeliveryError(
            " ".join(made.problems) or "the report was not made.",
            key="path",
            fix="Give a file in a folder that can be written to, such as report(path='/tmp/report.html').",
        )
    if path is None and made.path is not None:
        return ReportPage(made.path, made.html, max_rows)
    return ReportPage(_written(path or "", made.html), made.html, max_rows)


def _written(path: str, html: str) -> str:
    file = Path(path).expanduser()
    try:
        write_page(file, html)
    except (OSError, ValueError) as error:
        raise DeliveryError(
            f"the report cannot be written to '{path}': {getattr(error, 'strerror', None) or error}.",
            key="path",
            fix="Give a file in a folder that can be written to.",
        ) from error
    return str(file)


def page_of(result: ComputedAudit, output: OutputConfig) -> tuple[ReportPage | None, tuple[str, ...]]:
    """The report of a result as it is committed; None where its output has no folder, and what failed."""
    config = ReportConfig()
    made = _make(result, config, result.given.show, output)
    if made.html is None or made.path is None:
        return None, made.problems
    return ReportPage(made.path, made.html, config.max_rows), made.problems


def brief_of(result: ComputedAudit) -> ReportData:
    """What is shown of a result in a notebook: counts, some rows and classes."""
    frames = _frames_of(result, WORST, result.given.show, with_lists=False)
    counts = result.summary
    rows = frames.worst.column(frames.id).to_pylist() if counts.num_label_issues else []
    return ReportData(
        run=_facts(result, None),
        counts=counts,
        warnings=tuple(map(said_in_python, result.found_warnings)),
        classes=result.fit.classes,
        rows=worst_rows(frames, WORST, ShownTexts(frames, rows)) if rows else (),
        shown_columns=frames.show,
        alert=result.alert,
        calibration=result.calibration,
    )


def _make(
    result: ComputedAudit, config: ReportConfig, show: tuple[str, ...], output: OutputConfig | None
) -> Report:
    frames = _frames_of(result, config.max_rows, show)
    return make_report(
        result.fit,
        lambda: read_rows(frames, result.summary, config),
        _facts(result, output),
        result.summary,
        result.counted.scores,
        config=config,
        output=output,
        warnings=result.found_warnings,
        alert=result.alert,
    )


def _facts(result: ComputedAudit, output: OutputConfig | None) -> RunFacts:
    source, config = result.given.opened, result.config_mapping()
    if output is not None:
        config |= {"output": output.to_mapping()}
    return RunFacts(
        run_id=(None if output is None else output.run_id) or result.run_id,
        status="ok",
        source=redact(source.name),
        source_version=source.version,
        package_version=__version__,
        started_at=result.started_at.isoformat(timespec="seconds"),
        finished_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        config=config,
        stages=dict(result.progress.seconds),
        tables=result.tables,
        id_name=result.id_name,
        mlflow_run_id=result.mlflow_run_id,
        continues=source.continues,
        engine=result.engine.kind,
    )


def _frames_of(
    result: ComputedAudit, most_worst: int, show: tuple[str, ...], *, with_lists: bool = True
) -> ReportFrames:
    counts, engine = result.summary, result.engine
    first = None
    if with_lists and counts.num_missing_tags + counts.num_extraneous_tags:
        order = class_usefulness(result.fit.classes)
        flagged = result.frame(TAG_ISSUES)
        first = first_cells(engine, flagged, result.id_name, result.fit.classes, order, MAX_LISTED)
    return ReportFrames(
        engine=engine,
        examples=result.frame(EXAMPLES),
        issues=result.frame(ISSUES),
        quarantine=result.frame(QUARANTINE),
        source=result.given.opened.frame,
        id=result.id_name,
        show=show,
        duplicates=result.frame(DUPLICATES) if counts.num_duplicate_groups else None,
        continues=tuple(origin.run_id for origin in result.given.opened.continues),
        most_worst=most_worst,
        first=first,
    )
