"""What a report reads from a run's rows: counts made where the data are, and some rows by rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.columns import field
from spark_ml_audit.frames.issues import RANK, SCORE
from spark_ml_audit.outcomes.review import ReviewedErrors
from spark_ml_audit.report.page import FlaggedTag, ReasonCount, TagPair, WorstRow
from spark_ml_audit.report.pairs import LISTS, PAIRS, count_pairs
from spark_ml_audit.report.texts import MAX_TEXT, texts_by_id

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame

MAX_LISTED = 100
"""Cells of each of the two lists that a report shows."""


@dataclass(frozen=True)
class ReportFrames:
    """The rows of one run.

    Attributes:
        engine: What runs the frames.
        examples: Its audited rows.
        issues: Its rows with an issue.
        quarantine: Its rejected rows.
        source: The source as audited, at its version.
        id: Name of the id column.
        show: Columns of the source to show beside a row's id.
        duplicates: Its rows of near-duplicates; None: not looked for.
        estimates: What reviews of this output estimated; None: there was none.
        errors: How many tags are wrong in all, as the newest of them says.
        continues: Ids of the audits that the run continues.
        most_worst: Worst rows that are read, for the report and for tracking.
        first: The cells most worth looking at, of both directions; None where none is flagged.
        order: What their order learned from decisions, in words; None without any.
    """

    engine: Engine
    examples: Frame
    issues: Frame
    quarantine: Frame
    source: Frame
    id: str
    show: tuple[str, ...] = ()
    duplicates: Frame | None = None
    estimates: Frame | None = None
    errors: ReviewedErrors | None = None
    continues: tuple[str, ...] = ()
    most_worst: int = 0
    first: pa.Table | None = None
    order: str | None = None

    @cached_property
    def worst(self) -> pa.Table:
        """The worst rows of `issues`, worst first; read once."""
        return worst_issues(self.engine, self.issues, self.most_worst)


def newest_errors(engine: Engine, estimates: Frame | None) -> ReviewedErrors | None:
    """How many tags are wrong in all, as the newest of some reviews says; None where none can say."""
    if estimates is None:
        return None
    wanted = (nw.col("quantity") == "num_errors", nw.col("direction") == "both")
    known = estimates.filter(*wanted, ~nw.col("estimate").is_null(), ~nw.col("high").is_null())
    newest = known.sort("estimated_at", descending=True, nulls_last=True).head(1)
    for row in rows_of(engine, newest):
        return ReviewedErrors(row["run_id"], row["estimate"], row["low"], row["high"], row["confidence"])
    return None


def worst_issues(engine: Engine, issues: Frame, limit: int) -> pa.Table:
    """The worst rows of a run's `issues`, worst first, without run_id."""
    worst = issues.filter(nw.col(RANK) <= limit).drop("run_id", strict=False)
    return engine.collect(worst).sort_by(RANK)


def check_shown(schema: pa.Schema, show: tuple[str, ...]) -> None:
    """Refuse columns to show that the source does not have.

    Args:
        schema: Of the source.
        show: Names of the columns.

    Raises:
        InputError: Naming the column, and the one that may be meant.
    """
    for name in show:
        field(schema, name, "source.show")


def tag_pairs(frames: ReportFrames, num_issues: int, limit: int) -> tuple[TagPair, ...]:
    """Which tag is missing on how many rows where which other one was given; the most frequent pairs.

    Args:
        frames: The rows of the run.
        num_issues: Rows of `issues`: where all are among the worst ones, they need not be read again.
        limit: Pairs to give.
    """
    if num_issues <= frames.most_worst:
        batches = count_pairs(iter(frames.worst.select(list(LISTS)).to_batches()))
        most = pa.Table.from_batches(batches, PAIRS)
    else:
        most = frames.engine.collect(_most_frequent(frames, limit))
    order = [("num_rows", "descending"), ("missing", "ascending"), ("given", "ascending")]
    return tuple(TagPair(**pair) for pair in most.sort_by(order).slice(0, limit).to_pylist())


def _most_frequent(frames: ReportFrames, limit: int) -> Frame:
    issues = frames.issues.filter(nw.col("missing_tags").list.len() > 0).select(*LISTS)
    parts = frames.engine.map_batches(issues, count_pairs, keep=(), add=PAIRS)
    pairs = parts.group_by("missing", "given").agg(nw.col("num_rows", "num_swapped").sum())
    return pairs.sort("num_rows", "missing", "given", descending=[True, False, False]).head(limit)


def worst_rows(frames: ReportFrames, limit: int, texts: ShownTexts) -> tuple[WorstRow, ...]:
    """The worst rows, with their flagged cells and the shown columns of the source."""
    return tuple(
        WorstRow(
            rank=row[RANK],
            id=id_text(row[frames.id]),
            score=row[SCORE],
            given=tuple(row["given_tags"]),
            flagged=tuple(FlaggedTag(**cell) for cell in row["flagged_cells"]),
            shown=texts.of(row[frames.id]),
        )
        for row in frames.worst.slice(0, limit).to_pylist()
    )


class ShownTexts:
    """Texts of the shown columns for some hundreds of rows, read together.

    Args:
        frames: The rows of the run.
        ids: Of the rows.
    """

    def __init__(self, frames: ReportFrames, ids: Sequence[Any]) -> None:
        self._none = (None,) * len(frames.show)
        self._texts: dict[Any, tuple[str | None, ...]] = {}
        if frames.show and ids:
            self._texts = texts_by_id(frames.engine, frames.source, frames.id, frames.show, ids)

    def of(self, row_id: Any) -> tuple[str | None, ...]:
        """One text per column, None for null."""
        return self._texts.get(row_id, self._none)


def quarantine_reasons(frames: ReportFrames) -> tuple[ReasonCount, ...]:
    """Rejected rows by reason, most first, with the detail of one of them."""
    rejected = frames.quarantine.select("reason", nw.col("detail").str.head(MAX_TEXT).alias("detail"))
    counted = rejected.group_by("reason").agg(nw.len().alias("num_rows"), nw.col("detail").min())
    rows = sorted(rows_of(frames.engine, counted), key=lambda row: (-row["num_rows"], row["reason"]))
    return tuple(ReasonCount(row["reason"], row["num_rows"], row["detail"] or "") for row in rows)


def id_text(value: Any) -> str:
    """An id as a person reads it; bytes as hex."""
    return value.hex() if isinstance(value, bytes) else str(value)
