"""What a report reads from a run's rows: counts made where the data are, and some rows by rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.engines.columns import column, field
from spark_ml_audit.frames.issues import RANK, SCORE
from spark_ml_audit.report.page import FlaggedTag, ReasonCount, TagPair, WorstRow

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.engines.base import Engine

# More than any page shows; what is longer need not travel.
_MAX_TEXT = 1001


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
        most_worst: Worst rows that are read, for the report and for tracking.
    """

    engine: Engine
    examples: DataFrame
    issues: DataFrame
    quarantine: DataFrame
    source: DataFrame
    id: str
    show: tuple[str, ...] = ()
    duplicates: DataFrame | None = None
    estimates: DataFrame | None = None
    most_worst: int = 0

    @cached_property
    def worst(self) -> pa.Table:
        """The worst rows of `issues`, worst first; read once."""
        return worst_issues(self.engine, self.issues, self.most_worst)


def worst_issues(engine: Engine, issues: DataFrame, limit: int) -> pa.Table:
    """The worst rows of a run's `issues`, worst first, without run_id."""
    return engine.collect(issues.where(F.col(RANK) <= limit).drop("run_id")).sort_by(RANK)


def check_shown(source: DataFrame, show: tuple[str, ...]) -> None:
    """Refuse columns to show that the source does not have.

    Raises:
        InputError: Naming the column, and the one that may be meant.
    """
    for name in show:
        field(source, name, "source.show")


def tag_pairs(frames: ReportFrames, num_issues: int, limit: int) -> tuple[TagPair, ...]:
    """Which tag is missing on how many rows where which other one was given; the most frequent pairs.

    Args:
        frames: The rows of the run.
        num_issues: Rows of `issues`: where all are among the worst ones, they need not be read again.
        limit: Pairs to give.
    """
    if num_issues <= frames.most_worst:
        return _pairs_of(frames.worst, limit)
    issues = frames.issues.where(F.size("missing_tags") > 0)
    by_missing = issues.select(F.explode("missing_tags").alias("missing"), "given_tags", "extraneous_tags")
    pairs = by_missing.select("missing", F.explode("given_tags").alias("given"), "extraneous_tags")
    swapped = F.array_contains(F.col("extraneous_tags"), F.col("given")).cast("long")
    counted = pairs.groupBy("missing", "given").agg(
        F.count(F.lit(1)).alias("rows"), F.sum(swapped).alias("swapped")
    )
    most = counted.orderBy(F.desc("rows"), "missing", "given").limit(limit)
    return tuple(TagPair(row["missing"], row["given"], row["rows"], row["swapped"]) for row in most.collect())


def _pairs_of(issues: pa.Table, limit: int) -> tuple[TagPair, ...]:
    rows: Counter[tuple[str, str]] = Counter()
    swapped: Counter[tuple[str, str]] = Counter()
    lists = (issues.column(name).to_pylist() for name in ("missing_tags", "given_tags", "extraneous_tags"))
    for missing, given, extraneous in zip(*lists, strict=True):
        for pair in product(missing, given):
            rows[pair] += 1
            swapped[pair] += pair[1] in extraneous
    most = sorted(rows.items(), key=lambda counted: (-counted[1], counted[0]))[:limit]
    return tuple(TagPair(*pair, count, swapped[pair]) for pair, count in most)


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
            chosen = column(frames.id).isin(*[F.lit(value) for value in dict.fromkeys(map(_key, ids))])
            texts = [_as_text(frames.source, name).alias(f"text_{i}") for i, name in enumerate(frames.show)]
            found = frames.source.where(chosen).select(column(frames.id).alias("id"), *texts).collect()
            self._texts = {_key(row["id"]): tuple(row[1:]) for row in found}

    def of(self, row_id: Any) -> tuple[str | None, ...]:
        """One text per column, None for null."""
        return self._texts.get(_key(row_id), self._none)


def _as_text(source: DataFrame, name: str) -> Column:
    """A column as text, cut where the data are."""
    kind, values = source.schema[name].dataType, column(name)
    if isinstance(kind, T.BinaryType):
        text = F.hex(values)
    elif isinstance(kind, T.ArrayType) and isinstance(kind.elementType, T.AtomicType):
        text = F.array_join(values.cast(T.ArrayType(T.StringType())), ", ", "null")
    elif isinstance(kind, T.ArrayType | T.MapType | T.StructType):
        text = F.to_json(values)
    else:
        text = values.cast("string")
    return F.substring(text, 1, _MAX_TEXT)


def quarantine_reasons(frames: ReportFrames) -> tuple[ReasonCount, ...]:
    """Rejected rows by reason, most first, with the detail of one of them."""
    counted = frames.quarantine.groupBy("reason").agg(
        F.count(F.lit(1)).alias("rows"), F.min(F.substring("detail", 1, _MAX_TEXT)).alias("example")
    )
    rows = sorted(counted.collect(), key=lambda row: (-row["rows"], row["reason"]))
    return tuple(ReasonCount(row["reason"], row["rows"], row["example"] or "") for row in rows)


def id_text(value: Any) -> str:
    """An id as a person reads it; bytes as hex."""
    return bytes(value).hex() if isinstance(value, bytes | bytearray) else str(value)


def _key(value: Any) -> Any:
    return bytes(value) if isinstance(value, bytearray) else value
