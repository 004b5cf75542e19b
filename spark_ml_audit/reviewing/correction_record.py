"""What is kept of a correction: its cells and its row in the tables, and what it tells people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.arrow.label_edits import ADDED, REMOVED
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.lake.schemas import (
    CORRECTED,
    CORRECTION_COUNTS,
    CORRECTION_RUNS,
    CORRECTION_RUNS_SCHEMA,
    CORRECTIONS,
    PLANS,
)
from spark_ml_audit.outcomes.review import AcceptedFlags, CorrectOutcome
from spark_ml_audit.reviewing.decisions import STANDING
from spark_ml_audit.reviewing.label_changes import (
    APPLIED,
    GONE,
    STALE,
    STATUS,
    LabelColumns,
    change_rows,
    label_columns,
)
from spark_ml_audit.reviewing.tables import with_own_id, with_plain_id

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.config import CorrectConfig
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.progress import Progress


@dataclass(frozen=True)
class Correction:
    """A correction under way.

    Attributes:
        tables: The output.
        config: The effective config.
        progress: Shows and times the stages.
        correction_id: Its id.
    """

    tables: OutputTables
    config: CorrectConfig
    progress: Progress
    correction_id: str

    @property
    def bulk_id(self) -> str | None:
        """Id of what it accepts in bulk; None where nothing is to be."""
        wanted = self.config.correct.accept_certified
        return None if wanted is None else bulk_id_of(self.correction_id)


def bulk_id_of(correction_id: str) -> str:
    """Id of what a correction accepts in bulk."""
    return f"bulk-{correction_id}"


def planned_rows(tables: OutputTables, correction_id: str, labels: LabelColumns) -> Frame:
    """The plan of a correction, as it was written."""
    rows = tables.read(PLANS).filter(nw.col("correction_id") == correction_id)
    return with_plain_id(rows, labels.id).drop("correction_id")


def describe_labels(labels: LabelColumns) -> dict[str, Any]:
    """Label columns as plain data, but their types."""
    return {
        "id": labels.id,
        "names": list(labels.names),
        "labels_format": labels.labels_format,
        "delimiter": labels.delimiter,
    }


def labels_of(described: Mapping[str, Any], schema: pa.Schema) -> LabelColumns:
    """Label columns from `describe_labels`, with the types that a table gives them."""
    return label_columns(
        schema,
        described["id"],
        tuple(described["names"]),
        described["labels_format"],
        described["delimiter"],
    )


def count_set_aside(engine: Engine, located: Frame) -> dict[str, int]:
    """Decisions that change nothing because they cannot be used, by reason."""
    state = nw.col("state")
    reason = (
        nw.when(state != STANDING)
        .then(state)
        .when(nw.col("row_audited").is_null())
        .then(nw.lit("row_not_audited"))
        .when(nw.col("verdict") == "unsure")
        .then(nw.lit("unsure"))
    )
    told = located.select(reason.alias("reason")).filter(~nw.col("reason").is_null())
    counted = told.group_by("reason").agg(nw.len().alias("count")).sort("reason")
    return {row["reason"]: row["count"] for row in rows_of(engine, counted)}


_SAID = {
    "contradictory": "contradict each other (another verdict at the same time)",
    "tag_unknown": "name a tag that is no class",
    "verdict_unknown": "have an unknown verdict",
    "id_null": "name no row",
    "row_not_audited": "name a row that the audit did not judge (unknown, unlabelled or quarantined)",
    "unsure": "are unsure",
}


def warnings_of(counts: Mapping[str, int], set_aside: Mapping[str, int], num_kept: int) -> list[str]:
    """Sentences on rows and decisions that were left alone."""
    found = []
    if num_kept:
        found.append(
            f"{num_kept} rows that people excluded stay in the source: a merge changes labels and removes no "
            "row; a copy (correct.mode copy) leaves them out."
        )
    if counts["num_stale"]:
        found.append(
            f"{counts['num_stale']} rows were left as they are: their labels changed since they were read "
            "(status stale in corrections)."
        )
    if counts["num_gone"]:
        found.append(f"{counts['num_gone']} rows are there no more (status gone in corrections).")
    found += [
        f"{number} decisions have no effect: they {_SAID.get(reason, reason)}."
        for reason, number in set_aside.items()
    ]
    return found


def write_record(
    correction: Correction,
    final: Frame,
    labels: LabelColumns,
    *,
    set_aside: Mapping[str, int],
    undoes: str | None = None,
    accepted: Sequence[AcceptedFlags] = (),
    num_kept: int = 0,
    **about: Any,
) -> CorrectOutcome:
    """Write what was changed, and last the row by which the correction counts as done.

    Args:
        correction: The correction.
        final: Its rows with their final status.
        labels: Label columns of the table.
        set_aside: Reason -> decisions without effect.
        undoes: correction_id that was taken back; None for a correction.
        accepted: What was accepted in bulk for it.
        num_kept: Rows that people excluded and that stay, since a merge removes none.
        **about: run_id, source_version, mode, target, target_version, num_excluded, num_restored.
    """
    tables, progress, own = correction.tables, correction.progress, correction.correction_id
    now = datetime.now(timezone.utc)
    with progress.stage("corrections"):
        each = change_rows(final, undo=undoes is not None)
        stamped = each.select(
            nw.lit(own).alias("correction_id"),
            nw.lit(about["run_id"]).alias("run_id"),
            nw.all(),
            nw.lit(about["source_version"], dtype=nw.String).alias("source_version"),
            nw.lit(about["target"]).alias("target"),
            nw.lit(now).alias("corrected_at"),
        )
        tables.append(CORRECTIONS, with_own_id(stamped, labels.id), own)
    written = tables.read(CORRECTIONS).filter(nw.col("correction_id") == own)
    counts = count_changes(tables.engine, with_plain_id(written, labels.id))
    row = {
        "correction_id": own,
        **about,
        "undoes": undoes,
        "corrected_at": now,
        **counts,
        "labels": json.dumps(describe_labels(labels)),
        "set_aside": json.dumps(dict(set_aside)),
        "accepted": json.dumps([item.to_dict() for item in accepted]),
        "bulk_id": correction.bulk_id if undoes is None else None,
        "config": correction.config.to_json(),
        "warnings": json.dumps(warnings_of(counts, set_aside, num_kept)),
    }
    with progress.stage("runs"):
        tables.append_records(CORRECTION_RUNS, [row], CORRECTION_RUNS_SCHEMA, own)
    return outcome_of(row, tables, progress)


def count_changes(engine: Engine, cells: Frame) -> dict[str, int]:
    """`CORRECTION_COUNTS` of changed cells, from `change_rows`."""

    def times(action: str) -> nw.Expr:
        return nw.when(nw.col("action") == action).then(1).otherwise(0).sum().alias(action)

    rows = cells.group_by(ID, STATUS).agg(times(ADDED), times(REMOVED))
    sums = [nw.len().alias("rows"), nw.col(ADDED).sum(), nw.col(REMOVED).sum()]
    found = {row[STATUS]: row for row in rows_of(engine, rows.group_by(STATUS).agg(*sums))}
    none: dict[str, int] = {}
    applied, stale, gone = (found.get(status, none) for status in (APPLIED, STALE, GONE))
    return {
        "num_rows_changed": applied.get("rows", 0),
        "num_tags_added": applied.get(ADDED, 0),
        "num_tags_removed": applied.get(REMOVED, 0),
        "num_stale": stale.get("rows", 0),
        "num_gone": gone.get("rows", 0),
    }


def outcome_of(
    row: Mapping[str, Any], tables: OutputTables, progress: Progress, *, already_finished: bool = False
) -> CorrectOutcome:
    """The outcome of a correction, from its row of `correction_runs`.

    Args:
        row: The row.
        tables: The output that it is in.
        progress: Knows the stages.
        already_finished: Whether an earlier invocation did it.
    """
    return CorrectOutcome(
        **{name: row[name] for name in ("correction_id", "run_id", "mode", "undoes", "target")},
        target_version=row["target_version"],
        **{name: row[name] for name in CORRECTION_COUNTS},
        set_aside=json.loads(row["set_aside"]),
        accepted=tuple(AcceptedFlags(**item) for item in json.loads(row.get("accepted") or "[]")),
        bulk_id=row.get("bulk_id"),
        num_excluded=row.get("num_excluded") or 0,
        num_restored=row.get("num_restored") or 0,
        tables={
            CORRECTED if row["mode"] == "copy" else "source": row["target"],
            **tables.locations(CORRECTIONS, CORRECTION_RUNS),
        },
        warnings=tuple(json.loads(row["warnings"])),
        stages=progress.stages,
        already_finished=already_finished,
    )
