"""The two lists of a report: tags to add and tags to remove, those most worth a person's minute first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.encode import EXTRANEOUS, MISSING
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.frames.issues import RANK
from spark_ml_audit.outcomes.audit import ListedCell
from spark_ml_audit.outcomes.review import MeasuredPrecision
from spark_ml_audit.report.page import SectionTable
from spark_ml_audit.report.queries import ReportFrames, ShownTexts, id_text

_TITLES = {MISSING: ("add", "Tags to add"), EXTRANEOUS: ("remove", "Tags to remove")}
_INTROS = {
    MISSING: "Tags that seem forgotten, those most worth a look first: tags whose model can be trusted, then "
    "by how sure it is.",
    EXTRANEOUS: "Given tags that seem wrong, those most worth a look first: tags whose model can be trusted, "
    "then by how sure it is.",
}


def listed(first: pa.Table | None, direction: str, limit: int) -> tuple[ListedCell, ...]:
    """The first cells of a list.

    Args:
        first: Those of both lists; None where none is flagged.
        direction: missing or extraneous.
        limit: Cells at most.
    """
    return tuple(
        ListedCell(id_text(row[ID]), row["tag"], row["pred_prob"], row["trust"])
        for row in _own(first, direction)[:limit]
    )


def list_sections(
    frames: ReportFrames, totals: dict[str, int], precision: Sequence[MeasuredPrecision], texts: ShownTexts
) -> tuple[SectionTable, ...]:
    """A section for each list; none where nothing is flagged.

    Args:
        frames: The rows of the run.
        totals: Flagged cells of each direction.
        precision: How often flags were right so far.
        texts: Of the shown columns of their rows.
    """
    given = _given_tags(frames)
    found = []
    for direction, (key, title) in _TITLES.items():
        rows = _own(frames.first, direction)
        if not rows:
            continue
        total = totals[direction]
        many = f"All {total:,}." if len(rows) >= total else f"The first {len(rows):,} of {total:,}."
        said = [item.sentence for item in precision if item.direction == direction]
        said += [] if frames.order is None else [f"The order is {frames.order}."]
        found.append(
            SectionTable(
                key=key,
                title=title,
                intro=(f"{_INTROS[direction]} {many}", *said),
                columns=(
                    ("place", "number"),
                    ("tag", "tag"),
                    ("id", "text"),
                    *[(name, "text") for name in frames.show],
                    ("given tags", "tags"),
                    ("probability", "prob"),
                    ("trust", "text"),
                ),
                rows=tuple(
                    (
                        row["position"],
                        row["tag"],
                        id_text(row[ID]),
                        *texts.of(row[ID]),
                        given.get(row[RANK], ()),
                        row["pred_prob"],
                        row["trust"] or "not known",
                    )
                    for row in rows
                ),
            )
        )
    return tuple(found)


def listed_ids(frames: ReportFrames) -> list[Any]:
    """Ids of the rows in the lists."""
    return [] if frames.first is None else list(dict.fromkeys(frames.first.column(ID).to_pylist()))


def _own(first: pa.Table | None, direction: str) -> list[dict[str, Any]]:
    return [] if first is None else [row for row in first.to_pylist() if row["issue"] == direction]


def _given_tags(frames: ReportFrames) -> dict[int, tuple[str, ...]]:
    """Given tags of the rows in the lists, by their rank."""
    if frames.first is None:
        return {}
    ranks = set(frames.first.column(RANK).to_pylist())
    worst = frames.worst.select([RANK, "given_tags"]).to_pylist()
    found = {row[RANK]: tuple(row["given_tags"]) for row in worst if row[RANK] in ranks}
    missing = sorted(ranks - found.keys())
    if missing:  # bounded by the lists
        chosen = frames.issues.filter(nw.col(RANK).is_in(missing)).select(RANK, "given_tags")
        found |= {row[RANK]: tuple(row["given_tags"]) for row in rows_of(frames.engine, chosen)}
    return found
