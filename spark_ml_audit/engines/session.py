"""Spark sessions: the active one where there is one, else a local one, tuned for one machine."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spark_ml_audit.engines.extras import install_command
from spark_ml_audit.errors import SetupError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LOCAL_CONF = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # without a page to show them, what is kept of finished queries only fills the heap
    "spark.sql.ui.retainedExecutions": "10",
    "spark.ui.retainedJobs": "10",
    "spark.ui.retainedStages": "10",
    "spark.sql.session.timeZone": "UTC",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    # the defaults of 50 and 200 cost seconds on every commit of a small table
    "spark.databricks.delta.snapshotPartitions": "2",
    # an audit has more steps than the default of 100 holds: the next one would compile them all anew, and run
    # them slowly until the JVM has made machine code of them once more
    "spark.sql.codegen.cache.maxEntries": "1000",
    # a class count of thousands makes rows of many kilobytes; bounds what one batch holds
    "spark.sql.execution.arrow.maxBytesPerBatch": str(32 << 20),
    "spark.python.worker.reuse": "true",
}

# Compiles quickly rather than well: a tenth off a cold audit of a small table. Without the second option the
# JVM keeps 48 MB for such code; Spark fills them in minutes, and all else is interpreted.
_QUICK_JIT = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"


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
        SetupError: pyspark or delta-spark is not installed, or Java does not start.
    """
    if spark is not None:
        return spark
    if importlib.util.find_spec("pyspark") is None:
        raise SetupError("pyspark is not installed.", fix=f"Install it with: {install_command('spark')}")
    from pyspark.sql import SparkSession as Session

    active = active_session()
    if active is not None:
        return active
    if runs_on_a_platform():
        return Session.builder.appName(app_name).getOrCreate()
    from pyspark.errors import PySparkRuntimeError

    try:
        session: SparkSession = local_session_builder(app_name, small=small).getOrCreate()
    except PySparkRuntimeError as error:
        if "JAVA_GATEWAY_EXITED" not in str(error):
            raise
        raise SetupError(
            "Java ended as Spark was started with it; what it said stands above.",
            fix="Try `java -version`; Spark takes the Java of JAVA_HOME, or else that on the PATH. It asks "
            "for the memory of SPARK_ML_AUDIT_DRIVER_MEMORY (2g). Without Java: --engine embedded.",
        ) from error
    return session


def active_session() -> SparkSession | None:
    """The session that is active; None without one."""
    sql = sys.modules.get("pyspark.sql")  # never imported by now: then no session was started either
    session: SparkSession | None = None if sql is None else sql.SparkSession.getActiveSession()
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


def local_session_builder(
    app_name: str = "spark-ml-audit", *, small: bool = False, connect: bool = False
) -> Any:
    """Builder of a local session with Delta, tuned for one machine.

    Args:
        app_name: Name of the session.
        small: As in `session_for`.
        connect: Whether the session talks to a Spark Connect server, started with it on this machine.

    Raises:
        SetupError: delta-spark is not installed.
    """
    from pyspark.sql import SparkSession as Session

    # Python workers start as the python3 on PATH unless told; imports would fail inside tasks
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    cores = os.cpu_count() or 2
    place = f"local[{cores}]"
    builder = Session.builder.appName(app_name)
    builder = builder.remote(place) if connect else builder.master(place)
    conf = dict(_LOCAL_CONF)
    conf["spark.sql.shuffle.partitions"] = str(max(cores, 2))
    conf["spark.driver.memory"] = os.environ.get("SPARK_ML_AUDIT_DRIVER_MEMORY", "2g")
    log_conf = Path(__file__).with_name("log4j2.properties")
    options = f"-Dlog4j2.configurationFile={log_conf.as_uri()} -XX:+UseParallelGC"
    conf["spark.driver.extraJavaOptions"] = f"{options} {_QUICK_JIT}" if small else options
    conf.update(delta_jars())
    for key, value in conf.items():
        builder = builder.config(key, value)
    return builder


def delta_jars() -> dict[str, str]:
    """Where the JVM gets Delta: JARs resolved by an earlier session, else through Ivy.

    Raises:
        SetupError: delta-spark is not installed.
    """
    if importlib.util.find_spec("delta") is None:
        raise SetupError("delta-spark is not installed.", fix=f"Install it with: {install_command('spark')}")
    from delta import configure_spark_with_delta_pip
    from pyspark.sql import SparkSession as Session

    # Delta knows its artifact for this Spark: their versions go in pairs, and Ivy's folder may hold several
    wanted = configure_spark_with_delta_pip(Session.builder)._options["spark.jars.packages"]
    group, artifact, version = wanted.split(":")
    for home in sorted(Path.home().glob(".ivy2*")):
        jars = [home / "jars" / f"{group}_{name}-{version}.jar" for name in (artifact, "delta-storage")]
        if all(jar.is_file() for jar in jars):
            # asking Ivy again costs seconds at every start, for the same files
            return {"spark.jars": ",".join(str(jar) for jar in jars)}
    return {
        "spark.jars.packages": wanted,
        # Spark brings its own; resolving them again fetches 80 MB
        "spark.jars.excludes": "org.apache.hadoop:hadoop-client-api,org.apache.hadoop:hadoop-client-runtime",
    }
