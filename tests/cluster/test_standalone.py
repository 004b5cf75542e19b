"""The audit on real executors: processes of their own, to which the package is shipped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable

import psutil
import pytest

from tests.cluster.conftest import SHIPPED_VERSION, end
from tests.datasets import make_dataset
from tests.lake import Lake

pytestmark = [pytest.mark.spark, pytest.mark.faults]

Submit = Callable[..., subprocess.Popen[str]]


def test_a_cluster_with_little_memory_gives_the_same_tables(lake: Lake, cluster: str, submit: Submit) -> None:
    source = lake.write(lake.dataset_frame(make_dataset(5, "forest")), files=4)
    expected = lake.contents(lake.audit(source__path=source))
    arguments = lake.arguments("audit", {"source.path": source, "output.path": lake.path("out")})[1:]
    tight = {"spark.executor.memory": "512m", "spark.executor.pyspark.memory": "1g"}
    process = submit("audit", cluster, arguments, tight)
    try:
        out, err = process.communicate(timeout=400)
    finally:
        end(process)
    assert process.returncode == 0, err[-5000:]
    result = json.loads(out)
    assert lake.contents(result) == expected
    (run,) = lake.rows(result, "runs")
    assert run["package_version"] == SHIPPED_VERSION


def executors_below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The executors' JVMs."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            command = child.cmdline()
        except psutil.Error:
            continue
        if any("CoarseGrainedExecutorBackend" in part for part in command) and "java" in command[0]:
            found.append(child)
    return found


def an_executor_below(process: subprocess.Popen[str]) -> psutil.Process:
    """An executor, as soon as there is one: those killed before are replaced."""
    deadline = time.monotonic() + 30
    while not (found := executors_below(process)):
        assert time.monotonic() < deadline, "no executor is left"
        time.sleep(0.1)
    return found[0]


@pytest.mark.long
def test_an_executor_killed_in_every_pass_changes_nothing(lake: Lake, submit: Submit) -> None:
    stages = ["ids", "profile", "resolve", "tag_issues", "examples"]
    source = lake.write(lake.dataset_frame(make_dataset(5, "forest")), files=4)
    expected = lake.contents(lake.audit(source__path=source))
    arguments = lake.arguments("audit", {"source.path": source, "output.path": lake.path("out")})[1:]
    arguments.remove("--quiet")
    settings = {"spark.deploy.maxExecutorRetries": "-1"}
    process = submit("audit", "local-cluster[2,1,1024]", arguments, settings, stderr=subprocess.DEVNULL)
    killed: list[str] = []
    seen: list[str] = []
    try:
        # spark-submit puts what Python writes to stderr, progress included, on stdout
        assert process.stdout is not None
        for line in process.stdout:
            seen.append(line)
            for stage in stages:
                if f"{stage} started" in line:
                    os.kill(an_executor_below(process).pid, signal.SIGKILL)
                    killed.append(stage)
        process.wait(timeout=60)
    finally:
        end(process)
    assert process.returncode == 0, "".join(seen)[-5000:]
    assert killed == stages, "".join(seen)[-5000:]
    result = json.loads(seen[-1])
    assert lake.contents(result) == expected
    assert set(lake.versions(result).values()) == {0}  # one commit per table
