"""How a Delta commit that lost a race is tried again."""

from __future__ import annotations

import re

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential


def is_conflict(error: BaseException) -> bool:
    """Whether a Delta commit lost a race and may be tried again."""
    text = f"{type(error).__name__} {error}"
    return bool(
        re.search(
            r"Concurrent\w*Exception|ProtocolChangedException|MetadataChangedException|DELTA_CONCURRENT"
            r"|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED|DELTA_TRUNCATED_TRANSACTION_LOG"
            r"|FileAlreadyExistsException|DELTA_VERSIONS_NOT_CONTIGUOUS|TABLE_OR_VIEW_ALREADY_EXISTS"
            # delta-rs: by its own retries, by what came in between, by a table that came to be
            r"|Failed to commit transaction: (\d+$|Commit failed: a concurrent|Concurrent transaction"
            r"|Metadata changed|Protocol changed)|version \d+ already exists|existing table version"
            r"|Delta Lake table already exists",
            text,
        )
    )


def attempts() -> Retrying:
    """Attempts of a commit: a lost race is tried again, with growing random waits."""
    return Retrying(
        retry=retry_if_exception(is_conflict),
        stop=stop_after_attempt(8),
        wait=wait_random_exponential(multiplier=0.3, max=10),
        reraise=True,
    )
