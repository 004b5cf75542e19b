"""The configuration of a run: what may be set, with which defaults, and how it is read and shown.

Nothing here knows of Spark or MLflow, so a config is refused in a fraction of a second, before any
session starts. Only `ConfigError` leaves this package.
"""

from __future__ import annotations

from spark_ml_audit.config.loading import load_config, parse_config
from spark_ml_audit.config.method import MethodConfig
from spark_ml_audit.config.redact import redact
from spark_ml_audit.config.sections import (
    AuditConfig,
    GateConfig,
    OutputConfig,
    TrackingConfig,
)
from spark_ml_audit.config.source import RESERVED_COLUMNS, ColumnsConfig, SourceConfig

__all__ = [
    "RESERVED_COLUMNS",
    "AuditConfig",
    "ColumnsConfig",
    "GateConfig",
    "MethodConfig",
    "OutputConfig",
    "SourceConfig",
    "TrackingConfig",
    "load_config",
    "parse_config",
    "redact",
]
