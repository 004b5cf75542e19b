"""The output tables: where they are, what they hold, and appends that land once or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.sql import DataFrame, DataFrameWriter, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from spark_ml_audit.engines.columns import quote, quote_table
from spark_ml_audit.engines.transfer import local_frame
from spark_ml_audit.errors import ConfigError, reason_of
from spark_ml_audit.lake.delta_spark import is_conflict
from spark_ml_audit.lake.places import absolute
from spark_ml_audit.lake.schemas import (
    DATA_TABLES,
    DUPLICATES,
    FIRST_TABLE,
    RUNS_SCHEMA,
    TABLES,
    TREND_COLUMNS,
    classes_frame,
    id_field,
)
from spark_ml_audit.outcomes.records import ClassRow
from spark_ml_audit.outcomes.run_id import run_started

if TYPE_CHECKING:
    from spark_ml_audit.config.output import OutputConfig

_TABLE_PROPERTIES = {
    # every run adds a transaction id per table; without this they pile up in the log for ever
    "delta.setTransactionRetentionDuration": "interval 30 days",
}


@dataclass(frozen=True)
class FirstTry:
    """What an unfinished run with this id has recorded about itself."""

    fingerprint: str
    source_version: str | None


class OutputTables:
    """The five tables of one output, under a path or in a schema.

    Every append is one Delta transaction whose application id is run and table, so a repeated append
    of the same run does nothing. A run is visible once its row is in `runs`.
    """

    def __init__(self, spark: SparkSession, config: OutputConfig) -> None:
        self._spark = spark
        self._config = config

    def location(self, name: str) -> str:
        """Path or full name of a table."""
        if self._config.path is not None:
            return f"{absolute(self._config.path).rstrip('/')}/{name}"
        return f"{self._config.schema_name}.{self._config.prefix}{name}"

    def locations(self, *, duplicates: bool = False) -> dict[str, str]:
        """Name -> path or table, of all five, and of `duplicates` if asked for."""
        names = (*TABLES, DUPLICATES) if duplicates else TABLES
        return {name: self.location(name) for name in names}

    def _sql_name(self, name: str) -> str:
        location = self.location(name)
        return f"delta.{quote(location)}" if self._config.path is not None else quote_table(location)

    def read(self, name: str, run_id: str | None = None) -> DataFrame:
        """The rows of a table, of one run if given; finished or not."""
        location = self.location(name)
        reader = self._spark.read.format("delta")
        frame = (
            reader.load(location) if self._config.path is not None else reader.table(quote_table(location))
        )
        return frame if run_id is None else frame.where(F.col("run_id") == run_id)

    def existing(self, name: str) -> DataFrame | None:
        """The table's rows, or None where it does not exist."""
        try:
            frame = self.read(name)
            frame.schema  # noqa: B018 - Connect resolves a plan only when asked
        except Exception as error:
            if (
                "NOT_FOUND" in str(error)
                or "PATH_DOES_NOT_EXIST" in str(error)
                or "DELTA_MISSING" in str(error)
            ):
                return None
            raise ConfigError(
                f"the output table '{self.location(name)}' cannot be read: {reason_of(error)}.",
                key="output.path" if self._config.path else "output.schema",
                fix="Choose another output, or mend the table.",
            ) from error
        return frame

    # ---- checks before a run -----------------------------------------------------------------------

    def check_id(self, name: str, data_type: T.DataType) -> bool:
        """Refuse an id column other than the one this output was made with.

        Returns:
            Whether the output has tables already.

        Raises:
            ConfigError: The tables there have an id of another name or type.
        """
        table = self.existing("tag_issues")
        if table is None:
            return False
        found = id_field(table.schema)
        if found is None or (found.name == name and found.dataType == data_type):
            return True
        raise ConfigError(
            f"'{self.location('tag_issues')}' names rows by '{found.name}' "
            f"({found.dataType.simpleString()}), "
            f"this source by '{name}' ({data_type.simpleString()}).",
            key="source.id",
            fix="Use another output for this source, or the same id column.",
        )

    def finished_run(self, run_id: str, name: str = "runs") -> dict[str, Any] | None:
        """The row of `runs`, or of another table with one row per finished run, or None."""
        table = self.existing(name)
        rows = [] if table is None else table.where(F.col("run_id") == run_id).limit(1).collect()
        return rows[0].asDict() if rows else None

    def first_try(self, run_id: str, name: str = FIRST_TABLE) -> FirstTry | None:
        """What an earlier, unfinished invocation with this id was about to compute.

        Args:
            run_id: Of the run.
            name: The first table that such a run writes.
        """
        if self.existing(name) is None:
            return None
        history = self._spark.sql(f"DESCRIBE HISTORY {self._sql_name(name)}")
        for row in history.where(F.col("userMetadata").contains(run_id)).select("userMetadata").collect():
            found = json.loads(row["userMetadata"])
            if found.get("run_id") == run_id:
                return FirstTry(found["fingerprint"], found["source_version"])
        return None

    def was_removed(self, run_id: str) -> bool:
        """Whether rows of this run were removed as leftovers: its transaction ids are used up then."""
        deleted = (F.col("operation") == "DELETE") & F.col("operationParameters")["predicate"].contains(
            run_id
        )
        return any(
            not self._spark.sql(f"DESCRIBE HISTORY {self._sql_name(name)}").where(deleted).isEmpty()
            for name in DATA_TABLES
            if self.existing(name) is not None
        )

    # ---- writing -----------------------------------------------------------------------------------

    def append(
        self,
        name: str,
        frame: DataFrame,
        run_id: str,
        metadata: dict[str, Any] | None = None,
        *,
        part: str = "",
        with_run_id: bool = True,
    ) -> None:
        """Append a run's rows to a table in one idempotent transaction.

        Args:
            name: One of `TABLES`.
            frame: The rows, without run_id.
            run_id: Put first in every row, and into the transaction id.
            metadata: Recorded in the table's history.
            part: Tells apart transactions of one run and table, where it has several.
            with_run_id: False for a table whose rows belong to no run.
        """
        if with_run_id and "run_id" not in frame.columns:
            frame = frame.select(F.lit(run_id).alias("run_id"), "*")
        # an older version may have made the table without the columns that came later
        writer = frame.write.mode("append").option("mergeSchema", True)
        self._commit(name, writer, run_id, metadata or {}, part)

    def overwrite(
        self,
        name: str,
        frame: DataFrame,
        run_id: str,
        metadata: dict[str, Any],
        properties: dict[str, str] | None = None,
    ) -> None:
        """Replace a table's rows by a run's in one transaction; a repeat by the same run changes nothing.

        Args:
            name: Name of the table.
            frame: The rows as they shall be: no run_id is added.
            run_id: Of the run.
            metadata: Recorded in the table's history.
            properties: Set on the table afterwards.
        """
        if self.commit_of(name, run_id) is None:
            writer = frame.write.mode("overwrite").option("overwriteSchema", True)
            self._commit(name, writer, run_id, metadata)
        self._set_properties(name, properties or {})

    def _commit(
        self, name: str, writer: DataFrameWriter, run_id: str, metadata: dict[str, Any], part: str = ""
    ) -> None:
        """Write in one transaction of this run and table; a repeat does nothing, a lost race is retried."""
        writer = (
            writer.format("delta")
            .option("txnAppId", f"{run_id}/{part}/{name}" if part else f"{run_id}/{name}")
            .option("txnVersion", 1)
            .option("userMetadata", json.dumps({"run_id": run_id, **metadata}))
            .options(**_TABLE_PROPERTIES)
        )
        for attempt in _retries():
            with attempt:
                if self._config.path is not None:
                    writer.save(self.location(name))
                else:
                    writer.saveAsTable(quote_table(self.location(name)))

    def _set_properties(self, name: str, properties: dict[str, str]) -> None:
        table = self._sql_name(name)
        known = self._spark.sql(f"DESCRIBE DETAIL {table}").select("properties").collect()[0]["properties"]
        for key, value in properties.items():
            if (known or {}).get(key) != value:
                for attempt in _retries():
                    with attempt:
                        self._spark.sql(
                            f"ALTER TABLE {table} SET TBLPROPERTIES ({_literal(key)} = {_literal(value)})"
                        )

    def commit_of(self, name: str, run_id: str) -> tuple[int, dict[str, Any]] | None:
        """The version of a table that a run wrote, and the metadata recorded with it; or None."""
        if self.existing(name) is None:
            return None
        history = self._spark.sql(f"DESCRIBE HISTORY {self._sql_name(name)}")
        written = history.where(F.get_json_object("userMetadata", "$.run_id") == run_id)
        found = written.orderBy(F.desc("version")).select("version", "userMetadata").limit(1).collect()
        return (found[0]["version"], json.loads(found[0]["userMetadata"])) if found else None

    def read_version(self, name: str, version: int) -> DataFrame:
        """The rows of a table at one version."""
        reader = self._spark.read.format("delta").option("versionAsOf", version)
        location = self.location(name)
        return reader.load(location) if self._config.path is not None else reader.table(quote_table(location))

    def append_classes(self, rows: Sequence[ClassRow], run_id: str, metadata: dict[str, Any]) -> None:
        """Append the class table of a run."""
        self.append("classes", classes_frame(self._spark, rows), run_id, metadata)

    def append_run(self, row: dict[str, Any]) -> list[str]:
        """Append the row of `runs` that makes a run visible.

        Returns:
            Sentences on what could not be done beside it: the run is committed all the same.
        """
        self.append("runs", local_frame(self._spark, [row], RUNS_SCHEMA), row["run_id"])
        if self._config.schema_name is not None:
            try:
                self._create_views()
            except Exception as error:  # noqa: BLE001 - somebody may write tables and not create views
                return [f"The views of finished runs could not be created: {reason_of(error)}."]
        return []

    def _create_views(self) -> None:
        runs = self._sql_name("runs")
        for name in (*TABLES, DUPLICATES):
            table = self.existing(name)
            view = quote_table(f"{self.location(name)}_committed")
            only = "" if name == "runs" else f" WHERE run_id IN (SELECT run_id FROM {runs})"
            select = f"AS SELECT * FROM {self._sql_name(name)}{only}"
            if table is None:
                continue
            self._spark.sql(f"CREATE VIEW IF NOT EXISTS {view} {select}")
            if set(table.columns) - set(self._spark.table(view).columns):
                # an older version made it, before the table had all its columns
                self._spark.sql(f"CREATE OR REPLACE VIEW {view} {select}")
        # one row per run and class: the numbers of the command `trend`
        self._spark.sql(
            f"CREATE VIEW IF NOT EXISTS {self._sql_name('trend')} AS SELECT {', '.join(TREND_COLUMNS)} "
            f"FROM {runs} r JOIN {self._sql_name('classes')} c ON c.run_id = r.run_id"
        )

    def create_schema(self) -> None:
        """Create the output's schema if it is missing and may be created."""
        if self._config.schema_name is not None:
            self._spark.sql(f"CREATE SCHEMA IF NOT EXISTS {quote_table(self._config.schema_name)}")

    def remove_orphans(self, now: datetime, older_than: timedelta) -> list[str]:
        """Delete what killed runs left behind, once it is old enough; returns their ids."""
        first, runs = self.existing(FIRST_TABLE), self.existing("runs")
        if first is None or runs is None:
            return []
        # a row per run, not per example
        begun = first.where(F.col("class_index") == 0).select("run_id").collect()
        finished = {row["run_id"] for row in runs.select("run_id").collect()}
        unfinished = {row["run_id"] for row in begun} - finished
        old = sorted(run_id for run_id in unfinished if now - run_started(run_id) > older_than)
        for name in DATA_TABLES:
            if old and self.existing(name) is not None:
                # run ids hold digits, letters and a hyphen only (see new_run_id and the config's check)
                listed = ", ".join(f"'{run_id}'" for run_id in old)
                for attempt in _retries():
                    with attempt:
                        self._spark.sql(f"DELETE FROM {self._sql_name(name)} WHERE run_id IN ({listed})")
        return old


def _literal(text: str) -> str:
    """A text as a SQL literal."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    # Spark puts settings, secrets among them, in the place of ${name}, in literals too
    return "'" + escaped.replace("$", "\\u0024") + "'"


def _retries() -> Retrying:
    """Attempts of a commit: a lost race is tried again, with growing random waits."""
    return Retrying(
        retry=retry_if_exception(is_conflict),
        stop=stop_after_attempt(8),
        wait=wait_random_exponential(multiplier=0.3, max=10),
        reraise=True,
    )
