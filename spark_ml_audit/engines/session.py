"""The Spark session: the active one where there is one, a tuned local one on a plain machine."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING

from spark_ml_audit.engines.spark import local_session_builder
from spark_ml_audit.errors import SetupError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def session_for(
    spark: SparkSession | None = None, *, app_name: str = "spark-ml-audit", small: bool = False
) -> SparkSession:
    """The session to work in.

    Takes the one given, else the active one, else the platform's (Databricks, Spark Connect, spark-submit),
    else builds a local one with Delta.

    Args:
        spark: Session to use.
        app_name: Name of a session that is built.
        small: Whether the work is small: a local JVM then compiles quickly rather than well, which saves
            seconds at the start and costs them on large tables.

    Raises:
        SetupError: pyspark or delta-spark is not installed.
    """
    if spark is not None:
        return spark
    if importlib.util.find_spec("pyspark") is None:
        raise SetupError("pyspark is not installed.", fix='Install "spark-ml-audit[local]".')
    from pyspark.sql import SparkSession as Session

    active = Session.getActiveSession()
    if active is not None:
        return active
    if runs_on_a_platform():
        return Session.builder.appName(app_name).getOrCreate()
    session: SparkSession = local_session_builder(app_name, small=small).getOrCreate()
    return session


def runs_on_a_platform() -> bool:
    """Whether somebody else configures Spark: Databricks, Spark Connect or spark-submit."""
    names = (
        "DATABRICKS_RUNTIME_VERSION",
        "SPARK_REMOTE",
        "SPARK_CONNECT_MODE_ENABLED",
        "PYSPARK_GATEWAY_PORT",
    )
    return any(os.environ.get(name) for name in names)
