"""A real MLflow server on the loopback, and doors in front of it that can be shut."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def ready_url(self) -> str:
        """Its address, once it answers."""
        deadline = time.monotonic() + 240
        while True:
            with suppress(urllib.error.URLError, OSError):
                urllib.request.urlopen(f"{self.url}/health", timeout=2).close()
                return self.url
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail("mlflow server did not start:\n" + self.log.read_text()[-3000:])
            time.sleep(0.2)


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """A `mlflow server` that has been started (it answers 10 s later, or more) and ends with the context."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield Server(f"http://127.0.0.1:{port}", process, folder / "server.log")
    finally:
        # The server's workers are in the process group it leads.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)


class Door:
    """A TCP forwarder that can fall silent, be shut, or hold back or break at requests with some bytes."""

    def __init__(self, target: str | None) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.silent = target is None
        self.slow: tuple[bytes, float] | None = None
        self.fatal: bytes | None = None
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                visitor, _ = self._listener.accept()
                self.connections += 1
                self._held.append(visitor)
                threading.Thread(target=self._forward, args=(visitor,), daemon=True).start()

    def _forward(self, visitor: socket.socket) -> None:
        if self.silent or self._target is None:
            return
        host, _, port = self._target.removeprefix("http://").partition(":")
        with suppress(OSError, ValueError), socket.create_connection((host, int(port))) as inside:
            self._held.append(inside)
            while True:
                for ready in select.select([visitor, inside], [], [])[0]:
                    data = ready.recv(65536)
                    if self.silent:
                        return
                    if not data:
                        visitor.close()
                        return
                    if ready is visitor and self.fatal and self.fatal in data:
                        self.shut()
                        return
                    if ready is visitor and self.slow and self.slow[0] in data:
                        time.sleep(self.slow[1])
                    (inside if ready is visitor else visitor).sendall(data)

    def shut(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for held in self._held:
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
            held.close()
