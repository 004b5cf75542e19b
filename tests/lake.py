"""A lake for tests: sources are written, commands run, and their tables read back, Spark or not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import deltalake
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.command_line import run_here
from tests.datasets import Dataset
from tests.paths import PROJECT
from tests.sql_types import schema_of, table_of

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


def records(frame: Any) -> list[dict[str, Any]]:
    """The rows of a frame as its engine, Arrow or narwhals has it."""
    # by the type: a frame of Spark Connect takes any attribute for a column
    if hasattr(type(frame), "to_native"):
        frame = frame.to_native()
    if hasattr(type(frame), "to_arrow_table"):
        frame = frame.to_arrow_table()
    if isinstance(frame, pa.Table):
        return list(frame.to_pylist())
    return [row.asDict(recursive=True) for row in frame.collect()]


def with_classes(table: Any, classes: str) -> Any:
    """A table whose column pred_probs has this text for its metadata `classes`."""
    place = table.schema.get_field_index("pred_probs")
    named = table.schema.field(place).with_metadata({"classes": classes})
    return table.cast(table.schema.set(place, named))


def with_column(table: Any, name: str, values: Any) -> Any:
    """A table with a column more, or another one of the same name."""
    if name not in table.column_names:
        return table.append_column(name, values)
    return table.set_column(table.column_names.index(name), name, values)


@dataclass
class Lake:
    """A folder with sources and outputs, and the command line beside it.

    Attributes:
        kind: What runs the commands: embedded or spark, in the session that is active.
        folder: Where everything is.
        tracking_uri: Of the MLflow store.
        written: How many sources and outputs got their names by counting.
        settings: What every command is told.
    """

    kind: str
    folder: Path
    tracking_uri: str
    written: int = 0
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def spark(self) -> Any:
        """The active session, for what only Spark has; None where the embedded engine runs."""
        if self.kind == "embedded":
            return None
        from pyspark.sql import SparkSession

        return SparkSession.getActiveSession()

    # ---- sources -----------------------------------------------------------------------------------

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def frame(self, rows: Sequence[Sequence[Any]], schema: str, classes: Sequence[str] | None = None) -> Any:
        """An Arrow table; `classes` become metadata of its column pred_probs."""
        table = table_of(rows, schema_of(schema))
        return table if classes is None else with_classes(table, json.dumps(list(classes)))

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
        self,
        table: Any,
        *,
        to: str | None = None,
        fmt: str = "delta",
        mode: str = "error",
        files: int = 1,
        partition_by: Sequence[str] = (),
    ) -> str:
        """Write an Arrow table, by one commit per file; its path.

        Args:
            table: The rows.
            to: Path; a new one by default.
            fmt: delta or parquet.
            mode: error, append or overwrite, of Delta; Parquet files come beside those there.
            files: Number of files.
            partition_by: Columns, of Delta.
        """
        if to is None:
            self.written += 1
            to = self.path(f"source-{self.written}")
        step = max(1, -(-table.num_rows // files))
        for place in range(0, max(table.num_rows, 1), step):
            part = table.slice(place, step)
            if fmt == "parquet":
                _write_parquet(part, Path(to))
                continue
            how = "append" if place else mode
            changes = {"schema_mode": "overwrite"} if how == "overwrite" else {}
            if how == "append":  # other metadata of columns than the table's would be refused
                known = self.table(to).schema
                part = part.select(known.names).cast(known)
            deltalake.write_deltalake(to, part, mode=how, partition_by=list(partition_by) or None, **changes)
        return to

    def set_properties(self, path: str, properties: Mapping[str, str]) -> None:
        """Set properties of a Delta table."""
        table = deltalake.DeltaTable(path)
        table.alter.set_table_properties(dict(properties), raise_if_not_exists=False)

    def native(self, table: Any) -> Any:
        """An Arrow table as users of the engine have theirs: a relation of DuckDB, a DataFrame of Spark."""
        if self.kind == "embedded":
            import duckdb

            return duckdb.from_arrow(table)
        # older versions of Spark take no Arrow table
        return self.spark.read.format("delta").load(self.write(table))

    # ---- commands ----------------------------------------------------------------------------------

    def arguments(self, command: str, settings: Mapping[str, object]) -> list[str]:
        values: dict[str, object] = {"engine.kind": self.kind, "tracking.uri": self.tracking_uri}
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
        return self.done("audit", settings, expect=expect, **keys)

    def done(
        self, command: str, settings: Mapping[str, object] | None = None, *, expect: int = 0, **keys: object
    ) -> dict[str, Any]:
        """Run a command that must exit as expected; its JSON."""
        outcome = self.run(command, settings, **keys)
        assert outcome.exit_code == expect, (outcome.json.get("warnings", outcome.json), outcome.stderr)
        return outcome.json

    def refuse(
        self, settings: Mapping[str, object] | None = None, *, command: str = "audit", **keys: object
    ) -> dict[str, Any]:
        """Run a command that must exit 2; its error."""
        outcome = self.run(command, settings, **keys)
        assert outcome.exit_code == 2, (outcome.json, outcome.stderr)
        return outcome.error

    def start(self, command: str, settings: Mapping[str, object], *how: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, progress on its stderr.

        Args:
            command: Name of the command.
            settings: Keys of the config and their values.
            *how: What Python runs with the command's arguments, if not the package.
        """
        arguments = [part for part in self.arguments(command, settings) if part != "--quiet"]
        return subprocess.Popen(
            [sys.executable, *(how or ("-m", "spark_ml_audit")), *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(PROJECT), "SPARK_ML_AUDIT_DRIVER_MEMORY": "1g"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a function of the package that chooses an engine: the lake's, whatever session is active."""
        with self.chosen():
            return function(*arguments, **named)

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """The engine that is chosen where nobody names one is the lake's."""
        if self.kind == "embedded" and "pyspark.sql" in sys.modules:
            from pyspark.sql import SparkSession

            with mock.patch.object(SparkSession, "getActiveSession", return_value=None):
                yield
        else:
            yield

    # ---- results -----------------------------------------------------------------------------------

    def table(self, where: str, run_id: str | None = None) -> Any:
        """A Delta table under a path, or the rows of one run, as an Arrow table.

        By another reader than Spark's, which takes seconds for its plans.
        """
        table = deltalake.DeltaTable(where)
        # not by pyarrow's data sets, whose threads now and then abort a process that ends
        predicate = None if run_id is None else f"run_id = '{run_id}'"
        found = pa.RecordBatchReader.from_stream(table.scan(predicate=predicate)).read_all()
        return found.cast(pa.schema(table.schema().to_arrow()))

    def records(self, where: str, run_id: str | None = None) -> list[dict[str, Any]]:
        """Rows of a Delta table under a path, or of a table of Spark's catalog."""
        if where.startswith("/"):
            return records(self.table(where, run_id))
        frame = self.spark.read.table(where)
        return records(frame if run_id is None else frame.where(frame["run_id"] == run_id))

    def count(self, where: str, run_id: str | None = None) -> int:
        """Number of such rows."""
        return len(self.records(where, run_id))

    def rows(self, result: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
        """Rows of one table of one run, without run_id, in an order of their own."""
        found = self.records(result["tables"][name], result["run_id"])
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


def _write_parquet(table: Any, folder: Path) -> None:
    """Write one more file as Spark does: its own note keeps the metadata of columns."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = deltalake.Schema.from_arrow(table.schema).to_json()
    number = len(list(folder.glob("*.parquet")))
    with pq.ParquetWriter(folder / f"part-{number:05}.parquet", table.schema, store_schema=False) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({"org.apache.spark.sql.parquet.row.metadata": schema})
