"""A trend as one self-contained HTML page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spark_ml_audit.history.trend_plots import EXTRANEOUS, HEALTH, MISSING, Line, line_plot, run_labels
from spark_ml_audit.outcomes.colours import page_colours
from spark_ml_audit.outcomes.history import Trend, TrendClass, TrendRun
from spark_ml_audit.text import number, percent


def render_pages(
    trend: Trend, folders: Sequence[Path | None], *, package_version: str, made_at: datetime
) -> list[str]:
    """Write the page of a trend, once per place; its pictures are drawn once.

    Every text from data is escaped; the page loads nothing and runs no script.

    Args:
        trend: The numbers.
        folders: Where pages are to be: they link the reports from there. None: a page that links nothing.
        package_version: Version of this package.
        made_at: When, UTC.

    Returns:
        The whole HTML documents.
    """
    refs = [run.ref for run in trend.runs]
    labels = run_labels(
        [datetime.fromisoformat(ref.started_at) for ref in refs],
        [ref.source_version for ref in refs],
        [ref.source != refs[0].source for ref in refs],
    )
    health = line_plot(
        labels,
        [Line([ref.health for ref in refs], *HEALTH)],
        size=(5.2, 2.4),
        key="health",
        from_zero=False,
    )
    means = line_plot(
        labels,
        [
            Line([run.mean_inverse_label_noise for run in trend.runs], *MISSING),
            Line([run.mean_label_noise for run in trend.runs], *EXTRANEOUS),
        ],
        size=(5.2, 2.4),
        key="means",
    )
    classes = [
        {"row": row, "plot": Markup(_class_plot(labels, row, place))}  # noqa: S704 - drawn here, no text of data
        for place, row in enumerate(trend.classes)
    ]
    template = _environment().get_template("trend.html.j2")
    return [
        template.render(
            trend=trend,
            health=Markup(health),  # noqa: S704 - as above
            means=Markup(means),  # noqa: S704 - as above
            classes=classes,
            style=Markup(page_colours()),  # noqa: S704 - our own
            labels=[label.split("\n") for label in labels],
            links=[_link(run.report, folder) for run in trend.runs],
            has_sources=len({ref.source for ref in refs}) > 1,
            gates=[_gate_text(run) for run in trend.runs],
            sentence=_sentence(trend),
            package_version=package_version,
            made_at=made_at.isoformat(sep=" ", timespec="seconds"),
        )
        for folder in folders
    ]


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("spark_ml_audit.history"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "number": partial(number, none="–")}
    return environment


def _link(report: str | None, folder: Path | None) -> str | None:
    """The address of a report as a page in a folder finds it."""
    if report is None or folder is None:
        return None
    try:
        way = os.path.relpath(report, folder)
    except ValueError:  # on another drive
        return Path(report).as_uri()
    return quote(way.replace(os.sep, "/"))


def _class_plot(labels: Sequence[str], row: TrendClass, place: int) -> str:
    lines = [Line(row.inverse_label_noise, *MISSING), Line(row.label_noise, *EXTRANEOUS)]
    return line_plot(labels, lines, size=(3.6, 1.9), key=f"class-{place}")


def _sentence(trend: Trend) -> str:
    """What the health did, in words."""
    known = [run.ref for run in trend.runs if run.ref.health is not None]
    if not known:
        return "No run audited any row."
    first, newest = known[0], known[-1]
    if len(known) == 1:
        return f"Health is {percent(newest.health)} in the only run that audited rows."
    change = (newest.health or 0.0) - (first.health or 0.0)
    word = "rose" if change > 0 else "fell" if change < 0 else "stayed the same"
    return (
        f"Health {word} from {percent(first.health)} to {percent(newest.health)} over {len(known)} runs; "
        f"the newest has {newest.num_label_issues:,} of {newest.num_audited:,} audited rows with an issue."
    )


def _gate_text(run: TrendRun) -> str:
    broken = [
        gate.name + (" (warns)" if gate.severity == "warn" else "") for gate in run.gates if not gate.passed
    ]
    if not run.gates:
        return "none set"
    return "broken: " + ", ".join(broken) if broken else "passed"
