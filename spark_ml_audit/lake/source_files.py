"""Opening sources that are files: Parquet, and texts that become such."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from spark_ml_audit.arrow.text_kinds import Role
from spark_ml_audit.arrow.types import is_list, is_string
from spark_ml_audit.config.paths import local_path
from spark_ml_audit.config.source import NO_ORDER_FIX, ROW_NUMBER
from spark_ml_audit.engines.files import local_files, parquet_files, root_of
from spark_ml_audit.errors import ConfigError, InputError, reason_of
from spark_ml_audit.lake.parquet_files import (
    check_one_order,
    classes_of_files,
    files_digest,
    schemas_of,
    with_column_metadata,
)
from spark_ml_audit.lake.places import Place
from spark_ml_audit.lake.source_format import files_of_format, missing_path, nearest_name

if TYPE_CHECKING:
    from spark_ml_audit.config import PlaceConfig
    from spark_ml_audit.engines.base import Engine, Frame

NUMBERS_NOTE = (
    "row_numbers: rows are named by their place in the files, which holds for these files alone: runs of "
    "changed files are not compared, and decisions are not carried over"
)


@dataclass(frozen=True)
class OpenedFiles:
    """Files as opened.

    Attributes:
        frame: Their rows.
        digest: What tells them from others; None where they cannot be seen.
        columns: Their columns with metadata.
        notes: What was found, one sentence each.
        classes: Class list in the metadata of their schema, as written there.
    """

    frame: Frame
    digest: str | None
    columns: pa.Schema | None
    notes: tuple[str, ...] = ()
    classes: str | None = None


def roles_of(config: PlaceConfig) -> dict[str, Role]:
    """What the columns that a `source` section names are for.

    >>> from spark_ml_audit.config import SourceConfig
    >>> sorted(roles_of(SourceConfig(path="films", pred_probs=("p", "q"))))
    ['id', 'labels', 'p', 'q']
    """
    values: Any = config
    roles: dict[str, Role] = {}
    features = getattr(values, "features", None)
    for name in features.by_kind["text"] if features is not None else ():
        roles[name] = Role("text")
    labels, probs = getattr(values, "labels", None), getattr(values, "pred_probs", None)
    if isinstance(labels, str):
        listed = {"auto": None, "delimited": False}.get(values.labels_format, True)
        roles[labels] = Role("labels", listed, empty_is_null=values.empty_labels == "not_annotated")
    roles |= {name: Role("flag") for name in (labels if isinstance(labels, tuple) else ())}
    if isinstance(probs, str):
        roles[probs] = Role("probs")
    roles |= {name: Role("prob") for name in (probs if isinstance(probs, tuple) else ())}
    id_name = getattr(values, "id", None)
    return roles if id_name is None else {**roles, id_name: Role("id")}


def open_parquet(engine: Engine, config: PlaceConfig) -> OpenedFiles:
    """Open Parquet files, or a table that a catalog knows as such.

    Args:
        engine: What reads them.
        config: The `source` section.

    Raises:
        InputError: They cannot be read.
    """
    place = Place.of_source(config)
    local = local_path(place.address) if place.is_path else None
    if local is not None and (local / "_delta_log").is_dir():
        raise InputError(
            f"'{config.name}' holds a Delta table, and its files alone are not what is in it.",
            key="source.format",
            fix="Set source.format to delta, or leave it out.",
        )
    numbered = ROW_NUMBER if config.row_numbers else None
    try:
        frame = engine.scan_parquet(place.address) if place.is_path else engine.scan_table(place.table_name)
        schema = engine.schema(frame)
        if numbered is not None:
            _check_number(schema.names, config.name)
            frame = engine.scan_parquet(place.address, row_number=numbered)
            schema = engine.schema(frame)
        files = [] if local is None else parquet_files(str(local))
        written = schemas_of(files)
        columns, classes = with_column_metadata(schema, written), classes_of_files(written)
        by_place, column = _by_place(config, schema)
        if by_place:
            check_one_order(files, written, column)
    except InputError:
        raise
    except Exception as error:
        missing = None if config.path is None else missing_path(config.path)
        near = "" if config.path is None else nearest_name(config.path)
        raise InputError(
            missing or f"cannot read '{config.name}' as Parquet: {reason_of(error)}.",
            key="source.path" if config.path else "source.table",
            fix=f"{near}Check the path; for files of another format set source.format, or leave it out.",
        ) from error
    notes = (NUMBERS_NOTE,) if numbered else ()
    return OpenedFiles(frame, files_digest(frame, files), columns, notes, classes)


def _by_place(config: PlaceConfig, schema: pa.Schema) -> tuple[bool, str | None]:
    """Whether values mean classes by their place in a list, and the column that may hold this list."""
    values: Any = config
    probs, labels = getattr(values, "pred_probs", None), getattr(values, "labels", None)
    are_given = getattr(values, "classes", None) is not None
    if isinstance(probs, tuple) or (probs and getattr(values, "pred_probs_from", None) is not None):
        return not are_given, None
    column = probs or labels
    if not isinstance(column, str) or column not in schema.names:
        return False, None
    kind = schema.field(column).type
    if probs is not None:
        by_name = pa.types.is_map(kind)
    else:
        by_name = is_string(kind) or (is_list(kind) and is_string(kind.value_type))
    return not by_name, column


def _check_number(names: list[str], shown: str) -> None:
    if ROW_NUMBER in names:
        raise InputError(
            f"'{shown}' has a column '{ROW_NUMBER}' already.",
            key="source.row_numbers",
            fix=f"Leave source.row_numbers out and set source.id to {ROW_NUMBER}, or rename the column.",
        )


# Sources that this process has put into Parquet files: digest and all that decides -> file, notes.
_DONE: dict[tuple[Any, ...], tuple[Path, tuple[str, ...]]] = {}


def open_texts(engine: Engine, config: PlaceConfig, wanted: str, roles: Mapping[str, Role]) -> OpenedFiles:
    """Open files of texts, put into a Parquet file of the engine's own.

    Args:
        engine: What reads them.
        config: The `source` section.
        wanted: csv, tsv or jsonl.
        roles: From `roles_of`.

    Raises:
        ConfigError: The engine's tasks see no folder of this machine.
        InputError: They cannot be read as they are.
    """
    # its readers take time to import, and most sources are no texts
    from spark_ml_audit.lake.text_files import TextFiles, to_parquet

    place = Place.of_source(config)
    local = local_path(place.address)
    folder = None if local is None else engine.own_folder()
    if local is None or folder is None:
        raise ConfigError(
            f"'{config.name}' is of format {wanted}, which is read where this command runs, and not by the "
            "tasks of a cluster.",
            key="source.format",
            fix="Write it as a Delta table or as Parquet files first: "
            f"spark.read.{'json' if wanted == 'jsonl' else 'csv'}(...).write.format('delta').save(...).",
        )
    files = files_of_format(local_files(str(local)), wanted)
    if not files:
        raise InputError(
            f"there is no file '{config.name}'.",
            key="source.path",
            fix=f"{nearest_name(config.path or '')}Check the path, or the pattern.",
        )
    digest = files_digest(None, files)
    meant = tuple(sorted((name, str(role)) for name, role in roles.items()))
    key = (str(folder), digest, wanted, meant, config.row_numbers)
    known = _DONE.get(key)
    if known is None or not known[0].is_file():
        target = folder / f"rows-{secrets.token_hex(8)}.parquet"  # other threads write there too
        source = TextFiles(tuple(files), Path(root_of(str(local))), wanted, roles, config.row_numbers)
        notes = to_parquet(source, target)
        if files_digest(None, files) != digest:
            raise InputError(
                f"the files of '{config.name}' changed while they were read.",
                key="source.path",
                fix="Try again when they are written in full.",
            )
        known = _DONE[key] = (target, tuple(notes))
    frame = engine.scan_parquet(str(known[0]))
    said = (
        [f"format: {wanted}, {len(files)} file{'s' if len(files) > 1 else ''}"]
        if config.format == "auto"
        else []
    )
    said += [*known[1], *([NUMBERS_NOTE] if config.row_numbers else [])]
    return OpenedFiles(frame, digest, None, tuple(said))


def refuse_numbers(name: str) -> InputError:
    """Rows of a Delta table cannot be numbered, as an error."""
    return InputError(
        f"'{name}' is a table, whose rows have no order that stays.",
        key="source.row_numbers",
        fix=NO_ORDER_FIX,
    )
