"""Calls to a tracking server that cost seconds at most, whatever the server does.

MLflow's defaults (7 retries, 120 s each) make a dead server cost minutes per call. Two bounds are laid
around every call: short waits inside MLflow's HTTP client, and a deadline for the whole piece of work,
which runs in a daemon thread so that not even a hanging name look-up can hold the audit.
"""

from __future__ import annotations

import contextvars
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: Per-request settings while this package talks to a server. A refused connection gives up after about
#: 2 s, a silent one after 5 s per try.
_BOUNDED_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_DATABRICKS_ENDPOINT_HTTP_RETRY_TIMEOUT": "10",
    # Standard output belongs to the result of the command.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # No bars for uploads and downloads.
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
#: Importing MLflow starts its usage reporting to a host on the internet unless this is set.
_IMPORT_ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true"}

_NOISY_LOGGERS = ("mlflow", "alembic", "sqlalchemy", "urllib3.connectionpool")
#: Loggers whose level a migration's own logging set-up resets; a filter survives that.
_STUBBORN_LOGGERS = ("alembic.runtime.migration", "mlflow.store.db.utils")


class DeadlinePassedError(Exception):
    """The work was not done in time and is abandoned."""


class Patience:
    """Tells a piece of work in another thread whether anybody still waits for it."""

    def __init__(self) -> None:
        self._abandoned = threading.Event()

    def abandon(self) -> None:
        """Tell the work that nobody waits any more."""
        self._abandoned.set()

    @property
    def is_over(self) -> bool:
        """Whether the work was abandoned."""
        return self._abandoned.is_set()

    def check(self) -> None:
        """Stop the work here if it was abandoned.

        Raises:
            DeadlinePassedError: Nobody waits for the work any more.
        """
        if self.is_over:
            raise DeadlinePassedError


class _Shared:
    """Process-wide settings that overlapping users enter and leave in any order.

    Each user on its own would save the other's changes as "before" and leave them behind.
    """

    def __init__(self, enter: Callable[[], Callable[[], None]]) -> None:
        self._enter = enter
        self._lock = threading.Lock()
        self._users = 0
        self._restore: Callable[[], None] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            if self._users == 0:
                self._restore = self._enter()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0 and self._restore is not None:
                    self._restore()


def _set_environment(settings: dict[str, str]) -> Callable[[], None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)

    def restore() -> None:
        for name, value in before.items():
            # What somebody else set in the meantime is theirs.
            if os.environ.get(name) != settings[name]:
                continue
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    return restore


def _only_errors(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _quiet() -> Callable[[], None]:
    levels = {name: logging.getLogger(name).level for name in _NOISY_LOGGERS}
    for name in _NOISY_LOGGERS:
        # Failures reach the caller as exceptions; the log would only say them a second time.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in _STUBBORN_LOGGERS:
        logging.getLogger(name).addFilter(_only_errors)

    def restore() -> None:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for name in _STUBBORN_LOGGERS:
            logging.getLogger(name).removeFilter(_only_errors)

    return restore


_bounded_environment = _Shared(lambda: _set_environment(_BOUNDED_ENVIRONMENT))
_import_environment = _Shared(lambda: _set_environment(_IMPORT_ENVIRONMENT))
_quiet_loggers = _Shared(_quiet)


def load_mlflow() -> None:
    """Import MLflow (about 6 s the first time) without its usage reporting and its log lines.

    Raises:
        ImportError: MLflow is not installed, or not whole.
    """
    with _import_environment.held():
        import mlflow  # noqa: F401 - loading it is the point


@contextmanager
def short_waits() -> Iterator[None]:
    """Give MLflow's HTTP client short timeouts and few retries, and quiet its loggers; restore all after."""
    with _bounded_environment.held(), _quiet_loggers.held():
        yield


def run_bounded(work: Callable[[Patience], T], seconds: float) -> T:
    """Run `work` in a daemon thread under `short_waits` and wait at most `seconds` for it.

    Args:
        work: What to do. It should call `Patience.check` between its steps, so that work nobody waits for
            stops at the next step.
        seconds: Longest wait, in seconds of wall clock.

    Returns:
        What `work` returns.

    Raises:
        DeadlinePassedError: The time is up; the thread is abandoned.
        Exception: Whatever `work` raises.
    """
    patience = Patience()
    outcome: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def body() -> None:
        try:
            outcome.put((work(patience), None))
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            outcome.put((None, error))

    # Credentials and workspace of the caller may live in context variables.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(body,), name="spark-ml-audit-tracking", daemon=True)
    with short_waits():
        thread.start()
        try:
            value, error = outcome.get(timeout=seconds)
        except queue.Empty:
            patience.abandon()
            raise DeadlinePassedError from None
        except BaseException:
            patience.abandon()
            raise
    if error is not None:
        raise error
    return value  # type: ignore[return-value]


def is_unreachable(error: BaseException) -> bool:
    """Whether an error means that no server answers, so that further calls would only cost time."""
    # RequestException covers refused and reset connections, failed name look-ups, timeouts and a server
    # that kept answering 5xx until the retries were used up. Requests is MLflow's dependency, not ours,
    # and loaded if one of its errors is here.
    requests = sys.modules.get("requests")
    gone = (ConnectionError, TimeoutError, *([requests.RequestException] if requests else []))
    return any(isinstance(cause, gone) for cause in _causes(error))


def first_cause(error: BaseException) -> BaseException:
    """The error that all others were raised from: "Connection refused" under four layers of wrapping."""
    return _causes(error)[-1]


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return chain
