"""How a command begins to be tracked: a tracker made from its config, told when the run fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol

from spark_ml_audit._version import __version__
from spark_ml_audit.errors import AuditError, ExitCode, reason_of
from spark_ml_audit.outcomes.runs import new_run_id
from spark_ml_audit.tracking.beside import TrackerBeside, may_be_beside
from spark_ml_audit.tracking.destination import Destination, resolve_tracking_uri
from spark_ml_audit.tracking.payload import SourceRef
from spark_ml_audit.tracking.tracker import AuditTracker

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditConfig, OutputConfig, PredictConfig, TrackingConfig


class TrackedConfig(Protocol):
    """A config with the sections that tracking needs."""

    @property
    def output(self) -> OutputConfig:
        """Where results go."""

    @property
    def tracking(self) -> TrackingConfig:
        """Where the MLflow run goes."""

    def flat(self) -> dict[str, str]:
        """Dotted keys and their values as texts."""


def destination_of(config: TrackedConfig) -> Destination:
    """Where what a command does is tracked."""
    output = config.output
    return Destination(*resolve_tracking_uri(config.tracking.uri, output.files or output.path))


def tracker_for(
    config: TrackedConfig,
    run_id: str,
    activity: str,
    source: SourceRef | None = None,
    *,
    preload: Sequence[str] = (),
) -> AuditTracker:
    """A tracker for a command.

    Args:
        config: The effective config.
        run_id: Id of the run it is about.
        activity: Name of the command.
        source: What was read, if that is known yet.
        preload: Modules for images to be drawn.
    """
    output, destination = config.output, destination_of(config)
    kind = TrackerBeside if may_be_beside(destination) else AuditTracker
    return kind(
        tracking_uri=config.tracking.uri,
        experiment=config.tracking.experiment,
        output_path=output.files or output.path,
        run_id=run_id,
        package_version=__version__,
        params=config.flat(),
        source=source,
        activity=activity,
        destination=destination,
        preload=preload,
    )


@dataclass(frozen=True)
class StartedRun:
    """A run that has begun.

    Attributes:
        run_id: The one to retry, or a new one.
        started_at: When, UTC.
        tracker: Prefetched, its MLflow run not yet open.
    """

    run_id: str
    started_at: datetime
    tracker: AuditTracker


@contextmanager
def tracked_run(
    config: AuditConfig | PredictConfig, activity: str, *, preload: Sequence[str] = ()
) -> Iterator[StartedRun]:
    """Begin a run; what ends it by an error is recorded in tracking and goes on.

    Args:
        config: The effective config.
        activity: Name of the command, as the tracker knows it.
        preload: Modules for images that are drawn at its end.
    """
    started_at = datetime.now(timezone.utc)
    run_id = config.output.run_id or new_run_id(started_at)
    tracker = tracker_for(config, run_id, activity, source_ref(config), preload=preload)
    tracker.prefetch()
    try:
        yield StartedRun(run_id, started_at, tracker)
    except BaseException as error:
        # A mistyped column is no reason to make a tracking store that nobody has asked for.
        refused = isinstance(error, AuditError) and error.exit_code == ExitCode.USAGE
        if not (refused and tracker.destination.artifact_location is not None):
            tracker.fail(reason_of(error))
        raise
    finally:
        tracker.close()


def source_ref(config: AuditConfig | PredictConfig, version: str | None = None) -> SourceRef:
    """The source of a run as tracking names it.

    Args:
        config: The effective config.
        version: The version that was read, once it is pinned.
    """
    source, kind = config.source, str(config.source.format)
    if kind == "auto":  # only Delta tables have versions; files have a digest instead
        kind = "files" if version is not None and version.startswith("files-") else "delta"
    return SourceRef(source.name, source.path is not None, version, kind)
