"""MERGE of corrected labels into a table that belongs to somebody else, guarded by what it holds."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from spark_ml_audit.arrow.layout import ID
from spark_ml_audit.engines.columns import quote
from spark_ml_audit.errors import InputError, reason_of
from spark_ml_audit.lake.delta_spark import is_conflict
from spark_ml_audit.lake.places import delta_name
from spark_ml_audit.reviewing.label_changes import AFTER, BEFORE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_ml_audit.reviewing.label_changes import LabelColumns


def merge_labels(
    spark: SparkSession, place: str, labels: LabelColumns, plan: DataFrame, *, undo: bool = False
) -> None:
    """Replace the labels of the planned rows that still have the labels the plan knows, in one transaction.

    Rows changed meanwhile do not match and stay as they are; a transaction that lost a race against another
    writer is tried again on what that one left. Doing it twice changes nothing.

    Args:
        spark: The session.
        place: The table.
        labels: Its label columns.
        plan: Rows with id, before and after.
        undo: Whether the labels before come back instead.

    Raises:
        InputError: The table cannot be written.
    """
    first, second = (AFTER, BEFORE) if undo else (BEFORE, AFTER)
    old = [value.alias(f"old_{k}") for k, value in enumerate(labels.unpacked(first))]
    new = [value.alias(f"new_{k}") for k, value in enumerate(labels.unpacked(second))]
    view = f"spark_ml_audit_changes_{secrets.token_hex(8)}"
    plan.select(F.col(ID).alias("row_id"), *old, *new).createOrReplaceTempView(view)
    same = " AND ".join(f"t.{quote(name)} <=> s.old_{k}" for k, name in enumerate(labels.names))
    changed = ", ".join(f"t.{quote(name)} = s.new_{k}" for k, name in enumerate(labels.names))
    statement = (
        f"MERGE INTO {delta_name(place)} AS t USING {quote(view)} AS s "
        f"ON t.{quote(labels.id)} = s.row_id AND {same} WHEN MATCHED THEN UPDATE SET {changed}"
    )
    retries = Retrying(
        retry=retry_if_exception(is_conflict),
        stop=stop_after_attempt(8),
        wait=wait_random_exponential(multiplier=0.3, max=10),
        reraise=True,
    )
    try:
        for attempt in retries:
            with attempt:
                spark.sql(statement)
    except Exception as error:
        raise InputError(
            f"the labels of '{place}' could not be changed: {reason_of(error)}.",
            key="correct.mode",
            fix="Check that the table is a Delta table you may write; mode copy leaves it as it is.",
        ) from error
    finally:
        spark.catalog.dropTempView(view)
