"""One audit from config to committed run: the order of a run is kept here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from spark_ml_audit import __version__
from spark_ml_audit.auditing import gates
from spark_ml_audit.auditing.delivery import WORST_CLASSES, delivery_of, warnings_of, worst_classes
from spark_ml_audit.auditing.finished_runs import outcome_of_row
from spark_ml_audit.auditing.retry import complete_audit
from spark_ml_audit.auditing.write import run_row, write_tables
from spark_ml_audit.config import ModelConfig
from spark_ml_audit.detection.plan import plan_detection
from spark_ml_audit.engines.session import session_for
from spark_ml_audit.errors import AuditError, ConfigError, reason_of
from spark_ml_audit.frames.fit import Computation, compute
from spark_ml_audit.frames.ingest import Ingest, examine
from spark_ml_audit.history.since_last_run import LastRun, add_since, last_run, since_last_run
from spark_ml_audit.kernels.model_quality import model_quality
from spark_ml_audit.lake.files import existing_report
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.places import is_small
from spark_ml_audit.lake.schemas import DUPLICATES, ESTIMATES, FIRST_TABLE, PREDICTIONS
from spark_ml_audit.lake.source import OpenSource, newest_version, open_source
from spark_ml_audit.outcomes.audit import AuditOutcome
from spark_ml_audit.outcomes.base import status_of
from spark_ml_audit.outcomes.history import Comparison
from spark_ml_audit.outcomes.records import Counts, GateResult
from spark_ml_audit.predicting.commit import Predicted, commit_predictions
from spark_ml_audit.predicting.plan import plan_prediction
from spark_ml_audit.report.make import Report, make_report, since_section
from spark_ml_audit.report.page import RunFacts
from spark_ml_audit.report.queries import ReportFrames, check_shown
from spark_ml_audit.reviewing.decisions import check_decisions, heed_decisions, standing_decisions
from spark_ml_audit.text import redact
from spark_ml_audit.tracking import AuditTracker, RunOpening, SourceRef
from spark_ml_audit.tracking.run import tracked_run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_ml_audit.config import AuditConfig
    from spark_ml_audit.progress import Progress

# Runs shorter than this finish before anybody could take them for dead.
_LONG_RUN = timedelta(minutes=10)


def run_audit(config: AuditConfig, progress: Progress, spark: SparkSession | None = None) -> AuditOutcome:
    """Audit a source and commit the run.

    Data tables first, then gates, the MLflow run, the row in `runs` that makes the run visible, and last what
    may fail without losing it: artifacts and housekeeping.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active or a new local one by default.

    Raises:
        ConfigError: The config does not fit the output or the run being retried.
        InputError: The source cannot be audited as it is.
        SetupError: Spark or Java is missing.
    """
    with tracked_run(config, "audit") as begun:
        return _Run(config, progress, begun.run_id, begun.started, begun.tracker).execute(spark)


@dataclass
class _Run:
    config: AuditConfig
    progress: Progress
    run_id: str
    started: datetime
    tracker: AuditTracker
    predicted: Predicted | None = None
    new_output: bool = False
    since: Comparison | None = None
    decisions_version: str | None = None
    decision_warnings: list[str] = field(default_factory=list)

    def execute(self, spark: SparkSession | None) -> AuditOutcome:
        config, progress = self.config, self.progress
        with progress.stage("session"):
            small = is_small(config.source.path) and config.model is None
            session = session_for(spark, small=small)
        tables = OutputTables(session, config.output)
        with progress.stage("source"):
            if config.output.run_id is not None and (row := tables.finished_run(self.run_id)):
                progress.note(f"run {self.run_id} is finished already; nothing was changed")
                found = outcome_of_row(row, tables, existing_report(config.output, self.run_id))
                return complete_audit(found, row, config, tables, self.tracker, progress)
            opened = self._open(session, tables)
            check_shown(opened.frame, config.source.shown_columns)
            ingest = self._examine(opened, tables) if config.model is None else None
        self.tracker.source = SourceRef(
            opened.name, config.source.path is not None, opened.version, config.source.format
        )
        if ingest is not None:
            computation = compute(ingest, config.audit, progress, detect=config.detect)
        else:
            computation = self._compute_predicted(opened, tables)
        if config.source.decisions is not None:
            computation = self._heed(computation, session, tables)
        tables.create_schema()
        detection = plan_detection(computation, config.detect, config.source.group, progress)
        counts = write_tables(computation, tables, self.run_id, self._metadata(opened), progress, detection)
        return self._conclude(opened, computation, counts, tables, detection.warnings)

    def _open(self, session: SparkSession, tables: OutputTables) -> OpenSource:
        config = self.config
        first = tables.first_try(self.run_id) if config.output.run_id is not None else None
        if first is None and config.output.run_id is not None and config.source.needs_predictions:
            first = tables.first_try(self.run_id, PREDICTIONS)
        if first is not None and first.fingerprint != config.fingerprint():
            raise ConfigError(
                f"run {self.run_id} was begun with another config.",
                key="output.run_id",
                fix="Retry with the same source, audit, detect and gate sections, or without a run_id.",
            )
        if first is not None and tables.was_removed(self.run_id):
            raise ConfigError(
                f"what run {self.run_id} had written was removed as the leftovers of a killed run.",
                key="output.run_id",
                fix="Leave output.run_id out: a new run starts over.",
            )
        return open_source(session, config.source, version=first.source_version if first else None)

    def _examine(self, opened: OpenSource, tables: OutputTables) -> Ingest:
        source = self.config.source
        ingest = examine(opened.frame, source, opened.properties)
        for note in ingest.notes:
            self.progress.note(note)
        self.new_output = not tables.check_id(source.id, opened.frame.schema[source.id].dataType)
        gates.check_classes(self.config.gate, ingest.layout.classes)
        return ingest

    def _compute_predicted(self, opened: OpenSource, tables: OutputTables) -> Computation:
        """Predict the probabilities that the source lacks, in this run, and audit what was written."""
        config, source = self.config, self.config.source
        model = config.model or ModelConfig()
        plan = plan_prediction(
            opened,
            source,
            model,
            self.progress,
            self.tracker.destination,
            check_classes=lambda classes: gates.check_classes(config.gate, classes),
        )
        tables.check_id(source.id, opened.frame.schema[source.id].dataType)
        tables.create_schema()
        self.predicted = commit_predictions(plan, tables, self.run_id, self._metadata(opened), self.progress)
        found = compute(
            self.predicted.ingest, config.audit, self.progress, check_ids=False, detect=config.detect
        )
        # rejected rows never reach the predictions, and count all the same
        counts = found.status_counts | plan.counts.rejected
        return replace(found, status_counts=counts, rejected_from=plan.ingest)

    def _heed(self, computation: Computation, session: SparkSession, tables: OutputTables) -> Computation:
        """Leave out what reviewers have confirmed; a retry heeds the decisions of its first try."""
        place, ingest = self.config.source.decisions or "", computation.ingest
        first = tables.commit_of(FIRST_TABLE, self.run_id)
        known = first[1].get("decisions_version") if first is not None else None
        with self.progress.stage("decisions"):
            opened = newest_version(session, place, "source.decisions", known)
            id_type = ingest.frame.schema[ingest.layout.id].dataType
            decisions = check_decisions(opened.frame, ingest.layout.id, id_type, "source.decisions")
            standing = standing_decisions(decisions, ingest.layout.classes)
            computation, counts = heed_decisions(computation, standing)
        self.decisions_version, self.decision_warnings = opened.version, counts.warnings()
        return computation

    def _metadata(self, opened: OpenSource) -> dict[str, str | None]:
        found = {"fingerprint": self.config.fingerprint(), "source_version": opened.version}
        if self.decisions_version is not None:
            found["decisions_version"] = self.decisions_version
        return found

    def _conclude(
        self,
        opened: OpenSource,
        computation: Computation,
        counts: Counts,
        tables: OutputTables,
        more_warnings: list[str],
    ) -> AuditOutcome:
        progress, config, tracker = self.progress, self.config, self.tracker
        warnings = warnings_of(computation, counts) + more_warnings + self.decision_warnings
        last = None if self.new_output else last_run(tables, self.run_id, opened.name)
        quality = model_quality(computation.profile).headline()
        results = gates.evaluate(
            counts,
            config.gate,
            classes=computation.classes,
            quality=quality,
            earlier=None if last is None else last.for_gates(),
        )
        warnings += gates.sentences(results)
        locations = tables.locations(duplicates=counts.num_duplicate_groups is not None)
        metrics = {f"model/{name}": value for name, value in quality.items()}
        if self.predicted is not None:
            warnings += self.predicted.audit_warnings
            locations[PREDICTIONS] = tables.location(PREDICTIONS)
            metrics |= self.predicted.metrics
        with progress.stage("tracking"):
            tracker.open(RunOpening(counts, results, dict(progress.seconds), locations, warnings, metrics))
        for note in tracker.notes:
            progress.note(note)
        warnings += tracker.problems
        with progress.stage("runs"):
            long = datetime.now(timezone.utc) - self.started > min(config.output.orphan_after, _LONG_RUN)
            if long and counts.num_audited and tables.read("examples", self.run_id).isEmpty():
                raise AuditError(
                    "another run removed this one's rows as leftovers of a killed run.",
                    key="output.orphan_after",
                    fix="Set orphan_after above the longest time a run takes, in every job of this output.",
                )
            row = run_row(
                run_id=self.run_id,
                started=self.started,
                source=opened,
                config=config.to_json(),
                counts=counts,
                gates=results,
                mlflow_run_id=tracker.mlflow_run_id,
                stages=progress.seconds,
                warnings=warnings,
            )
            warnings += tables.append_run(row)
        if last is not None:
            self._compare(tables, row, computation, last, warnings)
        with progress.stage("report"):
            report = self._report(opened, computation, counts, tables, results, warnings)
        for note in report.notes:
            progress.note(note)
        warnings += report.problems
        with progress.stage("artifacts"):
            delivered = self._deliver(computation, tables, results, warnings, report)
        with progress.stage("housekeeping"):
            try:
                if not self.new_output:
                    tables.remove_orphans(datetime.now(timezone.utc), config.output.orphan_after)
            except Exception as error:  # noqa: BLE001 - the run is committed; leftovers wait for the next one
                warnings.append(f"Leftovers of killed runs could not be removed: {reason_of(error)}.")
        warnings += [problem for problem in tracker.problems if problem not in warnings]
        return AuditOutcome(
            run_id=self.run_id,
            status=status_of(results, delivered=delivered),
            delivered=delivered,
            counts=counts,
            tables=locations,
            report=report.path,
            mlflow_run_id=tracker.mlflow_run_id,
            gates=results,
            stages={name: round(seconds, 3) for name, seconds in progress.seconds.items()},
            warnings=tuple(warnings),
            source=opened.name,
            source_version=opened.version,
            worst_classes=worst_classes(computation.classes, WORST_CLASSES),
            since=self.since,
        )

    def _compare(
        self,
        tables: OutputTables,
        row: dict[str, Any],
        computation: Computation,
        last: LastRun,
        warnings: list[str],
    ) -> None:
        with self.progress.stage("comparison"):
            try:
                self.since = since_last_run(tables, row, computation.classes, last)
            except Exception as error:  # noqa: BLE001 - the run is committed; `compare` can still be run
                warnings.append(f"The run could not be compared with the one before: {reason_of(error)}.")

    def _report(
        self,
        opened: OpenSource,
        computation: Computation,
        counts: Counts,
        tables: OutputTables,
        results: tuple[GateResult, ...],
        warnings: list[str],
    ) -> Report:
        config = self.config
        examples, tag_issues, quarantine = (
            tables.read(name, self.run_id) for name in ("examples", "tag_issues", "quarantine")
        )
        source = config.source
        return make_report(
            computation,
            ReportFrames(
                examples,
                tag_issues,
                quarantine,
                opened.frame,
                source.id,
                source.shown_columns,
                tables.read(DUPLICATES, self.run_id) if counts.num_duplicate_groups else None,
                tables.existing(ESTIMATES),
            ),
            RunFacts(
                run_id=self.run_id,
                status=status_of(results, delivered=not self.tracker.problems),
                source=redact(opened.name),
                source_version=opened.version,
                package_version=__version__,
                started_at=self.started.isoformat(timespec="seconds"),
                finished_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
                config=config.to_mapping(),
                stages=dict(self.progress.seconds),
                tables=tables.locations(),
                id_name=source.id,
                mlflow_run_id=self.tracker.mlflow_run_id,
            ),
            counts,
            config=config.report,
            output=config.output,
            gates=results,
            warnings=warnings,
            since=None if self.since is None else since_section(self.since),
        )

    def _deliver(
        self,
        computation: Computation,
        tables: OutputTables,
        results: tuple[GateResult, ...],
        warnings: list[str],
        report: Report,
    ) -> bool:
        if self.tracker.mlflow_run_id is None or self.tracker.is_dead:
            return False
        delivery = delivery_of(
            computation,
            tables.read("examples", self.run_id).drop("run_id"),
            status=status_of(results, delivered=not report.problems),
            stages=dict(self.progress.seconds),
            warnings=warnings,
            config=self.config.to_json(),
            gates=results,
        )
        delivery = add_since(delivery, self.since)
        if self.predicted is not None:
            found = {**delivery.tables, "model_quality": self.predicted.class_table}
            delivery = replace(delivery, tables=found)
        delivery = replace(delivery, artifacts={**delivery.artifacts, **report.artifacts})
        return self.tracker.deliver(delivery) and not report.problems
