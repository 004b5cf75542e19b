"""Static plots of a run as PNG, for places that show images and not pages, such as MLflow's run page."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from spark_ml_audit.outcomes.colours import EXTRANEOUS, ISSUE, MISSING
from spark_ml_audit.outcomes.records import ClassRow, Counts, affected
from spark_ml_audit.report.page.data import ScoreDistribution
from spark_ml_audit.text import for_page, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWING = ("matplotlib.figure", "matplotlib.backends.backend_agg")
"""Modules that drawing takes longer to import than to draw."""

_MOST_CLASSES = 20
_TAG_WIDTH = 32
_ADD, _CUT, _ISSUE, _BAR = MISSING.light, EXTRANEOUS.light, ISSUE.light, "#94a3b8"


def static_plots(
    counts: Counts, classes: tuple[ClassRow, ...], scores: ScoreDistribution
) -> tuple[dict[str, Callable[[], bytes]], tuple[str, ...]]:
    """What draws the scores, the flags and the noise of the most affected classes.

    Args:
        counts: Of the run.
        classes: Its class table.
        scores: Its rows by score.

    Returns:
        plots: File name -> what draws the PNG; it can be pickled, and drawing takes as long as an import.
        notes: A sentence where nothing can be drawn.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return {}, ("No static plots: matplotlib is not installed (pip install matplotlib).",)
    if not counts.num_audited:
        return {}, ()
    return {
        "scores.png": partial(_scores, counts, scores),
        "flags_by_tag.png": partial(_flags, classes),
        "noise_by_tag.png": partial(_noise, classes),
    }, ()


def _scores(counts: Counts, scores: ScoreDistribution) -> bytes:
    figure, axes = _figure(4.0)
    clean, issue = scores.without_issue, scores.with_issue
    places = [(i + 0.5) / len(clean) for i in range(len(clean))]
    width = 1 / len(clean)
    axes.bar(places, clean, width, color=_BAR, label="without an issue")
    axes.bar(places, issue, width, color=_ISSUE, label="with an issue", alpha=0.85)
    axes.set_yscale("symlog")
    axes.set_xlim(0, 1)
    axes.set_xlabel("Label quality score")
    axes.set_ylabel("Audited rows")
    axes.set_title(f"Health {percent(counts.health)}: {counts.num_label_issues:,} rows with an issue")
    axes.legend(frameon=False)
    return _png(figure)


def _flags(classes: tuple[ClassRow, ...]) -> bytes:
    rows = affected(classes)[:_MOST_CLASSES][::-1]
    figure, axes = _figure(1.5 + 0.28 * max(len(rows), 3), left=2.9)
    places = range(len(rows))
    missing, extraneous = [row.num_missing for row in rows], [row.num_extraneous for row in rows]
    axes.barh(places, missing, color=_ADD, label="missing")
    axes.barh(places, extraneous, left=missing, color=_CUT, label="extraneous")
    _name(axes, [row.tag for row in rows])
    axes.set_xlabel("Flagged rows")
    axes.set_title("Most affected tags" if rows else "No tag has flags")
    if rows:
        axes.legend(frameon=False, loc="lower right")
    return _png(figure)


def _noise(classes: tuple[ClassRow, ...]) -> bytes:
    rows = [row for row in classes if row.label_noise is not None and row.inverse_label_noise is not None]
    rows.sort(key=lambda row: ((row.label_noise or 0) + (row.inverse_label_noise or 0), -row.class_index))
    rows = rows[-_MOST_CLASSES:]
    figure, axes = _figure(1.5 + 0.28 * max(len(rows), 3), left=2.9)
    places = range(len(rows))
    axes.barh(
        [place + 0.2 for place in places],
        [100 * (row.inverse_label_noise or 0) for row in rows],
        0.38,
        color=_ADD,
        label="inverse noise: missing / audited",
    )
    axes.barh(
        [place - 0.2 for place in places],
        [100 * (row.label_noise or 0) for row in rows],
        0.38,
        color=_CUT,
        label="noise: extraneous / audited",
    )
    _name(axes, [row.tag for row in rows])
    axes.set_xlabel("Percent of audited rows")
    axes.set_title("Noisiest tags")
    axes.legend(frameon=False, loc="lower right")
    return _png(figure)


def _figure(height: float, left: float = 0.75) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    # no pyplot: its state belongs to the process, and to whoever uses it beside us
    figure = Figure(figsize=(8, height), dpi=110)
    axes = figure.subplots()
    # margins in inches; a layout that fits itself takes twice as long as the drawing
    figure.subplots_adjust(left=left / 8, right=0.97, bottom=0.55 / height, top=1 - 0.4 / height)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _name(axes: Any, tags: list[str]) -> None:
    # a dollar sign would start a formula
    names = [for_page(tag, _TAG_WIDTH).replace("$", r"\$").replace("\n", " ") for tag in tags]
    axes.set_yticks(range(len(names)), names)


def _png(figure: Figure) -> bytes:
    target = io.BytesIO()
    with warnings.catch_warnings():
        # scripts that the font lacks: boxes in the image, nothing for the user's terminal
        warnings.simplefilter("ignore")
        figure.savefig(target, format="png")
    return target.getvalue()
