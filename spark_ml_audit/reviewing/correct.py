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

from spark_ml_audit.arrow.label_edits import ADDED, REMOVED
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.base import digest
from spark_ml_audit.config.continuing import audit_of_copy
from spark_ml_audit.config.paths import absolute, is_path, refused_by_delta
from spark_ml_audit.engines.base import count_rows, rows_of
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.columns import in_frame
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.frames.class_list import (
    CLASSES_METADATA,
    CLASSES_PROPERTY,
    class_frame,
    columns_metadata,
)
from spark_ml_audit.lake.lineage import CONTINUES_PROPERTY, origin_of, write_origins
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import check_row_names, find_run
from spark_ml_audit.lake.schemas import CORRECTED, CORRECTION_RUNS, DECISIONS, EXAMPLES, PLANS, TAG_ISSUES
from spark_ml_audit.lake.source import OpenSource, open_source
from spark_ml_audit.outcomes.runs import new_run_id, own_version
from spark_ml_audit.reviewing.audited import address_of, ingest_of, open_audited, source_of
from spark_ml_audit.reviewing.certified import accept_certified, accepted_in
from spark_ml_audit.reviewing.correction_record import (
    Correction,
    count_set_aside,
    describe_labels,
    labels_of,
    outcome_of,
    planned_rows,
    write_record,
)
from spark_ml_audit.reviewing.decisions import check_decisions, standing_decisions
from spark_ml_audit.reviewing.excluded import excluded_rows
from spark_ml_audit.reviewing.label_changes import (
    APPLIED,
    BEFORE,
    PLANNED,
    STATUS,
    LabelColumns,
    compare_rows,
    corrected_rows,
    label_columns,
    plan_rows,
    wanted_changes,
)
from spark_ml_audit.reviewing.merge import merge_plan
from spark_ml_audit.reviewing.tables import read_decisions, tables_of, with_own_id, with_plain_id
from spark_ml_audit.reviewing.undo import undo_correction
from spark_ml_audit.reviewing.unlabelled import without_tags

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditSource, CorrectConfig
    from spark_ml_audit.engines.base import Frame, Session
    from spark_ml_audit.lake.delta import Commit
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
    if outcome.undoes is not None:
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
        _check_target(correction, run, source)
    about = _begun(correction, run, source).metadata
    current = open_source(tables.engine, _unpinned(source), version=about["target_version"])
    labels = labels_of(about["labels"], current.schema)
    plan = planned_rows(tables, correction.correction_id, labels)
    num_excluded = 0
    with progress.stage(options.mode):
        if options.mode == "copy":
            target = _copy_place(correction)
            excluded = excluded_rows(tables, run) if options.decisions is True else None
            if excluded is not None:
                current, plan, num_excluded = _without(current, plan, excluded, labels)
            final = _write_copy(correction, run, current, labels, plan)
        else:
            target = address_of(source)
            final = merge_plan(tables.engine, target, labels, plan)
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
        num_excluded=num_excluded,
        accepted=() if correction.bulk_id is None else accepted_in(tables, correction.bulk_id),
    )
    if options.mode == "merge":
        return outcome
    again = audit_of_copy(source, run.config, target, tables.config, correction.config.engine)
    return replace(outcome, next_command=again)


def _without(
    current: OpenSource, plan: Frame, excluded: Frame, labels: LabelColumns
) -> tuple[OpenSource, Frame, int]:
    """The source and the plan without the rows that people excluded, and how many these are."""
    there = current.frame.join(excluded, left_on=in_frame(labels.id), right_on=ID, how="semi")
    left = current.frame.join(excluded, left_on=in_frame(labels.id), right_on=ID, how="anti")
    number = count_rows(current.engine, there)
    return replace(current, frame=left), plan.join(excluded, on=ID, how="anti"), number


# ---- the plan --------------------------------------------------------------------------------------


def _fingerprint(config: CorrectConfig) -> str:
    return digest({"correct": config.correct.model_dump(mode="json")})


def _begun(correction: Correction, run: FinishedRun, source: AuditSource) -> Commit:
    """The commit of the plan, which is made unless it was made before.

    Raises:
        ConfigError: It was made by another config.
    """
    tables, own = correction.tables, correction.correction_id
    if tables.commit_of(PLANS, own) is None:
        with correction.progress.stage("plan"):
            _write_plan(correction, run, source)
    begun = tables.commit_of(PLANS, own)
    if begun is None or begun.metadata.get("fingerprint") != _fingerprint(correction.config):
        raise ConfigError(
            f"correction {own} was begun with another config.",
            key="output.run_id",
            fix="Retry with the same correct section, or leave output.run_id out.",
        )
    return begun


def _write_plan(correction: Correction, run: FinishedRun, source: AuditSource) -> None:
    """Write which rows change, with their labels before and after, and how the table compares by now."""
    tables, own, engine = correction.tables, correction.correction_id, correction.tables.engine
    opened = open_audited(engine, run, source)
    layout = ingest_of(tables, run, source).layout
    labels = label_columns(
        opened.schema, run.id_name, layout.labels, layout.labels_format, layout.labels_delimiter
    )
    examples = with_plain_id(tables.read(EXAMPLES, run.run_id), run.id_name)
    _accept(correction, run)
    standing = _standing(correction, run, examples)
    given, accepted = examples.select(ID, "given_tags"), _accepted(correction, run)
    unlabelled = None if standing is None else without_tags(tables, run)
    if unlabelled is not None:
        given = nw.concat([given, unlabelled], how="vertical")
    changes, located = wanted_changes(engine, given, standing, accepted)
    current = open_source(engine, _unpinned(source))
    plan = plan_rows(engine, opened.frame, labels, changes, len(run.tags))
    # by the ids of the changes: those of the plan would read the audited version once more
    plan = compare_rows(engine, plan, current.frame, labels, expected=BEFORE, good=PLANNED, among=changes)
    stamped = plan.select(nw.lit(own).alias("correction_id"), nw.all())
    metadata = {
        "correction_id": own,
        "fingerprint": _fingerprint(correction.config),
        "target_version": current.version,
        "labels": describe_labels(labels),
        "set_aside": {} if located is None else count_set_aside(engine, located),
    }
    tables.append(PLANS, with_own_id(stamped, run.id_name), own, metadata, with_run_id=False)


def _accept(correction: Correction, run: FinishedRun) -> None:
    """Accept in bulk what is proved, once, as decisions of their own.

    Raises:
        ConfigError: Nothing is proved, and nothing else is to be corrected by.
    """
    tables, options, own = correction.tables, correction.config.correct, correction.bulk_id
    if own is None or options.accept_certified is None or accepted_in(tables, own):
        return
    found = accept_certified(tables, run, own, bound=options.accept_certified, who=options.who)
    if not found and options.decisions is False and options.accept_above is None:
        raise ConfigError(
            f"found {options.accept_certified:g}, but no blind random decisions prove that precision for any "
            f"open flag of run {run.run_id}.",
            key="correct.accept_certified",
            fix="Draw a sample with `spark-ml-audit sample --how certify`, have it judged, and import it; "
            "`review` says what is proved.",
        )


def _standing(correction: Correction, run: FinishedRun, examples: Frame) -> Frame | None:
    """The verdict of every decided cell; None where no decisions are to be applied."""
    options, key = correction.config.correct, "correct.decisions"
    wanted, own = options.decisions, correction.bulk_id
    if wanted is False and (own is None or not accepted_in(correction.tables, own)):
        return None
    named = wanted if isinstance(wanted, str) else None
    if named is None and options.accept_above is not None and correction.tables.existing(DECISIONS) is None:
        return None
    found = read_decisions(
        correction.tables,
        named,
        key,
        "Import some with `spark-ml-audit decide --file`, name their table, or set correct.accept_above.",
    )
    if wanted is False:  # what this correction accepted in bulk alone
        found = found.filter(nw.col("bulk_id") == own)
    engine = correction.tables.engine
    id_type = engine.schema(examples.select(ID)).field(ID).type
    checked = check_decisions(engine, found, run.id_name, id_type, key)
    return standing_decisions(engine, checked, run.tags)


def _accepted(correction: Correction, run: FinishedRun) -> Frame | None:
    """The flagged cells that are sure enough to be changed without a person."""
    tables, limit = correction.tables, correction.config.correct.accept_above
    if limit is None:
        return None
    issues = with_plain_id(tables.read(TAG_ISSUES, run.run_id), run.id_name)
    is_missing = nw.col("issue") == "missing"
    prob = nw.col("pred_prob")
    sure = (is_missing & (prob >= limit)) | (~is_missing & (1 - prob >= limit))
    known = class_frame(tables.engine, run.tags)
    action = nw.when(is_missing).then(nw.lit(ADDED)).otherwise(nw.lit(REMOVED)).alias("action")
    found = issues.filter(sure).join(known, on="tag", how="inner")
    return found.select(ID, "tag", "class_index", action, "pred_prob")


# ---- the change ------------------------------------------------------------------------------------


def _copy_place(correction: Correction) -> str:
    to = correction.config.correct.to
    if to is None:
        return correction.tables.location(CORRECTED)
    return absolute(to) if is_path(to) else to


def _check_target(correction: Correction, run: FinishedRun, source: AuditSource) -> None:
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
    target = _copy_place(correction)
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
    correction: Correction, run: FinishedRun, current: OpenSource, labels: LabelColumns, plan: Frame
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
    tables, name = tables_of(engine, _copy_place(correction))
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


def _unpinned(source: AuditSource) -> AuditSource:
    """Where a source is, whatever version it was told to read; its own columns alone."""
    return source.model_copy(update={"version": None, "pred_probs_from": None})
