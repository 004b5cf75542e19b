"""Strings that every reader of Delta knows, whatever kind of session made them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import types as T

from spark_ml_audit.engines.columns import quote
from spark_ml_audit.engines.transfer import spark_column


def plain_strings(frame: DataFrame, schema: T.StructType | None = None) -> DataFrame:
    """The frame with its strings typed ``string`` by name.

    A Spark Connect client sends the schema of a map with the default collation spelled out, and Delta then
    writes ``string collate UTF8_BINARY``: the same to Spark, an unknown type to other readers. A cast by
    name takes the word away. Frames of a classic session are returned as they are.

    Args:
        frame: Any frame.
        schema: Its schema where that is known: asking costs a request that carries all of its plan.
    """
    if ".connect." not in type(frame).__module__:
        return frame
    columns = []
    for field in (schema or frame.schema).fields:
        name = ddl_of(field.dataType) if _has_string(field.dataType) else None
        one = spark_column(field.name)
        columns.append(one if name is None else one.cast(name).alias(field.name, metadata=field.metadata))
    return frame.select(*columns)


def ddl_of(data_type: T.DataType) -> str | None:
    """A type in SQL, field names quoted; None if it has none (a user-defined type is in it)."""
    if isinstance(data_type, T.UserDefinedType):
        return None
    if isinstance(data_type, T.ArrayType):
        element = ddl_of(data_type.elementType)
        return element and f"array<{element}>"
    if isinstance(data_type, T.MapType):
        key, value = ddl_of(data_type.keyType), ddl_of(data_type.valueType)
        return key and value and f"map<{key},{value}>"
    if isinstance(data_type, T.StructType):
        fields = {field.name: ddl_of(field.dataType) for field in data_type.fields}
        if None in fields.values():
            return None
        return f"struct<{','.join(f'{quote(name)}:{kind}' for name, kind in fields.items())}>"
    return data_type.simpleString()


def _has_string(data_type: T.DataType) -> bool:
    if isinstance(data_type, T.ArrayType):
        return _has_string(data_type.elementType)
    if isinstance(data_type, T.MapType):
        return _has_string(data_type.keyType) or _has_string(data_type.valueType)
    if isinstance(data_type, T.StructType):
        return any(_has_string(field.dataType) for field in data_type.fields)
    return isinstance(data_type, T.StringType)
