"""The entry scripts of scheduled tasks: the command line's commands and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spark_ml_audit.cli.commands import COMMANDS
from spark_ml_audit.cli.program import build_parser

PROJECT = Path(__file__).parents[2]
JOBS = sorted((PROJECT / "jobs").glob("*.py"))
KNOWN = {command.name for command in COMMANDS}


def run(job: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(job), *arguments],
        env=os.environ | {"PYTHONPATH": str(PROJECT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_scheduled_task_has_one() -> None:
    assert {job.stem for job in JOBS} >= {"predict", "audit", "correct", "tag", "compare"}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)
def test_help_is_that_of_the_command(job: Path) -> None:
    if job.stem not in KNOWN:
        pytest.skip(f"the command {job.stem} is not there yet")
    done = run(job, "--help")
    assert done.returncode == 0, done.stderr
    assert f"usage: {build_parser().prog} {job.stem}" in done.stdout


def test_a_failure_is_the_status_and_success_raises_nothing() -> None:
    (job,) = [job for job in JOBS if job.stem == "audit"]
    refused = run(job, "--set", "source.pth=x")
    assert refused.returncode == 2
    assert "Did you mean path?" in refused.stderr
    # Databricks executes the file and takes any SystemExit for a failure
    code = (
        "import sys; sys.argv = ['audit.py', '--help']; "
        f"exec(compile(open({str(job)!r}).read(), 'audit.py', 'exec'), {{'__name__': '__main__'}}); "
        "print('came to its end')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "DATABRICKS_RUNTIME_VERSION": "16.4"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "came to its end" in done.stdout, done.stderr
