"""The tracker's own process: chosen where it may be, and gone whatever becomes of either side."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest

from spark_ml_audit.tracking import AuditTracker, Destination, RunDelivery, RunOpening
from spark_ml_audit.tracking.beside import TrackerBeside, may_be_beside
from tests.mlflow_server import Door
from tests.paths import PROJECT

MakeTracker = Callable[..., AuditTracker]
beside = pytest.mark.parametrize("make_tracker", ["beside"], indirect=True)


def children(parent: int) -> list[int]:
    """Processes that serve trackers of a process."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            command = (place / "cmdline").read_text()
        except OSError:  # no process, or one that has just ended
            continue
        if int(fields[1]) == parent and "tracking.serve" in command and fields[0] != "Z":
            found.append(int(place.name))
    return found


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(said: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@beside
def test_the_process_lives_as_long_as_its_tracker(make_tracker: MakeTracker, tmp_path: Path) -> None:
    tracker = make_tracker(f"sqlite:///{tmp_path}/mlflow.db")
    assert children(os.getpid()) == []
    tracker.prefetch()
    (process,) = children(os.getpid())
    assert tracker.open(RunOpening()) is not None
    assert children(os.getpid()) == [process]
    tracker.close()
    assert not is_there(process)
    assert not tracker.deliver(RunDelivery("ok"))
    assert children(os.getpid()) == []


@beside
def test_a_process_that_is_killed_is_a_problem_not_an_exception(
    make_tracker: MakeTracker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = make_tracker(uri)
    run_id = tracker.open(RunOpening())
    (process,) = children(os.getpid())
    os.kill(process, signal.SIGKILL)
    assert not tracker.deliver(RunDelivery("ok"))
    tracker.fail("later")
    (problem,) = tracker.problems
    assert problem == f"MLflow's process ended; nothing more is sent to {uri}."
    assert tracker.is_dead
    assert tracker.mlflow_run_id == run_id
    assert children(os.getpid()) == []
    assert capfd.readouterr() == ("", "")


@beside
def test_a_process_that_hangs_is_left_and_ended(make_tracker: MakeTracker, tmp_path: Path) -> None:
    tracker = make_tracker(f"sqlite:///{tmp_path}/mlflow.db")
    tracker.open(RunOpening())
    (process,) = children(os.getpid())
    os.kill(process, signal.SIGSTOP)
    assert not tracker.deliver(RunDelivery("ok"), budget_seconds=-58.0)  # two seconds with what it may take
    assert "MLflow's process did not answer" in tracker.problems[0]
    assert not is_there(process)


@beside
def test_what_was_added_here_is_known_there(make_tracker: MakeTracker, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = make_tracker(uri)
    tracker.open(RunOpening())
    tracker.problems.append("The rows could not be read.")
    assert not tracker.deliver(RunDelivery("ok"))
    tags = mlflow.MlflowClient(tracking_uri=uri).get_run(tracker.mlflow_run_id).data.tags
    assert tags["spark_ml_audit.status"] == "not_delivered"
    assert tags["spark_ml_audit.not_recorded"] == "The rows could not be read."


@beside
def test_an_interrupted_call_leaves_one_run_and_takes_no_answer_from_the_next(
    make_tracker: MakeTracker, door: Door, server: str
) -> None:
    tracker = make_tracker(door.url, experiment="interrupted")
    tracker.prefetch()
    door.slow = (b"/runs/create", 1.0)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    # as soon as the run is being made
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            tracker.open(RunOpening())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert tracker.mlflow_run_id is None
    tracker.fail("interrupted")
    assert tracker.problems == []
    reader = mlflow.MlflowClient(tracking_uri=server)
    (experiment,) = reader.search_experiments(filter_string="name = 'interrupted'")
    (run,) = reader.search_runs([experiment.experiment_id])
    assert (run.info.run_id, run.info.status) == (tracker.mlflow_run_id, "FAILED")


def test_it_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    code = f"""if True:
        import time
        from spark_ml_audit.tracking.beside import TrackerBeside
        store = "sqlite:///{tmp_path}/mlflow.db"
        tracker = TrackerBeside(tracking_uri=store, experiment="e", output_path=None, run_id="r",
                                package_version="0", params={{}})
        tracker.prefetch()
        print("begun", flush=True)
        time.sleep(60)
    """
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline() == b"begun\n"
    (process,) = children(parent.pid)
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_there(process))


def test_it_is_used_where_nobody_has_set_anything_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Destination("sqlite:///mlflow.db")
    assert not may_be_beside(here)  # these tests have loaded MLflow
    monkeypatch.delitem(sys.modules, "mlflow")
    assert may_be_beside(here)
    assert may_be_beside(Destination("https://mlflow.example.com"))
    assert not may_be_beside(Destination("databricks"))
    assert not may_be_beside(Destination("databricks://profile"))
    with monkeypatch.context() as older:
        older.setattr(sys, "version_info", (3, 10, 14))
        assert not may_be_beside(here)
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    assert not may_be_beside(here)


def test_a_process_that_cannot_be_started_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    tracker = TrackerBeside(
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        experiment="e",
        output_path=None,
        run_id="r",
        package_version="0",
        params={},
    )
    assert tracker.open(RunOpening()) is None
    (problem,) = tracker.problems
    assert "cannot be started" in problem
