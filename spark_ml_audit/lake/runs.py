"""The finished runs of an output, read back: one by id, the newest, the one before, those of one source."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.engines.base import count_rows, is_empty, rows_of
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.schemas import CLASSES, FIRST_TABLE, RUNS, class_rows
from spark_ml_audit.outcomes.records import ClassRow, GateResult
from spark_ml_audit.outcomes.runs import FinishedRun, RunRef, run_started
from spark_ml_audit.text import redact, show

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.lake.output import OutputTables

_LISTED_RUNS = 5
_SEARCHED_RUNS = 10_000
_RUN_COLUMNS = (
    "run_id", "source", "source_version", "package_version", "num_rows", "num_audited",
    "num_quarantined", "num_label_issues", "num_missing_tags", "num_extraneous_tags", "health", "config",
    "gates", "mlflow_run_id",
)  # fmt: skip


def find_run(tables: OutputTables, run_id: str | None, key: str) -> FinishedRun:
    """A finished run of an output, with its class table.

    Args:
        tables: The output.
        run_id: Of the run; None for the newest.
        key: Config key of the run id, for messages.

    Raises:
        ConfigError: There is none; names the nearest ids and the newest ones.
    """
    runs = require_runs(tables)
    if run_id is None:
        return _with_classes(tables, _listed(tables, _newest(runs))[0])
    found = _listed(tables, runs.filter(nw.col("run_id") == run_id).head(1))
    if found:
        return _with_classes(tables, found[0])
    newest = _newest(runs.select("run_id"), _SEARCHED_RUNS)
    known = sorted(tables.engine.collect(newest).column("run_id").to_pylist(), reverse=True)
    near = difflib.get_close_matches(run_id[:100], known, n=3, cutoff=0.75)
    said = f"Did you mean {' or '.join(near)}? " if near else ""
    raise ConfigError(
        f"there is no finished run {show(run_id)} in '{tables.location(RUNS)}'.",
        key=key,
        fix=f"{said}The newest runs are: {', '.join(known[:_LISTED_RUNS])}.",
    )


def newest_source(tables: OutputTables, source: str | None = None) -> str:
    """The source of the newest finished run; with a source given, that one if it has a finished run.

    Raises:
        ConfigError: There is none; names the sources there are.
    """
    runs = require_runs(tables)
    chosen = runs if source is None else runs.filter(nw.col("source") == redact(source))
    found = rows_of(tables.engine, _newest(chosen).select("source"))
    if found:
        name: str = found[0]["source"]
        return name
    listed = runs.group_by("source").agg(nw.col("run_id").max().alias("newest"))
    newest = listed.sort("newest", descending=True).head(_LISTED_RUNS)
    sources = [row["source"] for row in rows_of(tables.engine, newest)]
    near = difflib.get_close_matches(source or "", sources, n=1, cutoff=0.6)
    raise ConfigError(
        f"'{tables.location(RUNS)}' has no finished run of the source {show(source)}.",
        key="trend.source",
        fix=(f"Did you mean {show(near[0])}? " if near else "")
        + f"Sources there: {', '.join(show(name) for name in sources)}.",
    )


def previous_run(tables: OutputTables, run_id: str, source: str) -> FinishedRun | None:
    """The finished run of the same source that began last before this one, with its class table; or None."""
    runs = tables.existing(RUNS)
    if runs is None:
        return None
    # run ids begin with the time at which the run did
    before = (nw.col("source") == redact(source)) & (nw.col("run_id") < run_id)
    found = _listed(tables, _newest(runs.filter(before)))
    return _with_classes(tables, found[0]) if found else None


@dataclass(frozen=True)
class EarlierRuns:
    """What an output holds of earlier runs.

    Attributes:
        previous: The run of the same source that had finished when this one looked, and began last; None
            without.
        unfinished: Ids of runs that left rows and have not finished: they run still, or were killed.
    """

    previous: FinishedRun | None = None
    unfinished: tuple[str, ...] = ()


def earlier_runs(tables: OutputTables, run_id: str, source: str) -> EarlierRuns:
    """Look at what an output holds of the runs before one: one query, a row per class and unfinished run.

    Args:
        tables: The output.
        run_id: Of the run that looks.
        source: Its source.
    """
    runs, classes = tables.existing(RUNS), tables.existing(FIRST_TABLE)
    if runs is None or classes is None:
        return EarlierRuns()
    before = (nw.col("source") == redact(source)) & (nw.col("run_id") < run_id)
    newest = runs.filter(before).select(nw.col("run_id").max().alias("previous_id"))
    # of a run that finished only the first class brings the row along
    about = [nw.col(name).alias(f"run_{name}") for name in _RUN_COLUMNS]
    finished = runs.select(nw.col("run_id").alias("finished_id"), nw.lit(0).alias("first_class"), *about)
    is_first = nw.col("class_index") == 0
    found = rows_of(
        tables.engine,
        classes.join(
            finished,
            left_on=["run_id", "class_index"],
            right_on=["finished_id", "first_class"],
            how="left",
        )
        .join(newest, how="cross")
        .filter(
            (is_first & nw.col("run_run_id").is_null() & (nw.col("run_id") != run_id))
            | (nw.col("run_id") == nw.col("previous_id"))
        ),
    )
    of_previous = [row for row in found if row["run_id"] == row["previous_id"]]
    unfinished = sorted(row["run_id"] for row in found if row["run_id"] != row["previous_id"])
    if not of_previous:
        return EarlierRuns(None, tuple(unfinished))
    first = next(row for row in of_previous if row["class_index"] == 0)
    row = {name: first[f"run_{name}"] for name in _RUN_COLUMNS}
    return EarlierRuns(run_of_row(row, class_rows(of_previous)), tuple(unfinished))


def runs_of(tables: OutputTables, source: str, last: int) -> tuple[list[FinishedRun], int]:
    """The newest runs of a source without their classes, oldest first, and how many there are in all."""
    chosen = require_runs(tables).filter(nw.col("source") == redact(source))
    found = _listed(tables, _newest(chosen, last))
    return found[::-1], count_rows(tables.engine, chosen)


def classes_of(tables: OutputTables, run_id: str) -> tuple[ClassRow, ...]:
    """The class table of a run, in class order."""
    return class_rows(rows_of(tables.engine, tables.read(CLASSES, run_id)))


def require_runs(tables: OutputTables) -> Frame:
    """The table `runs` of an output that has finished runs.

    Raises:
        ConfigError: No run has finished there.
    """
    runs = tables.existing(RUNS)
    if runs is None or is_empty(tables.engine, runs):
        location = tables.location(RUNS)
        raise ConfigError(
            f"'{location}' " + ("does not exist." if runs is None else "has no finished run."),
            key="output",
            fix="Give the output.path or output.schema (and prefix) of finished audits, or run one first.",
        )
    return runs


def run_of_row(row: Mapping[str, Any], classes: tuple[ClassRow, ...] = ()) -> FinishedRun:
    """A run from its row in `runs`."""
    known = {item.name for item in dataclasses.fields(RunRef)} - {"started_at"}
    # the time in the id: a collected timestamp is in whatever zone the driver has
    started = run_started(row["run_id"]).isoformat()
    return FinishedRun(
        RunRef(started_at=started, **{name: row[name] for name in known}),
        json.loads(row["config"] or "{}"),
        tuple(GateResult(**gate) for gate in json.loads(row["gates"] or "[]")),
        row["mlflow_run_id"],
        classes,
    )


def _newest(runs: Frame, number: int = 1) -> Frame:
    return runs.sort("run_id", descending=True).head(number)


def _listed(tables: OutputTables, runs: Frame) -> list[FinishedRun]:
    """Runs, the newest first."""
    found = [run_of_row(row) for row in rows_of(tables.engine, runs.select(*_RUN_COLUMNS))]
    return sorted(found, key=lambda run: run.run_id, reverse=True)


def _with_classes(tables: OutputTables, run: FinishedRun) -> FinishedRun:
    return dataclasses.replace(run, classes=classes_of(tables, run.run_id))
