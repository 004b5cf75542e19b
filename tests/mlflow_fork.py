"""MLflow's process for the tests: forked from one that has imported it once, instead of importing it anew.

All else is as `tracking.beside` does it: a process of its own for every tracker, its pipes, its end.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any
from unittest import mock

from tests.paths import PROJECT

_PERIOD = 0.01


class Forked:
    """What `subprocess.Popen` gives of a process, as far as `tracking.beside` asks for it."""

    def __init__(self, pid: int, asked: int, answers: int) -> None:
        self.pid = pid
        self.stdin, self.stdout = os.fdopen(asked, "wb"), os.fdopen(answers, "rb")

    def wait(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while _is_there(self.pid):
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("MLflow's process", timeout)
            time.sleep(_PERIOD)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class ForkServer:
    """The process that has imported MLflow; started when it is first asked for one."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(self, _: Any, *, env: Mapping[str, str], **__: Any) -> Forked:
        """As `subprocess.Popen`, of the command that `tracking.beside` starts."""
        connected = self._connected()
        asked, own_asked = os.pipe()
        own_answers, answers = os.pipe()
        about = json.dumps({"env": dict(env), "folder": os.getcwd()}).encode()
        connected.sendall(len(about).to_bytes(8, "big"))
        connected.sendall(about)
        socket.send_fds(connected, [b"."], [asked, answers, 2])
        os.close(asked)
        os.close(answers)
        pid = int.from_bytes(_received(connected, 8), "big")
        return Forked(pid, own_asked, own_answers)

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.mlflow_fork", str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    cwd=PROJECT,
                    env=os.environ | {"PYTHONPATH": str(PROJECT), "OPENBLAS_NUM_THREADS": "1"},
                    process_group=0,
                )
        return self._socket

    def close(self) -> None:
        """End the process."""
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait(20)


@contextmanager
def forked_trackers() -> Iterator[None]:
    """Processes of trackers are forked, where they would be started."""
    from spark_ml_audit.tracking import beside

    server = ForkServer()
    part = SimpleNamespace(Popen=server.start, PIPE=subprocess.PIPE, TimeoutExpired=subprocess.TimeoutExpired)
    try:
        with mock.patch.object(beside, "subprocess", part):
            yield
    finally:
        server.close()


# ---- in the process --------------------------------------------------------------------------------


def _received(connected: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connected.recv(size - len(found))
        if not part:
            raise EOFError
        found += part
    return found


def _serve(connected: socket.socket) -> None:
    import mlflow
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - what a tracker imports

    from spark_ml_audit.tracking import serve

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that end
    while True:
        try:
            about = json.loads(_received(connected, int.from_bytes(_received(connected, 8), "big")))
        except EOFError:
            return
        _, files, _, _ = socket.recv_fds(connected, 1, 3)
        pid = os.fork()
        if pid:
            connected.sendall(pid.to_bytes(8, "big"))
            for file in files:
                os.close(file)
            continue
        connected.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgid(0, 0)
        os.environ.clear()
        os.environ.update(about["env"])
        os.chdir(about["folder"])
        for place, file in enumerate(files):
            os.dup2(file, place)
            os.close(file)
        sys.stdin = os.fdopen(0, closefd=False)
        serve.main()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
