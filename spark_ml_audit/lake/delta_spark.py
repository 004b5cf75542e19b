"""Delta tables by Spark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from spark_ml_audit.lake.places import delta_name

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def has_foreign_history(spark: SparkSession, place: str, marker: str) -> bool:
    """Whether any version of a Delta table was written by something that does not record `marker`."""
    history = spark.sql(f"DESCRIBE HISTORY {delta_name(place)}")
    wrote = ~F.col("operation").isin("SET TBLPROPERTIES", "OPTIMIZE", "VACUUM START", "VACUUM END", "MERGE")
    foreign = ~F.coalesce(F.col("userMetadata").contains(marker), F.lit(False))
    return not history.where(wrote & foreign).isEmpty()


def is_conflict(error: BaseException) -> bool:
    """Whether a Delta commit lost a race and may be tried again."""
    text = f"{type(error).__name__} {error}"
    return bool(
        re.search(
            r"Concurrent\w*Exception|ProtocolChangedException|MetadataChangedException|DELTA_CONCURRENT"
            r"|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED|DELTA_TRUNCATED_TRANSACTION_LOG"
            r"|FileAlreadyExistsException|DELTA_VERSIONS_NOT_CONTIGUOUS|TABLE_OR_VIEW_ALREADY_EXISTS",
            text,
        )
    )
