"""One local Spark session for all tests here, and a lake: sources written, audits run, tables read back."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable

from spark_ml_audit.cli import main
from spark_ml_audit.engines.java import require_java
from spark_ml_audit.errors import SetupError
from tests.datasets import Dataset

PROJECT = Path(__file__).parents[2]
SHARED_DATA = PROJECT.parent / "shared" / "data"
DATA_TABLES = ("examples", "tag_issues", "classes", "quarantine")


ALL_TESTS = os.environ.get("SPARK_ML_AUDIT_TEST_ALL", "0") == "1"
"""Whether the tests run that take minutes each; `make test-matrix` asks for them."""

only_with_all = pytest.mark.skipif(not ALL_TESTS, reason="takes minutes: part of `make test-matrix`")


def over_connect() -> bool:
    """Whether the session is to be one of Spark Connect, as `tests/spark/test_connect.py` asks for."""
    return os.environ.get("SPARK_ML_AUDIT_TEST_CONNECT", "0") == "1"


def pytest_report_header() -> str:
    return f"Spark session: {'Spark Connect' if over_connect() else 'classic'}"


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    try:
        require_java(os.environ)
    except SetupError as error:
        pytest.skip(f"Spark cannot start: {error}")
    from spark_ml_audit.engines.session import local_session_builder

    os.environ.setdefault("SPARK_ML_AUDIT_DRIVER_MEMORY", "2g")
    # tasks import the package too, whether it is installed or not
    known = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT), *([known] if known else [])])
    # over Spark Connect only a few of the tests run: compiling their code well does not pay
    builder = local_session_builder("spark-ml-audit-tests", connect=over_connect(), small=over_connect())
    for key, value in {
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        # a quarter of what a tiny audit costs; the tests that start the command line run with the defaults
        "spark.sql.adaptive.enabled": "false",
        "spark.databricks.delta.stats.collect": "false",
        "spark.databricks.delta.writeChecksumFile.enabled": "false",
        "spark.databricks.delta.snapshotPartitions": "1",
    }.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    assert ("connect" in type(session).__module__) == over_connect()
    yield session
    session.stop()


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One sqlite store for all audits: making a store costs seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db"


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # A sqlite store that is given by its address keeps artifacts in the working directory.
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "DATABRICKS_RUNTIME_VERSION"):
        monkeypatch.delenv(name, raising=False)


def tag_names(num_classes: int) -> list[str]:
    """Names whose class order is not their alphabetical order."""
    return [f"tag-{(7 * k + 3) % 10}-{k}" for k in range(num_classes)]


@dataclass(frozen=True)
class Outcome:
    """What the command line returned."""

    exit_code: int
    json: dict[str, Any]
    stderr: str

    @property
    def error(self) -> dict[str, Any]:
        assert self.json["status"] == "error", self.json
        assert self.json["exit_code"] == self.exit_code
        assert self.json["error"]["message"], self.json
        assert self.json["error"]["fix"], self.json
        assert "Traceback" not in self.stderr
        assert len(self.stderr.strip().splitlines()) == 1, self.stderr
        return dict(self.json["error"])


def override(key: str, value: object) -> str:
    return f"{key}={json.dumps(value)}"


def read_delta(where: str, run_id: str) -> list[dict[str, Any]]:
    """Rows of a run by another reader of Delta than Spark's, which takes seconds for its plans.

    Times are as Spark's `collect` gives them: of this machine's zone, without saying so.
    """
    table = DeltaTable(where).to_pyarrow_table(filters=[("run_id", "=", run_id)])
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        for name, value in row.items():
            if isinstance(value, datetime.datetime) and value.tzinfo is not None:
                row[name] = value.astimezone().replace(tzinfo=None)
    return rows


@dataclass
class Lake:
    """A folder with sources and outputs, and the command line beside it."""

    spark: Any
    folder: Path
    tracking_uri: str
    written: int = 0
    settings: dict[str, object] = field(default_factory=dict)

    # ---- sources -----------------------------------------------------------------------------------

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def frame(self, rows: Sequence[Sequence[Any]], schema: str, classes: Sequence[str] | None = None) -> Any:
        """A frame; `classes` become metadata of its column pred_probs."""
        from pyspark.sql import functions as F

        frame = self.spark.createDataFrame(list(map(tuple, rows)), schema)
        if classes is None:
            return frame
        metadata = {"classes": json.dumps(list(classes))}
        # not withColumn: over Spark Connect it drops the metadata
        probs = F.col("pred_probs").alias("pred_probs", metadata=metadata)
        others = {name: F.col("`" + name.replace("`", "``") + "`") for name in frame.columns}
        return frame.select(*(others | {"pred_probs": probs}).values())

    def dataset_frame(self, dataset: Dataset, classes: Sequence[str] | None = None) -> Any:
        """Rows `r0000`, `r0001`, ... of a data set, tags by name."""
        names = list(classes or tag_names(dataset.pred_probs.shape[1]))
        element = "float" if dataset.pred_probs.dtype == np.float32 else "double"
        rows = [
            (f"r{i:04}", [names[k] for k in tags], p.tolist())
            for i, (tags, p) in enumerate(zip(dataset.labels, dataset.pred_probs, strict=True))
        ]
        return self.frame(rows, f"id string, labels array<string>, pred_probs array<{element}>", names)

    def write(
        self, frame: Any, *, fmt: str = "delta", partition_by: Sequence[str] = (), **options: Any
    ) -> str:
        self.written += 1
        path = self.path(f"source-{self.written}")
        frame.write.format(fmt).partitionBy(*partition_by).options(**options).save(path)
        return path

    # ---- commands ----------------------------------------------------------------------------------

    def arguments(self, command: str, settings: Mapping[str, object]) -> list[str]:
        values: dict[str, object] = {"tracking.uri": self.tracking_uri}
        if command == "audit":
            values["report.enabled"] = False  # costs seconds; tests of the report switch it on
        values |= self.settings | dict(settings)
        if "output.schema" not in values and "output.path" not in values:
            self.written += 1
            values["output.path"] = self.path(f"out-{self.written}")
        found = [command, "--json", "--quiet"]
        for key, value in values.items():
            found += ["--set", override(key, value)]
        return found

    def run(self, command: str, settings: Mapping[str, object] | None = None, **keys: object) -> Outcome:
        """Run a command in this process; keyword `source__id` means the key `source.id`."""
        given = dict(settings or {}) | {name.replace("__", "."): value for name, value in keys.items()}
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(self.arguments(command, given))
        return Outcome(code, json.loads(out.getvalue()), err.getvalue())

    def audit(
        self, settings: Mapping[str, object] | None = None, *, expect: int = 0, **keys: object
    ) -> dict[str, Any]:
        """Run an audit that must exit as expected; its JSON."""
        outcome = self.run("audit", settings, **keys)
        assert outcome.exit_code == expect, (outcome.json.get("warnings", outcome.json), outcome.stderr)
        return outcome.json

    def refuse(
        self, settings: Mapping[str, object] | None = None, *, command: str = "audit", **keys: object
    ) -> dict[str, Any]:
        """Run a command that must exit 2; its error."""
        outcome = self.run(command, settings, **keys)
        assert outcome.exit_code == 2, (outcome.json, outcome.stderr)
        return outcome.error

    def start(self, command: str, settings: Mapping[str, object]) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, progress on its stderr."""
        arguments = [part for part in self.arguments(command, settings) if part != "--quiet"]
        return subprocess.Popen(
            [sys.executable, "-m", "spark_ml_audit", *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(PROJECT), "SPARK_ML_AUDIT_DRIVER_MEMORY": "1g"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    # ---- results -----------------------------------------------------------------------------------

    def table(self, where: str, run_id: str | None = None) -> Any:
        from pyspark.sql import functions as F

        reader = self.spark.read.format("delta")
        frame = reader.load(where) if where.startswith("/") else reader.table(where)
        return frame if run_id is None else frame.where(F.col("run_id") == run_id)

    def rows(self, result: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
        """Rows of one table of one run, without run_id, in an order of their own."""
        where = result["tables"][name]
        if where.startswith("/"):
            found = read_delta(where, result["run_id"])
        else:
            frame = self.table(where, result["run_id"])
            found = [row.asDict(recursive=True) for row in frame.collect()]
        rows = [{column: value for column, value in row.items() if column != "run_id"} for row in found]
        return sorted(rows, key=lambda row: repr(list(row.values())))

    def contents(self, result: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """All data tables of one run."""
        return {name: self.rows(result, name) for name in DATA_TABLES}

    def versions(self, result: Mapping[str, Any]) -> dict[str, int]:
        """Newest Delta version of each table under a path."""
        return {
            name: max(int(log.stem) for log in Path(where, "_delta_log").glob("*.json"))
            for name, where in result["tables"].items()
        }


@pytest.fixture
def lake(spark: Any, tmp_path: Path, tracking_uri: str) -> Lake:
    return Lake(spark, tmp_path, tracking_uri)


@pytest.fixture
def make_lake(spark: Any, tmp_path: Path, tracking_uri: str) -> Callable[[str], Lake]:
    def make(name: str) -> Lake:
        (tmp_path / name).mkdir()
        return Lake(spark, tmp_path / name, tracking_uri)

    return make
