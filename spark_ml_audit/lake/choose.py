"""Which writer serves a Delta table: the one place where that is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from spark_ml_audit.lake.delta_spark import SparkDeltaTable, create_schema, create_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spark_ml_audit.engines.base import Engine
    from spark_ml_audit.engines.spark import SparkEngine
    from spark_ml_audit.lake.delta import DeltaTable
    from spark_ml_audit.lake.places import Place


def delta_table(engine: Engine, place: Place) -> DeltaTable:
    """The table at a place, there or not, by the writer that belongs to the engine."""
    return SparkDeltaTable(cast("SparkEngine", engine), place)


def ensure_schema(engine: Engine, quoted_name: str) -> None:
    """Create a schema of the engine's catalog if it is missing."""
    create_schema(cast("SparkEngine", engine), quoted_name)


def ensure_view(engine: Engine, view: Place, select: str, columns: Sequence[str] = ()) -> None:
    """Create a view of the engine's catalog if it is missing, or anew where it lacks columns.

    Args:
        engine: Whose catalog.
        view: Name of the view.
        select: Its query; identifiers in it are quoted.
        columns: Columns it must have.
    """
    create_view(cast("SparkEngine", engine), view, select, columns)
