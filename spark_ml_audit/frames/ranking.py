"""Ranks of the issues without sorting the table in one place.

A small frame of the issues' (score, id) is range-partitioned; where each range begins and how many
issues come before it is all that later passes need to number the rows of each range on their own.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.kernels.profile import IntArray

_ROWS_PER_RANGE = 100_000
_MAX_RANGES = 512


@dataclass(frozen=True)
class RankPlan:
    """Ranges of (score, id) and the issues before each.

    Attributes:
        scores: Score of the first issue of each range, ascending, shape (R,); empty for a single range.
        ids: Its id.
        offsets: Issues in the ranges before, shape (R,).
        num_issues: All of them.
    """

    scores: npt.NDArray[np.float64]
    ids: tuple[Any, ...]
    offsets: IntArray
    num_issues: int

    def ranges_of(self, scores: npt.NDArray[np.float64], ids: Any) -> IntArray:
        """Range of each issue.

        Args:
            scores: Shape (n,).
            ids: Arrow array of their ids; looked at only where a score equals a range's first.
        """
        first = np.searchsorted(self.scores, scores, side="left")
        last = np.searchsorted(self.scores, scores, side="right")
        ranges = last - 1
        for i in np.flatnonzero(last > first):
            ranges[i] = bisect_right(self.ids, ids[i].as_py(), first[i], last[i]) - 1
        return np.maximum(ranges, 0)


def plan_ranks(issues: DataFrame, num_rows: int) -> RankPlan:
    """Plan ranks from a frame of the issues.

    Args:
        issues: Columns `id` and `label_quality_score`, one row per issue.
        num_rows: Audited rows, from which the number of ranges follows.
    """
    if num_rows <= _ROWS_PER_RANGE:
        # one range is all there is: it begins before every issue
        return RankPlan(np.empty(0), (), np.zeros(1, dtype=np.int64), issues.count())
    num_ranges = int(np.clip(-(-num_rows // _ROWS_PER_RANGE), 2, _MAX_RANGES))
    ranged = issues.select(
        F.col("label_quality_score").alias("score"), F.col(ID).alias("id")
    ).repartitionByRange(num_ranges, "score", "id")
    found = (
        ranged.groupBy(F.spark_partition_id().alias("range"))
        .agg(F.min(F.struct("score", "id")).alias("first"), F.count("*").alias("count"))
        .collect()
    )
    ranges = sorted(found, key=lambda row: (row["first"]["score"], row["first"]["id"]))
    counts = np.array([row["count"] for row in ranges], dtype=np.int64)
    return RankPlan(
        scores=np.array([row["first"]["score"] for row in ranges], dtype=np.float64),
        ids=tuple(row["first"]["id"] for row in ranges),
        offsets=np.cumsum(counts) - counts,
        num_issues=int(counts.sum()),
    )
