"""Where a result of Python goes to stay: the tables of an output, an MLflow run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from spark_ml_audit._version import __version__
from spark_ml_audit.auditing.commit import run_row
from spark_ml_audit.auditing.delivery import WORST_CLASSES, WORST_ROWS, delivery_of, worst_classes
from spark_ml_audit.auditing.describe import describe_run
from spark_ml_audit.auditing.write import write_tables
from spark_ml_audit.config.audit import LAYOUT
from spark_ml_audit.config.base import digest
from spark_ml_audit.config.paths import is_path
from spark_ml_audit.errors import DeliveryError
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import DUPLICATES, FIRST_TABLE, ISSUES, TABLES
from spark_ml_audit.outcomes.calibration import calibration_metrics
from spark_ml_audit.report.queries import worst_issues
from spark_ml_audit.tracking import AuditTracker, RunOpening, SourceRef

if TYPE_CHECKING:
    from spark_ml_audit.auditing.computed import ComputedAudit
    from spark_ml_audit.config.output import OutputConfig


def write_result(
    result: ComputedAudit, output: OutputConfig, *, is_retry: bool
) -> tuple[Mapping[str, str], bool]:
    """Commit a result as a run of an output.

    Args:
        result: The audit.
        output: The `output` section, its run_id given.
        is_retry: Whether the run may have been begun before.

    Returns:
        Table name -> path or table; whether the run was not finished before.

    Raises:
        ConfigError: The output belongs to another id column, or the run was begun otherwise.
    """
    tables, run_id = OutputTables(result.engine, output), output.run_id or result.run_id
    tables.check_id(result.id_name, result.fit.ingest.id_type)
    is_new = tables.finished_run(run_id) is None
    if is_new:
        _write_run(result, tables, run_id, is_retry=is_retry)
    looked_for = [DUPLICATES] if result.detection.duplicates is not None else []
    return tables.locations(*TABLES, *looked_for), is_new


def _write_run(result: ComputedAudit, tables: OutputTables, run_id: str, *, is_retry: bool) -> None:
    source, fingerprint = result.given.opened, digest({"config": result.config_json(), "layout": LAYOUT})
    if is_retry:
        tables.pinned_version(
            run_id, fingerprint, (FIRST_TABLE,), "Leave run_id out, for a run of its own.", "run_id"
        )
    tables.create_schema()
    metadata = {"fingerprint": fingerprint, "source_version": source.version}
    written = write_tables(result.fit, tables, run_id, metadata, result.progress, result.detection)
    tables.append_run(
        run_row(
            run_id=run_id,
            started_at=result.started_at,
            source=source,
            config=result.config_json(),
            counts=written.counts,
            gates=(),
            mlflow_run_id=result.mlflow_run_id,
            stages=result.progress.stages,
            warnings=list(dict.fromkeys([*result.known_warnings, *written.warnings])),
            calibration=result.calibration,
        )
    )


def log_result(
    result: ComputedAudit, experiment: str, tracking_uri: str | None, files: str | None
) -> str | None:
    """Log a result as one MLflow run.

    Args:
        result: The audit.
        experiment: Name of the experiment.
        tracking_uri: Tracking server or store.
        files: Folder for a store of its own.

    Returns:
        The MLflow run id.

    Raises:
        DeliveryError: The run could not be recorded in full.
    """
    source, columns = result.given.opened, result.given.columns
    params = {f"source.{name}": str(value) for name, value in columns.to_mapping().items()}
    params |= {f"audit.{name}": str(value) for name, value in result.method.to_mapping().items()}
    tracker = AuditTracker(
        tracking_uri=tracking_uri,
        experiment=experiment,
        output_path=files or (None if result.output is None else result.output.path),
        run_id=result.run_id,
        package_version=__version__,
        params=params,
        source=SourceRef(source.name, is_path(source.name), source.version),
    )
    stages, warnings = dict(result.progress.seconds), result.found_warnings
    metrics = calibration_metrics(result.calibration)
    tracker.open(RunOpening(result.summary, (), stages, result.tables, warnings, metrics))
    delivery = delivery_of(
        result.fit.classes,
        worst_issues(result.engine, result.frame(ISSUES), WORST_ROWS),
        status="ok",
        stages=stages,
        warnings=warnings,
        config=result.config_json(),
    )
    note = describe_run(
        result.summary,
        worst_classes(result.fit.classes, WORST_CLASSES),
        source=source.name,
        source_version=source.version,
        tables=result.tables,
        warnings=warnings,
        continues=source.continues,
    )
    delivered = tracker.deliver(replace(delivery, note=note))
    if not delivered:
        raise DeliveryError(
            " ".join(tracker.problems) or "the MLflow run was not recorded.",
            key="tracking_uri",
            fix="Check the tracking server and call log again.",
        )
    return tracker.mlflow_run_id
