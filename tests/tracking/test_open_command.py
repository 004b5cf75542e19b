"""The command that a summary prints opens MLflow with the run, from any folder."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from tests.mlflow_server import free_port
from tests.tracking.test_runs import MakeTracker, delivery, opening


def answer(address: str, process: subprocess.Popen[bytes]) -> str:
    """What an address gives, once anybody answers."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(address, timeout=5) as found:
            return str(found.read().decode())
        time.sleep(0.5)
    raise AssertionError("nobody answers")


def test_the_command_opens_the_store_with_its_runs(make_tracker: MakeTracker, tmp_path: Path) -> None:
    tracker = make_tracker(f"sqlite:///{tmp_path}/an output/mlflow.db")
    tracker.open(opening())
    assert tracker.deliver(delivery()), tracker.problems
    assert tracker.how_to_open is not None
    port, elsewhere = free_port(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    process = subprocess.Popen(
        [*shlex.split(tracker.how_to_open), "--port", str(port)],
        cwd=elsewhere,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/get?run_id={tracker.mlflow_run_id}"
        assert "of 90 rows" in answer(address, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)
