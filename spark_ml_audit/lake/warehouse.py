"""Tables of a catalog by a SQL warehouse: a few reads and appends, without any engine of ours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spark_ml_audit.engines.columns import quote
from spark_ml_audit.errors import SetupError, reason_of

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.lake.places import Place

Connect = Callable[[], Any]
_TYPES = {"string": "STRING", "int64": "BIGINT", "int32": "INT", "double": "DOUBLE", "date32[day]": "DATE"}


@dataclass(frozen=True)
class Warehouse:
    """A SQL warehouse; one query at a time.

    Attributes:
        connect: Opens a connection of Python's database interface whose cursors give Arrow tables.
    """

    connect: Connect
    _lock: Any = field(default_factory=threading.Lock, compare=False)
    _open: list[Any] = field(default_factory=list, compare=False)

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
        told: dict[str, Any] = {}

        def parameter(value: Any) -> str:
            told[f"p{len(told)}"] = value
            return f":p{len(told) - 1}"

        tests = [f"{quote(name)} = {parameter(value)}" for name, value in (where or {}).items()]
        if among is not None:
            tests.append(f"{quote(among[0])} IN ({', '.join(parameter(value) for value in among[1])})")
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
        """Append rows whose key the table does not have yet, in one statement; the table is made if missing.

        Args:
            place: The table.
            rows: A few hundred at most.
            key: Column that names a row.

        Returns:
            How many were new; 0 too where the warehouse does not say.
        """
        table = place.table_name
        kinds = {item.name: _TYPES.get(str(item.type), "TIMESTAMP") for item in rows.schema}
        listed = ", ".join(f"{quote(name)} {kind}" for name, kind in kinds.items())
        self._run(f"CREATE TABLE IF NOT EXISTS {table} ({listed}) USING DELTA", {})
        told: dict[str, Any] = {}
        lines = []
        for record in rows.to_pylist():
            cells = []
            for name, value in record.items():
                told[f"p{len(told)}"] = None if value is None else str(value)
                cells.append(f"CAST(:p{len(told) - 1} AS {kinds[name]}) AS {quote(name)}")
            lines.append(f"SELECT {', '.join(cells)}")
        names = ", ".join(quote(name) for name in kinds)
        values = ", ".join(f"s.{quote(name)}" for name in kinds)
        found = self._run(
            f"MERGE INTO {table} t USING ({' UNION ALL '.join(lines)}) s ON t.{quote(key)} = s.{quote(key)} "
            f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})",
            told,
        )
        said = found.column("num_inserted_rows") if "num_inserted_rows" in found.column_names else ()
        return sum(int(number.as_py() or 0) for number in said)

    def _run(self, statement: str, told: Mapping[str, Any]) -> pa.Table:
        with self._lock:
            if not self._open:
                self._open.append(self.connect())
            with self._open[0].cursor() as cursor:
                cursor.execute(statement, dict(told))
                return cursor.fetchall_arrow()


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
            fix='Install it with: pip install "spark-ml-audit[app,local,warehouse]".',
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
