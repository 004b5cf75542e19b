"""Delta tables by Spark: the SQL of their history, their properties, deletes and merges, and their views."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals as nw
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_ml_audit.engines.columns import quote
from spark_ml_audit.engines.plain_strings import plain_strings
from spark_ml_audit.engines.spark import from_frame, to_frame, with_notes
from spark_ml_audit.lake.commit_retries import attempts, is_conflict
from spark_ml_audit.lake.delta import (
    HOUSEKEEPING,
    KEPT_HOURS,
    TABLE_PROPERTIES,
    Commit,
    TableDetail,
    recorded_in,
)
from spark_ml_audit.lake.places import literal_in

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrameWriter

    from spark_ml_audit.engines.base import Frame
    from spark_ml_audit.engines.spark import SparkEngine
    from spark_ml_audit.lake.places import Place

_MISSING = ("NOT_FOUND", "PATH_DOES_NOT_EXIST", "DELTA_MISSING")
_CREATION = "CREATE TABLE AS SELECT"
# Property of a table that was created here, without rows.
_CREATED = "spark_ml_audit.created"
# Spark 3.5.9 with Delta 3.3.2 says so when a table of the catalog is to be replaced by its name.
_CANNOT_REPLACE = "does not support truncate in batch mode"


@dataclass(frozen=True)
class SparkDeltaTable:
    """One Delta table by Spark; see `delta.DeltaTable` for what its methods promise.

    Attributes:
        engine: Spark.
        place: Where it is.
    """

    engine: SparkEngine
    place: Place

    # ---- reading -----------------------------------------------------------------------------------

    def existing(self) -> Frame | None:
        """Its rows, or None where there is no table."""
        try:
            frame = self.read()
            frame.to_native().schema  # noqa: B018 - Connect resolves a plan only when asked
        except Exception as error:
            if any(word in str(error) for word in _MISSING):
                return None
            raise
        return frame

    def exists(self) -> bool:
        """Whether there is a table."""
        return self.existing() is not None

    def opened(self, version: str | int | None = None) -> tuple[Frame, pa.Schema]:
        """Its rows and its columns."""
        rows = self._rows(version)
        return rows, self.engine.schema(rows)

    def read(self, version: str | int | None = None, run_id: str | None = None) -> Frame:
        """Its rows, at one version if given, of one run if given."""
        frame = self._rows(version)
        return frame if run_id is None else frame.filter(nw.col("run_id") == run_id)

    def _rows(self, version: str | int | None) -> Frame:
        if self.place.is_path:
            reader = self.engine.session.read.format("delta")
            reader = reader if version is None else reader.option("versionAsOf", version)
            return to_frame(reader.load(self.place.address))
        if version is None:
            return self.engine.scan_table(self.place.table_name)
        # not by an option of the reader, which cannot name columns that are gone by now on Spark 3.5
        return to_frame(self._sql(f"SELECT * FROM {self.place.table_name} VERSION AS OF {int(version)}"))

    def schema(self, version: str | int | None = None) -> pa.Schema:
        """Its columns."""
        return self.engine.schema(self._rows(version))

    def detail(self) -> TableDetail:
        """What it says of itself, whatever its format."""
        row = self._sql(f"DESCRIBE DETAIL {self.place.sql}").collect()[0]
        return TableDetail(str(row["format"]).lower(), dict(row["properties"] or {}))

    # ---- its history -------------------------------------------------------------------------------

    def _history(self, only_newest: bool = False) -> DataFrame:
        return self._sql(f"DESCRIBE HISTORY {self.place.sql}" + (" LIMIT 1" if only_newest else ""))

    def newest_version(self, at: str | None = None) -> str | None:
        """The newest version, or the newest one at a time."""
        if at is None:
            rows = self._history(only_newest=True).collect()
        else:
            history = self._history().where(F.col("timestamp") <= F.lit(at).cast("timestamp"))
            rows = history.orderBy(F.desc("version")).limit(1).collect()
        return str(rows[0]["version"]) if rows else None

    def commits(self, mentioning: str) -> tuple[Commit, ...]:
        """Transactions whose metadata hold a text, newest first."""
        if self.existing() is None:
            return ()
        found = self._history().where(F.col("userMetadata").contains(mentioning))
        rows = found.select("version", "userMetadata").collect()
        ordered = sorted(rows, key=lambda row: -row["version"])
        recorded = ((row["version"], recorded_in(row["userMetadata"])) for row in ordered)
        return tuple(Commit(version, metadata) for version, metadata in recorded if metadata is not None)

    def has_deleted(self, mentioning: str) -> bool:
        """Whether rows were deleted by a condition that holds a text."""
        if self.existing() is None:
            return False
        condition = F.col("operationParameters")["predicate"].contains(mentioning)
        return not self._history().where((F.col("operation") == "DELETE") & condition).isEmpty()

    def has_foreign_commits(self, marker: str) -> bool:
        """Whether rows of any version were written without metadata that hold a text."""
        if self.existing() is None:
            return False
        ours = () if _CREATED not in self.detail().properties else (_CREATION, "CREATE TABLE")
        wrote = ~F.col("operation").isin(*HOUSEKEEPING, *ours)
        foreign = ~F.coalesce(F.col("userMetadata").contains(marker), F.lit(False))
        return not self._history().where(wrote & foreign).isEmpty()

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
        """Append rows in one transaction; files have the order that the frame's partitions have."""
        properties = {} if indexed is None else {"delta.dataSkippingNumIndexedCols": str(indexed)}
        rows = _to_write(frame)
        self._create_named(rows, properties)
        writer = rows.write.mode("append").option("mergeSchema", True).options(**properties)
        self._commit(writer, transaction, metadata)

    def overwrite(
        self,
        frame: Frame,
        transaction: str,
        metadata: Mapping[str, Any],
        *,
        column_metadata: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Replace all rows, and the schema with them, in one transaction."""
        rows = _to_write(frame, column_metadata or {})
        self._create_named(rows)
        writer = rows.write.mode("overwrite").option("overwriteSchema", True)
        try:
            self._commit(writer, transaction, metadata)
        except Exception as error:
            if self.place.is_path or _CANNOT_REPLACE not in str(error):
                raise
            where = self._sql(f"DESCRIBE DETAIL {self.place.sql}").collect()[0]["location"]
            self._commit(writer, transaction, metadata, path=where)

    def _create_named(self, frame: DataFrame, properties: Mapping[str, str] | None = None) -> None:
        """Create a table of the catalog without rows: a commit that creates one loses its metadata."""
        if self.place.is_path or self.existing() is not None:
            return
        for attempt in attempts():
            with attempt:
                writer = frame.limit(0).writeTo(self.place.table_name).using("delta")
                for key, value in {**TABLE_PROPERTIES, **(properties or {}), _CREATED: "true"}.items():
                    writer = writer.tableProperty(key, value)
                if self.existing() is None:  # as long as nobody was faster
                    writer.create()

    def _commit(
        self,
        writer: DataFrameWriter,
        transaction: str,
        metadata: Mapping[str, Any],
        path: str | None = None,
    ) -> None:
        """Write in one transaction; Delta skips one it knows, a lost race is retried.

        Args:
            writer: Writes what is to be written, in its mode.
            transaction: Name of the transaction.
            metadata: Recorded with it.
            path: Where to; the table's place by default.
        """
        if path is None and self.place.is_path:
            path = self.place.address
        writer = (
            writer.format("delta")
            .option("txnAppId", transaction)
            .option("txnVersion", 1)
            .option("userMetadata", json.dumps(dict(metadata)))
            .options(**TABLE_PROPERTIES)
        )
        for attempt in attempts():
            with attempt:
                if path is not None:
                    writer.save(path)
                else:
                    writer.saveAsTable(self.place.table_name)

    def set_properties(self, properties: Mapping[str, str]) -> None:
        """Set table properties that are not set yet."""
        known = self.detail().properties if properties else {}
        for key, value in properties.items():
            if known.get(key) != value:
                pair = f"{literal_in('spark', key)} = {literal_in('spark', value)}"
                self._retried(f"ALTER TABLE {self.place.sql} SET TBLPROPERTIES ({pair})")

    def delete_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the rows of runs, by the column run_id."""
        listed = ", ".join(literal_in("spark", run_id) for run_id in run_ids)
        self._retried(f"DELETE FROM {self.place.sql} WHERE run_id IN ({listed})")

    def compact(self, beyond: int) -> int:
        """Put small files together by OPTIMIZE, and remove what no version of the last week needs."""
        before = self._num_files()
        if before <= beyond:
            return 0
        try:
            self._sql(f"OPTIMIZE {self.place.sql}")
        except Exception as error:
            if is_conflict(error):
                return 0
            raise
        self._sql(f"VACUUM {self.place.sql} RETAIN {KEPT_HOURS} HOURS")
        return before - self._num_files()

    def _num_files(self) -> int:
        return int(self._sql(f"DESCRIBE DETAIL {self.place.sql}").collect()[0]["numFiles"])

    def update(self, rows: Frame, id_name: str, columns: Sequence[str]) -> None:
        """Replace the values of rows that still have the values they are known to have, by MERGE."""
        view = f"spark_ml_audit_changes_{secrets.token_hex(8)}"
        from_frame(rows).createOrReplaceTempView(view)
        same = " AND ".join(f"t.{quote(name)} <=> s.old_{k}" for k, name in enumerate(columns))
        changed = ", ".join(f"t.{quote(name)} = s.new_{k}" for k, name in enumerate(columns))
        try:
            self._retried(
                f"MERGE INTO {self.place.sql} AS t USING {quote(view)} AS s "
                f"ON t.{quote(id_name)} = s.row_id AND {same} WHEN MATCHED THEN UPDATE SET {changed}"
            )
        finally:
            self.engine.session.catalog.dropTempView(view)

    def _sql(self, statement: str) -> DataFrame:
        return self.engine.session.sql(statement)

    def _retried(self, statement: str) -> None:
        for attempt in attempts():
            with attempt:
                self._sql(statement)


# ---- what catalogs have beside tables --------------------------------------------------------------


def create_schema(engine: SparkEngine, name: str) -> None:
    """Create a schema if it is missing, its name quoted."""
    engine.session.sql(f"CREATE SCHEMA IF NOT EXISTS {name}")


def create_view(engine: SparkEngine, view: Place, select: str, columns: Sequence[str] = ()) -> None:
    """Create a view if it is missing, or anew where it lacks columns that its table has by now.

    Args:
        engine: Spark.
        view: Name of the view.
        select: Its query; identifiers in it are quoted.
        columns: Columns it must have.
    """
    engine.session.sql(f"CREATE VIEW IF NOT EXISTS {view.table_name} AS {select}")
    if columns and set(columns) - set(engine.session.table(view.table_name).columns):
        engine.session.sql(f"CREATE OR REPLACE VIEW {view.table_name} AS {select}")


def _to_write(frame: Frame, metadata: Mapping[str, Mapping[str, str]] | None = None) -> DataFrame:
    """The rows as Delta writes them: true names, plain strings, metadata of columns."""
    return with_notes(plain_strings(from_frame(frame)), metadata or {})
