"""What all outcomes share: a status, its exit code, strict JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from spark_ml_audit.errors import ExitCode
from spark_ml_audit.outcomes.records import GateResult

if TYPE_CHECKING:
    pass

Status = Literal["ok", "gate_failed", "not_delivered"]


EXIT_CODES: dict[Status, ExitCode] = {
    "ok": ExitCode.OK,
    "gate_failed": ExitCode.GATE_FAILED,
    "not_delivered": ExitCode.NOT_DELIVERED,
}


def status_of(gates: tuple[GateResult, ...], *, delivered: bool) -> Status:
    """Return the status of a finished run; a failed gate outweighs a failed delivery."""
    if any(not gate.passed and gate.severity == "fail" for gate in gates):
        return "gate_failed"
    return "ok" if delivered else "not_delivered"


def plain(value: Any) -> Any:
    """Return a value as strict JSON holds it: lists for tuples, Python numbers, null for NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if not isinstance(value, str) and hasattr(value, "item"):
        value = value.item()  # NumPy scalars
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
