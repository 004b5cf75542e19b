"""The finished runs of an output, read back: one by id, the newest, the one before, those of one source.

An audit of a corrected copy continues the audit that was corrected, which may be in another output.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.engines.base import count_rows, is_empty, rows_of
from spark_ml_audit.engines.columns import names_of
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.lineage import elsewhere, first_of, not_found, read_origins
from spark_ml_audit.lake.schemas import CLASSES, FIRST_TABLE, RUNS, class_rows
from spark_ml_audit.outcomes.records import ClassRow, GateResult
from spark_ml_audit.outcomes.runs import FinishedRun, Origin, RunRef, run_started
from spark_ml_audit.text import redact, show

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.lake.output import OutputTables

_LISTED_RUNS = 5
_SEARCHED_RUNS = 10_000
_RUN_COLUMNS = (
    "run_id", "source", "source_version", "package_version", "num_rows", "num_audited",
    "num_quarantined", "num_label_issues", "num_missing_tags", "num_extraneous_tags", "health", "config",
    "gates", "mlflow_run_id", "continues", "decisions",
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


def newest_runs(tables: OutputTables, last: int) -> tuple[list[FinishedRun], int]:
    """The newest finished runs of an output, newest first, without classes; and how many there are.

    Args:
        tables: The output.
        last: Most runs to give.

    Raises:
        ConfigError: There is none.
    """
    runs = require_runs(tables)
    return _listed(tables, _newest(runs, last)), count_rows(tables.engine, runs)


def check_row_names(tables: OutputTables, run: FinishedRun, key: str) -> None:
    """Refuse what is said of rows by number where an output holds audits of other files too.

    Args:
        tables: The output.
        run: A run of it.
        key: Config key that names the run, for messages.

    Raises:
        ConfigError: Rows are named by numbers, and the same number names another row in another run.
    """
    if not run.is_numbered:
        return
    others = _listed(tables, _newest(require_runs(tables), _SEARCHED_RUNS))
    other = next((found for found in others if found.is_numbered and not run.names_rows_of(found)), None)
    if other is not None:
        raise ConfigError(
            f"rows are named by numbers (source.row_numbers), and run {other.run_id} of this output numbered "
            "other files: what is said of a row's number here would be taken for theirs.",
            key=key,
            fix="Audit the files into an output of their own, or give their rows an id column.",
        )


def newest_of_source(tables: OutputTables, source: str | None = None) -> FinishedRun:
    """The newest finished run, without its classes; with a source given, the newest of that one.

    Raises:
        ConfigError: There is none; names the sources there are.
    """
    runs = require_runs(tables)
    chosen = runs if source is None else runs.filter(nw.col("source") == redact(source))
    found = _listed(tables, _newest(chosen))
    if found:
        return found[0]
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


def previous_run(
    tables: OutputTables, run_id: str, source: str, continues: Sequence[Origin] = ()
) -> FinishedRun | None:
    """The run before one, with its class table; or None.

    That is the finished run of the same source that began last before it. A corrected copy counts from its
    correction on: the run before its first audit is the one that was corrected, here or in another output.

    Args:
        tables: The output.
        run_id: Of the run.
        source: Its source.
        continues: The audits that it continues, the nearest first.
    """
    runs = tables.existing(RUNS)
    if runs is not None:
        found = _listed(tables, _newest(runs.filter(_is_before(run_id, source, continues))))
        if found:
            return _with_classes(tables, found[0])
    return _before_elsewhere(tables, run_id, source, continues) if continues else None


def _is_before(run_id: str, source: str, continues: Sequence[Origin]) -> nw.Expr:
    # run ids begin with the time at which the run did
    own = (nw.col("source") == redact(source)) & (nw.col("run_id") < run_id)
    if not continues:
        return own
    nearest = continues[0]
    return (own & (nw.col("run_id") > nearest.correction_id)) | (nw.col("run_id") == nearest.run_id)


def _before_elsewhere(
    tables: OutputTables, run_id: str, source: str, continues: Sequence[Origin]
) -> FinishedRun | None:
    """The audit that was corrected, in its own output; else one of the copy as it was before."""
    found = run_elsewhere(tables, continues[:1])
    return found if found is not None else previous_run(tables, run_id, source)


def run_elsewhere(tables: OutputTables, continues: Sequence[Origin]) -> FinishedRun | None:
    """The first audit of those that are continued that is found in another output, with its class table."""

    def look(other: OutputTables, origin: Origin) -> FinishedRun | None:
        is_it = (nw.col("run_id") == origin.run_id) & (nw.col("source") == origin.source)
        found = _listed(other, other.read(RUNS).filter(is_it).head(1))
        return dataclasses.replace(_with_classes(other, found[0]), output=origin.output) if found else None

    return first_of(tables, continues, look)


@dataclass(frozen=True)
class EarlierRuns:
    """What an output holds of earlier runs.

    Attributes:
        previous: The run of the same source that had finished when this one looked, and began last; None
            without.
        unfinished: Ids of runs that left rows and have not finished: they run still, or were killed.
        notes: Sentences on what could not be looked at.
    """

    previous: FinishedRun | None = None
    unfinished: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def earlier_runs(
    tables: OutputTables, run_id: str, source: str, continues: Sequence[Origin] = ()
) -> EarlierRuns:
    """Look at what there is of the runs before one; one query, unless it continues a run of another output.

    Args:
        tables: The output.
        run_id: Of the run that looks.
        source: Its source.
        continues: The audits that it continues, the nearest first.
    """
    found = _earlier_here(tables, run_id, source, continues)
    if found.previous is not None or not continues:
        return found
    previous, notes = _before_elsewhere(tables, run_id, source, continues), []
    if previous is None or previous.run_id != continues[0].run_id:
        notes.append(f"The source is a corrected copy: {not_found(continues[0])}.")
    return dataclasses.replace(found, previous=previous, notes=tuple(notes))


def _earlier_here(tables: OutputTables, run_id: str, source: str, continues: Sequence[Origin]) -> EarlierRuns:
    """What this output holds: one query, a row per class and unfinished run."""
    runs, classes = tables.existing(RUNS), tables.existing(FIRST_TABLE)
    if runs is None or classes is None:
        return EarlierRuns()
    before = _is_before(run_id, source, continues)
    newest = runs.filter(before).select(nw.col("run_id").max().alias("previous_id"))
    # of a run that finished only the first class brings the row along
    about = [value.alias(f"run_{name}") for name, value in _run_columns(runs).items()]
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


def runs_up_to(tables: OutputTables, newest: FinishedRun, last: int) -> tuple[list[FinishedRun], int]:
    """The newest runs of a source and of what it continues, oldest first, without classes; and their number.

    Args:
        tables: The output.
        newest: A run of the source.
        last: Most runs to give.
    """
    continues = newest.continues
    is_own = nw.col("source") == redact(newest.ref.source)
    for origin in continues:
        is_own = is_own | _leads_to(origin)
    chosen = require_runs(tables).filter(is_own)
    found, number = _listed(tables, _newest(chosen, last)), count_rows(tables.engine, chosen)
    known = {run.run_id for run in found}
    for origin in continues:
        other = elsewhere(tables, origin)
        if other is None or origin.run_id in known:
            continue
        chosen = other.read(RUNS).filter(_leads_to(origin))
        more = _listed(other, _newest(chosen, last))
        found += [dataclasses.replace(run, output=origin.output) for run in more if run.run_id not in known]
        number += count_rows(other.engine, chosen)
        known = {run.run_id for run in found}
    return sorted(found, key=lambda run: run.run_id)[-last:], number


def _leads_to(origin: Origin) -> nw.Expr:
    """The audit that was corrected, and those of its source before it."""
    return (nw.col("source") == origin.source) & (nw.col("run_id") <= origin.run_id)


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
        read_origins(row.get("continues")),
        decisions=row.get("decisions"),
    )


def _run_columns(runs: Frame) -> dict[str, nw.Expr]:
    """What is read of `runs`; null what a table that an older version wrote does not have."""
    known = set(names_of(runs))
    nothing = nw.lit(None, dtype=nw.String)
    return {name: nw.col(name) if name in known else nothing for name in _RUN_COLUMNS}


def _newest(runs: Frame, number: int = 1) -> Frame:
    return runs.sort("run_id", descending=True).head(number)


def _listed(tables: OutputTables, runs: Frame) -> list[FinishedRun]:
    """Runs, the newest first."""
    chosen = [value.alias(name) for name, value in _run_columns(runs).items()]
    found = [run_of_row(row) for row in rows_of(tables.engine, runs.select(*chosen))]
    return sorted(found, key=lambda run: run.run_id, reverse=True)


def _with_classes(tables: OutputTables, run: FinishedRun) -> FinishedRun:
    return dataclasses.replace(run, classes=classes_of(tables, run.run_id))
