"""The example-level filters: the n rows with the lowest EMA, n being what confident learning flags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from pyspark.sql import DataFrame

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.encode import count_issue_cells
from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.frames.passes import sum_over_rows
from spark_ml_audit.kernels.float_keys import from_keys, one_key, to_keys
from spark_ml_audit.kernels.resolve import Resolution
from spark_ml_audit.kernels.resolve_counts import Records, sum_records
from spark_ml_audit.kernels.rules import AuditRules, issue_rows, low_score_measure

_GROUPS = 1 << 16
_FLAGGED_INDEX, _SCORE_INDEX = -2, 0


def _records(index: int, slots: Any, counts: Any) -> Records:
    return {
        "class_index": np.full(len(slots), index, dtype=np.int32),
        "slot": np.asarray(slots, dtype=np.int64),
        "a": np.asarray(counts, dtype=np.int64),
        "b": np.zeros(len(slots), dtype=np.int64),
    }


def select_lowest(frame: DataFrame, layout: InputLayout, rules: AuditRules) -> float:
    """Score of the n-th lowest example, n = rows that `rules` (confident learning) flag; -1 when n = 0.

    A radix selection on the scores' bit patterns: each pass narrows to one of 65,536 groups, or lists the
    distinct scores once few are left.
    """
    low, high, below, count, rank = 0, one_key(np.float64) + 1, 0, None, None
    while True:
        shift = 0
        while (count is None or count > _GROUPS) and ((high - 1 - low) >> shift) + 1 > _GROUPS:
            shift += 1

        def reduce_partition(
            batches: Iterator[Any],
            low: int = low,
            high: int = high,
            shift: int = shift,
            first: bool = rank is None,
        ) -> Iterator[Records]:
            for decoded in decode_batches(batches, layout):
                batch = (decoded.pred_probs, decoded.rows, decoded.cols)
                keys = to_keys(np.abs(low_score_measure(*batch)))
                keys = keys[(keys >= low) & (keys < high)]
                groups = (keys - low) >> shift
                yield sum_records(_records(_SCORE_INDEX, groups, np.ones(len(groups), dtype=np.int64)))
                if first:
                    yield _records(_FLAGGED_INDEX, [0], [np.count_nonzero(issue_rows(*batch, rules))])

        records = sum_over_rows(frame, reduce_partition)
        scored = records["class_index"] == _SCORE_INDEX
        if rank is None:
            rank = int(records["a"][~scored].sum())
        if rank == 0:
            return -1.0
        order = np.argsort(records["slot"][scored])
        groups, counts = records["slot"][scored][order], records["a"][scored][order]
        cumulative = below + np.cumsum(counts)
        at = int(np.searchsorted(cumulative, rank, side="left"))
        below, count = int(cumulative[at] - counts[at]), int(counts[at])
        start = low + (int(groups[at]) << shift)
        if shift == 0:
            return float(from_keys(np.array([start]), np.float64)[0])
        low, high = start, start + (1 << shift)


def restrict_to_lowest(
    frame: DataFrame, layout: InputLayout, rules: AuditRules, resolution: Resolution
) -> tuple[AuditRules, Resolution]:
    """Rules and class counts of an example-level filter, from those of confident learning."""
    limit = select_lowest(frame, layout, rules)
    cutoffs = replace(rules.cutoffs, score_at_most=limit)
    limited = replace(rules, cutoffs=cutoffs)

    def reduce_partition(batches: Iterator[Any]) -> Iterator[Records]:
        for decoded in decode_batches(batches, layout):
            for side, counts in enumerate(count_issue_cells(decoded, limited)):
                yield _records(side, np.arange(len(counts)), counts)

    records = sum_over_rows(frame, reduce_partition)
    counts = np.zeros((2, layout.num_classes), dtype=np.int64)
    counts[records["class_index"], records["slot"]] = records["a"]
    return limited, replace(resolution, cutoffs=cutoffs, num_missing=counts[0], num_extraneous=counts[1])
