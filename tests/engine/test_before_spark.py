"""A local source that cannot serve is refused before a Spark is started for it, and no other one is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.lake import Lake
from tests.paths import PROJECT

pytest.importorskip("pyspark", reason="pyspark is not installed")

CLASSES = ["x", "y"]
ROWS = [("a", ["x"], [0.2, 0.8]), ("b", [], [0.7, 0.1])]
SCHEMA = "id string, labels array<string>, pred_probs array<double>"
# Says that it is Java 17, and notes when it is asked to start anything.
JAVA = """#!/bin/sh
if [ "$1" = -version ]; then echo 'openjdk version "17.0.1" 2021-10-19' >&2; exit 0; fi
touch "{marker}"
echo no machine here >&2
exit 1
"""
# As where Spark alone is installed.
WITHOUT_EMBEDDED = """
import sys
from spark_ml_audit.engines import choose
choose._EMBEDDED_PACKAGES = ("not_there_at_all",)
from spark_ml_audit.cli import main
sys.exit(main())
"""


@dataclass
class Machine:
    """A machine whose Java starts nothing."""

    lake: Lake
    home: Path

    @property
    def was_started(self) -> bool:
        return (self.home / "started").exists()

    def run(self, command: str, settings: dict[str, object], *how: str) -> dict[str, Any]:
        """The error of a command on Spark, in a process of its own; nothing but errors can come out."""
        values: dict[str, object] = {"engine.kind": "spark", "output.path": self.lake.path("out"), **settings}
        arguments = [command, "--json", "--quiet"]
        for key, value in values.items():
            arguments += ["--set", f"{key}={json.dumps(value)}"]
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "HADOOP_"))
        }
        done = subprocess.run(
            [sys.executable, *(how or ("-m", "spark_ml_audit")), *arguments],
            capture_output=True,
            cwd=self.lake.folder,
            env={**kept, "PYTHONPATH": str(PROJECT), "JAVA_HOME": str(self.home)},
            text=True,
            timeout=120,
            check=False,
        )
        error: dict[str, Any] = json.loads(done.stdout)["error"]
        return {**error, "exit_code": done.returncode}


@pytest.fixture
def machine(lake: Lake, tmp_path: Path) -> Machine:
    if lake.kind != "embedded":
        pytest.skip("starts processes of its own, whatever runs the tests")
    home = tmp_path / "java"
    (home / "bin").mkdir(parents=True)
    java = home / "bin" / "java"
    java.write_text(JAVA.format(marker=home / "started"))
    java.chmod(0o755)
    return Machine(lake, home)


@pytest.mark.parametrize("fmt", ["delta", "parquet"])
def test_what_a_source_lacks_is_said_at_once(machine: Machine, fmt: str) -> None:
    lake = machine.lake
    path = lake.write(lake.frame(ROWS, SCHEMA), fmt=fmt)
    good = {"source.path": path, "source.format": fmt, "source.classes": CLASSES}
    for command, change, key in (
        ("check", {"source.labels": "label"}, "source.labels"),
        ("audit", {"source.pred_probs": "p"}, "source.pred_probs"),
        ("audit", {"source.classes": ["x", "y", "z"]}, "source.classes"),
        ("audit", {"source.path": "/nowhere/at/all"}, "source.path"),
        ("predict", {}, "source.pred_probs"),
        ("tag", {"source.id": "key", "model.uri": "models:/none/1"}, "source.id"),
    ):
        settings = {**good, **change}
        if command == "tag":
            settings.pop("source.classes")
        error = machine.run(command, settings)
        assert (error["key"], error["exit_code"]) == (key, 2), (command, error)
    assert not machine.was_started
    assert not Path(lake.path("out")).exists()


def test_the_words_are_those_of_the_engine_itself(machine: Machine) -> None:
    lake = machine.lake
    path = lake.write(lake.frame(ROWS, SCHEMA))
    settings: dict[str, object] = {"source.path": path, "source.classes": ["x"]}
    error = machine.run("audit", settings)
    expected = lake.refuse(settings)
    assert {name: error[name] for name in expected} == expected


def test_an_output_of_another_id_is_refused_at_once(machine: Machine) -> None:
    lake = machine.lake
    path = lake.write(lake.frame(ROWS, SCHEMA, CLASSES))
    lake.audit(source__path=path, output__path=lake.path("out"))
    other = lake.write(lake.frame(ROWS, SCHEMA.replace("id ", "key "), CLASSES))
    error = machine.run("audit", {"source.path": other, "source.id": "key"})
    assert error["key"] == "source.id"
    assert not machine.was_started


def test_what_spark_alone_can_judge_is_left_to_it(machine: Machine) -> None:
    lake = machine.lake
    good = lake.write(lake.frame(ROWS, SCHEMA, CLASSES))
    # a vector of pyspark.ml, as Parquet has it
    vectors = pa.array(
        [{"type": 1, "size": None, "indices": None, "values": row[2]} for row in ROWS],
        pa.struct(
            [
                ("type", pa.int8()),
                ("size", pa.int32()),
                ("indices", pa.list_(pa.int32())),
                ("values", pa.list_(pa.float64())),
            ]
        ),
    )
    table = lake.frame(ROWS, SCHEMA).set_column(2, "pred_probs", vectors)
    vector = lake.write(table, fmt="parquet")
    # a table that asks more of its readers than delta-rs knows
    later = lake.write(lake.frame(ROWS, SCHEMA, CLASSES))
    log = Path(later, "_delta_log", f"{1:020}.json")
    features = {"readerFeatures": ["later"], "writerFeatures": ["later"]}
    log.write_text(json.dumps({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}}))
    for settings in (
        {"source.path": good},
        {"source.path": vector, "source.format": "parquet", "source.classes": CLASSES},
        {"source.path": later},
    ):
        error = machine.run("audit", dict(settings))
        assert machine.was_started, error
        assert error["exit_code"] == 2
        assert error["message"].startswith("Java ended as Spark was started")
        assert "JAVA_HOME" in error["fix"]
        (machine.home / "started").unlink()


def test_without_the_embedded_engine_columns_of_parquet_files_are_looked_up(machine: Machine) -> None:
    lake = machine.lake
    folder = Path(lake.path("by_year"), "year=2020")
    lake.write(lake.frame(ROWS, SCHEMA), to=str(folder), fmt="parquet")
    settings = {"source.path": str(folder.parent), "source.format": "parquet", "source.classes": CLASSES}
    how = ("-c", WITHOUT_EMBEDDED)
    error = machine.run("audit", {**settings, "source.labels": "label"}, *how)
    assert error["key"] == "source.labels"
    assert "Did you mean 'labels'?" in error["fix"]
    assert not machine.was_started
    error = machine.run("audit", {**settings, "source.show": ["year"]}, *how)
    assert machine.was_started, error


# Python's `audit`, which says what it refuses.
IN_PYTHON = """
import json, sys
from spark_ml_audit import audit
from spark_ml_audit.errors import AuditError
try:
    audit(sys.argv[-2], engine="spark", **json.loads(sys.argv[-1]))
except AuditError as error:
    print(json.dumps({"key": error.key, "message": error.message, "fix": error.fix}))
"""


@pytest.mark.parametrize(
    ("options", "key"),
    [({"labels": "label"}, "labels"), ({"pred_probs": "p"}, "pred_probs"), ({"classes": ["x"]}, "classes")],
    ids=["labels", "pred_probs", "classes"],
)
def test_python_looks_before_spark_too(machine: Machine, options: dict[str, object], key: str) -> None:
    lake = machine.lake
    path = lake.write(lake.frame(ROWS, SCHEMA), fmt="parquet")
    asked = {"classes": CLASSES, **options}
    done = subprocess.run(
        [sys.executable, "-c", IN_PYTHON, path, json.dumps(asked)],
        capture_output=True,
        cwd=lake.folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "JAVA_HOME": str(machine.home)},
        text=True,
        timeout=120,
        check=False,
    )
    assert json.loads(done.stdout)["key"] == key, done.stderr
    assert not machine.was_started
