"""What an audit wrote, counted where it lies: a run's counts, and proof that no row was lost or misplaced.

An engine that drops a sort or a batch without a word gives tables that look right. So every run adds up
what it finds in its tables and compares it with what the passes over the source had counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np

from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.columns import bin_of
from spark_ml_audit.errors import AuditError
from spark_ml_audit.frames.issues import RANK, SCORE
from spark_ml_audit.kernels.profile import IntArray
from spark_ml_audit.report.page import ScoreDistribution

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spark_ml_audit.engines.base import Engine, Frame
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


def count_examples(engine: Engine, examples: Frame) -> ExampleCounts:
    """Count the rows of a run's `examples`: one query, whose result is bounded by the bins."""
    sums = {
        "num_ambiguous": nw.col("is_ambiguous"),
        "num_outliers": nw.col("is_outlier"),
        "num_uncompared": nw.col("outlier_score").is_null(),
    }
    marked = examples.select(
        bin_of(nw.col(SCORE), _NUM_BINS).alias("bin"),
        "is_label_issue",
        *[nw.when(flag).then(1).otherwise(0).alias(name) for name, flag in sums.items()],
    )
    grouped = marked.group_by("bin", "is_label_issue")
    found = engine.collect(grouped.agg(nw.len().alias("rows"), *[nw.col(name).sum() for name in sums]))
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


def check_issues(
    engine: Engine, issues: Frame, tag_issues: Frame, counts: ExampleCounts, fit: AuditFit
) -> None:
    """Prove the ranks of a run's `issues`, and that `tag_issues` has all flagged cells, with these ranks.

    Raises:
        AuditError: Something differs.
    """
    _compare("issues", _compared_ranks(engine, issues, counts))
    _compare("tag_issues", _compared_cells(engine, tag_issues, counts, fit))


_RANK_SUMS = ("rows", "sum", "least", "most")


def _compared_ranks(engine: Engine, issues: Frame, counts: ExampleCounts) -> dict[str, tuple[int, int]]:
    """What is in `issues`, and what should be.

    Ranks are 1..n and rise with the score if, bin by bin, their number, sum, least and largest are right.
    """
    rank, place = nw.col(RANK), bin_of(nw.col(SCORE), _NUM_BINS).alias("bin")
    sums = (nw.len(), rank.sum(), rank.min(), rank.max())
    named = [value.alias(name) for name, value in zip(_RANK_SUMS, sums, strict=True)]
    rows = rows_of(engine, issues.select(place, rank).group_by("bin").agg(*named))
    found = {row["bin"]: tuple(int(row[name]) for name in _RANK_SUMS) for row in rows}
    before = 0
    for number in np.flatnonzero(counts.issues).tolist():
        size = int(counts.issues[number])
        expected = (size, size * before + size * (size + 1) // 2, before + 1, before + size)
        has = found.pop(number, (0, 0, 0, 0))
        if has != expected:
            where = f"of the ranks at scores from {number / _NUM_BINS:g}"
            return {
                f"{name} {where}": pair
                for name, pair in zip(_RANK_SUMS, zip(has, expected, strict=True), strict=True)
            }
        before += size
    return {"rows": (before + sum(rows for rows, *_ in found.values()), before)}


def _compared_cells(
    engine: Engine, tag_issues: Frame, counts: ExampleCounts, fit: AuditFit
) -> dict[str, tuple[int, int]]:
    """What is in `tag_issues`, and what should be: the cells of every class, and the ranks of their rows."""
    is_first = nw.col("rank_in_row") == 1
    sums = {
        "cells": nw.len(),
        "rows": nw.when(is_first).then(1).otherwise(0).sum(),
        "ranks": nw.when(is_first).then(nw.col(RANK)).otherwise(0).sum(),
    }
    grouped = tag_issues.group_by("tag", "issue").agg(*[total.alias(name) for name, total in sums.items()])
    rows = rows_of(engine, grouped)
    cells = {(row["tag"], row["issue"]): int(row["cells"]) for row in rows}
    compared = {
        f"{kind} tags '{row.tag}'": (cells.pop((row.tag, kind), 0), getattr(row, f"num_{kind}"))
        for row in fit.classes
        for kind in (MISSING, EXTRANEOUS)
    }
    compared["cells of no class"] = (sum(cells.values()), 0)
    if fit.rules.cutoffs.score_at_most is None:  # else a row may be flagged by its score, without a cell
        number = counts.num_issues
        compared["rows with cells"] = (sum(int(row["rows"]) for row in rows), number)
        compared["sum of ranks"] = (sum(int(row["ranks"]) for row in rows), number * (number + 1) // 2)
    return compared


def _compare(table: str, sums: Mapping[str, tuple[int, int]]) -> None:
    for what, (found, expected) in sums.items():
        if found != expected:
            raise AuditError(
                f"the table '{table}' does not add up: {what} {found:,}, expected {expected:,}. The source "
                "gave other rows when it was read again, or the engine lost some.",
                key=f"output.{table}",
                fix=_FIX,
            )
