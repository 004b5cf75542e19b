"""`doctor`: what it says of this machine, and of machines that lack something."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spark_ml_audit.cli.commands import COMMANDS
from spark_ml_audit.cli.doctor import Diagnosis, Need, render_doctor
from spark_ml_audit.engines.extras import install_command, requirements
from spark_ml_audit.engines.probe import EngineState
from tests.command_line import run_here
from tests.paths import PROJECT

# A Python in which some packages cannot be found, though others are there.
BLOCKED = """
import importlib.util, sys
from importlib import metadata
blocked = set(sys.argv.pop(1).split(","))
find_spec, version = importlib.util.find_spec, metadata.version
importlib.util.find_spec = lambda name, *more: None if name in blocked else find_spec(name, *more)
def told(name):
    if name in blocked:
        raise metadata.PackageNotFoundError(name)
    return version(name)
metadata.version = told
class Refuses:
    def find_spec(self, name, *more):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuses())
from spark_ml_audit.cli import main
sys.exit(main())
"""

# One in which a package is installed, and fails as it is imported.
BROKEN = """
import sys
class Breaks:
    def find_spec(self, name, *more):
        if name == "duckdb":
            raise ImportError("libduckdb.so is too old")
from importlib import util
find_spec = util.find_spec
util.find_spec = lambda name, *more: True if name == "duckdb" else find_spec(name, *more)
sys.meta_path.insert(0, Breaks())
from spark_ml_audit.cli import main
sys.exit(main())
"""


def run_python(script: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        check=False,
        env={**kept, "PYTHONPATH": str(PROJECT), **environ},
        text=True,
        timeout=120,
    )


def run_without(blocked: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return run_python(BLOCKED, blocked, *arguments, **environ)


def diagnosed(*arguments: str, expect: int = 0) -> dict[str, Any]:
    done = run_here("doctor", "--json", "--quiet", *arguments)
    assert done.returncode == expect, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_machine_that_has_all_can_run_all_commands() -> None:
    found = diagnosed("--engine", "embedded")
    assert found["status"] == "ok"
    assert found["engine"] == "embedded"
    (embedded,) = [engine for engine in found["engines"] if engine["kind"] == "embedded"]
    assert embedded["can_start"]
    assert 0 < embedded["seconds"] < 30
    assert int(embedded["settings"]["threads"]) >= 1
    assert set(found["commands"]) == {command.name for command in COMMANDS} - {"doctor"}
    assert all(command["can_run"] for command in found["commands"].values())
    assert found["python"]["executable"] == sys.executable
    assert found["folder"] == {"path": os.getcwd(), "is_writable": True}
    text = run_here("doctor", "--quiet", "--engine", "embedded").stdout
    assert "embedded: can start" in text
    assert "commands take the engine embedded" in text


def test_memory_and_spill_are_those_of_the_config(tmp_path: Path) -> None:
    config = tmp_path / "audit.yml"
    config.write_text(f"source: {{path: films}}\nengine: {{memory: 1GiB, spill: {tmp_path}/spill}}\n")
    found = diagnosed("--config", str(config), "--engine", "embedded")
    settings = found["engines"][0]["settings"]
    assert settings["memory"] == "1.0 GiB"
    assert settings["spill"] == f"{tmp_path}/spill"
    found = diagnosed("--set", "engine.memory=1KiB", expect=2)
    assert found["error"]["key"] == "engine.memory"


def test_a_spill_place_that_is_a_file_is_found_without_a_trace(tmp_path: Path) -> None:
    place = tmp_path / "spill"
    place.write_text("not a folder")
    found = diagnosed("--engine", "embedded", "--set", f"engine.spill={place}", expect=2)
    assert found["engine"] is None
    assert "cannot be made" in found["engines"][0]["found"]
    assert "Give a folder" in found["commands"]["audit"]["missing"][0]["mend"]


def test_without_any_engine_it_says_how_to_get_one() -> None:
    done = run_without("duckdb,deltalake,pyspark,delta,delta-spark,sqlalchemy,alembic", "doctor", "--quiet")
    assert done.returncode == 2, done.stderr
    assert done.stderr == ""
    assert "embedded: cannot start: not installed: duckdb, deltalake" in done.stdout
    assert "spark: cannot start: not installed: pyspark, delta-spark" in done.stdout
    assert "cannot run: all: missing an engine that can start" in done.stdout
    assert install_command("local") in done.stdout
    assert "(skinny)" in done.stdout
    assert "can run in part: demo, predict, audit and tag: missing MLflow in full" in done.stdout


def test_a_library_that_is_missing_stops_the_commands_that_need_it() -> None:
    done = run_without(
        "scikit-learn,sklearn,faiss-cpu,faiss", "doctor", "--json", "--quiet", "--engine", "embedded"
    )
    found = json.loads(done.stdout)
    can_run = {name: command["can_run"] for name, command in found["commands"].items()}
    assert not can_run["predict"]
    assert not can_run["tag"]
    assert can_run["audit"]
    assert "scikit-learn" in found["commands"]["predict"]["missing"][0]["mend"]
    assert found["libraries"]["faiss-cpu"] is None


def test_the_review_page_wants_its_extra() -> None:
    done = run_without("fastapi", "doctor", "--json")
    found = json.loads(done.stdout)["commands"]
    assert [name for name, command in found.items() if not command["can_run"]] == ["serve"]
    (need,) = found["serve"]["missing"]
    assert "fastapi" in need["what"]
    assert "pip install" in need["mend"]
    refused = run_without("fastapi", "serve", "--set", "output.path=nowhere")
    assert refused.returncode == 2
    assert need["mend"] in refused.stderr


def test_an_engine_that_breaks_as_it_opens_is_told_in_one_line() -> None:
    done = run_python(BROKEN, "doctor", "--quiet", "--engine", "embedded")
    assert (done.returncode, done.stderr) == (2, "")
    assert "embedded: cannot start: does not open: libduckdb.so is too old" in done.stdout


@pytest.mark.parametrize(
    ("version", "said"),
    [("11.0.2", "is Java 11, but Spark needs Java 17"), (None, "there is no bin/java below JAVA_HOME")],
)  # fmt: skip
def test_java_is_looked_at_without_starting_it(tmp_path: Path, version: str | None, said: str) -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    if version is not None:
        java = tmp_path / "bin" / "java"
        java.parent.mkdir()
        java.write_text(
            f'#!/bin/sh\n[ "$1" = -version ] || exit 9\necho \'openjdk version "{version}"\' >&2\n'
        )
        java.chmod(0o755)
    arguments = ("doctor", "--quiet", "--engine", "spark")
    done = run_without("none", *arguments, JAVA_HOME=str(tmp_path))
    assert done.returncode == 2
    assert f"spark: cannot start: {'/' if version else ''}" in done.stdout
    assert said in done.stdout
    assert "Install Java 17 or newer" in done.stdout


def test_python_that_is_compiled_anew_at_every_start_is_said(tmp_path: Path) -> None:
    nowhere = {"PYTHONPYCACHEPREFIX": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = run_without("none", "doctor", "--json", "--quiet", "--engine", "embedded", **nowhere)
    bytecode = json.loads(done.stdout)["bytecode"]
    assert bytecode["is_kept"] is False
    assert "PYTHONDONTWRITEBYTECODE" in bytecode["said"]
    assert f"{sys.executable} -m compileall -q" in bytecode["said"]


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root can write everywhere")
    tmp_path.chmod(0o500)
    try:
        assert diagnosed("--engine", "embedded")["folder"]["is_writable"] is False
    finally:
        tmp_path.chmod(0o700)


def test_texts_of_a_machine_that_lacks_this_and_that() -> None:
    state = EngineState("spark", {"pyspark": "4.2.0"}, False, "no java\x1b[2J was found", "Install Java.")
    found = Diagnosis(
        package={"version": "1.0", "folder": "/lib"},
        python={"version": "3.12.1", "executable": "/bin/python", "platform": "Linux x86_64"},
        engines=(state,),
        chosen=None,
        mlflow={"kind": "none", "version": None},
        libraries={"numpy": "2.0", "scipy": None},
        folder={"path": "/work", "is_writable": False},
        bytecode={"is_kept": True, "said": "compiled Python is there"},
        needs=(Need("scipy", "pip install scipy", ("predict",)),),
        commands=("predict", "audit"),
    )
    text = render_doctor(found)
    for part in (
        "MLflow     not installed",
        "numpy 2.0, scipy (missing)",
        "/work is NOT writable",
        "spark: cannot start: no java\\x1b[2J was found",
        "mend      Install Java.",
        "no engine can start",
        "can run: audit",
        "cannot run: predict: missing scipy",
    ):
        assert part in text
    assert found.to_dict()["commands"]["predict"]["can_run"] is False


def test_the_commands_it_prints_name_what_the_extras_bring() -> None:
    if not requirements():
        pytest.skip("the package is on the path without being installed")
    assert {"duckdb", "deltalake", "mlflow"} == set(requirements("local"))
    assert "pyspark[connect]==" in requirements("spark")["pyspark"]
    assert "numpy" in requirements()
    assert "duckdb" not in requirements()
    assert "'duckdb>=2.0,<3'" in install_command("local", packages=("duckdb",))
    assert "mlflow" not in install_command("local", packages=("duckdb",))
