"""What defends the tags of a model, and which classes it does not give, as readable plain text."""

from __future__ import annotations

from spark_ml_audit.cli.render_parts import TAG_WIDTH, pairs
from spark_ml_audit.outcomes.tagging import Tagging, TagRates
from spark_ml_audit.text import for_terminal, number, percent

_MAX_LISTED = 10


def tagging_lines(said: Tagging, rates: TagRates | None = None) -> list[str]:
    """Lines on classes given, classes not given and why, and tags per row.

    Args:
        said: What the model's thresholds rest on.
        rates: How many tags new rows got; None before any did.
    """
    total = said.num_classes_given + said.num_classes_not_given
    lines = [f"  {number(said.num_classes_given)} of {number(total)} classes can be given: {_defence(said)}"]
    if said.expected_tags_per_row is not None:
        lines.append(
            f"  {said.expected_tags_per_row:.2f} tags per row expected, as out of fold{_compared(rates)}"
        )
    if said.not_tagged:
        shown = said.not_tagged[:_MAX_LISTED]
        lines += ["  Not tagged, why"]
        lines += [
            f"  {line}" for line in pairs((for_terminal(item.tag, TAG_WIDTH), item.why) for item in shown)
        ]
        if more := len(said.not_tagged) - len(shown):
            where = "model_quality of the MLflow run" if rates is None else "the table tag_classes"
            lines.append(f"    and {number(more)} more: --json, or {where}")
    return lines


def _defence(said: Tagging) -> str:
    if said.min_precision is None or said.confidence is None:
        return "nothing is known of how right they are"
    return (
        f"their precision out of fold is {said.min_precision:g} or more with "
        f"{percent(said.confidence, 0)} confidence (tag.min_precision)"
    )


def _compared(rates: TagRates | None) -> str:
    if rates is None:
        return ""
    if rates.why_not_compared is not None:
        return f"; not compared: {rates.why_not_compared}"
    return ", far from what the rows got" if rates.is_far_off else ""
