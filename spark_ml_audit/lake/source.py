"""Opening the table to audit: one pinned version, read throughout."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from spark_ml_audit.config import PlaceConfig, SourceConfig
from spark_ml_audit.config.paths import source_keys
from spark_ml_audit.config.source import CLASSES_METADATA, CLASSES_PROPERTY
from spark_ml_audit.errors import ConfigError, InputError, reason_of
from spark_ml_audit.lake.choose import check_reachable, delta_table
from spark_ml_audit.lake.delta import DeltaTable
from spark_ml_audit.lake.lineage import CONTINUES_PROPERTY, read_origins
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.probabilities import Side, join_probabilities
from spark_ml_audit.lake.source_files import open_parquet, open_texts, refuse_numbers, roles_of
from spark_ml_audit.lake.source_format import format_of, missing_path, nearest_name
from spark_ml_audit.outcomes.runs import BOTH

if TYPE_CHECKING:
    import pyarrow as pa

    from spark_ml_audit.engines.base import Engine, Frame
    from spark_ml_audit.outcomes.runs import Origin
    from spark_ml_audit.progress import Progress

IN_MEMORY = "DataFrame"
"""Name of a source that is no table."""

_OF_CLASSES = (CLASSES_PROPERTY, CLASSES_METADATA)
_NO_LABELS = "\0labels"  # no column can be called so


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
        notes: What was found while it was opened, one sentence each.
        look: Finds what else is to be said, by a query; None where there is nothing.
    """

    engine: Engine
    frame: Frame
    name: str
    version: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    columns: pa.Schema | None = None
    notes: tuple[str, ...] = ()
    look: Callable[[], tuple[str, ...]] | None = None

    def said(self) -> tuple[str, ...]:
        """What is to be said of it, one sentence each."""
        return self.notes if self.look is None else (*self.notes, *self.look())

    def tell(self, progress: Progress) -> OpenSource:
        """Say what is to be said of it; itself."""
        for note in self.said():
            progress.note(note)
        return self

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
    """The key and value of the `source` section for a path or table name.

    >>> place_of("tags.csv"), place_of("data/tags"), place_of("*.jsonl"), place_of("main.tags")
    ({'path': 'tags.csv'}, {'path': 'data/tags'}, {'path': '*.jsonl'}, {'table': 'main.tags'})
    """
    return {"path": os.fspath(data)} if isinstance(data, Path) else source_keys(os.fspath(data))


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
    probabilities = getattr(config, "pred_probs_from", None)
    own, theirs = (version or "").partition(BOTH)[::2]
    opened = _open_place(engine, config, own or None)
    if probabilities is None:
        return opened
    second = open_probabilities(engine, cast("SourceConfig", config), probabilities, theirs or None)
    return _joined(opened, second, cast("SourceConfig", config))


def _joined(opened: OpenSource, other: OpenSource, config: SourceConfig) -> OpenSource:
    """A source with the probabilities that are in another one; its version tells both."""
    names = (config.pred_probs,) if isinstance(config.pred_probs, str) else config.pred_probs
    ours, theirs = (Side(side.name, side.frame, side.schema) for side in (opened, other))
    joined = join_probabilities(opened.engine, ours, theirs, config.id, names)
    versions = (opened.version, other.version)
    told = {name: other.properties[name] for name in _OF_CLASSES if name in other.properties}
    return replace(
        opened,
        frame=joined.frame,
        version=None if None in versions else BOTH.join(map(str, versions)),
        properties={**opened.properties, **told},
        columns=joined.schema,
        notes=(*opened.notes, *(note for note in other.notes if note not in opened.notes)),
        look=joined.look,
    )


def open_probabilities(engine: Engine, config: SourceConfig, place: str, version: str | None) -> OpenSource:
    """Open the other file or table that has a source's probabilities (see `open_source`).

    Raises:
        ConfigError: Its place cannot be reached (key `source.pred_probs_from`).
        InputError: It cannot be read (the same key).
    """
    key = "source.pred_probs_from"
    values: dict[str, Any] = {
        **place_of(place),
        "id": config.id,
        "pred_probs": config.pred_probs,
        "labels": _NO_LABELS,
    }
    if config.row_numbers:
        values["row_numbers"] = True
    try:
        named = SourceConfig.parse(values, "source")
        return _open_place(engine, named, version)
    except (ConfigError, InputError) as error:
        is_place = error.key in ("source.path", "source.table", "source.format", "source.row_numbers")
        raise type(error)(error.message, key=key if is_place else error.key, fix=error.fix) from error


def _open_place(engine: Engine, config: PlaceConfig, version: str | None) -> OpenSource:
    place = Place.of_source(config)
    check_reachable(engine, place)
    found = format_of(config)
    if found != "delta":
        return _open_files(engine, config, found, version)
    if config.row_numbers:
        raise refuse_numbers(config.name)
    key = "source.path" if config.path else "source.table"
    table = delta_table(engine, place)
    try:
        detail = table.detail()
    except Exception as error:
        if config.table and (view := _existing_view(engine, place)) is not None:
            return _open_view(engine, view, config)
        if isinstance(error, ConfigError):
            raise
        raise InputError(
            _missing(config) or f"cannot read '{config.name}' as a Delta table: {reason_of(error)}.",
            key=key,
            fix=_which_format(config),
        ) from error
    if detail.format != "delta":
        if config.table:
            frame = engine.scan_table(place.table_name)
            return OpenSource(engine, frame, config.name, None, detail.properties)
        said = _missing(config) or f"'{config.name}' holds no Delta table."
        raise InputError(said, key=key, fix=_which_format(config))
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


def _missing(config: PlaceConfig) -> str | None:
    """That nothing is at a path, if that is so as far as this machine sees."""
    return None if config.path is None else missing_path(config.path)


def _which_format(config: PlaceConfig) -> str:
    near = "" if config.path is None else nearest_name(config.path)
    if config.format == "auto" or config.table:
        return f"{near}Check the name; for files of another format set source.format."
    return f"{near}Check the name; leave source.format out to have the format told by name and content."


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


def _open_files(engine: Engine, config: PlaceConfig, found: str, version: str | None) -> OpenSource:
    if config.version is not None:
        raise InputError(
            f"found {config.version}, but '{config.name}' holds {found} files, which have no versions.",
            key="source.version",
            fix="Leave source.version out.",
        )
    if found == "parquet":
        opened = open_parquet(engine, config)
    else:
        opened = open_texts(engine, config, found, roles_of(config))
    if version is not None and opened.digest != version:
        raise InputError(
            f"the files of '{config.name}' changed since the first try of this run.",
            key="output.run_id",
            fix="Leave output.run_id out, so that a new run audits the files as they are now.",
        )
    classes = opened.classes
    told = {} if classes is None else {CLASSES_PROPERTY: classes, CLASSES_METADATA: classes}
    return OpenSource(
        engine, opened.frame, config.name, opened.digest, told, opened.columns, notes=opened.notes
    )


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
