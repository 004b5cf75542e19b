"""The configuration of a run: what may be set, with which defaults, and how it is read and shown.

Nothing here knows of Spark or MLflow, so a config is refused in a fraction of a second, before any
session starts. Only `ConfigError` leaves this package.
"""

from __future__ import annotations

from spark_ml_audit.config.audit import AuditConfig, AuditSource, MethodConfig
from spark_ml_audit.config.detect import AmbiguousConfig, DetectConfig, DuplicatesConfig, OutliersConfig
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.config.features import FEATURE_KINDS, PREDICTED_COLUMNS, FeaturesConfig
from spark_ml_audit.config.gates import GateConfig, NoiseLimit
from spark_ml_audit.config.history import CompareConfig, OpenConfig, RunsConfig, TrendConfig
from spark_ml_audit.config.loading import load_as, load_config, parse_as, parse_config, read_values
from spark_ml_audit.config.option_values import read_value
from spark_ml_audit.config.output import PROGRAM, OutputConfig, ReportConfig, TrackingConfig
from spark_ml_audit.config.predict import (
    MODEL_KINDS,
    KeptRuleConfig,
    ModelConfig,
    PredictConfig,
    PredictSource,
)
from spark_ml_audit.config.review import CorrectConfig, DecideConfig, ReviewConfig, SampleConfig
from spark_ml_audit.config.serve import ServeConfig
from spark_ml_audit.config.short_forms import Given
from spark_ml_audit.config.source import (
    RESERVED_COLUMNS,
    ColumnsConfig,
    LabelsConfig,
    PlaceConfig,
    SourceConfig,
)
from spark_ml_audit.config.tag import StreamConfig, TagConfig, TagModelConfig, TagRuleConfig, TagSource

__all__ = [
    "FEATURE_KINDS",
    "MODEL_KINDS",
    "PREDICTED_COLUMNS",
    "PROGRAM",
    "RESERVED_COLUMNS",
    "AmbiguousConfig",
    "AuditConfig",
    "AuditSource",
    "ColumnsConfig",
    "CompareConfig",
    "CorrectConfig",
    "DecideConfig",
    "DetectConfig",
    "DuplicatesConfig",
    "EngineConfig",
    "FeaturesConfig",
    "GateConfig",
    "Given",
    "KeptRuleConfig",
    "LabelsConfig",
    "MethodConfig",
    "ModelConfig",
    "NoiseLimit",
    "OpenConfig",
    "OutliersConfig",
    "OutputConfig",
    "PlaceConfig",
    "PredictConfig",
    "PredictSource",
    "ReportConfig",
    "ReviewConfig",
    "RunsConfig",
    "SampleConfig",
    "ServeConfig",
    "SourceConfig",
    "StreamConfig",
    "TagConfig",
    "TagModelConfig",
    "TagRuleConfig",
    "TagSource",
    "TrackingConfig",
    "TrendConfig",
    "load_as",
    "load_config",
    "parse_as",
    "parse_config",
    "read_value",
    "read_values",
]
