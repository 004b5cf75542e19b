"""Which engine runs: the one place where that is decided."""

from __future__ import annotations

import importlib.util
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.engines.extras import install_command
from spark_ml_audit.engines.java import require_spark
from spark_ml_audit.errors import InputError, SetupError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_ml_audit.engines.base import Engine, Frame

EMBEDDED, SPARK = "embedded", "spark"
_EMBEDDED_PACKAGES = ("duckdb", "deltalake")
_PACKAGES = {EMBEDDED: _EMBEDDED_PACKAGES, SPARK: ("pyspark", "delta-spark")}


def engine_kind(wanted: EngineConfig | None = None, spark: object | None = None) -> str:
    """The engine that would run: a session given, an active one or the platform's, else in this process.

    Args:
        wanted: The `engine` section.
        spark: Session given.

    Raises:
        SetupError: No engine is installed.
    """
    kind = (wanted or EngineConfig()).kind
    if kind != "auto":
        return kind
    if _has_spark(spark):
        return SPARK
    if not _missing_packages():
        return EMBEDDED
    if importlib.util.find_spec("pyspark") is not None:
        return SPARK
    raise _not_installed()


def installed_engines() -> dict[str, dict[str, str]]:
    """The engines that are installed, each with the packages it is made of and their versions."""
    found = {kind: packages_of(kind) for kind in _PACKAGES}
    return {
        kind: {name: version for name, version in packages.items() if version is not None}
        for kind, packages in found.items()
        if None not in packages.values()
    }


def packages_of(kind: str) -> dict[str, str | None]:
    """The packages that an engine is made of, with their versions; None for one that is not installed."""
    return {name: _version_of(name) for name in _PACKAGES[kind]}


def _version_of(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def require_engine(wanted: EngineConfig | None = None) -> None:
    """Check in a moment that an engine can run here, before anything heavy is imported.

    Raises:
        SetupError: It is not installed, or a local Spark would find no Java, or one too old.
    """
    if engine_kind(wanted) == SPARK:
        require_spark()
    elif _missing_packages():
        raise _not_installed()


def choose_engine(
    wanted: EngineConfig | None = None, spark: SparkSession | None = None, *, small: bool = False
) -> Engine:
    """The engine to work with.

    Args:
        wanted: The `engine` section.
        spark: Session to use.
        small: Whether the work is small (see `session.session_for`).

    Raises:
        SetupError: The engine is not installed.
    """
    wanted = wanted or EngineConfig()
    if engine_kind(wanted, spark) == SPARK:
        from spark_ml_audit.engines.session import session_for
        from spark_ml_audit.engines.spark import SparkEngine

        return SparkEngine(session_for(spark, small=small))
    if _missing_packages():
        raise _not_installed()
    from spark_ml_audit.engines.embedded import EmbeddedEngine
    from spark_ml_audit.engines.limits import Limits

    return EmbeddedEngine(Limits.of_machine(wanted.memory_bytes, wanted.spill))


def starts_spark(wanted: EngineConfig | None = None, spark: object | None = None) -> bool:
    """Whether `choose_engine` would have to start a Spark of this machine.

    Args:
        wanted: The `engine` section.
        spark: Session given.

    Raises:
        SetupError: No engine is installed.
    """
    return not _has_spark(spark) and engine_kind(wanted) == SPARK


def _has_spark(spark: object | None) -> bool:
    """Whether a session is given or active, or the platform brings one."""
    from spark_ml_audit.engines.session import active_session, runs_on_a_platform

    return spark is not None or active_session() is not None or runs_on_a_platform()


def scout_engine(wanted: EngineConfig) -> Engine | None:
    """An engine that looks at local tables in no time, whatever runs the command; None if not installed."""
    return None if _missing_packages() else choose_engine(wanted.model_copy(update={"kind": EMBEDDED}))


def engine_for(
    data: Any, spark: SparkSession | None = None, wanted: EngineConfig | None = None
) -> tuple[Engine, Frame]:
    """The engine for rows in memory, and the rows as its frame.

    Args:
        data: Spark DataFrame, Arrow table, relation of DuckDB, or pandas or Polars DataFrame.
        spark: Session that is to run an Arrow table.
        wanted: The `engine` section.

    Raises:
        InputError: It is none of these, or of another engine than the one wanted.
    """
    engine = choose_engine(wanted, data.sparkSession if _is_spark(data) else spark)
    return engine, frame_of(engine, data)


def frame_of(engine: Engine, data: Any) -> Frame:
    """Rows in memory as a frame of an engine.

    Args:
        engine: Runs the frame.
        data: Spark DataFrame (where Spark runs), Arrow table, pandas or Polars DataFrame.

    Raises:
        InputError: The rows are of another engine, or none at all.
    """
    if _is_relation(data):
        return engine.from_arrow(data.to_arrow_table()) if engine.kind == SPARK else _streamed(engine, data)
    if not _is_spark(data):
        from spark_ml_audit.engines.in_hand import hold  # narwhals and Arrow take a while to import

        held = hold(data)
        if held is None:
            raise InputError(
                f"{type(data).__name__} holds no rows that can be read.",
                key="data",
                fix="Give a Spark, pandas or Polars DataFrame, an Arrow table, a relation of DuckDB, or the "
                "path of a table.",
            )
        held.check(held.unread)
        return engine.from_arrow(held.table)
    if engine.kind != SPARK:
        raise InputError(
            "a Spark DataFrame was given to the embedded engine.", key="data", fix="Give both by Spark."
        )
    from spark_ml_audit.engines.spark import to_frame

    return to_frame(data)


def _is_spark(data: Any) -> bool:
    return type(data).__module__.startswith("pyspark.sql") and "pyspark.sql" in sys.modules


def _is_relation(data: Any) -> bool:
    return type(data).__name__ == "DuckDBPyRelation"


def _streamed(engine: Any, relation: Any) -> Frame:
    """A relation of another connection, read anew each time that the frame is."""
    schema = relation.limit(0).to_arrow_table().schema
    frame: Frame = engine.from_stream(relation.to_arrow_reader, schema)
    return frame


def _missing_packages() -> list[str]:
    return [name for name in _EMBEDDED_PACKAGES if importlib.util.find_spec(name) is None]


def _not_installed() -> SetupError:
    missing = ", ".join(_missing_packages())
    return SetupError(
        f"the embedded engine is not installed: it needs {missing}. Spark needs pyspark and delta-spark.",
        key="engine.kind",
        fix=f"Install it with: {install_command('local')} (for Spark: extra [spark]; `doctor` says more).",
    )
