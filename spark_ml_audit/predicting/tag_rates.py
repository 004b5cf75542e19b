"""Tags of new rows beside what the labelled rows let expect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.kernels.tag_shares import FACTOR, far_off_classes, is_mean_far_off
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import TAGS
from spark_ml_audit.outcomes.tagging import TagRate, TagRates
from spark_ml_audit.predicting.tag_rule import TagRule
from spark_ml_audit.text import percent, plural

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame

_MAX_LISTED = 10
_WHAT_IT_MEANS = (
    "What is said of precision need not hold here: the rows are of another kind, a column is filled "
    "otherwise, or the model has learned from these very rows."
)
_STREAM = (
    "a run of a stream holds the rows that arrived since the last run, which need not be like the labelled "
    "rows as a whole"
)
_NOT_KNOWN = "the model does not say how many tags to expect"
_NO_ROWS = "no row was tagged"
_NO_CLASS = "no class is given"


def number_of_tags(tables: OutputTables, run_id: str) -> tuple[int, int, float]:
    """Rows that a run tagged, their tags in all, and the variance of the number of tags of a row."""
    if not tables.exists(TAGS):
        return 0, 0, 0.0
    number = nw.col("tags").list.len().cast(nw.Int64)
    counted = tables.read(TAGS, run_id).select(
        nw.len().alias("num_rows"), number.sum().alias("num_tags"), (number * number).sum().alias("squares")
    )
    (row,) = rows_of(tables.engine, counted)
    num_rows, num_tags = int(row["num_rows"]), int(row["num_tags"] or 0)
    mean = num_tags / max(num_rows, 1)
    return num_rows, num_tags, max(int(row["squares"] or 0) / max(num_rows, 1) - mean * mean, 0.0)


def compare_rates(
    tables: OutputTables,
    run_id: str,
    rule: TagRule,
    classes: Sequence[str],
    counted: tuple[int, int, float],
    *,
    is_stream: bool,
) -> TagRates:
    """Compare how many tags the rows of a run got with the labelled rows, out of fold.

    Args:
        tables: The output.
        run_id: The run.
        rule: What it tagged by.
        classes: Tag names, K.
        counted: From `number_of_tags`.
        is_stream: Whether its source was a stream.
    """
    num_rows, num_tags, variance = counted
    per_row = num_tags / num_rows if num_rows else None
    expected = rule.tagging.expected_tags_per_row
    reason = _STREAM if is_stream else _NO_ROWS if not num_rows else None
    if rule.expected is None or expected is None:
        reason = _NOT_KNOWN
    elif not rule.tagging.num_classes_given:
        reason = _NO_CLASS
    if reason is not None or per_row is None or rule.expected is None or expected is None:
        return TagRates(tags_per_row=per_row, expected_tags_per_row=expected, why_not_compared=reason)
    counts = _rows_by_class(tables.read(TAGS, run_id), tables, classes)
    shares = rule.expected
    off = np.flatnonzero(far_off_classes(counts, num_rows, shares, rule.num_labelled)).tolist()
    first = sorted(off, key=lambda k: -max(counts[k] / num_rows, shares[k]))[:_MAX_LISTED]
    return TagRates(
        tags_per_row=per_row,
        expected_tags_per_row=expected,
        is_far_off=is_mean_far_off(per_row, variance, num_rows, expected, rule.num_labelled),
        classes_far_off=tuple(
            TagRate(classes[k], float(counts[k] / num_rows), float(shares[k])) for k in first
        ),
        num_classes_far_off=len(off),
    )


def _rows_by_class(rows: Frame, tables: OutputTables, classes: Sequence[str]) -> np.ndarray:
    """Rows with each tag, shape (K,)."""
    each = rows.select(nw.col("tags").alias("tag")).explode("tag")
    counted = each.filter(~nw.col("tag").is_null()).group_by("tag").agg(nw.len().alias("num_rows"))
    place = {tag: k for k, tag in enumerate(classes)}
    counts = np.zeros(len(classes), dtype=np.int64)
    for row in rows_of(tables.engine, counted):
        # a run of an older version may have been tagged by another model
        if (k := place.get(row["tag"])) is not None:
            counts[k] = row["num_rows"]
    return counts


def rate_warnings(rates: TagRates) -> list[str]:
    """Sentences on what is far off.

    Args:
        rates: The comparison.
    """
    found = []
    if rates.is_far_off:
        found.append(
            f"Rows got {rates.tags_per_row:.2f} tags on average; {rates.expected_tags_per_row:.2f} were "
            f"expected from the labelled rows. {_WHAT_IT_MEANS}"
        )
    if rates.num_classes_far_off:
        listed = ", ".join(
            f"'{item.tag}' ({percent(item.share, 1)} of the rows, expected {percent(item.expected_share, 1)})"
            for item in rates.classes_far_off
        )
        more = rates.num_classes_far_off - len(rates.classes_far_off)
        what = plural(rates.num_classes_far_off, "class was", "classes were")
        found.append(
            f"{what} given at least {FACTOR:g} times as often, or as seldom, as expected from the labelled "
            f"rows, and not by chance: {listed}{f' and {more} more' if more else ''}."
            + ("" if rates.is_far_off else f" {_WHAT_IT_MEANS}")
        )
    return found
