"""What an audit wrote, counted where it lies: a run's counts, and proof that no row was lost or misplaced.

An engine that drops a sort or a batch without a word gives tables that look right. So every run adds up
what it finds in its tables and compares it with what the passes over the source had counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from spark_ml_audit.arrow.encode import MISSING
from spark_ml_audit.engines.columns import bin_of
from spark_ml_audit.errors import AuditError
from spark_ml_audit.frames.issues import RANK, SCORE
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.report.page import ScoreDistribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame

    from spark_ml_audit.engines.base import Engine
    from spark_ml_audit.frames.fit import AuditFit

_REPORT_BINS = 50
_NUM_BINS = 200 * _REPORT_BINS
_FIX = "Run the audit again without output.run_id; if the source is a view or a query, store it as a table."


@dataclass(frozen=True)
class ExampleCounts:
    """Rows of a run's `examples`.

    Attributes:
        issues: Rows with an issue by score, in `_NUM_BINS` equal bins over [0, 1].
        others: The other rows.
        num_ambiguous: Ambiguous rows.
        num_outliers: Outliers.
        num_uncompared: Rows without an outlier score.
    """

    issues: IntArray
    others: IntArray
    num_ambiguous: int
    num_outliers: int
    num_uncompared: int

    @property
    def num_issues(self) -> int:
        """Rows with an issue."""
        return int(self.issues.sum())

    @property
    def num_rows(self) -> int:
        """All rows."""
        return self.num_issues + int(self.others.sum())

    @property
    def scores(self) -> ScoreDistribution:
        """Rows by score as the report shows them."""
        shown = (
            counts.reshape(_REPORT_BINS, -1).sum(axis=1).tolist() for counts in (self.others, self.issues)
        )
        return ScoreDistribution(*map(tuple, shown))


def count_examples(engine: Engine, examples: DataFrame) -> ExampleCounts:
    """Count the rows of a run's `examples`: one query, whose result is bounded by the bins."""
    sums = {
        "num_ambiguous": F.count(F.when(F.col("is_ambiguous"), 1)),
        "num_outliers": F.count(F.when(F.col("is_outlier"), 1)),
        "num_uncompared": F.count(F.when(F.col("outlier_score").isNull(), 1)),
    }
    grouped = examples.groupBy(bin_of(F.col(SCORE), _NUM_BINS).alias("bin"), "is_label_issue")
    found = engine.collect(
        grouped.agg(F.count(F.lit(1)).alias("rows"), *[total.alias(name) for name, total in sums.items()])
    )
    columns = {name: found.column(name).to_numpy() for name in found.column_names}
    histograms = np.zeros((2, _NUM_BINS), dtype=np.int64)
    histograms[columns["is_label_issue"].astype(int), columns["bin"]] = columns["rows"]
    return ExampleCounts(histograms[1], histograms[0], **{name: int(columns[name].sum()) for name in sums})


def check_examples(counts: ExampleCounts, fit: AuditFit) -> None:
    """Compare the rows of `examples` with what the passes over the source counted.

    Raises:
        AuditError: Some are missing, or there are too many.
    """
    _compare("examples", {"rows": (counts.num_rows, fit.rows.num_audited)})


def check_issues(issues: DataFrame, tag_issues: DataFrame, counts: ExampleCounts, fit: AuditFit) -> None:
    """Prove the ranks of a run's `issues`, and that `tag_issues` has all flagged cells, with these ranks.

    Ranks are 1..n if their number, sum and largest are right. They rise with the score if the sum of rank
    times bin of the score is as large as it can be. One query.

    Raises:
        AuditError: Something differs.
    """
    rank, place = F.col(RANK).cast("decimal(38,0)"), bin_of(F.col(SCORE), _NUM_BINS)
    of_rows = issues.agg(
        F.lit(0).alias("kind"), F.count(F.lit(1)), F.max(RANK), F.sum(rank), F.sum(rank * place)
    )
    is_missing, is_first = F.col("issue") == MISSING, F.col("rank_in_row") == 1
    of_cells = tag_issues.agg(
        F.lit(1).alias("kind"),
        F.count(F.when(is_missing, 1)),
        F.count(F.when(~is_missing, 1)),
        F.sum(F.when(is_first, rank)),
        F.sum(is_first.cast("decimal(38,0)")),
    )
    found = [[int(value or 0) for value in row] for row in of_rows.unionAll(of_cells).collect()]
    (_, *rows), (_, missing, extraneous, ranks, with_cells) = sorted(found)
    _compare("issues", _as_expected(counts, rows))
    expected = {
        "missing tags": (missing, sum(row.num_missing for row in fit.classes)),
        "extraneous tags": (extraneous, sum(row.num_extraneous for row in fit.classes)),
    }
    if fit.rules.cutoffs.score_at_most is None:  # else a row may be flagged by its score, without a cell
        expected |= {"rows with cells": (with_cells, counts.num_issues), "sum of ranks": (ranks, rows[2])}
    _compare("tag_issues", expected)


def _as_expected(counts: ExampleCounts, found: list[int]) -> dict[str, tuple[int, int]]:
    """What is in `issues`, and what should be."""
    before, weighted = 0, 0
    for place in np.flatnonzero(counts.issues).tolist():
        size = int(counts.issues[place])
        weighted += place * (size * before + size * (size + 1) // 2)
        before += size
    return {
        "rows": (found[0], before),
        "largest rank": (found[1], before),
        "sum of ranks": (found[2], before * (before + 1) // 2),
        "sum of ranks by score": (found[3], weighted),
    }


def _compare(table: str, sums: Mapping[str, tuple[int, int]]) -> None:
    for what, (found, expected) in sums.items():
        if found != expected:
            raise AuditError(
                f"the table '{table}' does not add up: {what} {found:,}, expected {expected:,}. The source "
                "gave other rows when it was read again, or the engine lost some.",
                key=f"output.{table}",
                fix=_FIX,
            )
