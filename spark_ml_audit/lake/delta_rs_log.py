"""The log of a Delta table without Spark: what it tells, and what goes into it with a commit."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import Transaction

from spark_ml_audit.errors import InputError
from spark_ml_audit.lake.commit_retries import is_conflict
from spark_ml_audit.lake.delta import KEPT_HOURS
from spark_ml_audit.lake.delta_types import DeltaField, UnsupportedError, delta_fields

# Features of which a commit without rows says nothing.
_SILENT_FEATURES = {
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "columnMapping",
    "deletionVectors",
    "generatedColumns",
    "invariants",
    "timestampNtz",
    "typeWidening",
    "v2Checkpoint",
    "vacuumProtocolCheck",
    "variantType",
}

# ---- what it tells ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogEntry:
    """One version in the log of a table.

    Attributes:
        version: Its number.
        milliseconds: When it was committed, since 1970.
        info: What was recorded with it.
    """

    version: int
    milliseconds: int
    info: Mapping[str, Any]

    @property
    def operation(self) -> str:
        """What made it; nothing where that was not recorded."""
        return str(self.info.get("operation") or "")

    @property
    def user_metadata(self) -> str:
        """What its writer recorded."""
        return str(self.info.get("userMetadata") or "")


def log_entries(log: Path) -> list[LogEntry]:
    """The versions that the log still tells of, oldest first.

    Their times are those of the files, as Spark has them, unless the log has its own; a later version is
    never older than the one before.
    """
    found: list[LogEntry] = []
    for version, path in sorted((int(file.stem), file) for file in log.glob("*.json") if file.stem.isdigit()):
        try:
            milliseconds, info = os.stat(path).st_mtime_ns // 1_000_000, _commit_info(path)
        except FileNotFoundError:  # cleaned up meanwhile
            continue
        milliseconds = int(info.get("inCommitTimestamp") or milliseconds)
        if found:
            milliseconds = max(milliseconds, found[-1].milliseconds + 1)
        found.append(LogEntry(version, milliseconds, info))
    return found


def _commit_info(path: Path) -> Mapping[str, Any]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if '"commitInfo"' in line[:32]:
                info: Mapping[str, Any] = json.loads(line)["commitInfo"]
                return info
    return {}


def milliseconds_of(at: str) -> int:
    """A time as milliseconds since 1970; in UTC, as in sessions of Spark, unless it says otherwise.

    Raises:
        InputError: It is none.
    """
    try:
        found = datetime.fromisoformat(at.strip().replace("Z", "+00:00"))
    except ValueError as error:
        raise InputError(f"'{at}' is no time.", fix="Write it as 2026-01-31T12:00:00.") from error
    aware = found if found.tzinfo else found.replace(tzinfo=timezone.utc)
    return int(aware.timestamp() * 1000)


# ---- tables as delta-rs opens them -----------------------------------------------------------------


def fields_of(table: deltalake.DeltaTable) -> list[DeltaField]:
    """The columns of a table as its log has them."""
    found: list[DeltaField] = json.loads(table.schema().to_json())["fields"]
    return found


def added_files(table: deltalake.DeltaTable) -> pa.Table:
    """The live files of a table: path as the log has it, and structs partition, min, max."""
    # (pa.table would import pandas to ask whether it is a frame of it)
    return pa.RecordBatchReader.from_stream(table.get_add_actions()).read_all()


def is_mapped(table: deltalake.DeltaTable) -> bool:
    """Whether the files name columns otherwise than the log does."""
    return table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none"


def takes_files(table: deltalake.DeltaTable) -> bool:
    """Whether files as DuckDB writes them may be added: no partitions, no checks, columns by their names."""
    checked = any(key.startswith("delta.constraints.") for key in table.metadata().configuration)
    told = any(key.startswith("delta.") for item in fields_of(table) for key in item["metadata"])
    never_null = '"nullable":false' in table.schema().to_json()
    return not (table.metadata().partition_columns or is_mapped(table) or checked or told or never_null)


def check_removable(table: deltalake.DeltaTable) -> None:
    """Refuse to remove files that a commit of delta-rs 1.6 would not remove: their rows would come back.

    Raises:
        UnsupportedError: Spark named files by values beyond ASCII; delta-rs writes such names otherwise.
    """
    paths = added_files(table).column("path").to_pylist()
    odd = next((path for path in paths if not path.isascii()), None)
    if odd is not None:
        raise UnsupportedError(f"delta-rs does not remove the file '{odd}'")


def allow_types(table: deltalake.DeltaTable, schema: pa.Schema) -> bool:
    """Switch on what a table needs to hold columns; whether anything was to be done."""
    local_times = any(pa.types.is_timestamp(kind) and kind.tz is None for kind in schema.types)
    if not local_times or "timestampNtz" in (table.protocol().writer_features or ()):
        return False
    table.alter.add_feature(
        deltalake.TableFeatures.TimestampWithoutTimezone, allow_protocol_versions_increase=True
    )
    return True


def compacted(table: deltalake.DeltaTable, beyond: int) -> int:
    """Put small files of a table together; how many there are fewer.

    Appends that come in between stay, and so do the old files, for readers of earlier versions, for a week.

    Args:
        table: The table.
        beyond: Only where it has more files than that.
    """
    if added_files(table).num_rows <= beyond:
        return 0
    check_removable(table)
    try:
        told = table.optimize.compact()
    except DeltaError as error:
        if is_conflict(error):  # somebody else put them together
            return 0
        raise
    table.vacuum(retention_hours=KEPT_HOURS, dry_run=False)
    return int(told["numFilesRemoved"]) - int(told["numFilesAdded"])


def delta_columns(
    schema: pa.Schema, metadata: Mapping[str, Mapping[str, str]] | None = None
) -> list[deltalake.Field]:
    """Columns as delta-rs takes them, all nullable.

    Args:
        schema: Names and Arrow types.
        metadata: Column -> what is recorded with it.
    """
    return [deltalake.Field.from_json(json.dumps(item)) for item in delta_fields(schema, metadata)]


# ---- what goes into it -----------------------------------------------------------------------------


@dataclass(frozen=True)
class RsTransaction:
    """What a commit is to record.

    Attributes:
        name: Its name, which is committed once.
        metadata: What else is recorded.
        table_properties: Of a table that it creates.
        column_metadata: Column -> what is recorded with it, where it makes the schema.
    """

    name: str
    metadata: Mapping[str, Any]
    table_properties: Mapping[str, str] = field(default_factory=dict)
    column_metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def is_known_to(self, table: deltalake.DeltaTable) -> bool:
        """Whether it was committed before."""
        return table.transaction_version(self.name) is not None

    def properties(self, *, retries: int | None = None, **info: Any) -> deltalake.CommitProperties:
        """What delta-rs gets.

        Args:
            retries: How often delta-rs may commit after a version that came in between; None: as usual.
            info: More that is known of the commit.
        """
        return deltalake.CommitProperties(
            # where Spark has it too, and DESCRIBE HISTORY shows it
            custom_metadata={"userMetadata": json.dumps(dict(self.metadata)), **info},
            max_commit_retries=retries,
            app_transactions=[Transaction(self.name, 1, int(time.time() * 1000))],
        )


def set_properties(table: deltalake.DeltaTable, log: Path, properties: Mapping[str, str]) -> None:
    """Set table properties in one commit.

    Args:
        table: The table at its newest version.
        log: Folder of its log.
        properties: What to set.

    Raises:
        CommitFailedError: Another commit was faster.
        UnsupportedError: A commit to this table has to say more.
    """
    features = set(table.protocol().writer_features or ())
    if not features:
        table.alter.set_table_properties(dict(properties), raise_if_not_exists=False)
        return
    # delta-rs 1.6 would make `variantType` one of them, for which older versions of Spark refuse the table
    if features - _SILENT_FEATURES:
        raise UnsupportedError(f"it uses {', '.join(sorted(features - _SILENT_FEATURES))}")
    known, now = table.metadata(), int(time.time() * 1000)
    about = {
        "timestamp": now,
        "operation": "SET TBLPROPERTIES",
        "operationParameters": {"properties": json.dumps(dict(properties))},
    }
    changed = {
        "id": str(known.id),
        "name": known.name,
        "description": known.description,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": table.schema().to_json(),
        "partitionColumns": known.partition_columns,
        "createdTime": known.created_time,
        "configuration": {**known.configuration, **properties},
    }
    actions = [json.dumps({"commitInfo": about}), json.dumps({"metaData": changed})]
    staged = log / f"_commit_{secrets.token_hex(16)}.json.tmp"
    try:
        staged.write_text("\n".join(actions), encoding="utf-8")
        # whole, and never in the place of another's
        os.link(staged, log / f"{table.version() + 1:020}.json")
    except FileExistsError as error:
        raise CommitFailedError(f"version {table.version() + 1} already exists") from error
    finally:
        staged.unlink(missing_ok=True)
