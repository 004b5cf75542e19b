"""Which engine runs: the one place where that is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spark_ml_audit.engines.java import require_spark

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from spark_ml_audit.engines.base import Engine


def require_engine() -> None:
    """Check in a moment that an engine can run here, before anything heavy is imported.

    Raises:
        SetupError: pyspark is not installed, or a local Spark would find no Java, or one too old.
    """
    require_spark()


def choose_engine(spark: SparkSession | None = None, *, small: bool = False) -> Engine:
    """The engine to work with: Spark in the session given, else the active, the platform's or a local one.

    Args:
        spark: Session to use.
        small: Whether the work is small (see `session.session_for`).

    Raises:
        SetupError: pyspark or delta-spark is not installed.
    """
    from spark_ml_audit.engines.session import session_for
    from spark_ml_audit.engines.spark import SparkEngine

    return SparkEngine(session_for(spark, small=small))


def engine_of(frame: DataFrame) -> Engine:
    """The engine that a frame belongs to."""
    from spark_ml_audit.engines.spark import SparkEngine

    return SparkEngine(frame.sparkSession)
