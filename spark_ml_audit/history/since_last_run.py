"""What an audit says of the run before it: for its gates, its MLflow run, its report and its summary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from spark_ml_audit.history.changes import flagged_cells_by_tag, flagged_rows
from spark_ml_audit.history.differences import (
    class_changes,
    counts_by_tag,
    differences,
    most_changed,
    tags_of,
)
from spark_ml_audit.lake.runs import RunRecord, classes_of, previous_run, run_ref
from spark_ml_audit.lake.schemas import id_field
from spark_ml_audit.outcomes.history import CHANGES, ChangeCounts, Comparison, Earlier
from spark_ml_audit.outcomes.records import ClassRow
from spark_ml_audit.tracking import RunDelivery

if TYPE_CHECKING:
    from spark_ml_audit.lake.output import OutputTables


@dataclass(frozen=True)
class LastRun:
    """The finished run of the same source before another one.

    Attributes:
        record: Its row in `runs`.
        classes: Its class table.
    """

    record: RunRecord
    classes: tuple[ClassRow, ...]

    def for_gates(self) -> Earlier:
        """What gates on an increase need of it."""
        ref = self.record.ref
        return Earlier(ref.run_id, ref.issue_fraction, {row.tag: row for row in self.classes})


def last_run(tables: OutputTables, run_id: str, source: str) -> LastRun | None:
    """The finished run of the same source that began last before a run, or None."""
    found = previous_run(tables, run_id, source)
    return None if found is None else LastRun(found, classes_of(tables, found.ref.run_id))


def since_last_run(
    tables: OutputTables, row: Mapping[str, Any], classes: Sequence[ClassRow], last: LastRun
) -> Comparison:
    """Compare a run with the one before it, from flagged cells and class tables alone.

    Rows count by their flagged cells, no reason is looked for and no unflagged row is read: the command
    `compare` does that.

    Args:
        tables: The output; the run's `tag_issues` are written.
        row: Its row in `runs`.
        classes: Its class table.
        last: The run before.
    """
    run = RunRecord(run_ref(row), json.loads(row["config"]), (), None)
    now, before = (tables.read("tag_issues", ref.run_id) for ref in (run.ref, last.record.ref))
    named = id_field(now.schema)
    id_name = named.name if named is not None else ""
    by_tag = counts_by_tag(flagged_cells_by_tag(now, before, id_name))
    (rows,) = flagged_rows(now, before, id_name).collect()
    totals = (sum(getattr(counts, name) for counts in by_tag.values()) for name in CHANGES)
    changes = class_changes(classes, last.classes, by_tag)
    return Comparison(
        run=run.ref,
        against=last.record.ref,
        rows=ChangeCounts(*rows),
        cells=ChangeCounts(*totals),
        classes=most_changed(changes),
        num_classes=len(classes),
        classes_came=tags_of(change for change in changes if change.before is None),
        classes_went=tags_of(change for change in changes if change.now is None),
        notes=tuple(differences(run, last.record)),
    )


def add_since(delivery: RunDelivery, since: Comparison | None) -> RunDelivery:
    """Put "since the last run" among what an audit's MLflow run gets."""
    if since is None:
        return delivery
    changed = pd.DataFrame([change.to_json() for change in since.classes])
    return replace(
        delivery,
        metrics={**delivery.metrics, **since.metrics("since_last_run")},
        tables={**delivery.tables, **({"class_changes": changed} if len(changed) else {})},
        artifacts={**delivery.artifacts, "since_last_run.json": since.to_json()},
    )
