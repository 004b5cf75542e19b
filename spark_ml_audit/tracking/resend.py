"""Finished runs sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from spark_ml_audit.errors import reason_of
from spark_ml_audit.outcomes.audit import AuditOutcome
from spark_ml_audit.outcomes.predict import PredictOutcome
from spark_ml_audit.tracking.payload import RunDelivery, RunOpening
from spark_ml_audit.tracking.run import source_ref

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditConfig, PredictConfig
    from spark_ml_audit.progress import Progress
    from spark_ml_audit.tracking.tracker import AuditTracker

_Outcome = TypeVar("_Outcome", AuditOutcome, PredictOutcome)


# How sentences about tracking begin; they no longer hold once all is delivered.
_ABOUT_TRACKING = ("MLflow ", "tracking.uri: ")


def resend(
    outcome: _Outcome,
    row: Mapping[str, Any],
    config: AuditConfig | PredictConfig,
    tracker: AuditTracker,
    progress: Progress,
    opening: Callable[[], RunOpening],
    delivery: Callable[[Sequence[str]], RunDelivery],
) -> _Outcome:
    """Complete the MLflow run of a finished run.

    Args:
        outcome: The finished run, as its row tells.
        row: That row.
        config: The effective config.
        tracker: Tracker of this run, nothing opened yet.
        progress: Times the stages.
        opening: Makes what the run is opened with, if it must be.
        delivery: Makes the rest, with the sentences that still hold.

    Returns:
        The outcome with `delivered`, `mlflow_run_id` and `warnings` as they are now.
    """
    tracker.source = source_ref(config, row["source_version"])
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
        mlflow_open=tracker.how_to_open,
        warnings=tuple(warnings),
    )
