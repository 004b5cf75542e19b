"""Line plots of a trend as SVG text.

No text from data enters a plot: matplotlib would read some of it as formulas, and the page names what a plot
shows in escaped HTML beside it. Colours are read on light and on dark ground.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

_GREY = "#808080"
_NO_METADATA = {"Creator": None, "Date": None, "Format": None, "Type": None}


@dataclass(frozen=True)
class Line:
    """One line of a plot.

    Attributes:
        values: One share per run; None leaves a gap.
        colour: Of line and points.
        style: matplotlib's style of the line, so that colour alone tells nothing.
        marker: matplotlib's marker of the points.
    """

    values: Sequence[float | None]
    colour: str
    style: str
    marker: str


HEALTH = ("#0072b2", "-", "o")
MISSING = ("#d55e00", "-", "o")
EXTRANEOUS = ("#009e73", "--", "s")
"""Colours of Okabe and Ito, told apart with every kind of colour vision."""


def line_plot(
    times: Sequence[datetime],
    lines: Sequence[Line],
    *,
    size: tuple[float, float],
    key: str,
    from_zero: bool = True,
) -> str:
    """Draw shares over time.

    Args:
        times: Start of each run, ascending.
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
        days = date2num(list(times))
        for line in lines:
            values = [float("nan") if value is None else value for value in line.values]
            axes.plot(
                days,
                values,
                color=line.colour,
                linestyle=line.style,
                marker=line.marker,
                markersize=4,
                linewidth=1.6,
            )
        if from_zero:
            axes.set_ylim(0, 1.1 * max(_largest(line) for line in lines) or 0.01)
        if days.min() == days.max():  # else matplotlib shows four years around a single run
            axes.set_xlim(days[0] - 0.5, days[0] + 0.5)
        locator = AutoDateLocator(minticks=2, maxticks=max(3, int(size[0])))
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        text = io.StringIO()
        FigureCanvasSVG(figure).print_svg(text, metadata=_NO_METADATA)
    return _inline(text.getvalue())


def _largest(line: Line) -> float:
    return max((value for value in line.values if value is not None), default=0.0)


def _inline(document: str) -> str:
    """The ``<svg>`` element of a document, without prolog and fixed size."""
    svg = document[document.index("<svg") :].strip()
    head, rest = svg.split(">", 1)
    kept = [part for part in head.split() if not part.startswith(("width=", "height="))]
    return " ".join(kept) + ' aria-hidden="true" focusable="false">' + rest
