"""The plan of a correction: which rows change, with their labels before and after, and which are left out.

It is made once and written before anything is changed: a retry follows the same plan, and whoever takes the
correction back finds in it what was done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.label_edits import ADDED, REMOVED
from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.base import digest
from spark_ml_audit.config.paths import absolute, is_path
from spark_ml_audit.engines.base import Batches, count_rows
from spark_ml_audit.engines.columns import column
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.frames.class_list import class_frame
from spark_ml_audit.lake.schemas import DECISIONS, EXAMPLES, PLANS, TAG_ISSUES
from spark_ml_audit.lake.source import open_source
from spark_ml_audit.reviewing.audited import ingest_of, open_audited
from spark_ml_audit.reviewing.certified import accept_certified, accepted_in
from spark_ml_audit.reviewing.correction_record import count_set_aside, describe_labels
from spark_ml_audit.reviewing.decisions import check_decisions, standing_decisions
from spark_ml_audit.reviewing.excluded import excluded_rows
from spark_ml_audit.reviewing.going_on import next_copy
from spark_ml_audit.reviewing.label_changes import (
    AFTER,
    BEFORE,
    CHANGES,
    LEFT_OUT,
    PLANNED,
    STATUS,
    LabelColumns,
    compare_rows,
    label_columns,
    plan_rows,
    wanted_changes,
)
from spark_ml_audit.reviewing.tables import read_decisions, with_own_id, with_plain_id
from spark_ml_audit.reviewing.unlabelled import without_tags

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditSource, CorrectConfig
    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.lake.delta import Commit
    from spark_ml_audit.outcomes.runs import FinishedRun
    from spark_ml_audit.reviewing.correction_record import Correction


@dataclass(frozen=True)
class CorrectionPlan:
    """What a correction is going to do.

    Attributes:
        rows: Columns id, before, after, changes, status: planned, stale, gone; left_out, without labels, of
            rows that a copy leaves out.
        labels: Label columns of the source.
        target_version: Version of the source that the rows were compared with.
        set_aside: Reason -> decisions without effect.
        num_excluded: Rows of the source that people excluded.
    """

    rows: Frame
    labels: LabelColumns
    target_version: str | None
    set_aside: Mapping[str, int]
    num_excluded: int


def copy_place(correction: Correction, run: FinishedRun, source: AuditSource) -> str:
    """Where the corrected copy goes: as told, else to a place that no correction of another audit wrote."""
    to = correction.config.correct.to
    if to is None:
        return next_copy(correction.tables, run, source)
    return absolute(to) if is_path(to) else to


def unpinned(source: AuditSource) -> AuditSource:
    """Where a source is, whatever version it was told to read; its own columns alone."""
    return source.model_copy(update={"version": None, "pred_probs_from": None})


def _fingerprint(config: CorrectConfig) -> str:
    return digest({"correct": config.correct.model_dump(mode="json", exclude={"preview"})})


def begun_plan(correction: Correction, run: FinishedRun, source: AuditSource, target: str) -> Commit:
    """The commit of the plan, which is made unless it was made before.

    Args:
        correction: The correction.
        run: The audit.
        source: How its source is read.
        target: What is written, as far as it is not begun yet.

    Raises:
        ConfigError: It was made by another config.
    """
    tables, own = correction.tables, correction.correction_id
    if tables.commit_of(PLANS, own) is None:
        with correction.progress.stage("plan"):
            _accept(correction, run)
            _write(correction, make_plan(correction, run, source), target)
    begun = tables.commit_of(PLANS, own)
    if begun is None or begun.metadata.get("fingerprint") != _fingerprint(correction.config):
        raise ConfigError(
            f"correction {own} was begun with another config.",
            key="output.run_id",
            fix="Retry with the same correct section, or leave output.run_id out.",
        )
    return begun


def _write(correction: Correction, plan: CorrectionPlan, target: str) -> None:
    own = correction.correction_id
    stamped = plan.rows.select(nw.lit(own).alias("correction_id"), nw.all())
    metadata = {
        "correction_id": own,
        "fingerprint": _fingerprint(correction.config),
        "target": target,
        "target_version": plan.target_version,
        "labels": describe_labels(plan.labels),
        "set_aside": dict(plan.set_aside),
        "num_excluded": plan.num_excluded,
    }
    rows = with_own_id(stamped, plan.labels.id)
    correction.tables.append(PLANS, rows, own, metadata, with_run_id=False)


def make_plan(correction: Correction, run: FinishedRun, source: AuditSource) -> CorrectionPlan:
    """Which rows change, with their labels before and after, and how the table compares by now.

    Args:
        correction: The correction.
        run: The audit.
        source: How its source is read.
    """
    tables, engine, options = correction.tables, correction.tables.engine, correction.config.correct
    opened = open_audited(engine, run, source)
    layout = ingest_of(tables, run, source).layout
    labels = label_columns(
        opened.schema, run.id_name, layout.labels, layout.labels_format, layout.labels_delimiter
    )
    examples = with_plain_id(tables.read(EXAMPLES, run.run_id), run.id_name)
    standing = _standing(correction, run, examples)
    given, accepted = examples.select(ID, "given_tags"), _accepted(correction, run)
    unlabelled = None if standing is None else without_tags(tables, run)
    if unlabelled is not None:
        given = nw.concat([given, unlabelled], how="vertical")
    changes, located = wanted_changes(engine, given, standing, accepted)
    current = open_source(engine, unpinned(source))
    excluded = excluded_rows(tables, run) if options.decisions is True else None
    num_excluded = 0
    if excluded is not None:
        ids = current.frame.select(column(labels.id).alias(ID)).join(excluded, on=ID, how="semi")
        num_excluded = count_rows(engine, ids)
    if options.mode == "copy" and num_excluded and excluded is not None:
        changes = changes.join(excluded, on=ID, how="anti")
    plan = plan_rows(engine, opened.frame, labels, changes, len(run.tags))
    # by the ids of the changes: those of the plan would read the audited version once more
    rows = compare_rows(engine, plan, current.frame, labels, expected=BEFORE, good=PLANNED, among=changes)
    if options.mode == "copy" and num_excluded:
        rows = nw.concat([rows, _left_out(engine, ids.unique(), rows)], how="vertical")
    set_aside = {} if located is None else count_set_aside(engine, located)
    return CorrectionPlan(rows, labels, current.version, set_aside, num_excluded)


def _left_out(engine: Engine, ids: Frame, like: Frame) -> Frame:
    """Rows of a plan that stand for rows that the copy does not get."""
    added = pa.schema([engine.schema(like).field(name) for name in (BEFORE, AFTER, CHANGES, STATUS)])

    def run(batches: Batches) -> Batches:
        for batch in batches:
            nothing = [pa.nulls(batch.num_rows, added.field(name).type) for name in (BEFORE, AFTER, CHANGES)]
            status = pa.array([LEFT_OUT] * batch.num_rows, added.field(STATUS).type)
            yield pa.RecordBatch.from_arrays([batch.column(ID), *nothing, status], names=[ID, *added.names])

    return engine.map_batches(ids, run, keep=(ID,), add=added)


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
