"""Arrow in and out of Spark frames: tables, types, and the one place that asks for Spark's version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import types as T

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

IS_SPARK_4 = hasattr(DataFrame, "toArrow")
"""Whether this is Spark 4, whose frames come from Arrow tables and become such; 3.5 knows rows and pandas."""

_TYPES: tuple[tuple[pa.DataType, type[T.DataType]], ...] = (
    (pa.string(), T.StringType),
    (pa.binary(), T.BinaryType),
    (pa.date32(), T.DateType),
    (pa.bool_(), T.BooleanType),
    (pa.int8(), T.ByteType),
    (pa.int16(), T.ShortType),
    (pa.int32(), T.IntegerType),
    (pa.int64(), T.LongType),
    (pa.float32(), T.FloatType),
    (pa.float64(), T.DoubleType),
    (pa.timestamp("us", tz="UTC"), T.TimestampType),
)


def spark_type(arrow_type: pa.DataType) -> T.DataType:
    """The Spark type of an Arrow type."""
    for arrow, spark in _TYPES:
        if arrow == arrow_type:
            return spark()
    if pa.types.is_list(arrow_type):
        element = arrow_type.value_field
        return T.ArrayType(spark_type(element.type), containsNull=element.nullable)
    if pa.types.is_struct(arrow_type):
        return T.StructType(spark_fields(pa.schema(list(arrow_type))))
    raise TypeError(f"no Spark type is known for {arrow_type}")


def spark_fields(schema: pa.Schema) -> list[T.StructField]:
    """The Spark fields of an Arrow schema, all nullable."""
    return [T.StructField(field.name, spark_type(field.type)) for field in schema]


def arrow_type(data_type: T.DataType) -> pa.DataType:
    """The Arrow type of a plain Spark type, such as that of an id."""
    for arrow, spark in _TYPES:
        if isinstance(data_type, spark):
            return arrow
    raise TypeError(f"no Arrow type is known for {data_type.simpleString()}")


def from_arrow(session: SparkSession, table: pa.Table) -> DataFrame:
    """A small Arrow table as a frame."""
    schema = T.StructType(spark_fields(table.schema))
    if IS_SPARK_4:  # no Python worker, no pickling
        return session.createDataFrame(table, schema)
    return session.createDataFrame([tuple(row.values()) for row in table.to_pylist()], schema)


def to_arrow(frame: DataFrame) -> pa.Table:
    """The rows of a small frame."""
    if IS_SPARK_4:
        return frame.toArrow()
    from pyspark.sql.pandas.types import to_arrow_schema

    rows: Any = [row.asDict(recursive=True) for row in frame.collect()]
    return pa.Table.from_pylist(rows, schema=to_arrow_schema(frame.schema))


def try_cast(value: Column, kind: str) -> Column:
    """A cast that gives null where it fails, as all did before Spark 4."""
    # not by asking the column, which in 3.5 says yes to any attribute
    return value.try_cast(kind) if hasattr(Column, "try_cast") else value.cast(kind)
