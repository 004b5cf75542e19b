"""What takes longer than an answer: one job after the other, with what became of each."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from spark_ml_audit.errors import AuditError, reason_of
from spark_ml_audit.outcomes.base import plain
from spark_ml_audit.text import redact

_MOST_KEPT = 50

Work = Callable[[], dict[str, Any]]


@dataclass
class Job:
    """One job.

    Attributes:
        name: What it does.
        who: Who started it.
        state: waiting, running, done or failed.
        result: What it found.
        error: Why it failed.
        seconds: How long it took.
    """

    name: str
    who: str
    job_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    state: str = "waiting"
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0


class JobQueue:
    """Runs jobs one after the other beside the page."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="job")

    def start(self, name: str, who: str, work: Work) -> dict[str, Any]:
        """Start a job, behind those that are not done."""
        job = Job(name, who)
        with self._lock:
            self._jobs[job.job_id] = job
            while len(self._jobs) > _MOST_KEPT:
                self._jobs.pop(next(iter(self._jobs)))
        self._worker.submit(self._run, job, work)
        return plain(vars(job))  # type: ignore[no-any-return]

    def all(self) -> list[dict[str, Any]]:
        """All jobs, the newest first."""
        with self._lock:
            return [plain(vars(job)) for job in reversed(self._jobs.values())]

    def close(self) -> None:
        """Start no further jobs."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _run(job: Job, work: Work) -> None:
        job.state, began = "running", time.monotonic()
        try:
            job.result = work()
            job.state = "done"
        except AuditError as error:
            job.error, job.state = redact(str(error)), "failed"
        except Exception as error:  # noqa: BLE001 - told where the job is looked at
            job.error, job.state = f"{type(error).__name__}: {redact(reason_of(error))[:400]}", "failed"
        finally:
            job.seconds = round(time.monotonic() - began, 1)
