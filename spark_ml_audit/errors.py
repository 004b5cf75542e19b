"""The errors this package raises, and the exit status each one means.

Every error says three things: the place (a config key, a column, a row), what was found there, and
how to mend it. The command line prints them as one sentence each and never a stack trace.
"""

from __future__ import annotations

import re
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of every command (a contract with schedulers)."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    GATE_FAILED = 3
    NOT_DELIVERED = 4


class AuditError(Exception):
    """Base of every error raised on purpose.

    Attributes:
        key: Dotted config key, column or option the error is about; None where there is none.
        message: What was found, in one sentence.
        fix: What to do about it, in one sentence.

    Example:
        >>> error = ConfigError("found 2.", key="audit.alpha", fix="Set it to a number from 0 to 1.")
        >>> print(error)
        audit.alpha: found 2. Set it to a number from 0 to 1.
        >>> int(error.exit_code)
        2
    """

    exit_code: ExitCode = ExitCode.FAILURE

    def __init__(self, message: str, *, key: str | None = None, fix: str = "") -> None:
        super().__init__(message, key, fix)
        self.key = key
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        place = f"{self.key}: " if self.key else ""
        return f"{place}{self.message}" + (f" {self.fix}" if self.fix else "")


class ConfigError(AuditError):
    """A config file, override or argument that cannot be used."""

    exit_code = ExitCode.USAGE


class InputError(AuditError):
    """A source table or array that cannot be audited as it is."""

    exit_code = ExitCode.USAGE


class SetupError(AuditError):
    """Something the machine lacks: Java, an optional package."""

    exit_code = ExitCode.USAGE


class DeliveryError(AuditError):
    """The audit is written, but tracking or report could not be delivered."""

    exit_code = ExitCode.NOT_DELIVERED


_FROM_WORKER = "An exception was thrown from the Python worker"


def reason_of(error: BaseException) -> str:
    r"""The first line of an error without JVM trace, SQL context or class names; no full stop at the end.

    >>> text = "org.apache.spark.SparkException: Job aborted. SQLSTATE: XXKDA\n\tat org.apache.spark.Job"
    >>> reason_of(RuntimeError(text))
    'Job aborted'
    """
    text = str(error) or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    if line.startswith(_FROM_WORKER):
        line = _said_by_worker(lines)
    line = re.sub(r"^(?:[\w$]+\.)+[\w$]+(?:Exception|Error): ", "", line)
    line = re.sub(r" ?SQLSTATE: \w+.*$", "", line)
    return line[:300].rstrip(". ")


def _said_by_worker(lines: list[str]) -> str:
    """The error itself at the end of a Python worker's trace, before the JVM's."""
    ends = [
        i for i, line in enumerate(lines) if line.startswith(("SQLSTATE", "== ", "Driver stacktrace", "at "))
    ]
    trace = lines[1 : ends[0]] if ends else lines[1:]
    return trace[-1] if trace else lines[0]
