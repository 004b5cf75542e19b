"""The SQL of types, as casts by name need it."""

from __future__ import annotations

import pytest
from pyspark.sql import types as T

from spark_ml_audit.engines.plain_strings import ddl_of

STRING = T.StringType()


@pytest.mark.parametrize(
    ("data_type", "expected"),
    [
        (STRING, "string"),
        (T.ArrayType(STRING, containsNull=False), "array<string>"),
        (T.MapType(STRING, T.ArrayType(T.DecimalType(7, 2))), "map<string,array<decimal(7,2)>>"),
        (
            T.StructType([T.StructField("a`b.c", STRING), T.StructField("d e", T.TimestampNTZType())]),
            "struct<`a``b.c`:string,`d e`:timestamp_ntz>",
        ),
    ],
)
def test_a_type_is_spelled_in_sql_with_its_names_quoted(data_type: T.DataType, expected: str) -> None:
    assert ddl_of(data_type) == expected


def test_a_user_defined_type_has_no_sql_wherever_it_stands() -> None:
    from pyspark.ml.linalg import VectorUDT

    field = T.StructField("v", VectorUDT())
    for data_type in (
        VectorUDT(),
        T.ArrayType(VectorUDT()),
        T.StructType([field]),
        T.MapType(STRING, VectorUDT()),
    ):
        assert ddl_of(data_type) is None
