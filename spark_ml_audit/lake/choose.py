"""Which writer serves a Delta table: the one place where that is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from spark_ml_audit.config.paths import local_path
from spark_ml_audit.engines.base import Engine
from spark_ml_audit.engines.extras import how_to_use_spark
from spark_ml_audit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spark_ml_audit.engines.embedded import EmbeddedEngine
    from spark_ml_audit.engines.spark import SparkEngine
    from spark_ml_audit.lake.delta import DeltaTable
    from spark_ml_audit.lake.places import Place


def delta_table(engine: Engine, place: Place) -> DeltaTable:
    """The table at a place, there or not, by the writer that belongs to the engine.

    Raises:
        ConfigError: The place is one that only Spark can reach (key `engine.kind`).
    """
    check_reachable(engine, place)
    spark = _spark_engine(engine)
    if spark is not None:
        from spark_ml_audit.lake.delta_spark import SparkDeltaTable

        return SparkDeltaTable(spark, place)
    from spark_ml_audit.lake.delta_rs import RsDeltaTable

    return RsDeltaTable(cast("EmbeddedEngine", engine), place)


def check_reachable(engine: Engine, place: Place) -> None:
    """Refuse a place that the engine cannot reach; Spark reaches all.

    Raises:
        ConfigError: It is a table of a catalog, or a folder of a remote store (key `engine.kind`).
    """
    if _spark_engine(engine) is not None:
        return
    if not place.is_path:
        raise ConfigError(
            f"'{place.text}' is a table of a catalog, which only Spark knows.",
            key="engine.kind",
            fix=f"{how_to_use_spark()} For a folder write its path, with a slash in it.",
        )
    if local_path(place.address) is None:
        raise ConfigError(
            f"'{place.text}' is on a remote store, which only Spark reaches.",
            key="engine.kind",
            fix=how_to_use_spark(),
        )


def ensure_schema(engine: Engine, quoted_name: str) -> None:
    """Create a schema of the engine's catalog if it is missing.

    Raises:
        ConfigError: The engine has no catalog (key `engine.kind`).
    """
    spark = _with_catalog(engine, quoted_name)
    from spark_ml_audit.lake.delta_spark import create_schema

    create_schema(spark, quoted_name)


def ensure_view(engine: Engine, view: Place, select: str, columns: Sequence[str] = ()) -> None:
    """Create a view of the engine's catalog if it is missing, or anew where it lacks columns.

    Args:
        engine: Whose catalog.
        view: Name of the view.
        select: Its query; identifiers in it are quoted.
        columns: Columns it must have.
    """
    spark = _with_catalog(engine, view.text)
    from spark_ml_audit.lake.delta_spark import create_view

    create_view(spark, view, select, columns)


def _spark_engine(engine: Engine) -> SparkEngine | None:
    return cast("SparkEngine", engine) if engine.kind == "spark" else None


def _with_catalog(engine: Engine, name: str) -> SparkEngine:
    spark = _spark_engine(engine)
    if spark is None:
        raise ConfigError(
            f"{name} is in a catalog, which only Spark knows.", key="engine.kind", fix=how_to_use_spark()
        )
    return spark
