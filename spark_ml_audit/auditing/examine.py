"""What an audit needs of its source, asked before anything is computed; the first time without Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_ml_audit.auditing import gates
from spark_ml_audit.auditing.missing_probs import check_has_probs
from spark_ml_audit.config.paths import absolute, local_path
from spark_ml_audit.engines.columns import field
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.frames.formats import label_columns_of
from spark_ml_audit.frames.hints.columns import source_field
from spark_ml_audit.frames.ingest import Ingest, inspect_source
from spark_ml_audit.lake.first_look import look_first
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.report.queries import check_shown

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.config import AuditConfig
    from spark_ml_audit.engines.base import Session
    from spark_ml_audit.lake.source import OpenSource


def look_before_spark(config: AuditConfig, spark: Session | None = None) -> None:
    """Refuse what is wrong with a local source before a Spark of this machine is started for it.

    Args:
        config: The effective config.
        spark: Session given.

    Raises:
        ConfigError: The config does not fit the source or the output.
        InputError: The source cannot be audited as it is.
    """
    if config.output.run_id is not None:
        return  # a finished run is told again, whatever became of its source

    def examine(source: OpenSource) -> None:
        if config.source.needs_predictions:
            from spark_ml_audit.predicting.plan import check_source

            check_shown(source.schema, config.source.shown_columns)
            check_source(source, config.source, config.model)
        else:
            examine_given(config, source)
        _check_output(config, source)

    look_first(config.engine, config.source, spark, examine, lambda schema: _check_names(config, schema))


def examine_given(config: AuditConfig, source: OpenSource) -> Ingest:
    """Understand a source that has probabilities, and refuse what the config asks of it in vain.

    Args:
        config: The effective config.
        source: What is audited.

    Raises:
        ConfigError: The config does not fit the source.
        InputError: The source cannot be audited as it is.
    """
    check_shown(source.schema, config.source.shown_columns)
    check_has_probs(config, source.schema)
    ingest = inspect_source(
        source.engine, source.frame, config.source, source.properties, schema=source.schema
    )
    gates.check_classes(config.gate, ingest.layout.classes)
    return ingest


def _check_output(config: AuditConfig, source: OpenSource) -> None:
    """Refuse an output that belongs to another id column, where that can be seen from here."""
    if config.output.path is None or local_path(absolute(config.output.path)) is None:
        return
    tables, id_name = OutputTables(source.engine, config.output), config.source.id
    try:
        tables.check_id(id_name, field(source.schema, id_name, "source.id").type)
    except ConfigError as error:
        if error.key == "source.id":  # else a table that this engine does not read: Spark may
            raise


def _check_names(config: AuditConfig, schema: pa.Schema) -> None:
    source = config.source
    source_field(schema, source.id, "source.id")
    label_columns_of(schema, source)
    check_shown(schema, source.shown_columns)
    if not source.needs_predictions:
        check_has_probs(config, schema)
        listed = (source.pred_probs,) if isinstance(source.pred_probs, str) else source.pred_probs
        for name in listed or ():
            source_field(schema, name, "source.pred_probs")
