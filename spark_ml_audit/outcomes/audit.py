"""What commands return: plain frozen records that become JSON and text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spark_ml_audit.errors import ExitCode
from spark_ml_audit.outcomes.base import EXIT_CODES, Status, plain
from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult

if TYPE_CHECKING:
    from spark_ml_audit.outcomes.history import Comparison


@dataclass(frozen=True)
class AuditOutcome:
    """A finished audit: its tables are written and its row in `runs` exists.

    Attributes:
        run_id: Id of the run.
        status: What the exit status follows from.
        delivered: Whether tracking and report arrived too.
        counts: Counts of the `runs` row.
        tables: Name -> path or table.
        report: Path of the HTML file.
        mlflow_run_id: Id of the MLflow run; None when tracking was down.
        gates: Quality gates, passed and failed.
        stages: Stage -> seconds.
        warnings: Sentences.
        source: Path or table that was read.
        source_version: Its pinned version.
        worst_classes: The most affected classes, worst first.
        already_finished: Whether an earlier invocation finished this run and nothing was done now.
        since: What changed since the previous run of the same source, if there is one.
    """

    run_id: str
    status: Status
    delivered: bool
    counts: Counts
    tables: dict[str, str]
    report: str | None
    mlflow_run_id: str | None
    gates: tuple[GateResult, ...]
    stages: dict[str, float]
    warnings: tuple[str, ...]
    source: str
    source_version: str | None
    worst_classes: tuple[ClassRow, ...] = ()
    already_finished: bool = False
    since: Comparison | None = None

    @property
    def exit_code(self) -> ExitCode:
        """Exit status of the command: 0, 3 or 4."""
        return EXIT_CODES[self.status]

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints (counts at the top level)."""
        found = {
            "run_id": self.run_id,
            "status": self.status,
            "delivered": self.delivered,
            **self.counts.to_dict(),
            "tables": self.tables,
            "report": self.report,
            "mlflow_run_id": self.mlflow_run_id,
            "gates": [gate.to_dict() for gate in self.gates],
            "stages": self.stages,
            "warnings": self.warnings,
            "source": self.source,
            "source_version": self.source_version,
            "worst_classes": [row.to_dict() for row in self.worst_classes],
            "already_finished": self.already_finished,
            "since_last_run": None if self.since is None else self.since.to_json(),
        }
        return {name: plain(value) for name, value in found.items()}


@dataclass(frozen=True)
class CheckReport:
    """What `check` found without computing anything.

    Attributes:
        source: Path or table examined.
        source_version: Its pinned version.
        schema: Column names and types, in order.
        labels_format: How the given tags are written.
        pred_probs_format: How the probabilities are written.
        dtype: Type of the probabilities, float or double.
        num_rows: Rows of the source; None where that would take a job.
        classes: Tag names in probability order.
        tables: Name -> path or table that an audit would write.
        notes: Sentences: how formats and class list were found, and what to look at.
    """

    source: str
    source_version: str | None
    schema: tuple[tuple[str, str], ...]
    labels_format: str
    pred_probs_format: str
    dtype: str
    num_rows: int | None
    classes: tuple[str, ...]
    tables: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """Exit status of the command: a source that cannot be audited raises instead."""
        return ExitCode.OK

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        found = {
            "status": "ok",
            "source": self.source,
            "source_version": self.source_version,
            "num_rows": self.num_rows,
            "schema": [{"name": name, "type": kind} for name, kind in self.schema],
            "labels_format": self.labels_format,
            "pred_probs_format": self.pred_probs_format,
            "dtype": self.dtype,
            "num_classes": len(self.classes),
            "classes": self.classes,
            "tables": self.tables,
            "notes": self.notes,
        }
        return {name: plain(value) for name, value in found.items()}
