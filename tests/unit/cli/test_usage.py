"""The command line: exit status, streams, messages; no Spark is started here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spark_ml_audit.cli import main
from spark_ml_audit.cli.commands import COMMANDS
from tests.command_line import Done, run_here, run_process
from tests.paths import PROJECT

PLACES = ("--set", "source.path=nowhere", "--set", "output.path=out")


def assert_one_sentence(done: Done, status: int = 2) -> str:
    assert done.returncode == status, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def test_the_module_runs_as_a_process_and_takes_its_arguments() -> None:
    done = run_process("audit", "--set", "audit.alfa=1", *PLACES)
    assert "Did you mean alpha?" in assert_one_sentence(done)
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["adit"], "invalid choice: 'adit'"),
        (["audit", "--jsn"], "unrecognized arguments: --jsn"),
        (["audit", "--conf", "x"], "unrecognized arguments"),
        (["audit", "--set"], "--set: expected one argument"),
        (["audit", "--config", "no.yaml"], "--config: there is no file 'no.yaml'"),
        (["check", "--set", "alpha"], "--set: found 'alpha', not key=value"),
        (["audit", *PLACES, "--set", "audit.alfa=1"], "audit.alfa: unknown key. Did you mean alpha?"),
        (["audit"], "source.path: no source is given."),
        (["predict"], "source.path: no source is given."),
        (["predict", *PLACES, "--set", "model.fold=3"], "model.fold: unknown key. Did you mean folds?"),
        (
            ["predict", *PLACES, "--fit-final", "--set", "model.uri=m"],
            "model.fit_final: found true, but model.uri",
        ),
        (["audit", *PLACES, "--fit-final"], "unrecognized arguments: --fit-final"),
        (["tag", *PLACES], "model.uri: no model is given."),
    ],
)
def test_bad_usage_exits_2_with_one_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = run_here(*arguments)
    assert said in assert_one_sentence(done)
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["audit", "--json", *PLACES, "--set", "audit.alpha=7"], "audit.alpha"),
        (["audit", "--json", "--set"], "--set"),
        (["nothing", "--json"], "COMMAND"),
        (["--json", "audit"], None),
    ],
)
def test_bad_usage_with_json_is_one_object_on_stdout(arguments: list[str], key: str | None) -> None:
    done = run_here(*arguments)
    assert_one_sentence(done)
    data = json.loads(done.stdout)
    assert set(data) == {"status", "exit_code", "error"}
    assert (data["status"], data["exit_code"]) == ("error", 2)
    assert set(data["error"]) == {"key", "message", "fix"}
    assert data["error"]["key"] == key
    assert data["error"]["message"]
    assert data["error"]["fix"]


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_help_ends_with_an_example_that_parses(command: str) -> None:
    done = run_here(command, "--help")
    assert done.returncode == 0
    last = done.stdout.rstrip().splitlines()[-1].split()
    assert last[:2] == ["spark-ml-audit", command]
    for option in ("--config", "--set", "--json"):
        assert option in done.stdout


def test_version_is_printed() -> None:
    done = run_here("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("spark-ml-audit ")


def test_bad_config_is_refused_fast_and_without_engines() -> None:
    script = (
        "import sys, spark_ml_audit, spark_ml_audit.cli as cli\n"
        "code = cli.main(['audit', '--set', 'source.path=a', '--set', 'audit.x=1'])\n"
        "engines = {'pyspark', 'delta', 'duckdb', 'deltalake', 'narwhals'}\n"
        "heavy = ({'mlflow', 'numpy', 'pandas', 'pyarrow'} | engines) & set(sys.modules)\n"
        "sys.exit(f'{code} {heavy}' if heavy or code != 2 else 0)\n"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=False,
        cwd=PROJECT,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 10  # seconds; far less on an idle machine


@pytest.mark.parametrize("command", ["audit", "check", "demo", "predict", "tag"])
def test_missing_java_exits_2_with_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    # other tests in this process may have a session
    monkeypatch.setattr("spark_ml_audit.engines.java.active_session", lambda: None)
    places = () if command == "demo" else PLACES
    if command == "tag":
        places = (*PLACES, "--set", "model.uri=models:/m/1")
    done = run_here(command, *places, "--json", "--engine", "spark")
    assert "Install Java 17 or newer" in assert_one_sentence(done)
    assert json.loads(done.stdout)["error"]["key"] == "JAVA_HOME"


def break_pyspark(folder: Path) -> str:
    """Make a pyspark that fails on import and return the import path with it first."""
    (folder / "pyspark").mkdir()
    (folder / "pyspark" / "__init__.py").write_text(
        "print('noise on stdout')\nraise RuntimeError('first line\\nsecond line')\n"
    )
    return os.pathsep.join([str(folder), str(PROJECT)])


def test_unexpected_failure_exits_1_with_one_sentence(tmp_path: Path) -> None:
    path = break_pyspark(tmp_path)
    done = run_process("check", *PLACES, "--json", PYTHONPATH=path, DATABRICKS_RUNTIME_VERSION="16.4")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert (
        last == "error: unexpected RuntimeError: first line. Run it again with --debug for the stack trace."
    )
    assert "noise on stdout" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 1
    traced = run_process(
        "check", *PLACES, PYTHONPATH=path, DATABRICKS_RUNTIME_VERSION="16.4", SPARK_ML_AUDIT_DEBUG="1"
    )
    assert "Traceback" in traced.stderr
    assert traced.stdout == ""


def test_databricks_tasks_see_failures_and_no_exit_on_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    monkeypatch.setattr(sys, "argv", ["spark-ml-audit", "audit"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    monkeypatch.setattr(sys, "argv", ["spark-ml-audit", "--version"])
    assert main() == 0
    assert main(["audit"]) == 2
    assert capsys.readouterr().out.startswith("spark-ml-audit ")


def test_closed_pipe_is_no_failure() -> None:
    command = f"{sys.executable} -m spark_ml_audit audit --help | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, check=False, cwd=PROJECT, text=True, timeout=60
    )
    assert done.stdout.strip() == "0"
    assert done.stderr == ""


def test_stdout_is_kept_for_the_result() -> None:
    script = (
        "import os, subprocess, sys\n"
        "from spark_ml_audit.cli import stdio\n"
        "real = sys.stdout\n"
        "with stdio.divert_stdout():\n"
        "    print('python')\n"
        "    real.write('held')\n"
        "    os.write(1, b'descriptor')\n"
        "    subprocess.run(['echo', 'child'])\n"
        "stdio.write(sys.stdout, 'result \\u2026')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        cwd=PROJECT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        text=True,
        timeout=60,
    )
    assert done.stdout == "result \\u2026"
    for word in ("python", "held", "descriptor", "child"):
        assert word in done.stderr
