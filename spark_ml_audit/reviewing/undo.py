"""`undo`: a correction taken back, its rows given their old labels byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.columns import column
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.lake.schemas import CORRECTION_RUNS, CORRECTIONS
from spark_ml_audit.lake.source import newest_version
from spark_ml_audit.reviewing.certified import accepted_in, undo_accept
from spark_ml_audit.reviewing.correction_record import (
    Correction,
    bulk_id_of,
    labels_of,
    planned_rows,
    write_record,
)
from spark_ml_audit.reviewing.label_changes import APPLIED, STATUS
from spark_ml_audit.reviewing.merge import merge_plan

if TYPE_CHECKING:
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.review import CorrectOutcome


def undo_correction(correction: Correction, undone: str) -> CorrectOutcome:
    """Give the rows that a correction changed their labels back.

    Args:
        correction: The correction that this is.
        undone: correction_id of the one to take back.

    Raises:
        ConfigError: There is no such correction, or a later copy took its place.
        InputError: The corrected table cannot be written.
    """
    tables, progress = correction.tables, correction.progress
    with progress.stage("run"):
        row = _to_undo(tables, undone)
        target = row["target"]
        now = newest_version(tables.engine, target, "correct.undo")
        labels = labels_of(json.loads(row["labels"]), now.schema)
        applied = tables.read(CORRECTIONS).filter(
            (nw.col("correction_id") == undone) & (nw.col(STATUS) == APPLIED)
        )
        ids = applied.select(column(labels.id).alias(ID)).unique()
        plan = planned_rows(tables, undone, labels).join(ids, on=ID, how="semi")
    with progress.stage("merge"):
        final = merge_plan(tables.engine, target, labels, plan, undo=True)
    if accepted_in(tables, bulk_id_of(undone)):
        # else the next correction would make the same changes again
        run = find_run(tables, row["run_id"], "correct.undo")
        undo_accept(tables, run, bulk_id_of(undone), correction.config.correct.who)
    return write_record(
        correction,
        final,
        labels,
        run_id=row["run_id"],
        source_version=row["source_version"],
        mode=row["mode"],
        target=target,
        target_version=now.version,
        set_aside={},
        undoes=undone,
    )


def _to_undo(tables: OutputTables, undone: str) -> dict[str, Any]:
    runs = tables.existing(CORRECTION_RUNS)
    named = None if runs is None else runs.filter(nw.col("correction_id") == undone).head(1)
    rows = [] if named is None else rows_of(tables.engine, named)
    if runs is None or not rows or rows[0]["undoes"] is not None:
        raise ConfigError(
            f"'{tables.location(CORRECTION_RUNS)}' names no correction {undone}.",
            key="correct.undo",
            fix="Give the correction_id that `correct` reported, and the output it was given.",
        )
    row = rows[0]
    if row["mode"] == "copy":
        later = runs.filter(nw.col("undoes").is_null() & (nw.col("target") == row["target"]))
        newest = later.sort("corrected_at", descending=True).head(1).select("correction_id")
        (found,) = rows_of(tables.engine, newest)
        if found["correction_id"] != undone:
            raise ConfigError(
                f"the copy '{row['target']}' was written anew by correction {found['correction_id']}.",
                key="correct.undo",
                fix="Take that one back, or write a new copy.",
            )
    return row
