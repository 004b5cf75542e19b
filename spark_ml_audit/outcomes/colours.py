"""The colours of what a run finds: one each, in report, trend and MLflow's plots.

A colour never tells anything alone: words, signs, lines or markers stand beside it. Each has 4.5 to 1 or more
against the ground of the page that it is drawn on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """A colour.

    Attributes:
        variable: Name of the CSS variable that holds it in pages.
        light: On light ground.
        dark: On dark ground.
    """

    variable: str
    light: str
    dark: str


MISSING = Colour("--add", "#0b6e63", "#5fd3c0")
"""Tags to add."""

EXTRANEOUS = Colour("--cut", "#b23a0e", "#ff9d6e")
"""Tags to remove."""

ISSUE = Colour("--issue", "#6d3fc0", "#bda2ff")
"""Rows with an issue, of whichever kind."""

HEALTH = Colour("--health", "#1d4ed8", "#8ab4ff")
"""Rows without one, as a share over time."""

ALL = (MISSING, EXTRANEOUS, ISSUE, HEALTH)


def page_colours() -> str:
    """The colours as CSS variables, for light and dark ground.

    >>> page_colours().splitlines()[0]
    ':root { --add: #0b6e63; --cut: #b23a0e; --issue: #6d3fc0; --health: #1d4ed8; }'
    """
    light, dark = (
        " ".join(f"{colour.variable}: {getattr(colour, ground)};" for colour in ALL)
        for ground in ("light", "dark")
    )
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def in_page(svg: str) -> str:
    """A picture that is drawn in the colours of light ground, with the page's variables in their place.

    >>> in_page('<path style="stroke: #0b6e63"/>')
    '<path style="stroke: var(--add)"/>'
    """
    for colour in ALL:
        svg = svg.replace(colour.light, f"var({colour.variable})")
    return svg
