"""Models that predict tags from text and columns; NumPy, SciPy, scikit-learn and pandas, no Spark."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spark_ml_audit.models.bundle import TagModel
    from spark_ml_audit.models.features import FeatureSpec, detect_features
    from spark_ml_audit.models.loading import load_estimator
    from spark_ml_audit.models.registry import BUILT_IN, check_kind

__all__ = ["BUILT_IN", "FeatureSpec", "TagModel", "check_kind", "detect_features", "load_estimator"]

# What they need takes a second to import, and most audits train nothing.
_MODULES = {
    "BUILT_IN": "registry",
    "FeatureSpec": "features",
    "TagModel": "bundle",
    "check_kind": "registry",
    "detect_features": "features",
    "load_estimator": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
