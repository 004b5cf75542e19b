"""The command `check`: config and source examined without computing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_ml_audit.auditing import gates
from spark_ml_audit.engines.session import session_for
from spark_ml_audit.frames.ingest import examine
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import PREDICTIONS
from spark_ml_audit.lake.source import newest_version, open_source
from spark_ml_audit.outcomes.audit import CheckReport
from spark_ml_audit.predicting.plan import describe_features
from spark_ml_audit.report.queries import check_shown
from spark_ml_audit.reviewing.decisions import check_decisions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_ml_audit.config import AuditConfig
    from spark_ml_audit.progress import Progress


def check_source(config: AuditConfig, progress: Progress, spark: SparkSession | None = None) -> CheckReport:
    """Examine config and source without computing: schema, formats, classes, what would be written.

    Raises:
        ConfigError: The config does not fit the output.
        InputError: The source cannot be audited as it is.
        SetupError: Spark or Java is missing.
    """
    with progress.stage("session"):
        session = session_for(spark)
    with progress.stage("source"):
        tables = OutputTables(session, config.output)
        opened = open_source(session, config.source)
        if config.source.needs_predictions:
            ingest = describe_features(opened, config.source)
        else:
            ingest = examine(opened.frame, config.source, opened.properties)
        tables.check_id(config.source.id, opened.frame.schema[config.source.id].dataType)
        gates.check_classes(config.gate, ingest.layout.classes)
        check_shown(opened.frame, config.source.shown_columns)
        if config.source.decisions is not None:
            decisions = newest_version(session, config.source.decisions, "source.decisions")
            id_type = opened.frame.schema[config.source.id].dataType
            check_decisions(decisions.frame, config.source.id, id_type, "source.decisions")
    with progress.stage("count"):
        num_rows = opened.frame.count()
    layout = ingest.layout
    return CheckReport(
        source=opened.name,
        source_version=opened.version,
        schema=tuple((field.name, field.dataType.simpleString()) for field in opened.frame.schema.fields),
        labels_format=layout.labels_format,
        pred_probs_format=layout.pred_probs_format,
        dtype=layout.dtype,
        num_rows=num_rows,
        classes=layout.classes,
        tables=tables.locations(duplicates=config.detect.duplicates is not None)
        | ({PREDICTIONS: tables.location(PREDICTIONS)} if config.source.needs_predictions else {}),
        notes=ingest.notes,
    )
