"""What every step of an audit needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spark_ml_audit.config import AuditConfig
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.lake.source import OpenSource
    from spark_ml_audit.progress import Progress
    from spark_ml_audit.tracking.run import StartedRun


@dataclass(frozen=True)
class AuditContext:
    """What every step of an audit needs to know.

    Attributes:
        config: The effective config.
        run: The run that has begun.
        tables: Its output.
        source: What is audited, pinned.
        progress: Shows and times the stages.
    """

    config: AuditConfig
    run: StartedRun
    tables: OutputTables
    source: OpenSource
    progress: Progress

    @property
    def metadata(self) -> Mapping[str, str | None]:
        """What the first commit of the run records, for a retry to compare with."""
        return {"fingerprint": self.config.fingerprint(), "source_version": self.source.version}
