"""What the notebooks share: their parameters and a place for their tables, on Databricks and elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_ml_audit.engines.session import session_for

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Workplace:
    """Where a notebook works.

    Attributes:
        spark: The notebook's own session; on a plain machine a local one.
        schema: catalog.schema of its tables; empty: they go into the folder.
        folder: Absolute path of its tables and files.
        rows: How many rows to take.
    """

    spark: SparkSession
    schema: str
    folder: str
    rows: int

    def save(self, frame: DataFrame, name: str) -> str:
        """Write a frame as a Delta table in the place of an older one; its name or path."""
        writer = frame.write.format("delta").mode("overwrite").option("overwriteSchema", True)
        where = f"{self.schema}.{name}" if self.schema else f"{self.folder}/{name}"
        if self.schema:
            writer.saveAsTable(where)
        else:
            writer.save(where)
        return where

    def read(self, where: str) -> DataFrame:
        """The rows of a table that `save` wrote."""
        return self.spark.read.table(where) if self.schema else self.spark.read.format("delta").load(where)

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

    return Workplace(
        session_for(),
        parameter("schema", ""),
        os.path.abspath(parameter("folder", folder)),
        int(parameter("rows", str(rows))),
    )
