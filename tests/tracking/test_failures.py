"""Stores that do not answer, refuse or go away: the audit learns it in seconds and goes on."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from spark_ml_audit.tracking import AuditTracker, RunDelivery, RunOpening
from spark_ml_audit.tracking.bounded import DeadlinePassedError, run_bounded, short_waits
from tests.mlflow_server import Door, free_port
from tests.paths import PROJECT
from tests.tracking.conftest import TRACKERS, both_trackers

MakeTracker = Callable[..., AuditTracker]

#: The promise is "seconds, not minutes"; MLflow's own defaults take about four minutes a call.
SECONDS_NOT_MINUTES = 40


@contextmanager
def bounded_and_tidy() -> Iterator[None]:
    environment = dict(os.environ)
    levels = {name: logging.getLogger(name).level for name in ("mlflow", "alembic", "urllib3.connectionpool")}
    started = time.monotonic()
    yield
    assert time.monotonic() - started < SECONDS_NOT_MINUTES
    assert {k: v for k, v in os.environ.items() if k.startswith("MLFLOW")} == {
        k: v for k, v in environment.items() if k.startswith("MLFLOW")
    }
    assert levels == {name: logging.getLogger(name).level for name in levels}


def audit(tracker: AuditTracker, budget_seconds: float | None = None) -> None:
    assert tracker.open(RunOpening(warnings=("w",)), budget_seconds=budget_seconds) is None
    assert not tracker.deliver(RunDelivery("ok", tables={"classes": pd.DataFrame({"tag": ["a"]})}))
    tracker.fail("something else")


@both_trackers
def test_refused_connection_is_one_problem_in_seconds(
    make_tracker: MakeTracker, capfd: pytest.CaptureFixture[str]
) -> None:
    tracker = make_tracker(f"http://someone:s3cr3t-pw@127.0.0.1:{free_port()}")
    with bounded_and_tidy():
        audit(tracker)
    assert len(tracker.problems) == 1
    assert "cannot be reached" in tracker.problems[0]
    assert "Connection refused" in tracker.problems[0]
    assert "s3cr3t" not in tracker.problems[0]
    assert "127.0.0.1" in tracker.problems[0]
    assert tracker.is_dead
    assert capfd.readouterr() == ("", "")


@both_trackers
def test_server_that_never_answers_is_one_problem_in_seconds(
    make_tracker: MakeTracker, black_hole: Door, capfd: pytest.CaptureFixture[str]
) -> None:
    tracker = make_tracker(black_hole.url)
    with bounded_and_tidy():
        audit(tracker, budget_seconds=6)
    assert len(tracker.problems) == 1
    assert "did not answer within 6 s" in tracker.problems[0]
    asked = black_hole.connections
    tracker.fail("later")
    assert black_hole.connections == asked
    assert capfd.readouterr() == ("", "")


def test_server_that_answers_500_and_asks_to_wait_an_hour_is_left_in_seconds(
    make_tracker: MakeTracker,
) -> None:
    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.send_header("Retry-After", "3600")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    broken = ThreadingHTTPServer(("127.0.0.1", 0), Broken)
    threading.Thread(target=broken.serve_forever, daemon=True).start()
    tracker = make_tracker(f"http://127.0.0.1:{broken.server_port}")
    try:
        with bounded_and_tidy():
            audit(tracker)
    finally:
        broken.shutdown()
        broken.server_close()
    assert len(tracker.problems) == 1
    assert "too many 503" in tracker.problems[0]


def test_answers_that_are_not_of_mlflow_are_problems(make_tracker: MakeTracker) -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<html>a login page</html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    page = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    tracker = make_tracker(f"http://127.0.0.1:{page.server_port}")
    try:
        with bounded_and_tidy():
            assert tracker.open(RunOpening()) is None
    finally:
        page.shutdown()
        page.server_close()
    assert len(tracker.problems) == 1


@both_trackers
def test_server_that_dies_between_opening_and_delivery_is_a_problem(
    make_tracker: MakeTracker, door: Door, server: str
) -> None:
    tracker = make_tracker(door.url)
    run_id = tracker.open(RunOpening())
    assert run_id is not None
    assert tracker.problems == []
    door.shut()
    with bounded_and_tidy():
        tables = {f"table{i}": pd.DataFrame({"tag": ["a"]}) for i in range(20)}
        assert not tracker.deliver(RunDelivery("ok", tables=tables))
    assert len(tracker.problems) == 1
    assert tracker.mlflow_run_id == run_id
    assert mlflow.MlflowClient(tracking_uri=server).get_run(run_id).info.status == "RUNNING"


@both_trackers
def test_server_that_falls_silent_between_opening_and_delivery_is_a_problem(
    make_tracker: MakeTracker, door: Door
) -> None:
    tracker = make_tracker(door.url)
    assert tracker.open(RunOpening()) is not None
    door.silent = True
    with bounded_and_tidy():
        assert not tracker.deliver(RunDelivery("ok"), budget_seconds=3)
    assert len(tracker.problems) == 1
    assert "3 s" in tracker.problems[0]


@both_trackers
def test_refused_artifact_does_not_stop_the_rest(make_tracker: MakeTracker, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = make_tracker(uri)
    tracker.open(RunOpening())
    missing = tmp_path / "no such report.html"
    assert not tracker.deliver(RunDelivery("ok", artifacts={"report.html": missing, "config.yaml": "a: 1\n"}))
    (problem,) = tracker.problems
    assert "report.html" in problem
    client = mlflow.MlflowClient(tracking_uri=uri)
    run = client.get_run(tracker.mlflow_run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["spark_ml_audit.status"] == "not_delivered"
    assert "report.html" in run.data.tags["spark_ml_audit.not_recorded"]
    assert [item.path for item in client.list_artifacts(run.info.run_id)] == ["config.yaml"]


@pytest.mark.parametrize(
    "uri", ["file:./mlruns", "nonsense://host", "sqlite:////proc/no/mlflow.db", "ht!tp:/x"]
)
def test_unusable_uri_is_a_problem_not_an_exception(make_tracker: MakeTracker, uri: str) -> None:
    tracker = make_tracker(uri)
    with bounded_and_tidy():
        tracker.prefetch()
        assert tracker.open(RunOpening()) is None
    assert len(tracker.problems) == 1


def test_file_that_is_no_database_is_a_problem(make_tracker: MakeTracker, tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 100)
    tracker = make_tracker(f"sqlite:///{tmp_path}/mlflow.db")
    with bounded_and_tidy():
        assert tracker.open(RunOpening(), budget_seconds=10) is None
    assert len(tracker.problems) == 1


@both_trackers
def test_abandoned_opening_leaves_no_run_running(make_tracker: MakeTracker, door: Door, server: str) -> None:
    """The server is slow, not dead: its run comes into being after the audit has gone on."""
    door.slow = (b"/runs/create", 2.0)
    tracker = make_tracker(door.url, experiment="slow")
    assert tracker.open(RunOpening(), budget_seconds=1.5) is None
    assert len(tracker.problems) == 1
    reader = mlflow.MlflowClient(tracking_uri=server)
    experiment = reader.get_experiment_by_name("slow")
    assert experiment is not None
    deadline = time.monotonic() + 20
    while not (found := reader.search_runs([experiment.experiment_id])) or found[0].info.status == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert found[0].info.status == "KILLED"
    assert len(tracker.problems) == 1


def test_environment_is_restored_when_users_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    first, second = short_waits(), short_waits()
    first.__enter__()
    second.__enter__()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "5"
    first.__exit__(None, None, None)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "5"
    second.__exit__(None, None, None)
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


def test_bounded_work_is_abandoned_at_its_deadline() -> None:
    started = time.monotonic()
    with pytest.raises(DeadlinePassedError):
        run_bounded(lambda patience: time.sleep(30), 0.2)
    assert time.monotonic() - started < 10
    with pytest.raises(ZeroDivisionError):
        run_bounded(lambda patience: 1 / 0, 5)
    assert run_bounded(lambda patience: patience.is_over, 5) is False


def _run_python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "PYTEST"))}
    environment["PYTHONPATH"] = str(PROJECT)
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


TRACKER = """
    from spark_ml_audit.tracking import RunDelivery, RunOpening
    from tests.tracking.conftest import TRACKERS
    tracker = TRACKERS[{kind!r}](tracking_uri={uri!r}, experiment="e", output_path={output!r}, run_id="r",
                           package_version="0", params={{"a": "1"}})
"""


@pytest.mark.parametrize("kind", TRACKERS)
@pytest.mark.parametrize(
    ("lacking", "uri", "fix"),
    [
        ("mlflow", "http://127.0.0.1:9", " pip install "),
        ("sqlalchemy", None, "mlflow-skinny"),
    ],
)
def test_missing_package_is_said_with_the_fix(
    tmp_path: Path, lacking: str, uri: str | None, fix: str, kind: str
) -> None:
    code = f"import sys\nsys.modules[{lacking!r}] = None\n" + textwrap.dedent(
        TRACKER.format(kind=kind, uri=uri, output=str(tmp_path / "out"))
        + """
    tracker.prefetch()
    assert tracker.open(RunOpening()) is None
    assert not tracker.deliver(RunDelivery("ok"))
    (problem,) = tracker.problems
    print(problem)
    """
    )
    done = _run_python(code, tmp_path)
    assert done.returncode == 0, done.stderr
    assert fix in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("kind", TRACKERS)
def test_a_cold_process_prints_nothing_and_leaves_the_working_directory_alone(
    tmp_path: Path, kind: str
) -> None:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    code = textwrap.dedent(
        TRACKER.format(kind=kind, uri=None, output=str(tmp_path / "out"))
        + """
    import os, sys
    assert "mlflow" not in sys.modules
    tracker.prefetch()
    assert tracker.open(RunOpening()) is not None
    assert tracker.deliver(RunDelivery("ok", artifacts={"config.json": {"a": 1}})), tracker.problems
    assert not [name for name in os.environ if name.startswith("MLFLOW")]
    """
    )
    done = _run_python(code, cwd)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(cwd.iterdir()) == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"mlflow.db", "mlartifacts"}


def test_a_file_store_is_used_where_mlflow_allows_it_and_refused_in_words_else(
    make_tracker: MakeTracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = (tmp_path / "mlruns").as_uri()
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    refused = make_tracker(uri)
    if refused.open(RunOpening()) is None:  # MLflow 3.17 and later
        (problem,) = refused.problems
        assert problem.startswith("tracking.uri: the MLflow installed here keeps no file store")
        assert "sqlite:///" in problem
        assert "MLFLOW_ALLOW_FILE_STORE=true" in problem
        assert refused.is_dead
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    allowed = make_tracker(uri)
    assert allowed.open(RunOpening(metrics={"num_rows": 3})), allowed.problems
    assert allowed.deliver(RunDelivery("ok", artifacts={"note.txt": "kept"})), allowed.problems
    client = mlflow.MlflowClient(tracking_uri=uri)
    assert client.get_run(allowed.mlflow_run_id).data.metrics["num_rows"] == 3
    assert [item.path for item in client.list_artifacts(allowed.mlflow_run_id)] == ["note.txt"]
