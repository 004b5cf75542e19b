"""Spark's errors in one line."""

from __future__ import annotations

import re


def reason_of(error: BaseException) -> str:
    """The first line of an error without JVM trace, SQL context or class names; no full stop at the end."""
    text = str(error) or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
    line = re.sub(r"^(?:[\w$]+\.)+[\w$]+(?:Exception|Error): ", "", line)
    line = re.sub(r" ?SQLSTATE: \w+.*$", "", line)
    return line[:300].rstrip(". ")


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
