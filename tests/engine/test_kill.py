"""Audits killed without warning: they show nowhere, and the same id completes them exactly."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from spark_ml_audit.outcomes.runs import new_run_id
from tests.datasets import make_dataset
from tests.lake import Lake

pytestmark = [pytest.mark.spark, pytest.mark.faults]


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
def audited(
    spark: Any, tracking_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any]]:
    """A source, and what the tables of an audit hold that nobody disturbed."""
    lake = Lake(spark, tmp_path_factory.mktemp("undisturbed"), tracking_uri)
    source = lake.write(lake.dataset_frame(make_dataset(5, "forest")))
    return source, lake.contents(lake.audit(source__path=source))


def kill_when(process: subprocess.Popen[str], marker: str, delay: float = 0.0) -> list[str]:
    """SIGKILL the process and its JVM when a line of its stderr has the marker, or some seconds later.

    Returns:
        The lines up to the marker.
    """
    seen: list[str] = []
    assert process.stderr is not None
    try:
        for line in process.stderr:
            seen.append(line)
            if marker in line:
                time.sleep(delay)
                break
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
    assert marker in seen[-1], "".join(seen)
    return seen


@pytest.mark.parametrize(("stage", "late"), MOMENTS)
def test_a_killed_audit_shows_nowhere_and_its_id_completes_it(
    lake: Lake, audited: tuple[str, dict[str, Any]], stage: str, late: bool
) -> None:
    source, expected = audited
    out, run_id = lake.path("out"), new_run_id()
    settings = {"source.path": source, "output.path": out, "output.run_id": run_id}
    kill_when(lake.start("audit", settings), f" {stage} started", random.uniform(0.1, 1.5) if late else 0.0)
    # visible, if at all, with all it has: the row in `runs` comes last
    finished = Path(out, "runs", "_delta_log", f"{0:020}.json").exists()
    assert not finished or late or stage == "runs"
    if stage == "examples" and not finished:
        # another run is not disturbed, does not see the leftovers and leaves them to their owner
        other = lake.audit({**settings, "output.run_id": None})
        assert lake.contents(other) == expected
        assert [row["run_id"] for row in lake.table(f"{out}/runs").collect()] == [other["run_id"]]
    completed = lake.audit(settings)
    assert completed["run_id"] == run_id
    assert completed["already_finished"] == finished
    assert completed["delivered"]
    assert lake.contents(completed) == expected
    assert lake.table(f"{out}/runs").where(f"run_id = '{run_id}'").count() == 1


@pytest.fixture(scope="module")
def remains(
    spark: Any, tmp_path_factory: pytest.TempPathFactory, audited: tuple[str, dict[str, Any]]
) -> tuple[Path, str]:
    """What a kill at the start of each stage would leave: copies of all files while the process is stopped.

    The process is given relative paths, which mean its working directory, also to the retries.

    Returns:
        Folder with a copy per stage, and the run's id.
    """
    folder = tmp_path_factory.mktemp("remains")
    live, run_id = folder / "live", new_run_id()
    live.mkdir()
    lake = Lake(spark, folder, f"sqlite:///{live}/mlflow.db")
    source = os.path.relpath(audited[0], folder)
    process = lake.start("audit", {"source.path": source, "output.path": "live/out", "output.run_id": run_id})
    assert process.stderr is not None
    seen = []
    try:
        for line in process.stderr:
            seen.append(line)
            for stage in STAGES:
                if f" {stage} started" in line:
                    os.killpg(process.pid, signal.SIGSTOP)
                    shutil.copytree(live, folder / stage)
                    os.killpg(process.pid, signal.SIGCONT)
        out, _ = process.communicate(timeout=60)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
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
    assert lake.table(f"{out}/runs").count() == 1
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
    kill_when(lake.start("predict", settings), "predict started")
    assert not list(Path(out, "predictions", "_delta_log").glob("*.json"))
    assert not Path(out, "prediction_runs").exists()
    completed = lake.run("predict", settings)
    assert completed.exit_code == 0, (completed.json, completed.stderr)
    assert completed.json["run_id"] == run_id
    assert not completed.json["already_finished"]
    assert lake.table(f"{out}/prediction_runs").count() == 1
    found = lake.table(completed.json["tables"]["predictions"]).select("id", "pred_probs").collect()
    surest = {row["id"]: ["sea", "wood"][max(range(2), key=row["pred_probs"].__getitem__)] for row in found}
    assert surest == {row[0]: row[2][0] for row in rows}
