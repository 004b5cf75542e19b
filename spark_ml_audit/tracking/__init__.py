"""MLflow tracking of audits: bounded in time and size, best effort, without process-wide state."""

from spark_ml_audit.tracking.destination import Destination, resolve_tracking_uri
from spark_ml_audit.tracking.payload import Artifact, RunDelivery, RunOpening, SourceRef, feature_tags
from spark_ml_audit.tracking.tracker import AuditTracker

__all__ = [
    "Artifact",
    "AuditTracker",
    "Destination",
    "RunDelivery",
    "RunOpening",
    "SourceRef",
    "feature_tags",
    "resolve_tracking_uri",
]
