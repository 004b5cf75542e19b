"""What the review commands share: tables anywhere, ids under the source's own name, tables of decisions."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pyarrow as pa

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config import OutputConfig
from spark_ml_audit.config.paths import absolute, is_path, split_identifier
from spark_ml_audit.engines.columns import in_frame, names_of, quote
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import DECISIONS
from spark_ml_audit.lake.source import read_place

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine, Frame

TIME = nw.Datetime("us", "UTC")
"""Type of times in frames."""


def frame_type(kind: Any) -> nw.dtypes.DType:
    """The type that narwhals calls an Arrow type.

    >>> frame_type(pa.int16())
    Int16
    """
    return nw.Schema.from_arrow(pa.schema([("", kind)]))[""]


def tables_of(engine: Engine, place: str) -> tuple[OutputTables, str]:
    """A table anywhere as one of an output of its own, and its name there."""
    if is_path(place):
        folder, name = posixpath.split(absolute(place).rstrip("/"))
        return OutputTables(engine, OutputConfig(path=folder)), name
    *schema, name = split_identifier(place) or (place,)
    quoted = ".".join(quote(part) for part in schema) or "default"
    return OutputTables(engine, OutputConfig.parse({"schema": quoted}, "output")), quote(name)


def read_decisions(tables: OutputTables, place: str | None, key: str, fix: str) -> Frame:
    """The table of decisions: the one named, else that of the output.

    Args:
        tables: The output.
        place: Path or name of another table; None for the output's own.
        key: Config key of the place, for messages.
        fix: What to do where there is none.

    Raises:
        ConfigError: The output has none.
        InputError: The table named cannot be read.
    """
    if place is not None:
        return read_place(tables.engine, place, key)
    own = tables.existing(DECISIONS)
    if own is None:
        raise ConfigError(
            f"there is no table of decisions at '{tables.location(DECISIONS)}'.", key=key, fix=fix
        )
    return own


def with_own_id(frame: Frame, id_name: str) -> Frame:
    """The frame with its column `id` under the source's name for it.

    Raises:
        ConfigError: Another column of the frame has that name.
    """
    if id_name.lower() != ID and id_name.lower() in {name.lower() for name in names_of(frame)}:
        raise ConfigError(
            f"the id column is called '{id_name}', as is a column of the table to write.",
            key="source.id",
            fix="Rename the column in the source, for example to row_key, and audit it again.",
        )
    return frame.rename({ID: in_frame(id_name)}) if id_name != ID else frame


def with_plain_id(frame: Frame, id_name: str) -> Frame:
    """The frame with the source's id column called `id`."""
    return frame.rename({in_frame(id_name): ID}) if id_name != ID else frame
