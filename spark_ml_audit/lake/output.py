"""The output tables of audits: where they are, what belongs to which run, when a run is visible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import narwhals as nw

from spark_ml_audit.arrow.types import type_name
from spark_ml_audit.config.paths import absolute, local_path, split_identifier
from spark_ml_audit.engines.base import from_records, rows_of
from spark_ml_audit.engines.columns import quote
from spark_ml_audit.errors import ConfigError, reason_of
from spark_ml_audit.lake.choose import check_reachable, delta_table, ensure_schema, ensure_view
from spark_ml_audit.lake.delta import Commit, DeltaTable
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.schemas import (
    ANNOTATORS,
    CLASSES,
    CLASSES_SCHEMA,
    DATA_TABLES,
    DUPLICATES,
    EXAMPLES,
    INDEXED_COLUMNS,
    RUNS,
    RUNS_SCHEMA,
    TABLES,
    TAG_ISSUES,
    TREND_COLUMNS,
    id_column,
)
from spark_ml_audit.outcomes.records import ClassRow
from spark_ml_audit.outcomes.runs import run_started

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.config import OutputConfig
    from spark_ml_audit.engines.base import Engine, Frame


class OutputTables:
    """The tables of one output, under a path or in a schema.

    Every append is one Delta transaction whose application id is run and table, so a repeated append
    of the same run does nothing. A run is visible once its row is in `runs`.

    Args:
        engine: What runs the frames.
        config: The `output` section.

    Attributes:
        engine: What runs the frames.
        config: The `output` section.
    """

    def __init__(self, engine: Engine, config: OutputConfig) -> None:
        self.engine = engine
        self.config = config
        check_reachable(engine, self._place(RUNS))
        self._check_takes_tables()
        self._there: set[str] = set()

    # ---- where they are ----------------------------------------------------------------------------

    def _check_takes_tables(self) -> None:
        """Refuse a path on which a file lies, before anything is read."""
        folder = local_path(absolute(self.config.path)) if self.config.path else None
        file = (
            next((place for place in (folder, *folder.parents) if place.is_file()), None) if folder else None
        )
        if file is not None:
            raise ConfigError(
                f"'{file}' is a file, so no tables can be written under '{self.config.path}'.",
                key="output.path",
                fix="Choose another output.path: a folder, or one that is not there yet.",
            )

    def _place(self, name: str) -> Place:
        return Place.of_output(self.config, name)

    def table(self, name: str) -> DeltaTable:
        """One of the tables, there or not."""
        return delta_table(self.engine, self._place(name))

    def location(self, name: str) -> str:
        """Path or full name of a table."""
        return self._place(name).text

    def as_typed(self, name: str) -> str:
        """A table as people name it in a query: of DuckDB with its extension delta, or of Spark."""
        return self._place(name).sql_in(self.engine.kind)

    def locations(self, *names: str) -> dict[str, str]:
        """Name -> path or table; of the tables of every audit unless names are given."""
        return {name: self.location(name) for name in names or TABLES}

    # ---- reading -----------------------------------------------------------------------------------

    def read(self, name: str, run_id: str | None = None) -> Frame:
        """The rows of a table, of one run if given; finished or not."""
        return self.table(name).read(run_id=run_id)

    def schema(self, name: str) -> pa.Schema:
        """Columns of a table that exists."""
        return self.table(name).schema()

    def existing(self, name: str) -> Frame | None:
        """The table's rows, or None where it does not exist.

        Raises:
            ConfigError: It is there and cannot be read.
        """
        return self.read(name) if self.exists(name) else None

    def exists(self, name: str) -> bool:
        """Whether the table exists.

        Raises:
            ConfigError: It is there and cannot be read.
        """
        if name in self._there:
            return True
        try:
            found = self.table(name).exists()
        except Exception as error:
            raise ConfigError(
                f"the output table '{self.location(name)}' cannot be read: {reason_of(error)}.",
                key="output.path" if self.config.path else "output.schema",
                fix="Choose another output, or mend the table.",
            ) from error
        if found:
            self._there.add(name)  # and stays: looking again costs as much as a small query
        return found

    def id_name(self) -> str:
        """The column that names rows in this output; nothing where its tables have none."""
        return id_column(self.schema(TAG_ISSUES).names) or ""

    def finished_run(self, run_id: str, name: str = RUNS) -> dict[str, Any] | None:
        """The row of `runs`, or of another table with one row per finished run, or None."""
        rows = rows_of(self.engine, self.read(name, run_id).head(1)) if self.exists(name) else []
        return rows[0] if rows else None

    def commit_of(self, name: str, run_id: str) -> Commit | None:
        """The newest transaction of a run on a table; None where it wrote nothing there.

        Raises:
            ConfigError: The table is there and cannot be read.
        """
        commits = self.table(name).commits(run_id) if self.exists(name) else ()
        return next((commit for commit in commits if commit.metadata.get("run_id") == run_id), None)

    # ---- checks before a run -----------------------------------------------------------------------

    def check_id(self, name: str, kind: pa.DataType) -> bool:
        """Refuse an id column other than the one this output was made with.

        Args:
            name: The id column of the source.
            kind: Its type.

        Returns:
            Whether the output has tables already.

        Raises:
            ConfigError: The tables there have an id of another name or type.
        """
        # a run that was killed may have left the first of them alone
        found_in = next((known for known in (TAG_ISSUES, EXAMPLES) if self.exists(known)), None)
        if found_in is None:
            return False
        schema = self.schema(found_in)
        own = id_column(schema.names)
        found = None if own is None else schema.field(own).type
        if found is None or (own == name and found == kind):
            return True
        raise ConfigError(
            f"'{self.location(found_in)}' names rows by '{own}' ({type_name(found)}), "
            f"this source by '{name}' ({type_name(kind)}).",
            key="source.id",
            fix="Use another output for this source, or the same id column.",
        )

    def pinned_version(
        self,
        run_id: str | None,
        fingerprint: str,
        first_tables: Sequence[str],
        fix: str,
        key: str = "output.run_id",
    ) -> str | None:
        """The version of the source that the first try of a run read; None for a new run.

        Args:
            run_id: Id of the run that is tried again; None for a new one.
            fingerprint: Of what decides the result.
            first_tables: Tables of which the first that such a run writes is one.
            fix: What to do about another fingerprint.
            key: Key of the run id, for messages.

        Raises:
            ConfigError: The run was begun with other options, or what it wrote was removed since.
        """
        if run_id is None:
            return None
        commits = (self.commit_of(name, run_id) for name in first_tables)
        first = next((commit for commit in commits if commit is not None), None)
        if first is None:
            return None
        if first.metadata["fingerprint"] != fingerprint:
            raise ConfigError(
                f"run {run_id} was begun with another config, or by an older version.", key=key, fix=fix
            )
        # its transaction ids are used up then
        if any(self.table(name).has_deleted(run_id) for name in DATA_TABLES):
            raise ConfigError(
                f"what run {run_id} had written was removed as the leftovers of a killed run.",
                key=key,
                fix=f"Leave {key} out: a new run starts over.",
            )
        version: str | None = first.metadata["source_version"]
        return version

    # ---- writing -----------------------------------------------------------------------------------

    def append(
        self,
        name: str,
        frame: Frame,
        run_id: str,
        metadata: Mapping[str, Any] | None = None,
        *,
        part: str = "",
        with_run_id: bool = True,
        in_order: bool = False,
    ) -> None:
        """Append a run's rows to a table in one idempotent transaction.

        Args:
            name: Name of the table.
            frame: The rows, without run_id.
            run_id: Put first in every row, and into the transaction id.
            metadata: Recorded in the table's history.
            part: Tells apart transactions of one run and table, where it has several.
            with_run_id: False for a table whose rows belong to no run.
            in_order: Whether files shall follow each other in the order of the rows.
        """
        if with_run_id and "run_id" not in frame.collect_schema().names():
            frame = frame.select(nw.lit(run_id).alias("run_id"), nw.all())
        transaction = f"{run_id}/{part}/{name}" if part else f"{run_id}/{name}"
        metadata = {"run_id": run_id, **(metadata or {})}
        self.table(name).append(
            frame, transaction, metadata, indexed=INDEXED_COLUMNS.get(name), in_order=in_order
        )
        self._there.add(name)

    def append_records(
        self,
        name: str,
        rows: Sequence[Mapping[str, Any]],
        schema: pa.Schema,
        run_id: str,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Append records of the driver, as `append`; missing keys become nulls.

        Args:
            name: Name of the table.
            rows: Column -> value.
            schema: The table's columns, run_id among them or not.
            run_id: As for `append`.
            metadata: As for `append`.
        """
        self.append(name, from_records(self.engine, rows, schema), run_id, metadata)

    def overwrite(
        self,
        name: str,
        frame: Frame,
        run_id: str,
        metadata: Mapping[str, Any],
        properties: Mapping[str, str] | None = None,
        column_metadata: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Replace a table's rows by a run's in one transaction; a repeat by the same run changes nothing.

        Args:
            name: Name of the table.
            frame: The rows as they shall be: no run_id is added.
            run_id: Of the run.
            metadata: Recorded in the table's history.
            properties: Set on the table afterwards.
            column_metadata: Column -> what is recorded with it in the schema.
        """
        table = self.table(name)
        if self.commit_of(name, run_id) is None:
            about = {"run_id": run_id, **metadata}
            table.overwrite(frame, f"{run_id}/{name}", about, column_metadata=column_metadata)
            self._there.add(name)
        table.set_properties(properties or {})

    def append_classes(self, rows: Sequence[ClassRow], run_id: str, metadata: Mapping[str, Any]) -> None:
        """Append the class table of a run."""
        self.append_records(CLASSES, [row.to_dict() for row in rows], CLASSES_SCHEMA, run_id, metadata)

    def append_run(self, row: Mapping[str, Any]) -> list[str]:
        """Append the row of `runs` that makes a run visible.

        Returns:
            Sentences on what could not be done beside it: the run is committed all the same.
        """
        self.append_records(RUNS, [row], RUNS_SCHEMA, row["run_id"])
        if self.config.schema_name is not None:
            try:
                self._create_views()
            except Exception as error:  # noqa: BLE001 - somebody may write tables and not create views
                return [f"The views of finished runs could not be created: {reason_of(error)}."]
        return []

    def remove_orphans(self, unfinished: Sequence[str], now: datetime, older_than: timedelta) -> list[str]:
        """Delete what killed runs left behind, once it is old enough.

        Args:
            unfinished: Runs that left rows and have not finished.
            now: The time.
            older_than: What began before may be taken for dead.

        Returns:
            Ids of the runs whose rows were deleted.
        """
        old = sorted(run_id for run_id in unfinished if now - run_started(run_id) > older_than)
        if not old:
            return []
        # one may have finished since it was looked for
        again = self.read(RUNS).filter(nw.col("run_id").is_in(old)).select("run_id")
        finished = self.engine.collect(again).column("run_id").to_pylist()
        dead = sorted(set(old) - set(finished))
        for name in DATA_TABLES:
            if dead and self.exists(name):
                self.table(name).delete_runs(dead)
        return dead

    # ---- what a schema has beside its tables -------------------------------------------------------

    def create_schema(self) -> None:
        """Create the output's schema if it is missing and may be created."""
        if self.config.schema_name is not None:
            parts = split_identifier(self.config.schema_name) or ()
            ensure_schema(self.engine, ".".join(quote(part) for part in parts))

    def _create_views(self) -> None:
        """Per table a view of finished runs, for SQL users; and the numbers of the command `trend`."""
        engine, runs = self.engine, self._place(RUNS).sql
        for name in (*TABLES, DUPLICATES, ANNOTATORS):
            if self.exists(name):
                only = "" if name == RUNS else f" WHERE run_id IN (SELECT run_id FROM {runs})"
                view = self._place(f"{name}_committed")
                ensure_view(
                    engine, view, f"SELECT * FROM {self._place(name).sql}{only}", self.schema(name).names
                )
        ensure_view(
            engine,
            self._place("trend"),
            f"SELECT {', '.join(TREND_COLUMNS)} "
            f"FROM {runs} r JOIN {self._place(CLASSES).sql} c ON c.run_id = r.run_id",
        )
