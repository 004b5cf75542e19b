"""Arrow in and out of Spark frames: tables, types, and the one place that asks for Spark's version."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.types import is_list
from spark_ml_audit.engines.base import VECTOR
from spark_ml_audit.engines.columns import quote, true_name

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
    (pa.timestamp("us"), T.TimestampNTZType),
)


# The types that hold the same numbers, by bits.
_UNSIGNED = {8: T.ShortType(), 16: T.IntegerType(), 32: T.LongType(), 64: T.DecimalType(20, 0)}


def spark_column(name: str) -> Column:
    """The column that a frame of Spark has under exactly this name."""
    return F.col(quote(name))


def spark_type(arrow_type: pa.DataType) -> T.DataType:
    """The Spark type of an Arrow type."""
    known = next((spark() for arrow, spark in _TYPES if arrow == arrow_type), None)
    if known is not None:
        return known
    kinds: list[tuple[Callable[[Any], bool], Callable[[Any], T.DataType]]] = [
        (pa.types.is_timestamp, lambda kind: T.TimestampType() if kind.tz else T.TimestampNTZType()),
        (pa.types.is_large_string, lambda _: T.StringType()),
        (pa.types.is_large_binary, lambda _: T.BinaryType()),
        (pa.types.is_unsigned_integer, lambda kind: _UNSIGNED[kind.bit_width]),
        (pa.types.is_dictionary, lambda kind: spark_type(kind.value_type)),
        (pa.types.is_decimal, lambda kind: T.DecimalType(kind.precision, kind.scale)),
        (is_list, lambda kind: T.ArrayType(spark_type(kind.value_type), kind.value_field.nullable)),
        (pa.types.is_map, lambda kind: T.MapType(spark_type(kind.key_type), spark_type(kind.item_type))),
        (pa.types.is_struct, lambda kind: T.StructType(spark_fields(pa.schema(list(kind))))),
    ]
    for fits, made in kinds:
        if fits(arrow_type):
            return made(arrow_type)
    raise TypeError(f"no Spark type is known for {arrow_type}")


def spark_fields(schema: pa.Schema) -> list[T.StructField]:
    """The Spark fields of an Arrow schema, all nullable."""
    return [T.StructField(field.name, spark_type(field.type)) for field in schema]


def arrow_type(data_type: T.DataType) -> pa.DataType:
    """The Arrow type of a Spark type; null for one that Arrow has no word for."""
    found = next((arrow for arrow, spark in _TYPES if isinstance(data_type, spark)), pa.null())
    if isinstance(data_type, (T.VarcharType, T.CharType)):
        found = pa.string()
    elif isinstance(data_type, T.DecimalType):
        found = pa.decimal128(data_type.precision, data_type.scale)
    elif isinstance(data_type, T.ArrayType):
        found = pa.list_(arrow_type(data_type.elementType))
    elif isinstance(data_type, T.MapType):
        found = pa.map_(arrow_type(data_type.keyType), arrow_type(data_type.valueType))
    elif isinstance(data_type, T.StructType):
        found = pa.struct([(field.name, arrow_type(field.dataType)) for field in data_type.fields])
    elif is_vector(data_type):
        found = pa.list_(pa.float64())
    return found


def is_vector(data_type: T.DataType) -> bool:
    """Whether a column holds pyspark.ml vectors."""
    return isinstance(data_type, T.UserDefinedType) and "vector" in type(data_type).__name__.lower()


def arrow_schema(schema: T.StructType) -> pa.Schema:
    """Names as users know them, Arrow types and metadata of the columns of a frame."""
    return pa.schema([_arrow_field(field) for field in schema.fields])


def _arrow_field(field: T.StructField) -> Any:
    metadata: dict[str | bytes, str | bytes] = {
        key: value for key, value in (field.metadata or {}).items() if isinstance(value, str)
    }
    if is_vector(field.dataType):
        metadata[VECTOR] = b"1"
    return pa.field(true_name(field.name), arrow_type(field.dataType), metadata=metadata or None)


def from_arrow(session: SparkSession, table: pa.Table) -> DataFrame:
    """A small Arrow table as a frame."""
    schema = T.StructType(spark_fields(table.schema))
    if IS_SPARK_4:  # no Python worker, no pickling
        plain = [pa.field(item.name, arrow_type(item.dataType)) for item in schema.fields]
        return session.createDataFrame(table.cast(pa.schema(plain)), schema)
    columns = [
        [_spark_value(value, column.type) for value in column.to_pylist()] for column in table.itercolumns()
    ]
    return session.createDataFrame(list(zip(*columns, strict=True)), schema)


def _spark_value(value: Any, kind: Any) -> Any:
    """A value as Spark 3.5 takes it from Python: maps as dictionaries, which Arrow gives as pairs.

    >>> _spark_value([[("a", 0.5)], None], pa.list_(pa.map_(pa.string(), pa.float64())))
    [{'a': 0.5}, None]
    """
    if value is None:
        return None
    if pa.types.is_map(kind):
        return {key: _spark_value(item, kind.item_type) for key, item in value}
    if is_list(kind):
        return [_spark_value(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return {field.name: _spark_value(value[field.name], field.type) for field in kind}
    return value


def to_arrow(frame: DataFrame) -> pa.Table:
    """The rows of a small frame."""
    if IS_SPARK_4:
        return frame.toArrow()
    from pyspark.sql.pandas.types import to_arrow_schema

    rows: Any = [row.asDict(recursive=True) for row in frame.collect()]
    return pa.Table.from_pylist(rows, schema=to_arrow_schema(frame.schema))
