"""`audit`: one audit from config to committed run. The order of a run is kept here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from spark_ml_audit.auditing.annotators import write_annotators
from spark_ml_audit.auditing.commit import commit_run, judge
from spark_ml_audit.auditing.context import AuditContext
from spark_ml_audit.auditing.examine import look_before_spark
from spark_ml_audit.auditing.fitting import fit_source, inspect_given
from spark_ml_audit.auditing.retry import complete_audit
from spark_ml_audit.auditing.tell import tell
from spark_ml_audit.auditing.vectors import with_stored_vectors
from spark_ml_audit.auditing.write import write_tables
from spark_ml_audit.detection.plan import plan_detection
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.schemas import FIRST_TABLE, PREDICTIONS
from spark_ml_audit.lake.source import open_source
from spark_ml_audit.report.page.plots import DRAWING
from spark_ml_audit.tracking.run import StartedRun, source_ref, tracked_run

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditConfig
    from spark_ml_audit.engines.base import Session
    from spark_ml_audit.outcomes.audit import AuditOutcome
    from spark_ml_audit.progress import Progress

_OTHER_CONFIG = "Retry with the same source, audit, detect and gate sections, or without a run_id."


def run_audit(config: AuditConfig, progress: Progress, spark: Session | None = None) -> AuditOutcome:
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
    with tracked_run(config, "audit", preload=DRAWING if config.report.enabled else ()) as run:
        tables = _open_output(config, progress, spark)
        row = tables.finished_run(run.run_id) if config.output.run_id is not None else None
        if row is not None:
            progress.note(f"run {run.run_id} is finished already; nothing was changed")
            return complete_audit(row, config, tables, run.tracker, progress)
        with progress.stage("source"):
            context = _open_source(config, run, tables, progress)
            ingest = inspect_given(context)
        fitted = fit_source(context, ingest)
        tables.create_schema()
        fitted = with_stored_vectors(context, fitted)
        detection = plan_detection(fitted.fit, config.detect, config.source.group, progress)
        written = write_tables(fitted.fit, tables, run.run_id, fitted.metadata, progress, detection)
        annotators = write_annotators(context, [row.tag for row in fitted.fit.classes])
        judged = judge(context, fitted, written)
        committed = commit_run(context, fitted, written, judged)
        told = tell(context, fitted, written, judged, committed)
        return replace(told, annotators=annotators)


def _open_output(config: AuditConfig, progress: Progress, spark: Session | None) -> OutputTables:
    with progress.stage("session"):
        look_before_spark(config, spark)
        small = config.model is None and Place.of_source(config.source).is_small
        return OutputTables(choose_engine(config.engine, spark, small=small), config.output)


def _open_source(
    config: AuditConfig, run: StartedRun, tables: OutputTables, progress: Progress
) -> AuditContext:
    """The source at the version that the first try of this run read, or at the newest."""
    first_tables = (FIRST_TABLE, *([PREDICTIONS] if config.source.needs_predictions else []))
    version = tables.pinned_version(config.output.run_id, config.fingerprint(), first_tables, _OTHER_CONFIG)
    source = open_source(tables.engine, config.source, version=version)
    run.tracker.source = source_ref(config, source.version)
    return AuditContext(config, run, tables, source, progress)
