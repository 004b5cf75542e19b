"""Files as Spark reads them, so that its rows are those of the embedded engine."""

from __future__ import annotations

import atexit
import functools
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from pyspark.sql import functions as F

from spark_ml_audit.config.paths import is_pattern, local_path
from spark_ml_audit.engines.files import has_other_folders, local_files, parquet_files, partitions_of, root_of
from spark_ml_audit.engines.limits import Limits
from spark_ml_audit.engines.transfer import spark_column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def scan_files(session: SparkSession, path: str) -> DataFrame:
    """The rows of the Parquet files at a path."""
    local = local_path(path)
    found = parquet_files(path) if local is not None else []
    if local is None or not found:
        reader = session.read
        if is_pattern(path):
            reader = reader.option("basePath", root_of(path))
        return reader.parquet(path)
    root = root_of(str(local))
    partitions = sorted({name for file in found for name in partitions_of(root, file)})
    # Spark leaves folders within folders out, takes partitions of tables there for its own, and fails at
    # what is no Parquet file
    is_plain = local.is_dir() and not has_other_folders(local)
    if is_plain and len(found) == len(local_files(path)):
        rows = session.read.parquet(path)
    else:
        rows = session.read.option("basePath", root).parquet(*[_address(file) for file in found])
    kinds = dict(rows.dtypes)
    # as wide as the embedded engine has them
    narrow = [name for name in partitions if kinds.get(name) == "int"]
    return rows.withColumns({name: spark_column(name).cast("bigint") for name in narrow}) if narrow else rows


def _address(file: Path) -> str:
    """A file as Spark takes it: stars and brackets in its name are none of a pattern."""
    plain = "".join(f"\\{char}" if char in "*?[]{}" else char for char in str(file))
    on_databricks = "DATABRICKS_RUNTIME_VERSION" in os.environ
    return f"dbfs:{plain.removeprefix('/dbfs')}" if on_databricks and plain.startswith("/dbfs/") else plain


def with_row_numbers(rows: DataFrame, name: str) -> DataFrame:
    """The rows of files with their number, from 0, in the order of the files by path and of their rows."""
    path, place = F.col("_metadata.file_path"), F.col("_metadata.row_index")
    placed = rows.select("*", path.alias("__file"), place.alias("__place"))
    counts = placed.groupBy("__file").agg((F.max("__place") + 1).alias("rows")).collect()
    first, firsts = 0, []
    for row in sorted(counts, key=lambda row: Path(unquote(urlparse(row[0]).path))):
        firsts.append((row[0], first))
        first += row[1]
    session = rows.sparkSession
    known: Any = session.createDataFrame(firsts, "__file string, __first bigint")
    numbered = placed.join(F.broadcast(known), "__file", "left")
    columns = [spark_column(column) for column in rows.columns]
    return numbered.select(*columns, (F.col("__first") + F.col("__place")).alias(name))


def folder_of(session: SparkSession) -> Path | None:
    """A folder of this process, where the session's tasks run on this machine."""
    if "connect" in type(session).__module__:
        return None
    try:
        master = str(session.conf.get("spark.master"))
    except Exception:  # noqa: BLE001 - managed sessions do not tell
        return None
    if not master.startswith("local"):
        return None
    with _MAKING:
        return _folder()


_MAKING = threading.Lock()


@functools.lru_cache(maxsize=1)
def _folder() -> Path:
    limits = Limits.of_machine()  # which removes what killed processes left
    atexit.register(limits.remove)
    return limits.own_folder("sources")
