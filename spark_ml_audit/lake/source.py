"""Opening the table to audit: one pinned version, read throughout."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_ml_audit.config import PlaceConfig
from spark_ml_audit.config.fields import is_path
from spark_ml_audit.engines.columns import quote, quote_table
from spark_ml_audit.errors import InputError, reason_of
from spark_ml_audit.lake.places import absolute

if TYPE_CHECKING:
    from spark_ml_audit.config.source import PlaceConfig


@dataclass(frozen=True)
class OpenSource:
    """A source table, pinned.

    Attributes:
        frame: Its rows at the pinned version.
        name: Path or table, as configured.
        version: Delta version read, as text; for Parquet a digest of the files; None where there is none.
        properties: Table properties.
    """

    frame: DataFrame
    name: str
    version: str | None
    properties: dict[str, str] = field(default_factory=dict)


def place_of(data: str | os.PathLike[str]) -> dict[str, str]:
    """The key and value of the `source` section for a path or table name given in Python."""
    text = os.fspath(data)
    is_path = isinstance(data, Path) or os.sep in text or "://" in text or Path(text).exists()
    return {"path": text} if is_path else {"table": text}


def open_source(spark: SparkSession, config: PlaceConfig, *, version: str | None = None) -> OpenSource:
    """Open the source at one version.

    Args:
        spark: The session.
        config: The `source` section.
        version: Version to read instead of the configured or newest one (a retry reads what its first
            try read).

    Raises:
        InputError: No such table, path or version, or not of the format given.
    """
    if config.format == "parquet":
        return _open_parquet(spark, config, version)
    key = "source.path" if config.path else "source.table"
    target = f"delta.{quote(absolute(config.path))}" if config.path else quote_table(config.table or "")
    try:
        properties = spark.sql(f"DESCRIBE DETAIL {target}").select("format", "properties").collect()[0]
    except Exception as error:
        if config.table and (view := _existing_view(spark, target)) is not None:
            return _open_view(view, config)
        raise InputError(
            f"cannot read '{config.name}' as a Delta table: {reason_of(error)}.",
            key=key,
            fix="Check the name; for plain Parquet files set source.format to parquet.",
        ) from error
    if str(properties["format"]).lower() != "delta":
        if config.table:
            return OpenSource(spark.table(target), config.name, None, dict(properties["properties"] or {}))
        raise InputError(
            f"'{config.name}' holds no Delta table.",
            key=key,
            fix="Check the path; for plain Parquet files set source.format to parquet.",
        )
    number = version if version is not None else _resolve_version(spark, target, config)
    reader = spark.read.format("delta").option("versionAsOf", number)
    try:
        frame = reader.load(absolute(config.path)) if config.path else reader.table(target)
        frame.schema  # noqa: B018 - Connect resolves a plan only when asked
    except Exception as error:
        raise InputError(
            f"version {number} of '{config.name}' cannot be read: {reason_of(error)}.",
            key="source.version",
            fix="Choose a version that DESCRIBE HISTORY lists and VACUUM has not removed.",
        ) from error
    return OpenSource(frame, config.name, number, dict(properties["properties"] or {}))


def _existing_view(spark: SparkSession, target: str) -> DataFrame | None:
    try:
        frame = spark.table(target)
        frame.schema  # noqa: B018 - Connect resolves a plan only when asked
    except Exception:  # noqa: BLE001 - the caller reports why the table cannot be read
        return None
    return frame


def _open_view(frame: DataFrame, config: PlaceConfig) -> OpenSource:
    if config.version is not None:
        raise InputError(
            f"'{config.name}' is a view, which has no versions.",
            key="source.version",
            fix="Leave source.version out, or audit the Delta table behind the view.",
        )
    return OpenSource(frame, config.name, None)


def _resolve_version(spark: SparkSession, target: str, config: PlaceConfig) -> str:
    wanted = config.version
    if isinstance(wanted, int):
        return str(wanted)
    history = spark.sql(f"DESCRIBE HISTORY {target}" + ("" if wanted else " LIMIT 1"))
    if wanted is not None:
        try:
            history = history.where(F.col("timestamp") <= F.lit(str(wanted)).cast("timestamp"))
        except Exception as error:
            raise InputError(
                f"'{wanted}' is no timestamp: {reason_of(error)}.",
                key="source.version",
                fix="Write a version number, or a time such as '2026-01-31 18:00:00'.",
            ) from error
    newest = history.agg(F.max("version").alias("version")).collect()[0]["version"]
    if newest is None:
        raise InputError(
            f"'{config.name}' had no version at {wanted}.",
            key="source.version",
            fix="Choose a later time, or a version that DESCRIBE HISTORY lists.",
        )
    return str(newest)


def _open_parquet(spark: SparkSession, config: PlaceConfig, version: str | None) -> OpenSource:
    try:
        frame = (
            spark.read.parquet(absolute(config.path))
            if config.path
            else spark.table(quote_table(config.table or ""))
        )
        frame.schema  # noqa: B018 - Connect resolves a plan only when asked
    except Exception as error:
        raise InputError(
            f"cannot read '{config.name}' as Parquet: {reason_of(error)}.",
            key="source.path" if config.path else "source.table",
            fix="Check the path; for a Delta table set source.format to delta.",
        ) from error
    digest = _files_digest(frame)
    if version is not None and digest != version:
        raise InputError(
            f"the files of '{config.name}' changed since the first try of this run.",
            key="output.run_id",
            fix="Leave output.run_id out, so that a new run audits the files as they are now.",
        )
    return OpenSource(frame, config.name, digest)


def _files_digest(frame: DataFrame) -> str | None:
    """Digest of names, sizes and times of a Parquet source's files: its version, for want of another."""
    try:
        files = frame.select("_metadata.file_path", "_metadata.file_size", "_metadata.file_modification_time")
        hashed = files.distinct().select(F.xxhash64(*files.columns).cast("decimal(38,0)").alias("hash"))
        total = hashed.agg(F.sum("hash").alias("total"), F.count("hash").alias("count")).collect()[0]
    except Exception:  # noqa: BLE001 - a view or another format has no file metadata
        return None
    if not total["count"]:
        return None
    return f"files-{int(total['total']) & 0xFFFFFFFFFFFFFFFF:016x}"


IN_MEMORY = "DataFrame"


def read_place(spark: SparkSession, place: str, key: str) -> DataFrame:
    """The rows of a Delta table given by path or name.

    Raises:
        InputError: It cannot be read.
    """
    try:
        reader = spark.read.format("delta")
        frame = reader.load(absolute(place)) if is_path(place) else reader.table(quote_table(place))
        frame.schema  # noqa: B018 - Connect resolves a plan only when asked
    except Exception as error:
        raise InputError(
            f"cannot read '{place}' as a Delta table: {reason_of(error)}.",
            key=key,
            fix="Write a folder with a slash (./decisions), or a table as catalog.schema.table.",
        ) from error
    return frame


def newest_version(spark: SparkSession, place: str, key: str, version: str | None = None) -> OpenSource:
    """A Delta table given by path or name, pinned at its newest version or the one given.

    Raises:
        InputError: It cannot be read.
    """
    named = {"path": place} if is_path(place) else {"table": place}
    try:
        return open_source(spark, PlaceConfig.parse(named), version=version)
    except InputError as error:
        raise InputError(error.message, key=key, fix=error.fix) from error
