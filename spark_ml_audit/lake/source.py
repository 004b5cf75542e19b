"""Opening the table to audit: one pinned version, read throughout."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from spark_ml_audit.config import PlaceConfig
from spark_ml_audit.config.paths import local_path
from spark_ml_audit.engines.files import local_files
from spark_ml_audit.errors import ConfigError, InputError, reason_of
from spark_ml_audit.lake.choose import check_reachable, delta_table
from spark_ml_audit.lake.delta import DeltaTable
from spark_ml_audit.lake.lineage import CONTINUES_PROPERTY, read_origins
from spark_ml_audit.lake.parquet_files import files_digest, with_column_metadata
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.source_format import format_of

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.outcomes.runs import Origin

IN_MEMORY = "DataFrame"
"""Name of a source that is no table."""


@dataclass(frozen=True)
class OpenSource:
    """A source table, pinned.

    Attributes:
        engine: What runs its frame.
        frame: Its rows at the pinned version.
        name: Path or table, as configured.
        version: Delta version read, as text; for Parquet a digest of the files; None where there is none.
        properties: Table properties.
        columns: Its columns, where they are known beside the frame.
    """

    engine: Engine
    frame: Frame
    name: str
    version: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    columns: pa.Schema | None = None

    @classmethod
    def of_frame(cls, engine: Engine, frame: Frame) -> OpenSource:
        """A frame in memory as a source."""
        return cls(engine, frame, IN_MEMORY)

    @cached_property
    def schema(self) -> pa.Schema:
        """Its columns: Arrow types and metadata."""
        return self.columns or self.engine.schema(self.frame)

    @cached_property
    def continues(self) -> tuple[Origin, ...]:
        """The audits that one of this source continues, the nearest first: it is a corrected copy."""
        return read_origins(self.properties.get(CONTINUES_PROPERTY))


def place_of(data: str | os.PathLike[str]) -> dict[str, str]:
    """The key and value of the `source` section for a path or table name given in Python."""
    text = os.fspath(data)
    is_path = isinstance(data, Path) or os.sep in text or "://" in text or Path(text).exists()
    return {"path": text} if is_path else {"table": text}


def open_source(engine: Engine, config: PlaceConfig, *, version: str | None = None) -> OpenSource:
    """Open the source at one version.

    Args:
        engine: What reads it.
        config: The `source` section.
        version: Version to read instead of the configured or newest one (a retry reads what its first
            try read).

    Raises:
        InputError: No such table, path or version, or not of the format given.
    """
    check_reachable(engine, Place.of_source(config))
    found = format_of(config)
    if found == "parquet":
        return _open_parquet(engine, config, version)
    key, place = "source.path" if config.path else "source.table", Place.of_source(config)
    table = delta_table(engine, place)
    try:
        detail = table.detail()
    except Exception as error:
        if config.table and (view := _existing_view(engine, place)) is not None:
            return _open_view(engine, view, config)
        if isinstance(error, ConfigError):
            raise
        raise InputError(
            f"cannot read '{config.name}' as a Delta table: {reason_of(error)}.",
            key=key,
            fix=_which_format(config),
        ) from error
    if detail.format != "delta":
        if config.table:
            frame = engine.scan_table(place.table_name)
            return OpenSource(engine, frame, config.name, None, detail.properties)
        raise InputError(f"'{config.name}' holds no Delta table.", key=key, fix=_which_format(config))
    number = version if version is not None else _resolve_version(table, config)
    try:
        frame, columns = table.opened(number)
    except Exception as error:
        said = f"version {number} of '{config.name}' cannot be read: {reason_of(error)}."
        raise InputError(
            str(error) if isinstance(error, InputError) else said,
            key="source.version",
            fix="Choose a version that DESCRIBE HISTORY lists and VACUUM has not removed.",
        ) from error
    return OpenSource(engine, frame, config.name, number, detail.properties, columns)


def _which_format(config: PlaceConfig) -> str:
    if config.format == "auto" or config.table:
        return "Check the name; for files of another format set source.format."
    return "Check the name; leave source.format out to have the format told by name and content."


def _existing_view(engine: Engine, place: Place) -> Frame | None:
    try:
        frame = engine.scan_table(place.table_name)
        engine.schema(frame)  # Connect resolves a plan only when asked
    except Exception:  # noqa: BLE001 - the caller reports why the table cannot be read
        return None
    return frame


def _open_view(engine: Engine, frame: Frame, config: PlaceConfig) -> OpenSource:
    if config.version is not None:
        raise InputError(
            f"'{config.name}' is a view, which has no versions.",
            key="source.version",
            fix="Leave source.version out, or audit the Delta table behind the view.",
        )
    return OpenSource(engine, frame, config.name)


def _resolve_version(table: DeltaTable, config: PlaceConfig) -> str:
    wanted = config.version
    if isinstance(wanted, int):
        return str(wanted)
    newest = table.newest_version(wanted)
    if newest is None:
        raise InputError(
            f"'{config.name}' had no version at {wanted}.",
            key="source.version",
            fix="Choose a later time, or a version that DESCRIBE HISTORY lists.",
        )
    return newest


def _open_parquet(engine: Engine, config: PlaceConfig, version: str | None) -> OpenSource:
    place = Place.of_source(config)
    folder = local_path(place.address) if place.is_path else None
    if folder is not None and (folder / "_delta_log").is_dir():
        raise InputError(
            f"'{config.name}' holds a Delta table, and its files alone are not what is in it.",
            key="source.format",
            fix="Set source.format to delta.",
        )
    try:
        frame = engine.scan_parquet(place.address) if place.is_path else engine.scan_table(place.table_name)
        files = [] if folder is None else local_files(str(folder))
        columns = with_column_metadata(engine.schema(frame), files)
    except Exception as error:
        raise InputError(
            f"cannot read '{config.name}' as Parquet: {reason_of(error)}.",
            key="source.path" if config.path else "source.table",
            fix="Check the path; for a Delta table set source.format to delta.",
        ) from error
    digest = files_digest(frame, files)
    if version is not None and digest != version:
        raise InputError(
            f"the files of '{config.name}' changed since the first try of this run.",
            key="output.run_id",
            fix="Leave output.run_id out, so that a new run audits the files as they are now.",
        )
    return OpenSource(engine, frame, config.name, digest, columns=columns)


def read_place(engine: Engine, place: str, key: str) -> Frame:
    """The rows of a Delta table given by path or name.

    Args:
        engine: What reads it.
        place: Path or name.
        key: Key of the config that names it, for messages.

    Raises:
        InputError: It cannot be read.
    """
    table = delta_table(engine, Place.of(place))
    try:
        frame = table.read()
        engine.schema(frame)  # as above
    except Exception as error:
        raise InputError(
            f"cannot read '{place}' as a Delta table: {reason_of(error)}.",
            key=key,
            fix="Write a folder with a slash (./decisions), or a table as catalog.schema.table.",
        ) from error
    return frame


def newest_version(engine: Engine, place: str, key: str, version: str | None = None) -> OpenSource:
    """A Delta table given by path or name, pinned at its newest version or the one given.

    Args:
        engine: What reads it.
        place: Path or name.
        key: Key of the config that names it, for messages.
        version: The version to pin; the newest by default.

    Raises:
        InputError: It cannot be read.
    """
    named = {"path" if Place.of(place).is_path else "table": place}
    try:
        return open_source(engine, PlaceConfig.parse(named), version=version)
    except InputError as error:
        raise InputError(error.message, key=key, fix=error.fix) from error
