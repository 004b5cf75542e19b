"""Finished runs sent again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from spark_ml_audit.errors import reason_of
from spark_ml_audit.outcomes.audit import AuditOutcome
from spark_ml_audit.outcomes.predict import PredictOutcome
from spark_ml_audit.tracking import RunDelivery, RunOpening, SourceRef

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditConfig, PredictConfig
    from spark_ml_audit.progress import Progress
    from spark_ml_audit.tracking import AuditTracker

_Outcome = TypeVar("_Outcome", AuditOutcome, PredictOutcome)


# How sentences about tracking begin; they no longer hold once all is delivered.
_ABOUT_TRACKING = ("MLflow ", "tracking.uri: ")


def resend(
    outcome: _Outcome,
    row: dict[str, Any],
    config: AuditConfig | PredictConfig,
    tracker: AuditTracker,
    progress: Progress,
    opening: Callable[[], RunOpening],
    delivery: Callable[[Sequence[str]], RunDelivery],
) -> _Outcome:
    """Complete the MLflow run of a finished run, once; an outcome that tells what was delivered."""
    source = config.source
    tracker.source = SourceRef(source.name, source.path is not None, row["source_version"], source.format)
    kept = [text for text in outcome.warnings if not text.startswith(_ABOUT_TRACKING)]
    with progress.stage("tracking"):
        delivered = tracker.resume(row["mlflow_run_id"])
    if not delivered and not tracker.is_dead:
        try:
            with progress.stage("artifacts"):
                tracker.open(opening())
                delivered = tracker.deliver(delivery(kept))
        except Exception as error:  # noqa: BLE001 - the run is committed, whatever can be read of it now
            tracker.problems.append(f"The results could not be read for tracking: {reason_of(error)}.")
            delivered = False
        if delivered:
            progress.note(f"what tracking lacked of run {outcome.run_id} was sent")
    warnings = kept if delivered else list(dict.fromkeys([*outcome.warnings, *tracker.problems]))
    return replace(
        outcome,
        delivered=delivered,
        mlflow_run_id=tracker.mlflow_run_id or row["mlflow_run_id"],
        warnings=tuple(warnings),
    )
