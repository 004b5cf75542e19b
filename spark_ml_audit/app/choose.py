"""Which reader serves an output."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spark_ml_audit.app.lake_reader import LakeReader
from spark_ml_audit.app.reader import AuditReader
from spark_ml_audit.engines.choose import EMBEDDED, choose_engine
from spark_ml_audit.lake.output import OutputTables

if TYPE_CHECKING:
    from spark_ml_audit.config.serve import ServeConfig
    from spark_ml_audit.engines.base import Engine

_MEMORY = "512MiB"
WAREHOUSE_VARIABLE = "DATABRICKS_WAREHOUSE_ID"
"""Set in a Databricks App by its resource."""


def choose_reader(config: ServeConfig) -> tuple[AuditReader, Engine]:
    """The reader of the output's tables, and an engine for small tables beside them.

    Raises:
        ConfigError: There is no such run, or the output is of a kind that cannot be reached from here.
    """
    wanted = config.engine
    if wanted.memory is None:  # a page reads a few rows at a time, and shares the machine with audits
        wanted = wanted.model_copy(update={"memory": _MEMORY})
    warehouse = config.serve.warehouse or os.environ.get(WAREHOUSE_VARIABLE)
    if config.output.schema_name is not None and warehouse is not None:
        from spark_ml_audit.app.warehouse_reader import WarehouseReader
        from spark_ml_audit.lake.warehouse import databricks_warehouse

        in_process = choose_engine(wanted.model_copy(update={"kind": EMBEDDED}))
        return WarehouseReader(databricks_warehouse(warehouse), in_process, config), in_process
    engine, beside = choose_engine(wanted), choose_engine(wanted)
    tables = (OutputTables(engine, config.output), OutputTables(beside, config.output))
    reader = LakeReader(*tables, config)
    if config.serve.show is not None or config.serve.image is not None:
        _ = reader.shown  # refused now, not when a row is shown
    return reader, engine
