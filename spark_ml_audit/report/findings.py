"""What a report shows beside wrong tags: ambiguous rows, outliers, near-duplicates, what reviewers found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.columns import column
from spark_ml_audit.outcomes.records import Counts
from spark_ml_audit.report.page import SectionTable
from spark_ml_audit.report.queries import ReportFrames, ShownTexts, id_text

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame

_MAX_ROWS = 50
_MAX_GROUPS = 20
_MAX_MEMBERS = 200
_CARRIED = (
    "This run continues that one: the precision holds for its flags that are still open and that nobody has "
    "judged. The command review tells how many errors are left since."
)


@dataclass(frozen=True)
class FoundRows:
    """Rows that a section shows, before the texts of the source are known.

    Attributes:
        ids: Of the rows.
        section: Makes the section, given the texts.
    """

    ids: tuple[Any, ...]
    section: Callable[[ShownTexts], SectionTable]


def find_rows(frames: ReportFrames, counts: Counts) -> tuple[FoundRows, ...]:
    """The rows of a section for everything that was found; none for what was not looked for."""
    found: list[FoundRows | None] = []
    if counts.num_ambiguous:
        found.append(ambiguous_section(frames, counts.num_ambiguous))
    if counts.num_outliers:
        found.append(outlier_section(frames, counts.num_outliers))
    if counts.num_duplicate_groups and frames.duplicates is not None:
        found.append(duplicate_section(frames, frames.duplicates, counts.num_duplicate_groups))
    if frames.estimates is not None:
        found.append(review_section(frames.engine, frames.estimates, frames.continues))
    return tuple(rows for rows in found if rows is not None)


def ambiguous_section(frames: ReportFrames, total: int) -> FoundRows:
    """The rows about which the model is most undecided."""
    return _ranked_section(
        frames,
        "ambiguous",
        "Ambiguous rows",
        "Here the model says neither yes nor no about several tags: a second opinion, a clearer "
        "definition of the tags or more text may settle them. These are no label errors by themselves.",
        flag="is_ambiguous",
        score=("ambiguity_score", "ambiguity"),
        tags=("ambiguous_tags", "tags in doubt"),
        total=total,
    )


def outlier_section(frames: ReportFrames, total: int) -> FoundRows:
    """The rows that are farthest from all others."""
    return _ranked_section(
        frames,
        "outliers",
        "Outliers",
        "Rows that do not belong: far from their nearest neighbours, by what is near there.",
        flag="is_outlier",
        score=("outlier_score", "outlier score"),
        tags=("given_tags", "given tags"),
        total=total,
    )


def duplicate_section(frames: ReportFrames, duplicates: Frame, total: int) -> FoundRows:
    """Groups of nearly the same content whose tags differ, the most alike first."""
    groups = duplicates.group_by("group_id").agg(nw.col("similarity").min().alias("least"))
    shown = groups.sort("least", "group_id", descending=[True, False], nulls_last=True).head(_MAX_GROUPS)
    members = duplicates.join(shown, on="group_id").select(
        "group_id",
        "least",
        column(frames.id).alias("id"),
        "kind",
        "similarity",
        "given_tags",
        "differing_tags",
    )
    ordered = members.sort("least", "group_id", "id", descending=[True, False, False], nulls_last=True)
    rows = rows_of(frames.engine, ordered.head(_MAX_MEMBERS))
    numbers = {group: place + 1 for place, group in enumerate(dict.fromkeys(row["group_id"] for row in rows))}

    def section(texts: ShownTexts) -> SectionTable:
        return SectionTable(
            key="duplicates",
            title="Near-duplicates whose tags differ",
            intro=(
                "The same or nearly the same content was tagged in different ways: at least one of each "
                "group is wrong, or the tag is not defined well enough.",
                _how_many(len(numbers), total, "groups"),
            ),
            columns=(
                ("group", "number"),
                ("id", "text"),
                *[(name, "text") for name in frames.show],
                ("kind", "text"),
                ("similarity", "number"),
                ("given tags", "tags"),
                ("tags that differ", "tags"),
            ),
            rows=tuple(
                (
                    numbers[row["group_id"]],
                    id_text(row["id"]),
                    *texts.of(row["id"]),
                    row["kind"],
                    row["similarity"],
                    tuple(row["given_tags"] or ()),
                    tuple(row["differing_tags"] or ()),
                )
                for row in rows
            ),
        )

    return FoundRows(tuple(row["id"] for row in rows), section)


def review_section(engine: Engine, estimates: Frame, continues: Sequence[str] = ()) -> FoundRows | None:
    """What reviewers' decisions say of the flags, next to the model's own estimate; None without any."""
    newest = rows_of(engine, estimates.sort("estimated_at", descending=True, nulls_last=True).head(1))
    if not newest:
        return None
    (last,) = newest
    same = (nw.col("sample_id") == last["sample_id"], nw.col("estimated_at") == last["estimated_at"])
    rows = rows_of(engine, estimates.filter(*same).sort("quantity", "direction"))
    section = SectionTable(
        key="review",
        title="What reviewers found",
        intro=(
            f"From {last['num_judged']} judged cells of random sample {last['sample_id']} of run "
            f"{last['run_id']}, with intervals of {100 * last['confidence']:g}% confidence. What the "
            "model says by itself is extrapolated from the confident joint.",
            *([_CARRIED] if last["run_id"] in continues else []),
        ),
        columns=(
            ("quantity", "text"),
            ("direction", "text"),
            ("estimate", "number"),
            ("from", "number"),
            ("to", "number"),
            ("extrapolated by the model", "number"),
        ),
        rows=tuple(
            (
                row["quantity"].replace("_", " "),
                row["direction"],
                row["estimate"],
                row["low"],
                row["high"],
                row["model_estimate"],
            )
            for row in rows
        ),
    )
    return FoundRows((), lambda _: section)


def _how_many(shown: int, total: int, what: str) -> str:
    return f"All {total:,} {what}." if shown >= total else f"The first {shown:,} of {total:,} {what}."


def _ranked_section(
    frames: ReportFrames,
    key: str,
    title: str,
    intro: str,
    *,
    flag: str,
    score: tuple[str, str],
    tags: tuple[str, str],
    total: int,
) -> FoundRows:
    """The flagged rows of the highest score, with the shown columns of the source.

    `score` and `tags` are the column of `examples` and its heading.
    """
    chosen = frames.examples.filter(nw.col(flag)).select(column(frames.id).alias("id"), score[0], tags[0])
    ordered = chosen.sort(score[0], "id", descending=[True, False], nulls_last=True)
    rows = rows_of(frames.engine, ordered.head(_MAX_ROWS))

    def section(texts: ShownTexts) -> SectionTable:
        return SectionTable(
            key=key,
            title=title,
            intro=(intro, _how_many(len(rows), total, "rows")),
            columns=(
                ("id", "text"),
                *[(name, "text") for name in frames.show],
                (score[1], "number"),
                (tags[1], "tags"),
            ),
            rows=tuple(
                (id_text(row["id"]), *texts.of(row["id"]), row[score[0]], tuple(row[tags[0]])) for row in rows
            ),
        )

    return FoundRows(tuple(row["id"] for row in rows), section)
