"""How a run begins: its id, its start, and a tracker that hears of it when the run fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from spark_ml_audit import __version__
from spark_ml_audit.errors import AuditError, ExitCode, reason_of
from spark_ml_audit.outcomes.run_id import new_run_id
from spark_ml_audit.tracking import AuditTracker, SourceRef

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditConfig, PredictConfig


@dataclass(frozen=True)
class Begun:
    """A run that has begun.

    Attributes:
        run_id: The one to retry, or a new one.
        started: When.
        tracker: Prefetched, its MLflow run not yet open.
    """

    run_id: str
    started: datetime
    tracker: AuditTracker


@contextmanager
def tracked_run(config: AuditConfig | PredictConfig, activity: str) -> Iterator[Begun]:
    """Begin a run; what ends it by an error is recorded in tracking and goes on.

    Args:
        config: The effective config.
        activity: Name of the command, as the tracker knows it.
    """
    started = datetime.now(timezone.utc)
    run_id = config.output.run_id or new_run_id(started)
    tracker = AuditTracker(
        tracking_uri=config.tracking.uri,
        experiment=config.tracking.experiment,
        output_path=config.output.files or config.output.path,
        run_id=run_id,
        package_version=__version__,
        params=config.flat(),
        source=SourceRef(config.source.name, config.source.path is not None, format=config.source.format),
        activity=activity,
    )
    tracker.prefetch()
    try:
        yield Begun(run_id, started, tracker)
    except BaseException as error:
        # A mistyped column is no reason to make a tracking store that nobody has asked for.
        refused = isinstance(error, AuditError) and error.exit_code == ExitCode.USAGE
        if not (refused and tracker.destination.artifact_location is not None):
            tracker.fail(reason_of(error))
        raise
