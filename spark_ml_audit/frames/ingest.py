"""A source as understood: its layout, its repeated ids, and the frame that every pass reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.arrow.layout import FAULT, ID, MARKS, REASONS, InputLayout
from spark_ml_audit.config.source import ColumnsConfig
from spark_ml_audit.engines.columns import column, field, type_name
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.class_list import check_width, find_classes
from spark_ml_audit.frames.formats import (
    is_vector,
    label_columns_of,
    labels_format_of,
    probs_format_of,
    vector_to_array_column,
)

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine

# Repeated ids up to this many travel to the tasks as literals; more are joined.
_MAX_LITERAL_IDS = 1000
_ID_TYPES = (T.StringType, T.ByteType, T.ShortType, T.IntegerType, T.LongType, T.DateType, T.BinaryType)


@dataclass(frozen=True)
class Ingest:
    """A source as understood.

    Attributes:
        engine: What runs its frame.
        frame: The source.
        layout: How to read it.
        notes: What automatic detection found, one sentence each.
        repeated: Frame of the ids that occur more than once (column `id`), or None.
        repeated_ids: The same as values when there are few.
        has_null_ids: Whether rows may have no id; known once repeated ids are.
        marks: What is known of cells, as frame of `id` and `marks` (see `layout`), one row per id; or None.
    """

    engine: Engine
    frame: DataFrame
    layout: InputLayout
    notes: tuple[str, ...] = ()
    repeated: DataFrame | None = None
    repeated_ids: tuple[Any, ...] = ()
    has_null_ids: bool = True
    marks: DataFrame | None = None

    def task_frame(self, *, with_id: bool, carry: Column | None = None) -> DataFrame:
        """The frame of the passes: fault code, labels, probabilities and, if asked for, the id.

        Args:
            with_id: Whether to add the column `id`, and with it the marks if there are any.
            carry: Anything else to hand through, as column `carried`.
        """
        layout, source = self.layout, self.frame
        if not layout.id:
            return source.select(F.lit(0).cast("tinyint").alias(FAULT), *self._value_columns(source, carry))
        id_column = column(layout.id)
        # a pass without ids need not read the column where no fault can be in it
        is_null = id_column.isNull() if self.has_null_ids else F.lit(False)
        fault = F.when(is_null, REASONS["id_null"])
        if self.repeated is not None:
            marked = self.repeated.select(F.col(ID).alias("__repeated_id"))
            source = source.join(marked, id_column == F.col("__repeated_id"), "left")
            fault = fault.when(F.col("__repeated_id").isNotNull(), REASONS["id_duplicate"])
        elif self.repeated_ids:
            repeated = id_column.isin(*[F.lit(value) for value in self.repeated_ids])
            fault = fault.when(repeated, REASONS["id_duplicate"])
        columns = [fault.otherwise(0).cast("tinyint").alias(FAULT)]
        if with_id:
            columns.insert(0, id_column.alias(ID))
            if self.marks is not None:
                known = self.marks.select(F.col(ID).alias("__marked_id"), F.col(MARKS).alias("__marks"))
                source = source.join(known, id_column == F.col("__marked_id"), "left")
                columns.append(F.col("__marks").alias(MARKS))
        return source.select(*columns, *self._value_columns(source, carry))

    def _value_columns(self, source: DataFrame, carry: Column | None) -> list[Column]:
        layout = self.layout
        columns = [] if carry is None else [carry.alias("carried")]
        for name, target in zip(layout.labels, layout.label_columns, strict=True):
            columns.append(_labels_column(source, name).alias(target))
        for name, target in zip(layout.pred_probs, layout.prob_columns, strict=True):
            columns.append(_probs_column(source, name, layout.dtype).alias(target))
        return columns


def _labels_column(source: DataFrame, name: str) -> Column:
    data_type = source.schema[name].dataType
    if is_vector(data_type):
        return vector_to_array_column(name)
    element = data_type.elementType if isinstance(data_type, T.ArrayType) else data_type
    if isinstance(element, T.DecimalType):
        target = T.DoubleType()
        return column(name).cast(T.ArrayType(target) if isinstance(data_type, T.ArrayType) else target)
    return column(name)


def _probs_column(source: DataFrame, name: str, dtype: str) -> Column:
    data_type = source.schema[name].dataType
    wanted: T.DataType = T.FloatType() if dtype == "float32" else T.DoubleType()
    if is_vector(data_type):
        return vector_to_array_column(name)
    if isinstance(data_type, T.ArrayType):
        target: T.DataType = T.ArrayType(wanted)
    elif isinstance(data_type, T.MapType):
        target = T.MapType(T.StringType(), wanted)
    else:
        target = wanted
    return column(name) if data_type.simpleString() == target.simpleString() else column(name).cast(target)


def inspect_source(
    engine: Engine,
    frame: DataFrame,
    columns: ColumnsConfig,
    properties: Mapping[str, str] | None = None,
    *,
    with_id: bool = True,
) -> Ingest:
    """Understand a source: check its columns, detect formats, find the classes.

    Args:
        engine: What runs the frame.
        frame: The source.
        columns: What the config says.
        properties: Table properties of the source.
        with_id: Whether rows have an id; without one, none is looked for and none is checked.

    Raises:
        InputError: A column is missing or of a type that cannot serve, a format cannot be decided, there
            is no class list or it does not fit the probabilities.
    """
    notes: list[str] = []
    if with_id:
        check_id(frame, columns.id)
    probs, probs_format, dtype = probs_format_of(frame, columns, notes)
    labels = label_columns_of(frame, columns)
    classes = find_classes(frame, columns, probs, probs_format, properties or {}, notes)
    check_width(frame, labels, probs, probs_format, classes, columns)
    labels_format = labels_format_of(frame, columns, labels, len(classes), notes)
    layout = InputLayout(
        columns.id if with_id else "",
        labels,
        labels_format,
        columns.labels_delimiter,
        probs,
        probs_format,
        dtype,
        tuple(classes),
    )
    return Ingest(engine, frame, layout, tuple(notes))


def check_id(frame: DataFrame, name: str) -> None:
    """Refuse an id column that is missing or of a type that cannot name a row.

    Raises:
        InputError: It is (key `source.id`).
    """
    id_type = field(frame, name, "source.id").dataType
    if not isinstance(id_type, _ID_TYPES):
        raise InputError(
            f"column '{name}' is {type_name(id_type)}, which cannot name a row.",
            key="source.id",
            fix="Use a string, integral, date or binary column.",
        )


def find_repeated_ids(ingest: Ingest) -> Ingest:
    """Find ids that occur more than once, and whether any is null (a distributed count by id)."""
    ids = ingest.frame.select(column(ingest.layout.id).alias(ID))
    at_fault = ids.groupBy(ID).count().where((F.col("count") > 1) | F.col(ID).isNull()).select(ID)
    found = [row[ID] for row in at_fault.limit(_MAX_LITERAL_IDS + 2).collect()]
    repeated = tuple(value for value in found if value is not None)
    if len(repeated) > _MAX_LITERAL_IDS:  # a null may be among those not collected
        return replace(ingest, repeated=at_fault.where(F.col(ID).isNotNull()))
    return replace(ingest, repeated_ids=repeated, has_null_ids=len(repeated) < len(found))
