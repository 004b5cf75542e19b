"""Audits killed without warning: they show nowhere, and the same id completes them exactly."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from spark_ml_audit.outcomes.runs import new_run_id
from tests.conftest import lake_for
from tests.datasets import make_dataset
from tests.lake import Lake

pytestmark = pytest.mark.faults


STAGES = (
    "source",
    "ids",
    "profile",
    "resolve",
    "classes",
    "examples",
    "counts",
    "issues",
    "tag_issues",
    "proof",
    "quarantine",
    "tracking",
    "runs",
)
# delayed, the kill comes in the middle of the stage
MOMENTS = [
    pytest.param(stage, late, marks=() if (stage, late) == ("tag_issues", False) else pytest.mark.long)
    for stage in STAGES
    for late in (False, True)
]


@pytest.fixture(scope="module")
def audited(house: Lake) -> tuple[str, dict[str, Any]]:
    """A source, and what the tables of an audit hold that nobody disturbed."""
    lake = house
    source = lake.write(lake.dataset_frame(make_dataset(5, "forest")))
    return source, lake.contents(lake.audit(source__path=source))


# Stops itself, and what it started, at the beginning of stages: a reader of its progress may come too late.
STOPPING = """
import contextlib, os, signal, sys
from spark_ml_audit import cli, progress

stages, show = set(sys.argv.pop(1).split()), progress.Progress.stage

@contextlib.contextmanager
def stage(self, name):
    with show(self, name):
        if name in stages:
            os.killpg(0, signal.SIGSTOP)
        yield

progress.Progress.stage = stage
sys.exit(cli.main(sys.argv[1:]))
"""


def stopping(
    lake: Lake, command: str, settings: Mapping[str, object], stages: Sequence[str]
) -> subprocess.Popen[str]:
    """Start a command that stops at the beginning of these stages."""
    return lake.start(command, settings, "-c", STOPPING, " ".join(stages))


def end(process: subprocess.Popen[str]) -> None:
    """SIGKILL the process and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


def reached(process: subprocess.Popen[str], stages: Sequence[str], seen: list[str]) -> str | None:
    """The stage at whose beginning the process has stopped; None when it has ended.

    Args:
        process: From `stopping`.
        stages: Where it stops.
        seen: Takes the lines of its stderr.
    """
    assert process.stderr is not None
    for line in process.stderr:
        seen.append(line)
        found = re.search(r" (\w+) started$", line)
        if found and found[1] in stages:
            while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
                time.sleep(0.01)
            return found[1]
    return None


def kill_at(stage: str, process: subprocess.Popen[str], delay: float = 0.0) -> None:
    """SIGKILL a process where it stops, or some seconds later."""
    seen: list[str] = []
    try:
        assert reached(process, [stage], seen) == stage, "".join(seen)
        if delay:
            os.killpg(process.pid, signal.SIGCONT)
            time.sleep(delay)
    finally:
        end(process)


@pytest.mark.parametrize(("stage", "late"), MOMENTS)
def test_a_killed_audit_shows_nowhere_and_its_id_completes_it(
    lake: Lake, audited: tuple[str, dict[str, Any]], stage: str, late: bool
) -> None:
    source, expected = audited
    out, run_id = lake.path("out"), new_run_id()
    settings = {"source.path": source, "output.path": out, "output.run_id": run_id}
    longest = 0.2 if lake.kind == "embedded" else 1.5
    process = stopping(lake, "audit", settings, [stage])
    kill_at(stage, process, random.uniform(0.02, longest) if late else 0.0)
    # visible, if at all, with all it has: the row in `runs` comes last
    finished = Path(out, "runs", "_delta_log", f"{0:020}.json").exists()
    assert not finished or late or stage == "runs"
    if stage == "examples" and not finished:
        # another run is not disturbed, does not see the leftovers and leaves them to their owner
        other = lake.audit({**settings, "output.run_id": None})
        assert lake.contents(other) == expected
        assert [row["run_id"] for row in lake.records(f"{out}/runs")] == [other["run_id"]]
    completed = lake.audit(settings)
    assert completed["run_id"] == run_id
    assert completed["already_finished"] == finished
    assert completed["delivered"]
    assert lake.contents(completed) == expected
    assert lake.count(f"{out}/runs", run_id) == 1


@pytest.fixture(scope="module")
def remains(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    audited: tuple[str, dict[str, Any]],
) -> tuple[Path, str]:
    """What a kill at the start of each stage would leave: copies of all files while the process is stopped.

    The process is given relative paths, which mean its working directory, also to the retries.

    Returns:
        Folder with a copy per stage, and the run's id.
    """
    folder = tmp_path_factory.mktemp("remains")
    live, run_id = folder / "live", new_run_id()
    live.mkdir()
    lake = lake_for(request, folder, f"sqlite:///{live}/mlflow.db")
    source = os.path.relpath(audited[0], folder)
    settings = {"source.path": source, "output.path": "live/out", "output.run_id": run_id}
    process = stopping(lake, "audit", settings, STAGES)
    seen: list[str] = []
    try:
        while (stage := reached(process, STAGES, seen)) is not None:
            shutil.copytree(live, folder / stage)
            os.killpg(process.pid, signal.SIGCONT)
        out, _ = process.communicate(timeout=60)
    finally:
        end(process)
    assert {path.name for path in folder.iterdir()} >= set(STAGES), "".join(seen)
    assert (process.returncode, out.count("\n")) == (0, 1), "".join(seen)
    return folder, run_id


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_kill_at_any_stage_leaves_shows_nowhere_and_is_completed(
    lake: Lake,
    audited: tuple[str, dict[str, Any]],
    remains: tuple[Path, str],
    stage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, run_id = remains
    monkeypatch.chdir(folder)
    out = folder / stage / "out"
    assert not Path(out, "runs", "_delta_log", f"{0:020}.json").exists()
    completed = lake.audit(
        {
            "source.path": os.path.relpath(audited[0], folder),
            "output.path": f"{stage}/out",
            "output.run_id": run_id,
            "tracking.uri": f"sqlite:///{folder / stage}/mlflow.db",
        }
    )
    assert completed["run_id"] == run_id
    assert not completed["already_finished"]
    assert completed["delivered"]
    assert lake.contents(completed) == audited[1]
    assert lake.count(f"{out}/runs") == 1
    assert set(lake.versions(completed).values()) == {0}  # what had been written was not written again


def test_a_killed_prediction_shows_nowhere_and_its_id_completes_it(lake: Lake) -> None:
    schema = "id string, title string, labels array<string>"
    rows = [
        (f"r{i}", ["wave boat salt", "tree leaf"][i % 2] + f" n{i % 9}", [["sea"], ["wood"]][i % 2])
        for i in range(60)
    ]
    out, run_id = lake.path("out"), new_run_id()
    settings: dict[str, object] = {
        "source.path": lake.write(lake.frame(rows, schema)),
        "output.path": out,
        "output.run_id": run_id,
        "model.folds": 2,
        "model.kind": "linear",
    }
    kill_at("predict", stopping(lake, "predict", settings, ["predict"]))
    assert not list(Path(out, "predictions", "_delta_log").glob("*.json"))
    assert not Path(out, "prediction_runs").exists()
    completed = lake.run("predict", settings)
    assert completed.exit_code == 0, (completed.json, completed.stderr)
    assert completed.json["run_id"] == run_id
    assert not completed.json["already_finished"]
    assert lake.count(f"{out}/prediction_runs") == 1
    found = lake.records(completed.json["tables"]["predictions"])
    surest = {row["id"]: ["sea", "wood"][max(range(2), key=row["pred_probs"].__getitem__)] for row in found}
    assert surest == {row[0]: row[2][0] for row in rows}
