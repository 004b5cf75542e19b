"""The example-level filters: the n rows with the lowest EMA, n being what confident learning flags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spark_ml_audit.arrow.decode import decode_batches
from spark_ml_audit.arrow.encode import count_issue_cells
from spark_ml_audit.engines.base import Batches
from spark_ml_audit.kernels.float_keys import from_keys, one_key, to_keys
from spark_ml_audit.kernels.records import Records, make_records, sum_records
from spark_ml_audit.kernels.resolve import Resolution
from spark_ml_audit.kernels.rules import AuditRules, issue_rows, low_score_measure

if TYPE_CHECKING:
    from spark_ml_audit.frames.ingest import Ingest

_GROUPS = 1 << 16
_FLAGGED_INDEX, _SCORE_INDEX = -2, 0


def select_lowest(ingest: Ingest, rules: AuditRules) -> float:
    """Score of the n-th lowest example, n = rows that `rules` (confident learning) flag; -1 when n = 0.

    A radix selection on the scores' bit patterns: each pass narrows to one of 65,536 groups, or lists the
    distinct scores once few are left.
    """
    frame, layout = ingest.task_frame(with_id=False), ingest.layout
    low, high, below, count, rank = 0, one_key(np.float64) + 1, 0, None, None
    while True:
        shift = 0
        while (count is None or count > _GROUPS) and ((high - 1 - low) >> shift) + 1 > _GROUPS:
            shift += 1

        def reduce(
            batches: Batches,
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
                yield sum_records(make_records(_SCORE_INDEX, groups, 1))
                if first:
                    yield make_records(_FLAGGED_INDEX, 0, np.count_nonzero(issue_rows(*batch, rules)))

        records = ingest.engine.reduce_batches(frame, reduce)
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
    ingest: Ingest, rules: AuditRules, resolution: Resolution
) -> tuple[AuditRules, Resolution]:
    """Rules and class counts of an example-level filter, from those of confident learning."""
    layout = ingest.layout
    limit = select_lowest(ingest, rules)
    cutoffs = replace(rules.cutoffs, score_at_most=limit)
    limited = replace(rules, cutoffs=cutoffs)

    def reduce(batches: Batches) -> Iterator[Records]:
        for decoded in decode_batches(batches, layout):
            for side, counts in enumerate(count_issue_cells(decoded, limited)):
                yield make_records(side, np.arange(len(counts)), counts)

    records = ingest.engine.reduce_batches(ingest.task_frame(with_id=False), reduce)
    counts = np.zeros((2, layout.num_classes), dtype=np.int64)
    counts[records["class_index"], records["slot"]] = records["a"]
    return limited, replace(resolution, cutoffs=cutoffs, num_missing=counts[0], num_extraneous=counts[1])
