"""Noise by annotator as readable plain text."""

from __future__ import annotations

from collections.abc import Sequence

from spark_ml_audit.cli.render_parts import table
from spark_ml_audit.outcomes.audit import AnnotatorNoise
from spark_ml_audit.text import for_terminal, number, percent

_SHOWN = 10
_WIDTH = 40


def annotator_lines(found: Sequence[AnnotatorNoise]) -> list[str]:
    """Lines of a table of annotators, those with most flags first; none where none are known."""
    if not found:
        return []
    rows = [("flags by annotator", "rows", "tags", "extraneous", "of tags", "missing", "judged", "wrong")]
    rows += [
        (
            for_terminal(item.annotator, _WIDTH),
            number(item.num_rows),
            number(item.num_given),
            number(item.num_extraneous),
            "" if item.extraneous_share is None else percent(item.extraneous_share, 1),
            number(item.num_missing),
            number(item.num_judged),
            number(item.num_wrong),
        )
        for item in found[:_SHOWN]
    ]
    return ["", *table(rows)]
