"""Delta tables without Spark: DuckDB writes and reads their files, the package deltalake keeps their log."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deltalake
import pyarrow as pa
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.transaction import create_table_with_add_actions

from spark_ml_audit.config.paths import local_path
from spark_ml_audit.engines.duckdb_types import literal, quoted
from spark_ml_audit.errors import AuditError, InputError, reason_of
from spark_ml_audit.lake.commit_retries import attempts, is_conflict
from spark_ml_audit.lake.delta import HOUSEKEEPING, TABLE_PROPERTIES, Commit, TableDetail, recorded_in
from spark_ml_audit.lake.delta_rs_files import LOG, StagedRows, add_actions, indexed_columns
from spark_ml_audit.lake.delta_rs_log import (
    LogEntry,
    RsTransaction,
    allow_types,
    check_removable,
    compacted,
    delta_columns,
    fields_of,
    log_entries,
    milliseconds_of,
    set_properties,
    takes_files,
)
from spark_ml_audit.lake.delta_rs_read import frame_of
from spark_ml_audit.lake.delta_types import UnsupportedError, arrow_schema

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.engines.embedded import EmbeddedEngine
    from spark_ml_audit.lake.places import Place

# delta-rs takes some of them for escapes, and dies of others.
_REFUSED_IN_FOLDERS = "%\\[]^|"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_USE_SPARK = "Spark can: set engine.kind to spark."


@dataclass(frozen=True)
class RsDeltaTable:
    """One Delta table in a local folder; see `delta.DeltaTable` for what its methods promise.

    A commit looks first whether its transaction is known, and commits from the same snapshot: delta-rs does
    not skip a known one, but refuses one that came in between.

    Attributes:
        engine: What reads and writes files.
        place: Where it is.
    """

    engine: EmbeddedEngine
    place: Place

    # ---- reading -----------------------------------------------------------------------------------

    def existing(self) -> Frame | None:
        """Its rows, or None where there is no table."""
        table = self._open()
        return None if table is None else self._frame(table, None)

    def exists(self) -> bool:
        """Whether there is a table."""
        return self._open() is not None

    def opened(self, version: str | int | None = None) -> tuple[Frame, pa.Schema]:
        """Its rows and its columns."""
        table = self._opened(version)
        return self._frame(table, None), self._columns(table)

    def read(self, version: str | int | None = None, run_id: str | None = None) -> Frame:
        """Its rows, at one version if given, of one run if given."""
        return self._frame(self._opened(version), run_id)

    def _frame(self, table: deltalake.DeltaTable, run_id: str | None) -> Frame:
        with self._named_in_errors("read"):
            return frame_of(self.engine, table, self._folder, run_id)

    def schema(self, version: str | int | None = None) -> pa.Schema:
        """Its columns with their Arrow types and metadata."""
        return self._columns(self._opened(version))

    def _columns(self, table: deltalake.DeltaTable) -> pa.Schema:
        with self._named_in_errors("read"):
            return arrow_schema(fields_of(table))

    def detail(self) -> TableDetail:
        """What it says of itself."""
        return TableDetail("delta", dict(self._opened().metadata().configuration))

    @property
    def _folder(self) -> Path:
        """The folder, links followed.

        Raises:
            InputError: It is not on this machine, or delta-rs does not find it.
        """
        found = local_path(self.place.text) if self.place.is_path else None
        if found is None:
            raise InputError(f"'{self.place.text}' is no folder of this machine.", fix=_USE_SPARK)
        folder = Path(os.path.realpath(found))
        odd = next((char for char in _REFUSED_IN_FOLDERS if char in folder.as_posix()), None)
        if odd is not None:
            raise InputError(
                f"'{folder}' has a '{odd}' in its name, with which delta-rs does not find it.",
                fix=f"Choose another folder; {_USE_SPARK}",
            )
        return folder

    def _open(self, version: str | int | None = None) -> deltalake.DeltaTable | None:
        """The table at a version; None where there is none."""
        folder = self._folder
        if not (folder / LOG).is_dir():  # delta-rs would make the folder
            return None
        try:
            with self._named_in_errors("read"):
                return deltalake.DeltaTable(folder, version=None if version is None else int(version))
        except TableNotFoundError:
            return None
        except InputError:
            if version is None or (folder / LOG / f"{int(version):020}.json").exists():
                raise
            raise InputError(
                f"'{self.place.text}' cannot be read at version {version}, which it never had or has no more."
            ) from None

    def _opened(self, version: str | int | None = None) -> deltalake.DeltaTable:
        table = self._open(version)
        if table is None:
            raise InputError(f"'{self.place.text}' holds no Delta table.")
        return table

    # ---- its history -------------------------------------------------------------------------------

    def _log(self) -> list[LogEntry]:
        return log_entries(self._folder / LOG)

    def newest_version(self, at: str | None = None) -> str | None:
        """The newest version, or the newest one at a time."""
        if at is None:
            table = self._open()
            return None if table is None else str(table.version())
        until = milliseconds_of(at)
        return next(
            (str(entry.version) for entry in reversed(self._log()) if entry.milliseconds <= until), None
        )

    def commits(self, mentioning: str) -> tuple[Commit, ...]:
        """Transactions whose metadata hold a text, newest first."""
        found = [
            (entry.version, recorded_in(entry.user_metadata))
            for entry in reversed(self._log())
            if mentioning in entry.user_metadata
        ]
        return tuple(Commit(version, metadata) for version, metadata in found if metadata is not None)

    def has_deleted(self, mentioning: str) -> bool:
        """Whether rows were deleted by a condition that holds a text."""
        return any(
            mentioning in str((entry.info.get("operationParameters") or {}).get("predicate"))
            for entry in self._log()
            if entry.operation == "DELETE"
        )

    def has_foreign_commits(self, marker: str) -> bool:
        """Whether rows of any version were written without metadata that hold a text."""
        return any(
            marker not in entry.user_metadata and entry.operation not in HOUSEKEEPING for entry in self._log()
        )

    # ---- writing -----------------------------------------------------------------------------------

    def append(
        self,
        frame: Frame,
        transaction: str,
        metadata: Mapping[str, Any],
        *,
        indexed: int | None = None,
        in_order: bool = False,
    ) -> None:
        """Append rows in one transaction; columns that the table lacks are added before."""
        properties = {} if indexed is None else {"delta.dataSkippingNumIndexedCols": str(indexed)}
        commit = RsTransaction(transaction, metadata, properties)
        self._commit(frame, commit, self._append, in_order=in_order)

    def _commit(
        self,
        frame: Frame,
        commit: RsTransaction,
        step: Callable[[StagedRows, RsTransaction], None],
        *,
        in_order: bool = False,
    ) -> None:
        """Write rows to files, once, and name them in a commit; a lost race is retried."""
        with StagedRows(self.engine, frame, self._folder, in_order=in_order) as rows:
            for attempt in attempts():
                with attempt, self._named_in_errors("written"):
                    step(rows, commit)

    def _to_change(self, rows: StagedRows, commit: RsTransaction) -> deltalake.DeltaTable | None:
        """The table; None where nothing is left to do: it was created with the rows, or has them."""
        table = self._open()
        if table is None:
            self._create(rows, commit)
        elif not commit.is_known_to(table):
            return table
        return None

    def _append(self, rows: StagedRows, commit: RsTransaction) -> None:
        table = self._to_change(rows, commit)
        if table is None:
            return
        known = arrow_schema(fields_of(table))
        schema = rows.fitted(known)
        added = pa.schema([item for item in schema if known.get_field_index(item.name) < 0])
        if not takes_files(table):
            # delta-rs splits rows into partitions, and checks them
            with rows.read_back(schema) as open_rows:
                deltalake.write_deltalake(
                    table,
                    open_rows(),
                    mode="append",
                    schema_mode="merge" if len(added) else None,
                    commit_properties=commit.properties(isBlindAppend=True),
                )
            return
        files = rows.files(schema)
        if len(added):
            # delta-rs changes columns and names files in one commit only where it overwrites
            allow_types(table, added)
            table.alter.add_columns(delta_columns(added))
            # from the start: somebody may have committed this very transaction meanwhile
            self._append(rows, commit)
            return
        table.create_write_transaction(
            [*add_actions(files, indexed_columns(known, table.metadata().configuration))],
            "append",
            table.schema(),
            commit_properties=commit.properties(isBlindAppend=True),
        )
        rows.keep(files)

    def overwrite(
        self,
        frame: Frame,
        transaction: str,
        metadata: Mapping[str, Any],
        *,
        column_metadata: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Replace all rows, and the schema with them, in one transaction."""
        commit = RsTransaction(transaction, metadata, column_metadata=column_metadata or {})
        self._commit(frame, commit, self._overwrite)

    def _overwrite(self, rows: StagedRows, commit: RsTransaction) -> None:
        table = self._to_change(rows, commit)
        if table is None:
            return
        check_removable(table)
        if not takes_files(table):
            with rows.read_back() as open_rows:
                deltalake.write_deltalake(
                    table,
                    open_rows(),
                    mode="overwrite",
                    schema_mode="overwrite",
                    commit_properties=commit.properties(retries=0),
                )
            return
        files = rows.files(rows.schema)
        if allow_types(table, rows.schema):
            self._overwrite(rows, commit)
            return
        table.create_write_transaction(
            [*add_actions(files, indexed_columns(rows.schema, table.metadata().configuration))],
            "overwrite",
            deltalake.Schema(delta_columns(rows.schema, commit.column_metadata)),
            # rows that came in between would outlive it
            commit_properties=commit.properties(retries=0),
        )
        rows.keep(files)

    def _create(self, rows: StagedRows, commit: RsTransaction) -> None:
        configuration, files = {**TABLE_PROPERTIES, **commit.table_properties}, rows.files(rows.schema)
        create_table_with_add_actions(
            str(self._folder),
            deltalake.Schema(delta_columns(rows.schema, commit.column_metadata)),
            add_actions(files, indexed_columns(rows.schema, configuration)),
            configuration=configuration,
            # else delta-rs creates it anew as version 1 where somebody was faster
            commit_properties=commit.properties(retries=0),
        )
        rows.keep(files)

    def set_properties(self, properties: Mapping[str, str]) -> None:
        """Set table properties that are not set yet."""
        if not properties:
            return
        for attempt in attempts():
            with attempt, self._named_in_errors("changed"):
                table = self._opened()
                known = table.metadata().configuration
                missing = {key: value for key, value in properties.items() if known.get(key) != value}
                if missing:
                    set_properties(table, self._folder / LOG, missing)

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the rows of runs, by the column run_id."""
        listed = ", ".join(literal(run_id) for run_id in run_ids)
        for attempt in attempts():
            with attempt, self._named_in_errors("changed"):
                table = self._opened()
                check_removable(table)
                table.delete(f"run_id IN ({listed})")

    def compact(self, beyond: int) -> int:
        """Put small files together; see `compacted`."""
        table = self._opened()
        with self._named_in_errors("compacted"):
            return compacted(table, beyond)

    def update(self, rows: Frame, id_name: str, columns: Sequence[str]) -> None:
        """Replace the values of rows that still have the values they are known to have, by a merge."""
        # each in parentheses: delta-rs binds the words of a comparison otherwise than SQL
        same = [f"(t.{quoted(name)} IS NOT DISTINCT FROM s.old_{k})" for k, name in enumerate(columns)]
        condition = " AND ".join([f"(t.{quoted(id_name)} = s.row_id)", *same])
        changed = {quoted(name): f"s.new_{k}" for k, name in enumerate(columns)}
        with StagedRows(self.engine, rows, self._folder, in_order=False).read_back() as open_rows:
            for attempt in attempts():
                with attempt, self._named_in_errors("changed"):
                    table = self._opened()
                    check_removable(table)
                    merge = table.merge(open_rows(), condition, source_alias="s", target_alias="t")
                    merge.when_matched_update(changed).execute()

    @contextmanager
    def _named_in_errors(self, action: str) -> Iterator[None]:
        """Put the table's name before what delta-rs says."""
        try:
            yield
        except (DeltaError, UnsupportedError) as error:
            if isinstance(error, TableNotFoundError) or is_conflict(error):
                raise
            raise InputError(
                f"'{self.place.text}' cannot be {action} without Spark: {reason_of(error)}.", fix=_USE_SPARK
            ) from error
        except OSError as error:
            if action == "read" or is_conflict(error):
                raise
            kind = InputError if isinstance(error, (NotADirectoryError, PermissionError)) else AuditError
            raise kind(
                f"'{self.place.text}' cannot be {action}: {_said_last(error)}.",
                fix="See that there is room and that the folder can be written to.",
            ) from error


def _said_last(error: OSError) -> str:
    r"""What the system said, which delta-rs puts last, in colours.

    >>> _said_last(OSError("Generic LocalFileSystem error\n  ↳ No space left on device (os error 28)"))
    'No space left on device (os error 28)'
    """
    lines = [_COLOURS.sub("", line).strip(" ↳") for line in str(error).splitlines()]
    return next((line.rstrip(".") for line in reversed(lines) if line), type(error).__name__)
