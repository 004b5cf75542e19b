"""`undo`: a correction taken back, its rows given their old labels byte for byte, those left out put back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.base import count_rows, rows_of
from spark_ml_audit.engines.columns import column, in_frame
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.lake.schemas import CORRECTION_RUNS, CORRECTIONS
from spark_ml_audit.lake.source import newest_version, open_source
from spark_ml_audit.reviewing.audited import source_of
from spark_ml_audit.reviewing.certified import accepted_in, undo_accept
from spark_ml_audit.reviewing.correction_record import (
    Correction,
    bulk_id_of,
    labels_of,
    planned_rows,
    write_record,
)
from spark_ml_audit.reviewing.label_changes import APPLIED, LEFT_OUT, STATUS, LabelColumns
from spark_ml_audit.reviewing.merge import merge_plan
from spark_ml_audit.reviewing.plans import unpinned
from spark_ml_audit.reviewing.tables import tables_of

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditSource
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.outcomes.review import CorrectOutcome


def undo_correction(correction: Correction, undone: str) -> CorrectOutcome:
    """Give the rows that a correction changed their labels back, and a copy the rows that it left out.

    Args:
        correction: The correction that this is.
        undone: correction_id of the one to take back.

    Raises:
        ConfigError: There is no such correction, or a later copy took its place.
        InputError: The corrected table cannot be written, or rows that were left out cannot be read any more.
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
        whole = planned_rows(tables, undone, labels)
        plan = whole.join(ids, on=ID, how="semi")
    with progress.stage("merge"):
        num_restored = _restore_rows(correction, row, whole, labels) if row.get("num_excluded") else 0
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
        num_restored=num_restored,
        undoes=undone,
    )


def _restore_rows(correction: Correction, row: Mapping[str, Any], plan: Frame, labels: LabelColumns) -> int:
    """Bring the rows that a copy left out back, as they were in the source then; how many.

    Those that are in the copy again stay as they are there. Done once: a repeat finds its own commit.

    Raises:
        InputError: The source cannot be read as it was.
    """
    tables, own = correction.tables, correction.correction_id
    engine = tables.engine
    copies, name = tables_of(engine, row["target"])
    known = copies.commit_of(name, own)
    if known is None:
        source = source_of(find_run(tables, row["run_id"], "correct.undo"), correction.config.source)
        then = _source_then(engine, source, row["target_version"])
        out = plan.filter(nw.col(STATUS) == LEFT_OUT).select(ID)
        there = copies.read(name).select(column(labels.id).alias(ID)).unique()
        gone = out.join(there, on=ID, how="anti")
        rows = then.join(gone, left_on=in_frame(labels.id), right_on=ID, how="semi")
        metadata = {"correction_id": own, "num_restored": count_rows(engine, rows)}
        copies.append(name, rows, own, metadata, with_run_id=False)
        known = copies.commit_of(name, own)
    return 0 if known is None else int(known.metadata["num_restored"])


def _source_then(engine: Engine, source: AuditSource, version: str | None) -> Frame:
    """The source as it was when a copy of it was written."""
    fix = (
        "A Delta table keeps a version until it is vacuumed: restore the source, or copy the rows by hand; "
        "their ids are in correction_plans, with status left_out."
    )
    try:
        opened = open_source(engine, unpinned(source), version=version)
    except InputError as error:
        raise InputError(
            f"the copy had left rows out, and they cannot be brought back: {error.message}",
            key="correct.undo",
            fix=fix,
        ) from error
    if opened.version != version:
        raise InputError(
            f"the copy had left rows out, and they cannot be brought back: the files of '{source.name}' "
            "changed since.",
            key="correct.undo",
            fix=fix,
        )
    return opened.frame


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
