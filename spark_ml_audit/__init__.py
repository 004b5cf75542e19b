"""Finds missing and wrong tags in multi-label tables of any size, with Spark, Delta and MLflow.

Importing this package loads neither pyspark nor mlflow; the public names load what they need on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from spark_ml_audit._version import __version__ as __version__

if TYPE_CHECKING:
    from spark_ml_audit.auditing.api import AuditResult as AuditResult
    from spark_ml_audit.auditing.api import audit as audit
    from spark_ml_audit.history.api import ComparisonResult as ComparisonResult
    from spark_ml_audit.history.api import compare as compare
    from spark_ml_audit.integrations.udf import ema_label_quality as ema_label_quality
    from spark_ml_audit.predicting.api import PredictResult as PredictResult
    from spark_ml_audit.predicting.api import predict as predict
    from spark_ml_audit.reviewing.api import correct as correct
    from spark_ml_audit.reviewing.api import decide as decide
    from spark_ml_audit.reviewing.api import review as review
    from spark_ml_audit.reviewing.api import sample as sample
    from spark_ml_audit.reviewing.api import undo as undo

_PUBLIC = {
    "audit": "auditing.api",
    "AuditResult": "auditing.api",
    "compare": "history.api",
    "ComparisonResult": "history.api",
    "correct": "reviewing.api",
    "decide": "reviewing.api",
    "ema_label_quality": "integrations.udf",
    "predict": "predicting.api",
    "PredictResult": "predicting.api",
    "review": "reviewing.api",
    "sample": "reviewing.api",
    "undo": "reviewing.api",
}

__all__ = [
    "AuditResult",
    "ComparisonResult",
    "PredictResult",
    "__version__",
    "audit",
    "compare",
    "correct",
    "decide",
    "ema_label_quality",
    "predict",
    "review",
    "sample",
    "undo",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
