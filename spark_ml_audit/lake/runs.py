"""The finished runs of an output, read back: one by id, the newest, the one before, their class tables."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.outcomes.history import RunRef
from spark_ml_audit.outcomes.records import ClassRow, GateResult
from spark_ml_audit.outcomes.run_id import run_started
from spark_ml_audit.text import redact, show

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from spark_ml_audit.lake.output import OutputTables

_LISTED_RUNS = 5
_SEARCHED_RUNS = 10_000
_RUN_COLUMNS = (
    "run_id", "source", "source_version", "package_version", "num_rows", "num_audited",
    "num_quarantined", "num_label_issues", "num_missing_tags", "num_extraneous_tags", "health", "config",
    "gates", "mlflow_run_id",
)  # fmt: skip


@dataclass(frozen=True)
class RunRecord:
    """One row of `runs`.

    Attributes:
        ref: What identifies the run and what it counted.
        config: Its effective config.
        gates: Its gates.
        mlflow_run_id: Id of its MLflow run.
    """

    ref: RunRef
    config: dict[str, Any]
    gates: tuple[GateResult, ...]
    mlflow_run_id: str | None

    @property
    def reads_path(self) -> bool:
        """Whether its source is a path, not a table."""
        return (self.config.get("source") or {}).get("path") is not None


def find_run(tables: OutputTables, run_id: str, key: str) -> RunRecord:
    """The finished run of an id.

    Raises:
        ConfigError: There is none; names the nearest ids and the newest ones.
    """
    runs = require_runs(tables)
    found = _records(runs.where(F.col("run_id") == run_id).limit(1))
    if found:
        return found[0]
    newest = runs.select("run_id").orderBy(F.desc("run_id")).limit(_SEARCHED_RUNS).collect()
    known = [row["run_id"] for row in newest]
    near = difflib.get_close_matches(run_id[:100], known, n=3, cutoff=0.75)
    said = f"Did you mean {' or '.join(near)}? " if near else ""
    raise ConfigError(
        f"there is no finished run {show(run_id)} in '{tables.location('runs')}'.",
        key=key,
        fix=f"{said}The newest runs are: {', '.join(known[:_LISTED_RUNS])}.",
    )


def newest_run(tables: OutputTables, source: str | None = None) -> RunRecord:
    """The newest finished run, of one source if given.

    Raises:
        ConfigError: There is none; names the sources there are.
    """
    runs = require_runs(tables)
    chosen = runs if source is None else runs.where(F.col("source") == redact(source))
    found = _records(_newest(chosen))
    if found:
        return found[0]
    listed = runs.groupBy("source").agg(F.max("run_id").alias("newest")).orderBy(F.desc("newest"))
    sources = [row["source"] for row in listed.limit(_LISTED_RUNS).collect()]
    near = difflib.get_close_matches(source or "", sources, n=1, cutoff=0.6)
    raise ConfigError(
        f"'{tables.location('runs')}' has no finished run of the source {show(source)}.",
        key="trend.source",
        fix=(f"Did you mean {show(near[0])}? " if near else "")
        + f"Sources there: {', '.join(show(name) for name in sources)}.",
    )


def previous_run(tables: OutputTables, run_id: str, source: str) -> RunRecord | None:
    """The finished run of the same source that began last before this one, or None."""
    runs = tables.existing("runs")
    if runs is None:
        return None
    # run ids begin with the time at which the run did
    found = _records(_newest(runs.where((F.col("source") == redact(source)) & (F.col("run_id") < run_id))))
    return found[0] if found else None


def runs_of(tables: OutputTables, source: str, last: int) -> tuple[list[RunRecord], int]:
    """The newest runs of a source, oldest first, and how many there are in all."""
    chosen = require_runs(tables).where(F.col("source") == redact(source))
    found = _records(_newest(chosen, last))
    return found[::-1], chosen.count()


def classes_of(tables: OutputTables, run_id: str) -> tuple[ClassRow, ...]:
    """The class table of a run, in class order."""
    rows = [ClassRow.from_mapping(row.asDict()) for row in tables.read("classes", run_id).collect()]
    return tuple(sorted(rows, key=lambda row: row.class_index))


def run_ref(row: Mapping[str, Any]) -> RunRef:
    """What identifies a run, from its row in `runs`."""
    known = {item.name for item in dataclasses.fields(RunRef)} - {"started_at"}
    # the time in the id: a collected timestamp is in whatever zone the driver has
    started = run_started(row["run_id"]).isoformat()
    return RunRef(started_at=started, **{name: row[name] for name in known})


def require_runs(tables: OutputTables) -> DataFrame:
    """The table `runs` of an output that has finished runs.

    Raises:
        ConfigError: No run has finished there.
    """
    runs = tables.existing("runs")
    if runs is None or runs.isEmpty():
        location = tables.location("runs")
        raise ConfigError(
            f"'{location}' " + ("does not exist." if runs is None else "has no finished run."),
            key="output",
            fix="Give the output.path or output.schema (and prefix) of finished audits, or run one first.",
        )
    return runs


def _newest(runs: DataFrame, number: int = 1) -> DataFrame:
    return runs.orderBy(F.desc("run_id")).limit(number)


def _records(runs: DataFrame) -> list[RunRecord]:
    return [_record(row) for row in runs.select(*_RUN_COLUMNS).collect()]


def _record(row: Row) -> RunRecord:
    values = row.asDict()
    config, gates = values.pop("config"), values.pop("gates")
    mlflow_run_id = values.pop("mlflow_run_id")
    return RunRecord(
        run_ref(values),
        json.loads(config or "{}"),
        tuple(GateResult(**gate) for gate in json.loads(gates or "[]")),
        mlflow_run_id,
    )
