"""The tracker in a process of its own: an audit does not wait while MLflow is imported (2 s).

In threads both would share one lock of Python, and each take as long as the other one needs. The process is
started where it may be (see `may_be_beside`), and ends with the pipe that it listens to, so also if this one
is killed. A verb is called by sending its name and arguments, and answered by its result and what the
tracker shows since.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_ml_audit.tracking.destination import Destination, missing_requirement
from spark_ml_audit.tracking.tracker import LOCAL_BUDGET, AuditTracker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spark_ml_audit.tracking import payload as pl

#: What an answer may take beyond the longest wait of its verb: MLflow is imported, a store made.
_ALLOWANCE = LOCAL_BUDGET
_END_SECONDS = 5.0
#: Number of the answer that is the last one.
_NO_MORE = -1
#: Nothing there multiplies matrices: no pool of threads beside the audit's.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def may_be_beside(destination: Destination) -> bool:
    """Whether another process records there as this one would.

    Where MLflow is loaded here, somebody may have set something in it; and on Databricks credentials belong
    to the notebook's process.
    """
    # process groups and -P came with Python 3.11; nice is POSIX's
    is_able = os.name == "posix" and sys.version_info >= (3, 11) and bool(sys.executable)
    on_databricks = "DATABRICKS_RUNTIME_VERSION" in os.environ or "databricks" in destination.uri
    return is_able and "mlflow" not in sys.modules and not on_databricks


class TrackerBeside(AuditTracker):
    """An `AuditTracker` that is served by a process of its own.

    Args:
        **settings: Those of `AuditTracker`; they are pickled.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._settings = {**settings, "destination": self.destination}
        self._server: _Server | None = None
        # problems that the process knows of
        self._num_shared = 0

    def prefetch(self) -> None:
        """Start the process, which imports MLflow and prepares a local store; returns at once."""
        if self._server is None and missing_requirement(self.destination) is None:
            try:
                self._server = _Server(self._settings)
            except OSError as error:
                self._give_up(f"MLflow's process cannot be started: {self._said(error)}.")

    def close(self) -> None:
        """End the process; nothing is recorded after it."""
        self.is_dead = True
        if self._server is not None:
            self._server.close()

    def open(self, opening: pl.RunOpening, *, budget_seconds: float | None = None) -> str | None:
        """See `AuditTracker.open`."""
        self._ask("open", opening, budget_seconds=budget_seconds)
        return self.mlflow_run_id

    def resume(self, known: str | None, *, budget_seconds: float | None = None) -> bool:
        """See `AuditTracker.resume`."""
        return bool(self._ask("resume", known, budget_seconds=budget_seconds))

    def draw(self, drawings: Mapping[str, Callable[[], bytes]]) -> None:
        """See `AuditTracker.draw`; returns at once, and the images are drawn meanwhile."""
        if not self.is_dead and self._server is not None:
            with suppress(OSError):  # the next question tells
                self._server.tell(("draw", (drawings,), {}, self._own_state()))

    def deliver(self, delivery: pl.RunDelivery, *, budget_seconds: float | None = None) -> bool:
        """See `AuditTracker.deliver`."""
        return bool(self._ask("deliver", delivery, budget_seconds=budget_seconds))

    def deliver_model(
        self, folder: Path, digest: str, name: str | None, *, budget_seconds: float | None = None
    ) -> str | None:
        """See `AuditTracker.deliver_model`."""
        found: str | None = self._ask("deliver_model", folder, digest, name, budget_seconds=budget_seconds)
        return found

    def add_metrics(
        self, mlflow_run_id: str, metrics: Mapping[str, float], *, budget_seconds: float | None = None
    ) -> bool:
        """See `AuditTracker.add_metrics`."""
        return bool(self._ask("add_metrics", mlflow_run_id, metrics, budget_seconds=budget_seconds))

    def fail(self, reason: str, *, budget_seconds: float | None = None) -> None:
        """See `AuditTracker.fail`."""
        self._ask("fail", reason, budget_seconds=budget_seconds)

    def _ask(self, verb: str, *arguments: Any, budget_seconds: float | None) -> Any:
        if self.is_dead:
            return None
        if (missing := missing_requirement(self.destination)) is not None:
            self._give_up(missing)
            return None
        self.prefetch()
        if self._server is None:
            return None
        longest = (budget_seconds or self.longest_wait(verb)) + _ALLOWANCE
        options = {"budget_seconds": budget_seconds}
        try:
            found, state = self._server.ask((verb, arguments, options, self._own_state()), longest)
        except (EOFError, OSError, queue.Empty) as error:
            self._server.close()
            ended = "did not answer" if isinstance(error, queue.Empty) else "ended"
            self._give_up(f"MLflow's process {ended}; nothing more is sent to {self.destination.shown}.")
            return None
        for name, value in state.items():
            setattr(self, name, value)
        self._num_shared = len(self.problems)
        return found

    def _own_state(self) -> tuple[Any, list[str]]:
        """What may have changed on this side; the rest is the process's to say.

        It knows of a run that was opened for a call which was interrupted, and of problems with images.
        """
        added = self.problems[self._num_shared :]
        self._num_shared = len(self.problems)
        return self.source, added


class _Server:
    """The process, and the pipes to and from it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "spark_ml_audit.tracking.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            # Ctrl-C is for the audit, which then has the run marked as failed; a session of its own would get
            # half of the processor, however nice it is
            process_group=0,
        )
        self._finalizer = weakref.finalize(self, _end, process)
        self._asked: Any = process.stdin
        self._answers: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        self._number = 0
        listening = (process.stdout, self._answers)
        threading.Thread(target=_listen, args=listening, name="spark-ml-audit-tracking", daemon=True).start()
        self._send(settings)

    def ask(self, message: Any, seconds: float) -> Any:
        """The answer to a message.

        Raises:
            EOFError: The process ended.
            OSError: It cannot be reached.
            queue.Empty: It took longer than that.
        """
        self.tell(message)
        while True:
            number, answer = self._answers.get(timeout=seconds)
            if number == _NO_MORE:
                raise EOFError
            # an answer that nobody waited for, or an interrupted call did not
            if number == self._number:
                return answer

    def tell(self, message: Any) -> None:
        """Send a message, whose answer nobody waits for.

        Raises:
            OSError: The process cannot be reached.
        """
        self._number += 1
        self._send((self._number, message))

    def close(self) -> None:
        """End the process."""
        self._finalizer()

    def _send(self, message: Any) -> None:
        self._asked.write(pickle.dumps(message))
        self._asked.flush()


def _listen(pipe: Any, answers: queue.SimpleQueue[tuple[int, Any]]) -> None:
    try:
        while True:
            answers.put(pickle.load(pipe))  # noqa: S301 - from a process of ours
    except Exception:  # noqa: BLE001 - whatever it is: there will be no more answers
        answers.put((_NO_MORE, None))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe, which ends the process; kill it if it does not."""
    try:
        if process.stdin is not None:
            process.stdin.close()
    except OSError:  # it has ended already
        pass
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
