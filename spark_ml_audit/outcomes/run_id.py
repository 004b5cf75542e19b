"""Ids of runs: the UTC start and some random digits."""

from __future__ import annotations

import secrets
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

_RUN_TIME = "%Y%m%dt%H%M%Sz"


def new_run_id(now: datetime | None = None) -> str:
    """A run id: UTC start and 8 random hex digits."""
    return (now or datetime.now(timezone.utc)).strftime(_RUN_TIME) + "-" + secrets.token_hex(4)


def run_started(run_id: str) -> datetime:
    """The UTC time in a run id."""
    return datetime.strptime(run_id.split("-", maxsplit=1)[0], _RUN_TIME).replace(tzinfo=timezone.utc)
