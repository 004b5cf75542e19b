"""Spark's errors in one line."""

from __future__ import annotations

import re

_FROM_WORKER = "An exception was thrown from the Python worker"


def reason_of(error: BaseException) -> str:
    """The first line of an error without JVM trace, SQL context or class names; no full stop at the end."""
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


def is_conflict(error: BaseException) -> bool:
    """Whether a Delta commit lost a race and may be tried again."""
    text = f"{type(error).__name__} {error}"
    return bool(
        re.search(
            r"Concurrent\w*Exception|ProtocolChangedException|MetadataChangedException|DELTA_CONCURRENT"
            r"|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED|DELTA_TRUNCATED_TRANSACTION_LOG"
            r"|FileAlreadyExistsException|DELTA_VERSIONS_NOT_CONTIGUOUS|TABLE_OR_VIEW_ALREADY_EXISTS",
            text,
        )
    )
