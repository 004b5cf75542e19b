"""`check`: config and source examined without computing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_ml_audit.arrow.types import type_name
from spark_ml_audit.auditing import gates
from spark_ml_audit.auditing.annotators import check_annotators
from spark_ml_audit.auditing.examine import examine_given, look_before_spark
from spark_ml_audit.config.features import as_tuple
from spark_ml_audit.engines.base import count_rows
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.engines.columns import field
from spark_ml_audit.frames.hints import sentences
from spark_ml_audit.kernels.calibration_limits import PLATT, TEMPERATURE
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import DUPLICATES, PREDICTIONS, TABLES
from spark_ml_audit.lake.source import newest_version, open_source
from spark_ml_audit.outcomes.audit import CheckOutcome
from spark_ml_audit.outcomes.features import FeatureUse
from spark_ml_audit.report.queries import check_shown
from spark_ml_audit.reviewing.decisions import check_decisions

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditConfig
    from spark_ml_audit.engines.base import Session
    from spark_ml_audit.progress import Progress


_WHEN = {
    "auto": "where that lowers their log loss by 5% or more",
    "on": "whether or not that lowers their log loss",
}
_HOW = {PLATT: "per class, across folds,", TEMPERATURE: "by one temperature for all classes,"}


def _calibration(config: AuditConfig) -> list[str]:
    """What becomes of the probabilities, where that is not the usual."""
    mode, calibrator = config.audit.calibrate, config.audit.calibrate_with
    if mode not in _WHEN:
        return []
    keys = f"audit.calibrate: {mode}, audit.calibrate_with: {calibrator}"
    return [f"Probabilities are calibrated {_HOW[calibrator]} {_WHEN[mode]} ({keys})."]


def run_check(config: AuditConfig, progress: Progress, spark: Session | None = None) -> CheckOutcome:
    """Examine config and source without computing: schema, formats, classes, what would be written.

    Args:
        config: The effective config.
        progress: Shows and times the stages.
        spark: Session to use; the active or a new local one by default.

    Raises:
        ConfigError: The config does not fit the output.
        InputError: The source cannot be audited as it is.
        SetupError: Spark or Java is missing.
    """
    with progress.stage("session"):
        look_before_spark(config, spark)
        engine = choose_engine(config.engine, spark)
    with progress.stage("source"):
        tables, use = OutputTables(engine, config.output), FeatureUse()
        notes: tuple[str, ...] = ()
        source = open_source(engine, config.source)
        if config.source.needs_predictions:
            from spark_ml_audit.predicting.plan import check_model, describe_features

            ingest, guarded = describe_features(source, config.source)
            use = guarded.use
            if config.model is not None:
                encoder = check_model(config.model, config.source, guarded.features.spec)
                notes = () if encoder is None else (f"encoder: {encoder.about}",)
            gates.check_classes(config.gate, ingest.layout.classes)
            check_shown(source.schema, config.source.shown_columns)
        else:
            ingest = examine_given(config, source)
        id_type = field(source.schema, config.source.id, "source.id").type
        tables.check_id(config.source.id, id_type)
        check_annotators(source.schema, as_tuple(config.source.annotator))
        if config.source.decisions is not None:
            decisions = newest_version(engine, config.source.decisions, "source.decisions")
            check_decisions(engine, decisions.frame, config.source.id, id_type, "source.decisions")
    with progress.stage("count"):
        num_rows = count_rows(engine, source.frame)
    layout = ingest.layout
    return CheckOutcome(
        source=source.name,
        source_version=source.version,
        schema=tuple((item.name, type_name(item.type)) for item in source.schema),
        labels_format=layout.labels_format,
        pred_probs_format=layout.pred_probs_format,
        dtype=layout.dtype,
        num_rows=num_rows,
        classes=layout.classes,
        tables=tables.locations(
            *TABLES,
            *([DUPLICATES] if config.detect.duplicates is not None else []),
            *([PREDICTIONS] if config.source.needs_predictions else []),
        ),
        stages=progress.stages,
        warnings=sentences(ingest.hints),
        notes=(*source.said(), *ingest.notes, *notes, *_calibration(config)),
        use=use,
    )
