"""What the review commands share: tables beside the audit's, ids under the source's own name."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.config import OutputConfig
from spark_ml_audit.config.fields import is_path, split_identifier
from spark_ml_audit.engines.columns import quote
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.places import absolute

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_ml_audit.progress import Progress

DECISIONS, REJECTED = "decisions", "decisions_rejected"
SAMPLE = "review_sample"
PLANS, CORRECTIONS, CORRECTION_RUNS, CORRECTED = (
    "correction_plans",
    "corrections",
    "correction_runs",
    "corrected",
)


def tables_of(spark: SparkSession, place: str) -> tuple[OutputTables, str]:
    """A table anywhere as one of an output of its own, and its name there."""
    if is_path(place):
        folder, name = posixpath.split(absolute(place).rstrip("/"))
        return OutputTables(spark, OutputConfig(path=folder)), name
    *schema, name = split_identifier(place) or (place,)
    quoted = ".".join(quote(part) for part in schema) or "default"
    return OutputTables(spark, OutputConfig.parse({"schema": quoted}, "output")), quote(name)


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


def seconds(progress: Progress) -> dict[str, float]:
    """Stage -> seconds."""
    return {name: round(value, 3) for name, value in progress.seconds.items()}
