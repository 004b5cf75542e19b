"""Models that predict tags from text and columns; NumPy, SciPy, scikit-learn and pandas, no Spark."""

from __future__ import annotations

from spark_ml_audit.models.bundle import TagModel
from spark_ml_audit.models.features import FeatureSpec, detect_features
from spark_ml_audit.models.loading import load_estimator
from spark_ml_audit.models.registry import BUILT_IN, check_kind

__all__ = ["BUILT_IN", "FeatureSpec", "TagModel", "check_kind", "detect_features", "load_estimator"]
