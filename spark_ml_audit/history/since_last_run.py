"""What an audit says of the run before it: for its gates, its MLflow run, its report and its summary."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spark_ml_audit.history.changes import flagged_by_tag, flags_of_both
from spark_ml_audit.history.differences import (
    class_changes,
    counts_by_tag,
    differences,
    most_changed,
    tags_of,
)
from spark_ml_audit.outcomes.history import CHANGES, ChangeCounts, Comparison

if TYPE_CHECKING:
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.runs import FinishedRun
    from spark_ml_audit.tracking import RunDelivery


def since_last_run(tables: OutputTables, run: FinishedRun, previous: FinishedRun) -> Comparison:
    """Compare a run with the one before it, from flagged cells and class tables alone.

    Rows count by their flagged cells, no reason is looked for and no unflagged row is read: the command
    `compare` does that.

    Args:
        tables: The output; the run's `tag_issues` are written.
        run: The run.
        previous: The one before, here or in another output.
    """
    id_name = tables.id_name()
    flags = flags_of_both(tables, run, previous, id_name)
    flagged = flagged_by_tag(flags, run.run_id, previous.run_id, id_name)
    by_tag, rows = counts_by_tag(tables.engine, flagged)
    totals = (sum(getattr(counts, name) for counts in by_tag.values()) for name in CHANGES)
    changes = class_changes(run.classes, previous.classes, by_tag)
    return Comparison(
        run=run.ref,
        against=previous.ref,
        rows=rows,
        cells=ChangeCounts(*totals),
        classes=most_changed(changes),
        num_classes=len(run.classes),
        classes_came=tags_of(change for change in changes if change.before is None),
        classes_went=tags_of(change for change in changes if change.now is None),
        notes=tuple(differences(run, previous)),
    )


def add_since(delivery: RunDelivery, since: Comparison | None) -> RunDelivery:
    """Put "since the last run" among what an audit's MLflow run gets."""
    if since is None:
        return delivery
    import pandas as pd

    changed = pd.DataFrame([change.to_dict() for change in since.classes])
    return replace(
        delivery,
        metrics={**delivery.metrics, **since.metrics("since_last_run")},
        tables={**delivery.tables, **({"class_changes": changed} if len(changed) else {})},
        artifacts={**delivery.artifacts, "since_last_run.json": since.to_dict()},
    )
