"""Line plots of a trend as SVG text.

No text from data enters a plot: matplotlib would read some of it as formulas, and the page names what a plot
shows in escaped HTML beside it. Versions are digits, dates are written here.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, PercentFormatter

from spark_ml_audit.outcomes import colours

_GREY = "#808080"
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}
# Inches that a label takes.
_LABEL_WIDTH = 0.62


@dataclass(frozen=True)
class Line:
    """One line of a plot.

    Attributes:
        values: One share per run; None leaves a gap.
        colour: Of line and points, on light ground; the page has its own for dark ground.
        style: matplotlib's style of the line, so that colour alone tells nothing.
        marker: matplotlib's marker of the points.
    """

    values: Sequence[float | None]
    colour: str
    style: str
    marker: str


HEALTH = (colours.HEALTH.light, "-", "o")
MISSING = (colours.MISSING.light, "-", "o")
EXTRANEOUS = (colours.EXTRANEOUS.light, "--", "s")


def run_labels(
    times: Sequence[datetime], versions: Sequence[str | None], copies: Sequence[bool] = ()
) -> list[str]:
    r"""What names each run below a plot: the version of its source where that is a number, and its date.

    Args:
        times: Start of each run, UTC.
        versions: Of each run's source.
        copies: Whether it is a corrected copy of the first one; none is by default.

    Example:
        >>> times = [datetime(2026, 1, 31, 18), datetime(2026, 2, 1, 9), datetime(2026, 2, 1, 9, 30)]
        >>> run_labels(times, ["7", "8", "8"])
        ['v7\nJan 31', 'v8\nFeb 1\n09:00', 'v8\nFeb 1\n09:30']
        >>> run_labels(times, ["sha256:0a1b", None, None])
        ['Jan 31', 'Feb 1\n09:00', 'Feb 1\n09:30']
        >>> run_labels(times[:2], ["7", "1"], [False, True])
        ['v7\nJan 31', 'copy v1\nFeb 1']
    """
    several_years = len({time.year for time in times}) > 1
    days = [f"{time:%b} {time.day}" + (f"\n{time.year}" if several_years else "") for time in times]
    are_copies = [*copies, *[False] * (len(times) - len(copies))]
    shown = [
        [
            *([first] if (first := _version_label(version, is_copy=is_copy)) else []),
            day,
            # runs of one day are told apart by their times
            *([f"{time:%H:%M}"] if days.count(day) > 1 else []),
        ]
        for time, version, day, is_copy in zip(times, versions, days, are_copies, strict=True)
    ]
    return ["\n".join(parts) for parts in shown]


def _version_label(version: str | None, *, is_copy: bool) -> str:
    is_number = version is not None and version.isdecimal() and len(version) < 7
    return " ".join([*(["copy"] if is_copy else []), *([f"v{version}"] if is_number else [])])


def line_plot(
    labels: Sequence[str],
    lines: Sequence[Line],
    *,
    size: tuple[float, float],
    key: str,
    from_zero: bool = True,
) -> str:
    """Draw shares from run to run, at equal distances.

    Args:
        labels: What names each run, oldest first.
        lines: What to draw.
        size: Width and height in inches.
        key: Makes the ids within the SVG differ from those of other plots of the page.
        from_zero: Whether the axis of shares begins at 0.

    Returns:
        An ``<svg>`` element that scales with its place.
    """
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": key,
        "font.family": "sans-serif",
        "font.size": 9.0,
        "axes.edgecolor": _GREY,
        "xtick.color": _GREY,
        "ytick.color": _GREY,
        "text.color": _GREY,
        "text.usetex": False,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        figure.patch.set_alpha(0.0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0.0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=_GREY, alpha=0.3, linewidth=0.6)
        places = range(len(labels))
        for line in lines:
            values = [float("nan") if value is None else value for value in line.values]
            axes.plot(
                places,
                values,
                color=line.colour,
                linestyle=line.style,
                marker=line.marker,
                markersize=4,
                linewidth=1.6,
            )
        if from_zero:
            axes.set_ylim(0, 1.1 * max(_largest(line) for line in lines) or 0.01)
        axes.set_xlim(-0.4, len(labels) - 0.6)
        named = _named(len(labels), int((size[0] - 0.6) / _LABEL_WIDTH))
        axes.xaxis.set_major_locator(FixedLocator(named))
        axes.set_xticklabels([labels[place] for place in named], fontsize=7.5)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        text = io.StringIO()
        FigureCanvasSVG(figure).print_svg(text, metadata=_NO_METADATA)
    return colours.in_page(_inline(text.getvalue()))


def _named(number: int, most: int) -> list[int]:
    """Runs that get a label, the newest one among them.

    >>> _named(4, 6), _named(10, 4)
    ([0, 1, 2, 3], [0, 3, 6, 9])
    """
    step = max(1, -(-number // max(most, 1)))
    return sorted(range(number - 1, -1, -step))


def _largest(line: Line) -> float:
    return max((value for value in line.values if value is not None), default=0.0)


def _inline(document: str) -> str:
    """The ``<svg>`` element of a document, without prolog and fixed size."""
    svg = document[document.index("<svg") :].strip()
    head, rest = svg.split(">", 1)
    kept = [part for part in head.split() if not part.startswith(("width=", "height="))]
    return " ".join(kept) + ' aria-hidden="true" focusable="false">' + rest
