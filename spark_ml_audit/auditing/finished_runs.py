"""A run that finished earlier, as a retry with its id gets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from spark_ml_audit.auditing.delivery import WORST_CLASSES, worst_classes
from spark_ml_audit.outcomes.audit import AuditOutcome
from spark_ml_audit.outcomes.base import status_of
from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult

if TYPE_CHECKING:
    from spark_ml_audit.lake.output import OutputTables


def outcome_of_row(row: dict[str, Any], tables: OutputTables, report: str | None) -> AuditOutcome:
    """The outcome of a run that finished earlier, from its row in `runs` and its class table.

    Args:
        row: Its row in `runs`.
        tables: The output.
        report: Path of its report, if that is there.
    """
    results = tuple(GateResult(**gate) for gate in json.loads(row["gates"]))
    classes = tuple(
        ClassRow.from_mapping(found.asDict()) for found in tables.read("classes", row["run_id"]).collect()
    )
    delivered = row["mlflow_run_id"] is not None
    return AuditOutcome(
        run_id=row["run_id"],
        status=status_of(results, delivered=delivered),
        delivered=delivered,
        counts=Counts.from_mapping(row),
        tables=tables.locations(duplicates=row.get("num_duplicate_groups") is not None),
        report=report,
        mlflow_run_id=row["mlflow_run_id"],
        gates=results,
        stages=json.loads(row["stages"] or "{}"),
        warnings=tuple(json.loads(row["warnings"] or "[]")),
        source=row["source"],
        source_version=row["source_version"],
        worst_classes=worst_classes(classes, WORST_CLASSES),
        already_finished=True,
    )
