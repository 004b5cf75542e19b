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
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from spark_ml_audit.tracking import AuditTracker, SourceRef

SOURCE = SourceRef("/data/tags", is_path=True, version="0")


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(autouse=True)
def no_setting_of_mlflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A sqlite store of the user's own keeps its artifacts in the working directory: MLflow's convention.
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "DATABRICKS_RUNTIME_VERSION"):
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True)
class Server:
    url: str
    process: subprocess.Popen[bytes]
    log: Path


@pytest.fixture(scope="session", autouse=True)
def starting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A `mlflow server` that starts (10 s and more) while tests that do not need it run."""
    folder = tmp_path_factory.mktemp("mlflow-server")
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


@pytest.fixture(scope="session")
def server(starting_server: Server) -> str:
    """Address of a running `mlflow server`."""
    deadline = time.monotonic() + 240
    while True:
        with suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"{starting_server.url}/health", timeout=2).close()
            return starting_server.url
        if starting_server.process.poll() is not None or time.monotonic() > deadline:
            pytest.fail("mlflow server did not start:\n" + starting_server.log.read_text()[-3000:])
        time.sleep(0.2)


@pytest.fixture(params=["sqlite", "http"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Tracking URI of a real store, on disk and behind a server."""
    if request.param == "http":
        return str(request.getfixturevalue("server"))
    return f"sqlite:///{tmp_path}/store/mlflow.db"


@pytest.fixture
def make_tracker(tmp_path: Path) -> Callable[..., AuditTracker]:
    def make(uri: str | None, **changes: object) -> AuditTracker:
        settings: dict[str, object] = {
            "tracking_uri": uri,
            "experiment": f"audit of {tmp_path.name}",
            "output_path": str(tmp_path / "out"),
            "run_id": "20260101t000000z-0a1b2c3d",
            "package_version": "0.1.0",
            "params": {"audit.filter_by": "prune_by_noise_rate", "audit.alpha": "0.8"},
            "source": SOURCE,
        }
        return AuditTracker(**{**settings, **changes})  # type: ignore[arg-type]

    return make


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
        with suppress(OSError), socket.create_connection((host, int(port))) as inside:
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


@pytest.fixture
def door(server: str) -> Iterator[Door]:
    door = Door(server)
    yield door
    door.shut()


@pytest.fixture
def black_hole() -> Iterator[Door]:
    hole = Door(None)
    yield hole
    hole.shut()
