"""A choice of thresholds told by class: figures out of fold, and why a class is not tagged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.kernels import tagging
from spark_ml_audit.kernels.tagging import TaggingChoice, TaggingEvidence
from spark_ml_audit.outcomes.tagging import NotTagged, Tagging
from spark_ml_audit.text import percent, plural

TAGGING_COLUMNS = (
    "decision_threshold",
    "num_tagged",
    "num_right",
    "precision",
    "precision_bound",
    "recall",
    "not_tagged",
)
"""What `tagging_rows` says of a class beside its name: threshold, counts and figures out of fold."""


def tagging_of(classes: Sequence[str], evidence: TaggingEvidence, choice: TaggingChoice) -> Tagging:
    """What a choice of thresholds comes to.

    Args:
        classes: Tag names, K.
        evidence: What was chosen from.
        choice: The choice.
    """
    left_out = [
        NotTagged(tag, int(evidence.num_given[k]), reason, _why(reason, k, evidence, choice))
        for k, (tag, reason) in enumerate(zip(classes, choice.reason, strict=True))
        if reason is not None
    ]
    shares = expected_shares(evidence, choice)
    return Tagging(
        min_precision=choice.min_precision,
        confidence=tagging.CONFIDENCE,
        num_classes_given=int(choice.is_tagged.sum()),
        expected_tags_per_row=float(shares.sum()) if evidence.num_rows else None,
        not_tagged=tuple(sorted(left_out, key=lambda item: -item.num_given)),
    )


def expected_shares(evidence: TaggingEvidence, choice: TaggingChoice) -> npt.NDArray[np.float64]:
    """Share of the labelled rows that each class is given to out of fold, shape (K,)."""
    given = np.where(choice.is_tagged, choice.num_tagged, 0)
    return np.asarray(given / max(evidence.num_rows, 1), dtype=np.float64)


def tagging_rows(
    classes: Sequence[str], evidence: TaggingEvidence, choice: TaggingChoice
) -> list[dict[str, Any]]:
    """One record per class: its tag, index, number of given, and `TAGGING_COLUMNS`.

    The figures of a class that is not tagged are those at its most precise threshold; its
    `decision_threshold` is None.
    """
    rows = []
    for k, (tag, reason) in enumerate(zip(classes, choice.reason, strict=True)):
        has_figures = bool(choice.num_tagged[k])
        figures = (choice.num_tagged, choice.num_right, choice.precision, choice.bound, choice.recall)
        values = [array[k].item() if has_figures else None for array in figures]
        threshold = None if reason is not None else float(choice.threshold[k])
        why = None if reason is None else _why(reason, k, evidence, choice)
        row = dict(zip(TAGGING_COLUMNS, [threshold, *values, why], strict=True))
        rows.append({"tag": tag, "class_index": k, "num_given": int(evidence.num_given[k]), **row})
    return rows


def _why(reason: str, k: int, evidence: TaggingEvidence, choice: TaggingChoice) -> str:
    num_given, num_rows = int(evidence.num_given[k]), evidence.num_rows
    right, tagged = int(choice.num_right[k]), int(choice.num_tagged[k])
    counts = f"{right:,} of {tagged:,} tags right out of fold"
    clauses: dict[str, Callable[[], str]] = {
        tagging.TOO_FEW: lambda: f"given to {plural(num_given, 'row')}, fewer than {tagging.MIN_GIVEN}",
        tagging.EVERY_ROW: lambda: "given to every row, so nothing was learnt of it",
        tagging.NO_THRESHOLD: lambda: (
            f"no probabilities stand out above its share of the rows, {percent(num_given / num_rows)}"
        ),
        tagging.TOO_IMPRECISE: lambda: f"too imprecise: {counts} at best ({percent(right / tagged, 1)})",
        tagging.NOT_PROVED: lambda: (
            f"not proved: {counts} ({percent(right / tagged, 1)}) prove "
            # a lower bound is rounded down
            f"{percent(np.floor(1000 * choice.bound[k]) / 1000, 1)} only"
        ),
    }
    return clauses[reason]()
