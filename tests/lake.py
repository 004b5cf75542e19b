"""A lake for tests: sources are written, commands run, and their tables read back."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from deltalake import DeltaTable

from tests.command_line import run_here
from tests.datasets import Dataset
from tests.paths import PROJECT

DATA_TABLES = ("examples", "issues", "tag_issues", "classes", "quarantine")


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
        done = run_here(*self.arguments(command, given))
        return Outcome(done.returncode, json.loads(done.stdout), done.stderr)

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
