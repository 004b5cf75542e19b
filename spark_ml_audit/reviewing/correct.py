"""`correct`: labels changed by decisions and by confidence, in a copy or in the source.

Order of a correction: the plan (rows with their labels before and after), the change itself, `corrections`,
and last the row of `correction_runs` that makes it count. Every step does nothing when it was done before, so
a killed correction is completed by a retry with its id.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import narwhals as nw

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.continuing import audit_of_copy
from spark_ml_audit.config.paths import refused_by_delta
from spark_ml_audit.engines.base import rows_of
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.columns import in_frame
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.frames.class_list import (
    CLASSES_METADATA,
    CLASSES_PROPERTY,
    columns_metadata,
)
from spark_ml_audit.lake.lineage import CONTINUES_PROPERTY, origin_of, write_origins
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import check_row_names, find_run
from spark_ml_audit.lake.schemas import CORRECTION_RUNS
from spark_ml_audit.lake.source import OpenSource, open_source
from spark_ml_audit.outcomes.runs import new_run_id, own_version
from spark_ml_audit.reviewing.audited import address_of, source_of
from spark_ml_audit.reviewing.certified import accepted_in
from spark_ml_audit.reviewing.correction_record import (
    Correction,
    labels_of,
    outcome_of,
    planned_rows,
    write_record,
)
from spark_ml_audit.reviewing.label_changes import (
    APPLIED,
    LEFT_OUT,
    PLANNED,
    STATUS,
    LabelColumns,
    corrected_rows,
)
from spark_ml_audit.reviewing.merge import merge_plan
from spark_ml_audit.reviewing.plans import begun_plan, copy_place, make_plan, unpinned
from spark_ml_audit.reviewing.preview import preview_outcome
from spark_ml_audit.reviewing.tables import tables_of
from spark_ml_audit.reviewing.undo import undo_correction

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditSource, CorrectConfig
    from spark_ml_audit.engines.base import Frame, Session
    from spark_ml_audit.outcomes.review import CorrectOutcome
    from spark_ml_audit.outcomes.runs import FinishedRun
    from spark_ml_audit.progress import Progress

_MARKER = '"correction_id"'


def run_correct(config: CorrectConfig, progress: Progress, spark: Session | None = None) -> CorrectOutcome:
    """Correct the labels of an audited table, or take a correction back (`correct.undo`).

    Args:
        config: The effective config; its `output.run_id` is the correction_id of a try to complete.
        progress: Shows and times the stages.
        spark: Session to use; the active or a new local one by default.

    Raises:
        ConfigError: There is no such run or correction, or no place to write to.
        InputError: The source or the decisions cannot be used.
    """
    with progress.stage("session"):
        tables = OutputTables(choose_engine(config.engine, spark), config.output)
    correction = Correction(tables, config, progress, config.output.run_id or new_run_id())
    outcome, undone = _finished(correction), config.correct.undo
    if outcome is None:
        outcome = undo_correction(correction, undone) if undone is not None else _correct(correction)
    if outcome.undoes is not None or outcome.is_preview:
        return outcome
    settings = {"correct.undo": outcome.correction_id, **config.engine.settings}
    return replace(outcome, undo_command=config.output.command("correct", settings))


def _finished(correction: Correction) -> CorrectOutcome | None:
    """The outcome of a correction that was done before."""
    tables, undone = correction.tables, correction.config.correct.undo
    runs = tables.existing(CORRECTION_RUNS)
    if runs is None:
        return None
    same = nw.col("correction_id") == correction.correction_id
    if undone is not None:
        same = same | (nw.col("undoes") == undone)
    rows = rows_of(tables.engine, runs.filter(same).head(1))
    if not rows:
        return None
    correction.progress.note(
        f"correction {rows[0]['correction_id']} is finished already; nothing was changed"
    )
    return outcome_of(rows[0], tables, correction.progress, already_finished=True)


def _correct(correction: Correction) -> CorrectOutcome:
    tables, progress, options = correction.tables, correction.progress, correction.config.correct
    with progress.stage("run"):
        run = find_run(tables, options.run, "correct.run")
        check_row_names(tables, run, "correct.run")
        source = source_of(run, correction.config.source)
        is_copy = options.mode == "copy"
        target = copy_place(correction, run, source) if is_copy else address_of(source)
        _check_target(correction, run, source, target)
    if options.preview:
        with progress.stage("plan"):
            return preview_outcome(correction, run, make_plan(correction, run, source), target)
    about = begun_plan(correction, run, source, target).metadata
    target = about.get("target", target)  # of a plan that is followed again
    current = open_source(tables.engine, unpinned(source), version=about["target_version"])
    labels = labels_of(about["labels"], current.schema)
    plan = planned_rows(tables, correction.correction_id, labels)
    with progress.stage(options.mode):
        if is_copy:
            current, plan = _without(current, plan, labels)
            final = _write_copy(correction, run, current, labels, plan, target)
        else:
            final = merge_plan(tables.engine, target, labels, plan)
    num_excluded = about.get("num_excluded", 0)
    outcome = write_record(
        correction,
        final,
        labels,
        run_id=run.run_id,
        source_version=run.ref.source_version,
        mode=options.mode,
        target=target,
        target_version=about["target_version"],
        set_aside=about["set_aside"],
        num_excluded=num_excluded if is_copy else 0,
        num_kept=0 if is_copy else num_excluded,
        accepted=() if correction.bulk_id is None else accepted_in(tables, correction.bulk_id),
    )
    if not is_copy:
        return outcome
    again = audit_of_copy(source, run.config, target, tables.config, correction.config.engine)
    return replace(outcome, next_command=again)


def _without(current: OpenSource, plan: Frame, labels: LabelColumns) -> tuple[OpenSource, Frame]:
    """The source and the plan without the rows that the plan leaves out."""
    is_out = nw.col(STATUS) == LEFT_OUT
    out = plan.filter(is_out).select(ID)
    left = current.frame.join(out, left_on=in_frame(labels.id), right_on=ID, how="anti")
    return replace(current, frame=left), plan.filter(~is_out)


# ---- the change ------------------------------------------------------------------------------------


def _check_target(correction: Correction, run: FinishedRun, source: AuditSource, target: str) -> None:
    """Refuse to write where no correction belongs.

    Raises:
        ConfigError: A merge into what is no Delta table, a copy onto the source or onto a table of others.
    """
    if correction.config.correct.mode == "merge":
        if not (own_version(run.ref.source_version) or "").isdecimal():
            raise ConfigError(
                f"found merge, but the source '{source.name}' is no Delta table.",
                key="correct.mode",
                fix="Set correct.mode to copy.",
            )
        return
    if target.rstrip("/") == address_of(source).rstrip("/"):
        raise ConfigError(
            f"'{target}' is the source itself.",
            key="correct.to",
            fix="Name another place for the copy, or set correct.mode to merge.",
        )
    tables, name = tables_of(correction.tables.engine, target)
    if tables.existing(name) is not None and tables.table(name).has_foreign_commits(_MARKER):
        raise ConfigError(
            f"'{target}' holds a table that no correction wrote.",
            key="correct.to",
            fix="Name a place that is empty, or that an earlier correction wrote.",
        )


def _write_copy(
    correction: Correction,
    run: FinishedRun,
    current: OpenSource,
    labels: LabelColumns,
    plan: Frame,
    target: str,
) -> Frame:
    """Write the copy, which knows what it continues; the plan with the status that every row has now."""
    engine, own = correction.tables.engine, correction.correction_id
    odd = next((name for name in current.schema.names if refused_by_delta(name) is not None), None)
    if odd is not None:
        raise InputError(
            f"the column name '{odd}' is one that a new Delta table refuses.",
            key="correct.mode",
            fix="Set correct.mode to merge, or rename the column in the source and audit it again.",
        )
    tables, name = tables_of(engine, target)
    origin = origin_of(run.ref, own, correction.tables.config)
    kept = {key: value for key, value in current.properties.items() if key == CLASSES_PROPERTY}
    kept[CONTINUES_PROPERTY] = write_origins([origin, *run.continues])
    about_columns = columns_metadata(current.schema)
    if run.config["source"].get("classes") is not None:  # a list of the config's: the copy knows it by itself
        kept[CLASSES_PROPERTY] = json.dumps(run.tags)
        about_columns = {
            column: {key: text for key, text in about.items() if key != CLASSES_METADATA}
            for column, about in about_columns.items()
        }
    tables.create_schema()
    rows = corrected_rows(engine, current.frame, current.schema.names, labels, plan)
    tables.overwrite(name, rows, own, {"correction_id": own}, kept, about_columns)
    status = nw.col(STATUS)
    return plan.with_columns(nw.when(status == PLANNED).then(nw.lit(APPLIED)).otherwise(status).alias(STATUS))
