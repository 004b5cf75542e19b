"""What is kept of a correction: its row in `correction_runs`, and what it tells people."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.outcomes.review import CorrectOutcome
from spark_ml_audit.reviewing.decisions import STANDING
from spark_ml_audit.reviewing.label_changes import LabelColumns, label_columns
from spark_ml_audit.reviewing.tables import CORRECTED, CORRECTION_RUNS, CORRECTIONS, seconds

if TYPE_CHECKING:
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.progress import Progress

COUNTS = ("num_rows_changed", "num_tags_added", "num_tags_removed", "num_stale", "num_gone")
RUN_SCHEMA = T.StructType(
    [
        *[
            T.StructField(name, T.StringType())
            for name in ("correction_id", "run_id", "mode", "undoes", "target", "target_version")
        ],
        T.StructField("source_version", T.StringType()),
        T.StructField("corrected_at", T.TimestampType()),
        *[T.StructField(name, T.LongType()) for name in COUNTS],
        *[T.StructField(name, T.StringType()) for name in ("labels", "set_aside", "config", "warnings")],
    ]
)


def describe_labels(labels: LabelColumns) -> dict[str, Any]:
    """Label columns as plain data, but their types."""
    return {
        "id": labels.id,
        "names": list(labels.names),
        "labels_format": labels.labels_format,
        "delimiter": labels.delimiter,
    }


def labels_of(described: dict[str, Any], frame: DataFrame) -> LabelColumns:
    """Label columns from `describe_labels`, with the types that a table gives them."""
    return label_columns(
        frame,
        described["id"],
        tuple(described["names"]),
        described["labels_format"],
        described["delimiter"],
    )


def count_set_aside(located: DataFrame) -> dict[str, int]:
    """Decisions that change nothing because they cannot be used, by reason."""
    reason = (
        F.when(F.col("state") != STANDING, F.col("state"))
        .when(F.col("row_audited").isNull(), "row_not_audited")
        .when(F.col("verdict") == "unsure", "unsure")
    )
    counted = located.select(reason.alias("reason")).where("reason IS NOT NULL").groupBy("reason").count()
    return {row["reason"]: row["count"] for row in counted.orderBy("reason").collect()}


_SAID = {
    "contradictory": "contradict each other (another verdict at the same time)",
    "tag_unknown": "name a tag that is no class",
    "verdict_unknown": "have an unknown verdict",
    "id_null": "name no row",
    "row_not_audited": "name a row that the audit did not judge (unknown, unlabelled or quarantined)",
    "unsure": "are unsure",
}


def warnings_of(counts: dict[str, int], set_aside: dict[str, int]) -> list[str]:
    """Sentences on rows and decisions that were left alone."""
    found = []
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


def outcome_of(
    row: dict[str, Any], tables: OutputTables, progress: Progress, *, already_finished: bool = False
) -> CorrectOutcome:
    """The outcome of a correction, from its row of `correction_runs`."""
    named = {name: tables.location(name) for name in (CORRECTIONS, CORRECTION_RUNS)}
    return CorrectOutcome(
        **{name: row[name] for name in ("correction_id", "run_id", "mode", "undoes", "target")},
        target_version=row["target_version"],
        **{name: row[name] for name in COUNTS},
        set_aside=json.loads(row["set_aside"]),
        tables={CORRECTED if row["mode"] == "copy" else "source": row["target"], **named},
        warnings=tuple(json.loads(row["warnings"])),
        stages=seconds(progress),
        already_finished=already_finished,
    )
