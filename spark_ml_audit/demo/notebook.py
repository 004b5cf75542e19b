"""What the notebooks share: their parameters and a place for their tables, on Databricks and elsewhere."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_ml_audit.arrow.types import is_list
from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.engines.choose import choose_engine, frame_of
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.places import Place

if TYPE_CHECKING:
    import pandas as pd

    from spark_ml_audit.engines.base import Engine


@dataclass(frozen=True)
class Workplace:
    """Where a notebook works.

    Attributes:
        engine: What runs its queries: Spark on Databricks, elsewhere as a rule the embedded engine.
        schema: catalog.schema of its tables; empty: they go into the folder.
        folder: Absolute path of its tables and files.
        rows: How many rows to take.
    """

    engine: Engine
    schema: str
    folder: str
    rows: int

    def save(self, rows: Any, name: str) -> str:
        """Write rows as a Delta table in the place of an older one.

        Args:
            rows: Arrow table, pandas DataFrame, or what `predict` and others give.
            name: Of the table.

        Returns:
            Its full name or path.
        """
        where = f"{self.schema}.{name}" if self.schema else f"{self.folder}/{name}"
        table = delta_table(self.engine, Place.of(where))
        table.overwrite(frame_of(self.engine, rows), f"notebook-{secrets.token_hex(8)}", {})
        return where

    def read(self, where: str, version: int | None = None) -> pd.DataFrame:
        """The rows of a table that is small, as they are or were at a version."""
        frame = delta_table(self.engine, Place.of(where)).read(version)
        return _to_pandas(self.engine.collect(frame))

    def rows_of(self, result: Any) -> pd.DataFrame:
        """The rows of a small result, such as `issues` of an audit."""
        return _to_pandas(self.engine.collect(frame_of(self.engine, result)))

    @property
    def output(self) -> dict[str, str]:
        """Where audits go, as keyword arguments of `audit(...).write`, `compare`, `sample`, ..."""
        return {"schema": self.schema} if self.schema else {"path": f"{self.folder}/audit"}


def open_workplace(folder: str, rows: int, dbutils: Any = None) -> Workplace:
    """The place a reader has chosen: by widgets on Databricks, by environment variables elsewhere.

    Args:
        folder: For the tables where no schema is named.
        rows: How many to take by default.
        dbutils: What Databricks gives a notebook by this name; None elsewhere.
    """

    def parameter(name: str, default: str) -> str:
        if dbutils is None:
            return os.environ.get(f"NOTEBOOK_{name.upper()}", default)
        dbutils.widgets.text(name, default)
        return str(dbutils.widgets.get(name))

    schema = parameter("schema", "")
    # only Spark knows schemas
    wanted = EngineConfig(kind="spark") if schema else EngineConfig()
    return Workplace(
        choose_engine(wanted),
        schema,
        os.path.abspath(parameter("folder", folder)),
        int(parameter("rows", str(rows))),
    )


def _to_pandas(table: Any) -> pd.DataFrame:
    """An Arrow table, its lists as lists."""
    frame: pd.DataFrame = table.to_pandas()
    for item in table.schema:
        if is_list(item.type):
            frame[item.name] = table.column(item.name).to_pylist()
    return frame
