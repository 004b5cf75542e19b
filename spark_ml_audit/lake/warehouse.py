"""Tables of a catalog by a SQL warehouse: a few reads and appends, without any engine of ours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_ml_audit.engines.columns import quote
from spark_ml_audit.engines.extras import install_command
from spark_ml_audit.errors import AuditError, SetupError, reason_of
from spark_ml_audit.lake.commit_retries import attempts
from spark_ml_audit.lake.warehouse_rows import (
    MOST_VALUES,
    as_text,
    chunks,
    json_parts,
    rows_in_sql,
    sql_type,
    typed,
)

if TYPE_CHECKING:
    from spark_ml_audit.lake.places import Place

Connect = Callable[[], Any]
_OF_STATEMENT = "ServerOperationError"
"""The connector's error of a statement that the warehouse refuses; its others are of the connection."""


@dataclass(frozen=True)
class Warehouse:
    """A SQL warehouse; one query at a time.

    Attributes:
        connect: Opens a connection of Python's database interface whose cursors give Arrow tables.
    """

    connect: Connect
    _lock: Any = field(default_factory=threading.Lock, compare=False)
    _open: list[Any] = field(default_factory=list, compare=False)
    _ready: dict[str, dict[str, str]] = field(default_factory=dict, compare=False)

    def rows(
        self,
        place: Place,
        columns: Sequence[str],
        *,
        where: Mapping[str, Any] | None = None,
        among: tuple[str, Sequence[Any]] | None = None,
        below: tuple[str, int] | None = None,
        version: str | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Some columns of some rows.

        Args:
            place: The table.
            columns: Their names; none: all.
            where: Column -> the value it must have.
            among: A column, and the values it may have.
            below: A column, and the greatest value it may have.
            version: Delta version; the newest by default.
            limit: Most rows.
        """
        if among is not None and len(among[1]) > MOST_VALUES:
            if limit is not None:
                raise ValueError("a limit is for few values")
            parts = (
                self.rows(place, columns, where=where, among=(among[0], part), below=below, version=version)
                for part in chunks(among[1])
            )
            return pa.concat_tables(parts, promote_options="default")
        told: dict[str, Any] = {}

        def equal(name: str, values: Sequence[Any]) -> str:
            marks = []
            for value in values:
                mark = f":p{len(told)}"
                # of bytes the connector would make a list of numbers
                told[mark[1:]] = as_text(value) if isinstance(value, bytes) else value
                marks.append(typed(mark, "BINARY") if isinstance(value, bytes) else mark)
            return f"{quote(name)} IN ({', '.join(marks)})" if marks else "false"

        tests = [equal(name, (value,)) for name, value in (where or {}).items()]
        if among is not None:
            tests.append(equal(*among))
        if below is not None:
            tests.append(f"{quote(below[0])} <= {int(below[1])}")
        chosen = ", ".join(quote(name) for name in columns) or "*"
        at = "" if version is None else f" VERSION AS OF {int(version)}"
        kept = f" WHERE {' AND '.join(tests)}" if tests else ""
        end = "" if limit is None else f" LIMIT {int(limit)}"
        return self._run(f"SELECT {chosen} FROM {place.table_name}{at}{kept}{end}", told)

    def columns(self, place: Place) -> tuple[str, ...]:
        """Names of a table's columns; none where there is no such table."""
        try:
            return tuple(self.rows(place, (), limit=0).column_names)
        except Exception as error:
            if "TABLE_OR_VIEW_NOT_FOUND" in str(error):
                return ()
            raise

    def version(self, place: Place) -> str | None:
        """The newest version of a Delta table; None where there is none."""
        if not self.columns(place):
            return None
        found = self._run(f"DESCRIBE HISTORY {place.table_name} LIMIT 1", {})
        return str(found.column("version")[0].as_py())

    def append(self, place: Place, rows: pa.Table, key: str) -> int:
        """Append rows whose key the table does not have yet; the table is made if missing, columns are added.

        Rows are sent in one statement, which is atomic, as long as they are below a megabyte; longer ones, of
        thousands of cells or ids of a hundred thousand characters, in several. Each is idempotent: what
        failed in between is made whole by sending the same rows again.

        Args:
            place: The table.
            rows: Some thousands at most.
            key: Column that names a row.

        Returns:
            How many were new; 0 too where the warehouse does not say.

        Raises:
            InputError: A column is of a type that is not written here; nothing is written.
        """
        kinds = {item.name: sql_type(item.type, item.name) for item in rows.schema}
        try:
            self._make_ready(place, kinds)
            return sum(self._merge(place, part, kinds, key) for part in json_parts(rows))
        except Exception:
            self._ready.clear()  # somebody may have changed or dropped the table: looked at next time
            raise

    def _make_ready(self, place: Place, kinds: Mapping[str, str]) -> None:
        """Make a table if it is missing, and add the columns that an older version did not have."""
        if self._ready.get(place.text) == kinds:
            return
        listed = ", ".join(f"{quote(name)} {kind}" for name, kind in kinds.items())
        self._change(f"CREATE TABLE IF NOT EXISTS {place.table_name} ({listed}) USING DELTA")
        new = self._lacking(place, kinds)
        if new:
            added = ", ".join(f"{quote(name)} {kinds[name]}" for name in new)
            try:
                self._change(f"ALTER TABLE {place.table_name} ADD COLUMNS ({added})")
            except Exception:
                if self._lacking(place, kinds):  # unless another server has just done it
                    raise
        self._ready[place.text] = dict(kinds)

    def _lacking(self, place: Place, names: Iterable[str]) -> list[str]:
        there = {name.lower() for name in self.columns(place)}
        return [name for name in names if name.lower() not in there]

    def _merge(self, place: Place, rows: str, kinds: Mapping[str, str], key: str) -> int:
        names = ", ".join(quote(name) for name in kinds)
        values = ", ".join(f"s.{quote(name)}" for name in kinds)
        statement = (
            f"MERGE INTO {place.table_name} t USING ({rows_in_sql(':p0', kinds)}) s "
            f"ON t.{quote(key)} = s.{quote(key)} WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
        )
        found = attempts()(self._run, statement, {"p0": rows})
        said = found.column("num_inserted_rows") if "num_inserted_rows" in found.column_names else ()
        return sum(int(number.as_py() or 0) for number in said)

    def _change(self, statement: str) -> None:
        attempts()(self._run, statement, {}, fetch=False)

    def _run(self, statement: str, told: Mapping[str, Any], *, fetch: bool = True) -> pa.Table:
        """Run a statement; once more by a new connection where the one that was open does not answer.

        A session ends when nobody asks anything for a while. Every statement of ours may be run twice.
        """
        with self._lock:
            while True:
                was_open = bool(self._open)
                try:
                    if not was_open:
                        self._open.append(self.connect())
                    with self._open[0].cursor() as cursor:
                        cursor.execute(statement, dict(told)) if told else cursor.execute(statement)
                        return cursor.fetchall_arrow() if fetch else None
                except Exception as error:
                    if isinstance(error, AuditError) or type(error).__name__ == _OF_STATEMENT:
                        raise
                    for connection in self._open:
                        with suppress(Exception):
                            connection.close()
                    self._open.clear()
                    if not was_open:
                        raise


def databricks_warehouse(warehouse_id: str) -> Warehouse:
    """A SQL warehouse of Databricks, by what the environment says of host and sign-in, as in an App.

    Args:
        warehouse_id: Its id.

    Raises:
        SetupError: The connector is not installed, or nothing says how to sign in.
    """
    try:
        from databricks import sql
        from databricks.sdk.core import Config
    except ImportError as error:
        raise SetupError(
            f"the connector to SQL warehouses is not installed: {reason_of(error)}.",
            key="serve.warehouse",
            fix=f"Install it with: {install_command('warehouse')}",
        ) from error

    def connect() -> Any:
        try:
            config = Config()
        except ValueError as error:
            raise SetupError(
                f"nothing says how to sign in to Databricks: {reason_of(error)}.",
                key="serve.warehouse",
                fix="Run it as a Databricks App, or set DATABRICKS_HOST and a token.",
            ) from error
        return sql.connect(
            server_hostname=(config.host or "").removeprefix("https://").rstrip("/"),
            http_path=f"/sql/1.0/warehouses/{warehouse_id}",
            credentials_provider=lambda: config.authenticate,
        )

    return Warehouse(connect)
