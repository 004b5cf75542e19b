"""The entry scripts of scheduled tasks: the command line's commands and nothing else."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from spark_ml_audit.cli.commands import COMMANDS
from spark_ml_audit.cli.program import build_parser
from tests.command_line import Done, captured
from tests.paths import PROJECT

JOBS = sorted((PROJECT / "jobs").glob("*.py"))


def run(monkeypatch: pytest.MonkeyPatch, job: Path, *arguments: str) -> Done:
    """Execute the file as spark-submit and Databricks do."""
    monkeypatch.setattr("sys.argv", [str(job), *arguments])
    return captured(lambda: len(runpy.run_path(str(job), run_name="__main__")) * 0)


def test_every_scheduled_task_has_one() -> None:
    assert {job.stem for job in JOBS} >= {"predict", "audit", "correct", "tag", "compare"}
    assert {job.stem for job in JOBS} <= {command.name for command in COMMANDS}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)
def test_help_is_that_of_the_command(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(monkeypatch, job, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: {build_parser().prog} {job.stem}" in done.stdout


@pytest.mark.parametrize("platform", ["", "16.4"])
def test_a_failure_is_the_status_and_success_raises_nothing(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    # Databricks executes the file and takes any SystemExit for a failure
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", platform)
    job = PROJECT / "jobs" / "audit.py"
    refused = run(monkeypatch, job, "--set", "source.pth=x")
    assert refused.returncode == 2
    assert "Did you mean path?" in refused.stderr
    monkeypatch.setattr("sys.argv", [str(job), "--help"])
    runpy.run_path(str(job), run_name="__main__")  # came to its end
