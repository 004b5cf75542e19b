"""Wheel and source archive: built, compared, installed into an environment of their own, and used there."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.paths import PACKAGE, PROJECT

pytest.importorskip("hatchling", reason="hatchling, which builds the project, is not installed")

UV = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
LOCK = PROJECT / "requirements-local.lock"
# What uv says where it reaches no index.
NO_INDEX = ("dns error", "error sending request", "client error", "Failed to fetch", "network", "timed out")
MOST_WHEEL_BYTES = 5 << 20


def run(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a program as on another machine: nothing of this one's settings, the project not on the path."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "SPARK_", "MLFLOW_", "HADOOP_", "DATABRICKS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return subprocess.run(
        arguments, capture_output=True, check=False, cwd=cwd, env={**kept, **environ}, text=True, timeout=300
    )


def build(project: Path, to: Path, *targets: str) -> list[Path]:
    done = run(sys.executable, "-m", "hatchling", "build", "-d", str(to), *targets, cwd=project)
    assert done.returncode == 0, done.stderr
    return sorted(to.iterdir())


def contents(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source archive and the wheel."""
    wheel, archive = build(PROJECT, tmp_path_factory.mktemp("dist"), "-t", "wheel", "-t", "sdist")
    if wheel.suffix != ".whl":
        wheel, archive = archive, wheel
    return archive, wheel


def test_the_wheel_has_all_that_the_package_reads(built: tuple[Path, Path]) -> None:
    names = set(contents(built[1]))
    tracked = {
        f"spark_ml_audit/{path.relative_to(PACKAGE).as_posix()}"
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert tracked <= names
    for name in (
        "py.typed",
        "engines/log4j2.properties",
        "demo/data/debtags.parquet",
        "demo/data/new_packages.jsonl",
        "history/templates/trend.html.j2",
        "report/page/assets/report.js",
    ):
        assert f"spark_ml_audit/{name}" in names
    others = {name for name in names if not name.startswith("spark_ml_audit")}
    assert others == set(), "only the package itself is installed"
    assert built[1].stat().st_size < MOST_WHEEL_BYTES


def test_the_source_archive_gives_the_same_wheel(built: tuple[Path, Path], tmp_path: Path) -> None:
    with tarfile.open(built[0]) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (project,) = (tmp_path / "unpacked").iterdir()
    for name in (
        "README.md",
        "LICENSE",
        "Makefile",
        "conf/audit.example.yml",
        "docs/method.md",
        "tests/lake.py",
    ):
        assert (project / name).is_file(), name
    (wheel,) = build(project, tmp_path / "again", "-t", "wheel")
    assert contents(wheel) == contents(built[1])


def test_metadata_say_what_an_index_shows(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        found = Parser().parsestr(archive.read(name).decode("utf-8"))
        entries = archive.read(name.replace("METADATA", "entry_points.txt")).decode("utf-8")
    assert found["Name"] == "spark-ml-audit"
    assert found["Description-Content-Type"] == "text/markdown"
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Requires-Python"] == ">=3.10"
    assert len(found["Summary"]) < 512
    assert set(found.get_all("Provides-Extra") or []) == {
        "app",
        "local",
        "spark",
        "text",
        "torch",
        "warehouse",
    }
    assert all("://" in url for url in found.get_all("Project-URL") or [])
    # an index refuses what it does not know; the classifiers of a private project would be refused too
    known = (
        "Development Status ::",
        "Intended Audience ::",
        "Programming Language ::",
        "Typing ::",
        "Topic ::",
    )
    assert all(text.startswith(known) for text in found.get_all("Classifier") or [])
    assert (found.get_payload() or "").startswith("# spark_ml_audit")
    assert "spark-ml-audit = spark_ml_audit.cli:main" in entries


@dataclass
class Environment:
    """An environment that has what a wheel brings and nothing else.

    Attributes:
        folder: Where it is.
        elsewhere: A folder to work in.
        index: Settings by which uv installs further packages.
    """

    folder: Path
    elsewhere: Path
    index: dict[str, str]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the installed command in another folder than the project's."""
        return run(str(self.folder / "bin" / "spark-ml-audit"), *arguments, cwd=self.elsewhere)

    def json(self, *arguments: str, expect: int = 0) -> dict[str, Any]:
        done = self.run(*arguments, "--json", "--quiet")
        assert done.returncode == expect, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The base install of the wheel: what has been fetched before is used, else the index is asked."""
    if not Path(UV).is_file() or os.name == "nt":
        pytest.skip("uv, which makes the environment, is not installed")
    folder, elsewhere = tmp_path_factory.mktemp("env"), tmp_path_factory.mktemp("elsewhere")
    made = run(UV, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder), cwd=elsewhere)
    assert made.returncode == 0, made.stderr
    said = ""
    pinned = {"UV_CONSTRAINT": str(LOCK)}
    for index in ({**pinned, "UV_OFFLINE": "1"}, pinned):
        python = str(folder / "bin" / "python")
        done = run(UV, "pip", "install", "--python", python, str(built[1]), cwd=elsewhere, **index)
        if done.returncode == 0:
            yield Environment(folder, elsewhere, index)
            shutil.rmtree(folder, ignore_errors=True)  # hundreds of megabytes
            return
        said = done.stderr
    if any(text in said for text in NO_INDEX):
        pytest.skip(f"no package index can be reached: {said.strip().splitlines()[-1]}")
    pytest.fail(said)


def tags_file(folder: Path) -> Path:
    """Sixty rows, of which the last has a tag that its probabilities speak against."""
    rows = [{"id": i, "labels": ["x"] if i % 2 else ["y"], "p": [0.1, 0.8]} for i in range(60)]
    for row in rows[1::2]:
        row["p"] = [0.9, 0.2]
    rows[-1]["labels"] = ["y"]
    schema = pa.schema([("id", pa.int64()), ("labels", pa.list_(pa.string())), ("p", pa.list_(pa.float64()))])
    path = folder / "tags.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


def test_a_base_install_says_what_it_lacks_and_works_once_that_is_there(installed: Environment) -> None:
    path = tags_file(installed.elsewhere)
    settings = [
        "--set",
        f"source.path={path}",
        "--set",
        "source.format=parquet",
        "--set",
        "source.pred_probs=p",
    ]
    settings += ["--set", "source.classes=[x, y]", "--set", "output.path=out"]
    version = installed.run("--version")
    assert version.returncode == 0
    assert "engines: none" in version.stdout

    found = installed.json("doctor", expect=2)
    assert found["engine"] is None
    assert found["mlflow"]["kind"] == "skinny"
    assert Path(found["package"]["folder"]).is_relative_to(installed.folder)
    assert {engine["kind"]: engine["can_start"] for engine in found["engines"]} == {
        "embedded": False,
        "spark": False,
    }
    assert not any(command["can_run"] for command in found["commands"].values())
    mends = {missing["mend"] for command in found["commands"].values() for missing in command["missing"]}
    (mend,) = [text for text in mends if "duckdb" in text]
    said = installed.run("doctor")
    assert (said.returncode, said.stdout.count(mend)) == (2, 1), said.stdout
    refused = installed.json("audit", *settings, expect=2)
    assert refused["error"]["key"] == "engine.kind"
    assert mend in refused["error"]["fix"]

    # what it says is typed as it is
    path_of_uv = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
    environ = {**installed.index, "PATH": path_of_uv}
    done = run(*shlex.split(mend), cwd=installed.elsewhere, **environ)
    if done.returncode and any(text in done.stderr for text in NO_INDEX):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    found = installed.json("doctor")
    assert (found["engine"], found["mlflow"]["kind"]) == ("embedded", "full")
    assert all(command["can_run"] and not command["missing"] for command in found["commands"].values())
    result = installed.json("audit", *settings)
    assert (result["num_rows"], result["num_label_issues"]) == (60, 1)
    assert Path(result["report"]).is_file()
    assert result["delivered"]
