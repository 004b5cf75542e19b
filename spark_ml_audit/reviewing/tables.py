"""What the review commands share: tables anywhere, ids under the source's own name, tables of decisions."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config import OutputConfig
from spark_ml_audit.config.paths import absolute, is_path, split_identifier
from spark_ml_audit.engines.columns import quote
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.schemas import DECISIONS
from spark_ml_audit.lake.source import read_place

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from spark_ml_audit.engines.base import Engine


def tables_of(engine: Engine, place: str) -> tuple[OutputTables, str]:
    """A table anywhere as one of an output of its own, and its name there."""
    if is_path(place):
        folder, name = posixpath.split(absolute(place).rstrip("/"))
        return OutputTables(engine, OutputConfig(path=folder)), name
    *schema, name = split_identifier(place) or (place,)
    quoted = ".".join(quote(part) for part in schema) or "default"
    return OutputTables(engine, OutputConfig.parse({"schema": quoted}, "output")), quote(name)


def read_decisions(tables: OutputTables, place: str | None, key: str, fix: str) -> DataFrame:
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


def with_own_id(frame: DataFrame, id_name: str) -> DataFrame:
    """The frame with its column `id` under the source's name for it.

    Raises:
        ConfigError: Another column of the frame has that name.
    """
    if id_name.lower() != ID and id_name.lower() in {name.lower() for name in frame.columns}:
        raise ConfigError(
            f"the id column is called '{id_name}', as is a column of the table to write.",
            key="source.id",
            fix="Rename the column in the source, for example to row_key, and audit it again.",
        )
    return frame.withColumnRenamed(ID, id_name)


def with_plain_id(frame: DataFrame, id_name: str) -> DataFrame:
    """The frame with the source's id column called `id`."""
    return frame.select(
        *[F.col(quote(name)).alias(ID if name == id_name else name) for name in frame.columns]
    )
