"""What a model learned from, as plain text: features by kind, what was left out and why, shortcuts."""

from __future__ import annotations

from spark_ml_audit.cli.render_parts import TAG_WIDTH, pairs
from spark_ml_audit.outcomes.features import FeatureUse, Shortcut
from spark_ml_audit.text import for_terminal, number, percent

_MAX_COLUMNS = 20
_MAX_SHORTCUTS = 10
_WIDTH = 60


def render_features(use: FeatureUse) -> list[str]:
    r"""Lines on what was learned from, with an empty one before each part; none where nothing is known.

    >>> use = FeatureUse({"text": ("title",)}, {"gold": "named like labels ('gold')"}, num_rows_judged=4000)
    >>> print(*render_features(use), sep="\n")
    <BLANKLINE>
    Features (judged by 4,000 labelled rows)
      text  title
    <BLANKLINE>
    Left out of the features (name a column in source.features to use it all the same)
      gold  named like labels ('gold')
    """
    if not use.features:
        return []
    kinds = [(kind, _listed(columns)) for kind, columns in use.features.items()]
    return ["", f"Features{_judged(use)}", *pairs(kinds), *render_left_out(use)]


def render_left_out(use: FeatureUse) -> list[str]:
    """Lines on what was left out, and on shortcuts."""
    lines: list[str] = []
    if use.left_out:
        shown = list(use.left_out.items())[:_MAX_COLUMNS]
        lines += ["", "Left out of the features (name a column in source.features to use it all the same)"]
        lines += [*pairs(shown), *_more(len(use.left_out) - len(shown), "columns")]
    if use.shortcuts:
        lines += ["", "Shortcuts (one word or value tells a tag almost alone: check how it got there)"]
        lines += [_shortcut(found) for found in use.shortcuts[:_MAX_SHORTCUTS]]
        lines += _more(len(use.shortcuts) - _MAX_SHORTCUTS, "shortcuts")
    return lines


def _judged(use: FeatureUse) -> str:
    if use.num_rows_judged is None:
        return ""
    if not use.num_rows_judged:
        return " (too few labelled rows to judge columns by their values)"
    return f" (judged by {number(use.num_rows_judged)} labelled rows)"


def _listed(columns: tuple[str, ...]) -> str:
    more = len(columns) - _MAX_COLUMNS
    return ", ".join(columns[:_MAX_COLUMNS]) + (f" and {number(more)} more" if more > 0 else "")


def _more(count: int, what: str) -> list[str]:
    return [f"  and {number(count)} more {what} (--json lists them)"] if count > 0 else []


def _shortcut(found: Shortcut) -> str:
    return (
        f"  {for_terminal(found.column, TAG_WIDTH)} '{for_terminal(found.value, _WIDTH)}': "
        f"{for_terminal(found.tag, TAG_WIDTH)} (on {percent(found.precision, 1)} of the rows with it; "
        f"it is on {percent(found.recall, 1)} of the rows with the tag)"
    )
