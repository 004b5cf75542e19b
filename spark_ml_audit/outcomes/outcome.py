"""What all outcomes of commands share: a status, its exit code, what was written and what to know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from spark_ml_audit.errors import ExitCode
from spark_ml_audit.outcomes.base import Record
from spark_ml_audit.outcomes.records import GateResult

Status = Literal["ok", "gate_failed", "not_delivered"]

_EXIT_CODES: dict[Status, ExitCode] = {
    "ok": ExitCode.OK,
    "gate_failed": ExitCode.GATE_FAILED,
    "not_delivered": ExitCode.NOT_DELIVERED,
}


def status_of(gates: tuple[GateResult, ...], *, delivered: bool) -> Status:
    """Return the status of a finished run; a failed gate outweighs a failed delivery.

    >>> status_of((), delivered=False)
    'not_delivered'
    """
    if any(not gate.passed and gate.severity == "fail" for gate in gates):
        return "gate_failed"
    return "ok" if delivered else "not_delivered"


MISREAD = "The source may be misread. "
"""How a sentence begins on what makes everything that an audit says doubtful (see `frames.hints`)."""

_ALERTS = (MISREAD, "The model is too weak", "The probabilities are no better", "The model ranks no better")


def alert_among(warnings: Sequence[str]) -> str | None:
    """The first warning that speaks against all flags (see `kernels.model_quality`); None without one.

    >>> alert_among(["3 of 9 rows are in quarantine.", "The model is too weak for an audit: ..."])
    'The model is too weak for an audit: ...'
    """
    return next((text for text in warnings if text.startswith(_ALERTS)), None)


@dataclass(frozen=True, kw_only=True)
class Outcome(Record):
    """Base of what commands return; what ``--json`` prints is its `to_dict`.

    Attributes:
        delivered: Whether tracking and report arrived too.
        gates: Quality gates, passed and failed.
        tables: Name -> path or table.
        report: Path of an HTML file; None without one.
        mlflow_run_id: Id of the MLflow run; None without one, or when tracking was down.
        mlflow_open: What opens MLflow: a command, or the address of a server; None where neither is known.
        stages: Stage -> seconds.
        warnings: Sentences.
        already_finished: Whether an earlier invocation did all of it and nothing was done now.

    Example:
        >>> outcome = Outcome(gates=(GateResult("min_rows", passed=False, value=90, limit=100),))
        >>> outcome.status, int(outcome.exit_code)
        ('gate_failed', 3)
    """

    delivered: bool = True
    gates: tuple[GateResult, ...] = ()
    tables: Mapping[str, str] = field(default_factory=dict)
    report: str | None = None
    mlflow_run_id: str | None = None
    mlflow_open: str | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    already_finished: bool = False

    derived: ClassVar[tuple[str, ...]] = ("status",)

    @property
    def status(self) -> Status:
        """What the exit status follows from."""
        return status_of(self.gates, delivered=self.delivered)

    @property
    def exit_code(self) -> ExitCode:
        """Exit status of the command: 0, 3 or 4."""
        return _EXIT_CODES[self.status]
