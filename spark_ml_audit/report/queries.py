"""What a report reads from a run's rows: counts made where the data are, and some rows by rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.engines.columns import column, field
from spark_ml_audit.report.page import FlaggedTag, ReasonCount, ScoreDistribution, TagPair, WorstRow

# More than any page shows; what is longer need not travel.
_MAX_TEXT = 1001


@dataclass(frozen=True)
class ReportFrames:
    """The rows of one run.

    Attributes:
        examples: Its audited rows.
        tag_issues: Its flagged cells.
        quarantine: Its rejected rows.
        source: The source as audited, at its version.
        id: Name of the id column.
        show: Columns of the source to show beside a row's id.
        duplicates: Its rows of near-duplicates; None: not looked for.
        estimates: What reviews of this output estimated; None: there was none.
    """

    examples: DataFrame
    tag_issues: DataFrame
    quarantine: DataFrame
    source: DataFrame
    id: str
    show: tuple[str, ...] = ()
    duplicates: DataFrame | None = None
    estimates: DataFrame | None = None


def check_shown(source: DataFrame, show: tuple[str, ...]) -> None:
    """Refuse columns to show that the source does not have.

    Raises:
        InputError: Naming the column, and the one that may be meant.
    """
    for name in show:
        field(source, name, "source.show")


def score_distribution(frames: ReportFrames, num_bins: int) -> ScoreDistribution:
    """Rows by score in equal bins over [0, 1], with and without an issue."""
    place = F.least(F.floor(F.col("label_quality_score") * num_bins), F.lit(num_bins - 1))
    counted = frames.examples.groupBy(place.cast("int").alias("bin"), "is_label_issue").count().collect()
    counts = {True: [0] * num_bins, False: [0] * num_bins}
    for row in counted:
        counts[bool(row["is_label_issue"])][max(row["bin"], 0)] += row["count"]
    return ScoreDistribution(without_issue=tuple(counts[False]), with_issue=tuple(counts[True]))


def tag_pairs(frames: ReportFrames, limit: int) -> tuple[TagPair, ...]:
    """Which tag is missing on how many rows where which other one was given; the most frequent pairs."""
    issues = frames.examples.where(F.col("is_label_issue") & (F.size("missing_tags") > 0))
    by_missing = issues.select(F.explode("missing_tags").alias("missing"), "given_tags", "extraneous_tags")
    pairs = by_missing.select("missing", F.explode("given_tags").alias("given"), "extraneous_tags")
    swapped = F.array_contains(F.col("extraneous_tags"), F.col("given")).cast("long")
    counted = pairs.groupBy("missing", "given").agg(
        F.count(F.lit(1)).alias("rows"), F.sum(swapped).alias("swapped")
    )
    most = counted.orderBy(F.desc("rows"), "missing", "given").limit(limit)
    return tuple(TagPair(row["missing"], row["given"], row["rows"], row["swapped"]) for row in most.collect())


def worst_rows(frames: ReportFrames, limit: int) -> tuple[WorstRow, ...]:
    """The worst rows, with their flagged cells and the shown columns of the source."""
    id_column = column(frames.id)
    worst = frames.examples.where(F.col("issue_rank") <= limit).select(
        id_column.alias("id"), "issue_rank", "label_quality_score", "given_tags"
    )
    rows = sorted(worst.collect(), key=lambda row: row["issue_rank"])
    if not rows:
        return ()
    chosen = id_column.isin(*[F.lit(row["id"]) for row in rows])
    # the score is in both tables: files of better rows are not even opened
    at_most = F.col("label_quality_score") <= F.lit(rows[-1]["label_quality_score"])
    found = frames.tag_issues.where(at_most & chosen).select(
        id_column.alias("id"), "tag", "issue", "pred_prob", "cell_score", "rank_in_row"
    )
    cells: dict[Any, list[FlaggedTag]] = {}
    for cell in sorted(found.collect(), key=lambda cell: cell["rank_in_row"]):
        flagged = FlaggedTag(cell["tag"], cell["issue"], cell["pred_prob"], cell["cell_score"])
        cells.setdefault(_key(cell["id"]), []).append(flagged)
    texts = shown_texts(frames, [row["id"] for row in rows])
    return tuple(
        WorstRow(
            rank=row["issue_rank"],
            id=id_text(row["id"]),
            score=row["label_quality_score"],
            given=tuple(row["given_tags"]),
            flagged=tuple(cells.get(_key(row["id"]), ())),
            shown=text,
        )
        for row, text in zip(rows, texts, strict=True)
    )


def shown_texts(frames: ReportFrames, ids: Sequence[Any]) -> list[tuple[str | None, ...]]:
    """Texts of the shown columns for some hundreds of ids, in their order; one per column, None for null."""
    if not frames.show or not ids:
        return [()] * len(ids)
    chosen = column(frames.id).isin(*[F.lit(value) for value in ids])
    texts = [_as_text(frames.source, name).alias(f"text_{i}") for i, name in enumerate(frames.show)]
    found = frames.source.where(chosen).select(column(frames.id).alias("id"), *texts).collect()
    by_id = {_key(row["id"]): tuple(row[1:]) for row in found}
    none = (None,) * len(frames.show)
    return [by_id.get(_key(value), none) for value in ids]


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
