"""`correct`: labels changed by decisions and by confidence, in a copy or in the source, and taken back.

Order of a correction: the plan (rows with their labels before and after), the change itself, `corrections`,
and last the row of `correction_runs` that makes it count. Every step does nothing when it was done before, so
a killed correction is completed by a retry with its id.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config.base import digest
from spark_ml_audit.engines.columns import column
from spark_ml_audit.engines.session import session_for
from spark_ml_audit.engines.transfer import local_frame
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.delta_spark import has_foreign_history
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.places import absolute
from spark_ml_audit.lake.source import OpenSource, newest_version, open_source, read_place
from spark_ml_audit.outcomes.review import CorrectOutcome
from spark_ml_audit.outcomes.run_id import new_run_id
from spark_ml_audit.reviewing.audited import PastRun, absolute_source, find_run, ingest_of, open_audited
from spark_ml_audit.reviewing.correction_record import (
    RUN_SCHEMA,
    count_set_aside,
    describe_labels,
    labels_of,
    outcome_of,
    warnings_of,
)
from spark_ml_audit.reviewing.decisions import check_decisions, class_frame, standing_decisions
from spark_ml_audit.reviewing.label_changes import (
    ADDED,
    AFTER,
    APPLIED,
    BEFORE,
    GONE,
    PLANNED,
    REMOVED,
    STALE,
    STATUS,
    LabelColumns,
    change_rows,
    compare_rows,
    corrected_rows,
    label_columns,
    plan_rows,
    wanted_changes,
)
from spark_ml_audit.reviewing.merge import merge_labels
from spark_ml_audit.reviewing.tables import (
    CORRECTED,
    CORRECTION_RUNS,
    CORRECTIONS,
    DECISIONS,
    PLANS,
    tables_of,
    with_own_id,
    with_plain_id,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_ml_audit.config import CorrectConfig
    from spark_ml_audit.progress import Progress

_CLASSES_PROPERTY = "spark_ml_audit.classes"
_MARKER = '"correction_id"'


def run_correct(
    config: CorrectConfig, progress: Progress, spark: SparkSession | None = None
) -> CorrectOutcome:
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
        session = session_for(spark)
    tables = OutputTables(session, config.output)
    correction_id = config.output.run_id or new_run_id()
    runs = tables.existing(CORRECTION_RUNS)
    if runs is not None:
        same = F.col("correction_id") == correction_id
        if config.correct.undo is not None:
            same |= F.col("undoes") == config.correct.undo
        rows = runs.where(same).limit(1).collect()
        if rows:
            progress.note(f"correction {rows[0]['correction_id']} is finished already; nothing was changed")
            return outcome_of(rows[0].asDict(), tables, progress, already_finished=True)
    work = _Correction(session, tables, config, progress, correction_id)
    return work.undo(config.correct.undo) if config.correct.undo is not None else work.execute()


@dataclass
class _Correction:
    session: SparkSession
    tables: OutputTables
    config: CorrectConfig
    progress: Progress
    correction_id: str

    def execute(self) -> CorrectOutcome:
        options, progress, tables = self.config.correct, self.progress, self.tables
        with progress.stage("run"):
            run = find_run(tables, options.run, "correct.run", self.config.source)
            place = absolute_source(run.source)
            self._check_target(run, place)
        begun = tables.commit_of(PLANS, self.correction_id)
        if begun is None:
            with progress.stage("plan"):
                self._plan(run)
            begun = tables.commit_of(PLANS, self.correction_id)
        about = (begun or (0, {}))[1]
        if about.get("fingerprint") != self._fingerprint():
            raise ConfigError(
                f"correction {self.correction_id} was begun with another config.",
                key="output.run_id",
                fix="Retry with the same correct section, or leave output.run_id out.",
            )
        current = open_source(self.session, _unpinned(run), version=about["target_version"])
        labels = labels_of(about["labels"], current.frame)
        plan = self._planned(self.correction_id, labels)
        to = self._copy_place() if options.mode == "copy" else place
        with progress.stage(options.mode):
            if options.mode == "copy":
                self._write_copy(current, labels, plan)
                final = plan.withColumn(
                    STATUS, F.when(F.col(STATUS) == PLANNED, APPLIED).otherwise(F.col(STATUS))
                )
            else:
                final = self._merge(place, labels, plan, undo=False)
        return self._conclude(
            final,
            labels,
            run_id=run.run_id,
            source_version=run.version,
            mode=options.mode,
            target=to,
            target_version=about["target_version"],
            set_aside=about["set_aside"],
        )

    # ---- the plan ----------------------------------------------------------------------------------

    def _fingerprint(self) -> str:
        section = self.config.correct.model_dump(mode="json")
        return digest({"correct": section})

    def _plan(self, run: PastRun) -> None:
        """Write which rows change, with their labels before and after, and how the table compares by now."""
        opened = open_audited(self.session, run)
        layout = ingest_of(self.session, self.tables, run).layout
        labels = label_columns(
            opened.frame, run.id_name, layout.labels, layout.labels_format, layout.labels_delimiter
        )
        examples = with_plain_id(self.tables.read("examples", run.run_id), run.id_name)
        standing = self._standing(run, examples)
        changes, located = wanted_changes(examples.select(ID, "given_tags"), standing, self._accepted(run))
        current = open_source(self.session, _unpinned(run))
        plan = plan_rows(opened.frame, labels, changes)
        plan = compare_rows(plan, current.frame, labels, BEFORE, PLANNED)
        stamped = plan.select(F.lit(self.correction_id).alias("correction_id"), *plan.columns)
        metadata = {
            "correction_id": self.correction_id,
            "fingerprint": self._fingerprint(),
            "target_version": current.version,
            "labels": describe_labels(labels),
            "set_aside": {} if located is None else count_set_aside(located),
        }
        self.tables.append(
            PLANS, with_own_id(stamped, run.id_name), self.correction_id, metadata, with_run_id=False
        )

    def _standing(self, run: PastRun, examples: DataFrame) -> DataFrame | None:
        wanted = self.config.correct.decisions
        if wanted is False:
            return None
        if isinstance(wanted, str):
            found = read_place(self.session, wanted, "correct.decisions")
        else:
            own = self.tables.existing(DECISIONS)
            if own is None:
                if self.config.correct.accept_above is not None:
                    return None
                raise ConfigError(
                    f"there is no table of decisions at '{self.tables.location(DECISIONS)}'.",
                    key="correct.decisions",
                    fix="Import some with `spark-ml-audit decide`, name their table, or set "
                    "correct.accept_above.",
                )
            found = own
        checked = check_decisions(found, run.id_name, examples.schema[ID].dataType, "correct.decisions")
        return standing_decisions(checked, run.tags)

    def _accepted(self, run: PastRun) -> DataFrame | None:
        """The flagged cells that are sure enough to be changed without a person."""
        limit = self.config.correct.accept_above
        if limit is None:
            return None
        issues = with_plain_id(self.tables.read("tag_issues", run.run_id), run.id_name)
        is_missing = F.col("issue") == "missing"
        prob = F.col("pred_prob")
        sure = F.when(is_missing, prob >= limit).otherwise(1 - prob >= limit)
        known = F.broadcast(class_frame(self.session, run.tags))
        action = F.when(is_missing, ADDED).otherwise(REMOVED).alias("action")
        return issues.where(sure).join(known, "tag").select(ID, "tag", "class_index", action, "pred_prob")

    def _planned(self, correction_id: str, labels: LabelColumns) -> DataFrame:
        rows = self.tables.read(PLANS).where(F.col("correction_id") == correction_id)
        return with_plain_id(rows, labels.id).drop("correction_id")

    # ---- the change --------------------------------------------------------------------------------

    def _copy_place(self) -> str:
        to = self.config.correct.to
        if to is None:
            return self.tables.location(CORRECTED)
        return absolute(to) if "/" in to else to

    def _check_target(self, run: PastRun, place: str) -> None:
        if self.config.correct.mode == "merge":
            if run.version is None or run.source.format == "parquet":
                raise ConfigError(
                    f"found merge, but the source '{run.source.name}' is no Delta table.",
                    key="correct.mode",
                    fix="Set correct.mode to copy.",
                )
            return
        target = self._copy_place()
        if target.rstrip("/") == place.rstrip("/"):
            raise ConfigError(
                f"'{target}' is the source itself.",
                key="correct.to",
                fix="Name another place for the copy, or set correct.mode to merge.",
            )
        tables, name = tables_of(self.session, target)
        if tables.existing(name) is not None and has_foreign_history(self.session, target, _MARKER):
            raise ConfigError(
                f"'{target}' holds a table that no correction wrote.",
                key="correct.to",
                fix="Name a place that is empty, or that an earlier correction wrote.",
            )

    def _write_copy(self, current: OpenSource, labels: LabelColumns, plan: DataFrame) -> None:
        tables, name = tables_of(self.session, self._copy_place())
        kept = {key: value for key, value in current.properties.items() if key == _CLASSES_PROPERTY}
        tables.create_schema()
        frame = corrected_rows(current.frame, labels, plan)
        tables.overwrite(name, frame, self.correction_id, {"correction_id": self.correction_id}, kept)

    def _merge(self, place: str, labels: LabelColumns, plan: DataFrame, *, undo: bool) -> DataFrame:
        """Change the rows in place; the plan with the status that every row has now."""
        planned = plan.where(F.col(STATUS) == PLANNED)
        merge_labels(self.session, place, labels, planned, undo=undo)
        now = newest_version(self.session, place, "correct.mode")
        final = compare_rows(planned, now.frame, labels, BEFORE if undo else AFTER, APPLIED)
        return final.unionByName(plan.where(F.col(STATUS) != PLANNED))

    def undo(self, undone: str) -> CorrectOutcome:
        """Give the rows that a correction changed their labels back, byte for byte."""
        tables, progress = self.tables, self.progress
        with progress.stage("run"):
            row = self._to_undo(undone)
            target = row["target"]
            now = newest_version(self.session, target, "correct.undo")
            labels = labels_of(json.loads(row["labels"]), now.frame)
            applied = tables.read(CORRECTIONS).where(
                (F.col("correction_id") == undone) & (F.col(STATUS) == APPLIED)
            )
            ids = applied.select(column(labels.id).alias(ID)).distinct()
            plan = self._planned(undone, labels).join(ids, ID, "left_semi")
        with progress.stage("merge"):
            final = self._merge(target, labels, plan, undo=True)
        return self._conclude(
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

    def _to_undo(self, undone: str) -> dict[str, Any]:
        runs = self.tables.existing(CORRECTION_RUNS)
        rows = [] if runs is None else runs.where(F.col("correction_id") == undone).limit(1).collect()
        if runs is None or not rows or rows[0]["undoes"] is not None:
            raise ConfigError(
                f"'{self.tables.location(CORRECTION_RUNS)}' names no correction {undone}.",
                key="correct.undo",
                fix="Give the correction_id that `correct` reported, and the output it was given.",
            )
        row: dict[str, Any] = rows[0].asDict()
        if row["mode"] == "copy":
            later = runs.where(F.col("undoes").isNull() & (F.col("target") == row["target"]))
            newest = later.orderBy(F.desc("corrected_at")).select("correction_id").limit(1).collect()[0][0]
            if newest != undone:
                raise ConfigError(
                    f"the copy '{row['target']}' was written anew by correction {newest}.",
                    key="correct.undo",
                    fix="Take that one back, or write a new copy.",
                )
        return row

    # ---- the record --------------------------------------------------------------------------------

    def _conclude(
        self,
        final: DataFrame,
        labels: LabelColumns,
        *,
        set_aside: dict[str, int],
        undoes: str | None = None,
        **about: Any,
    ) -> CorrectOutcome:
        tables, progress = self.tables, self.progress
        now = datetime.now(timezone.utc)
        with progress.stage("corrections"):
            each = change_rows(final, undo=undoes is not None)
            stamped = each.select(
                F.lit(self.correction_id).alias("correction_id"),
                F.lit(about["run_id"]).alias("run_id"),
                *each.columns,
                F.lit(about["source_version"]).cast("string").alias("source_version"),
                F.lit(about["target"]).alias("target"),
                F.lit(now).alias("corrected_at"),
            )
            tables.append(CORRECTIONS, with_own_id(stamped, labels.id), self.correction_id)
        written = with_plain_id(
            tables.read(CORRECTIONS).where(F.col("correction_id") == self.correction_id), labels.id
        )
        is_applied = F.col(STATUS) == APPLIED
        counted = written.agg(
            F.count_distinct(F.when(is_applied, F.col(ID))).alias("num_rows_changed"),
            F.count_if(is_applied & (F.col("action") == ADDED)).alias("num_tags_added"),
            F.count_if(is_applied & (F.col("action") == REMOVED)).alias("num_tags_removed"),
            F.count_distinct(F.when(F.col(STATUS) == STALE, F.col(ID))).alias("num_stale"),
            F.count_distinct(F.when(F.col(STATUS) == GONE, F.col(ID))).alias("num_gone"),
        ).collect()[0]
        rows: dict[str, int] = counted.asDict()
        row = {
            "correction_id": self.correction_id,
            **about,
            "undoes": undoes,
            "corrected_at": now,
            **rows,
            "labels": json.dumps(describe_labels(labels)),
            "set_aside": json.dumps(set_aside),
            "config": self.config.to_json(),
            "warnings": json.dumps(warnings_of(rows, set_aside)),
        }
        with progress.stage("runs"):
            frame = local_frame(self.session, [row], RUN_SCHEMA)
            tables.append(CORRECTION_RUNS, frame, self.correction_id)
        return outcome_of(row, tables, progress)


def _unpinned(run: PastRun) -> Any:
    """Where a run's source is, whatever version the run was told to read."""
    return run.source.model_copy(update={"version": None})
