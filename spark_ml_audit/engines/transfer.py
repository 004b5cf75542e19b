"""Arrow in and out of frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

if TYPE_CHECKING:
    pass


def local_frame(spark: SparkSession, rows: Sequence[dict[str, Any]], schema: T.StructType) -> DataFrame:
    """A small frame from records of the driver; missing keys become nulls."""
    if hasattr(DataFrame, "toArrow"):  # Spark 4 takes Arrow tables: no Python worker, no pickling
        columns = {name: [row.get(name) for row in rows] for name in schema.names}
        arrow = pa.schema([(field.name, _ARROW_TYPES[type(field.dataType)]) for field in schema])
        return spark.createDataFrame(pa.table(columns, schema=arrow), schema)
    return spark.createDataFrame([tuple(row.get(name) for name in schema.names) for row in rows], schema)


_ARROW_TYPES = {
    T.StringType: pa.string(),
    T.BinaryType: pa.binary(),
    T.DateType: pa.date32(),
    T.ByteType: pa.int8(),
    T.ShortType: pa.int16(),
    T.IntegerType: pa.int32(),
    T.LongType: pa.int64(),
    T.DoubleType: pa.float64(),
    T.BooleanType: pa.bool_(),
    T.TimestampType: pa.timestamp("us", tz="UTC"),
}


def collect_columns(frame: DataFrame) -> dict[str, npt.NDArray[Any]]:
    """Collect a small frame of numbers without nulls as NumPy columns."""
    if hasattr(frame, "toArrow"):  # Spark 4
        table = frame.toArrow()
        return {name: table.column(name).to_numpy() for name in table.column_names}
    pandas = frame.toPandas()
    return {str(name): pandas[name].to_numpy() for name in pandas.columns}
