"""What the source holds: formats, classes, width, duplicate ids; and the frame that every pass reads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the usual name
from pyspark.sql import types as T  # noqa: N812 - the usual name

from spark_ml_audit.config.source import ColumnsConfig, LabelsConfig
from spark_ml_audit.engine.columns import column, field, type_name
from spark_ml_audit.engine.layout import FAULT, ID, REASONS, InputLayout
from spark_ml_audit.errors import InputError

CLASSES_PROPERTY = "spark_ml_audit.classes"
CLASSES_METADATA = "classes"

_SAMPLE_ROWS = 1000
# Repeated ids up to this many travel to the tasks as literals; more are joined.
_MAX_LITERAL_DUPLICATES = 1000
_ID_TYPES = (T.StringType, T.ByteType, T.ShortType, T.IntegerType, T.LongType, T.DateType, T.BinaryType)
_INTEGRAL = (T.ByteType, T.ShortType, T.IntegerType, T.LongType)
_FLOATING = (T.FloatType, T.DoubleType, T.DecimalType)


@dataclass(frozen=True)
class Ingest:
    """A source as understood.

    Attributes:
        frame: The source.
        layout: How to read it.
        notes: What automatic detection found, one sentence each.
        duplicates: Frame of the ids that occur more than once (column `id`), or None.
        duplicate_ids: The same as values when there are few.
        num_duplicate_ids: How many such ids, None while unknown.
    """

    frame: DataFrame
    layout: InputLayout
    notes: tuple[str, ...]
    duplicates: DataFrame | None = None
    duplicate_ids: tuple[Any, ...] = ()

    def task_frame(self, *, with_id: bool, carry: Column | None = None) -> DataFrame:
        """The frame of the passes: fault code, labels, probabilities and, if asked for, the id.

        Args:
            with_id: Whether to add the column `id`.
            carry: Anything else to hand through, as column `carried`.
        """
        layout, source = self.layout, self.frame
        if not layout.id:
            return source.select(F.lit(0).cast("tinyint").alias(FAULT), *self._value_columns(source, carry))
        id_column = column(layout.id)
        fault = F.when(id_column.isNull(), REASONS["id_null"])
        if self.duplicates is not None:
            marked = self.duplicates.select(F.col(ID).alias("__repeated_id"))
            source = source.join(marked, id_column == F.col("__repeated_id"), "left")
            fault = fault.when(F.col("__repeated_id").isNotNull(), REASONS["id_duplicate"])
        elif self.duplicate_ids:
            repeated = id_column.isin(*[F.lit(value) for value in self.duplicate_ids])
            fault = fault.when(repeated, REASONS["id_duplicate"])
        columns = [fault.otherwise(0).cast("tinyint").alias(FAULT)]
        if with_id:
            columns.insert(0, id_column.alias(ID))
        return source.select(*columns, *self._value_columns(source, carry))

    def _value_columns(self, source: DataFrame, carry: Column | None) -> list[Column]:
        layout = self.layout
        columns = [] if carry is None else [carry.alias("carried")]
        for name, target in zip(layout.labels, layout.label_columns, strict=True):
            columns.append(_labels_column(source, name).alias(target))
        for name, target in zip(layout.pred_probs, layout.prob_columns, strict=True):
            columns.append(_probs_column(source, name, layout.dtype).alias(target))
        return columns


def _is_vector(data_type: T.DataType) -> bool:
    return isinstance(data_type, T.UserDefinedType) and "vector" in type(data_type).__name__.lower()


def _vector_to_array(name: str) -> Column:
    from pyspark.ml.functions import vector_to_array

    value = column(name)
    # the function itself fails on null
    return F.when(value.isNotNull(), vector_to_array(value))


def _labels_column(source: DataFrame, name: str) -> Column:
    data_type = source.schema[name].dataType
    if _is_vector(data_type):
        return _vector_to_array(name)
    element = data_type.elementType if isinstance(data_type, T.ArrayType) else data_type
    if isinstance(element, T.DecimalType):
        target = T.DoubleType()
        return column(name).cast(T.ArrayType(target) if isinstance(data_type, T.ArrayType) else target)
    return column(name)


def _probs_column(source: DataFrame, name: str, dtype: str) -> Column:
    data_type = source.schema[name].dataType
    wanted: T.DataType = T.FloatType() if dtype == "float32" else T.DoubleType()
    if _is_vector(data_type):
        return _vector_to_array(name)
    if isinstance(data_type, T.ArrayType):
        target: T.DataType = T.ArrayType(wanted)
    elif isinstance(data_type, T.MapType):
        target = T.MapType(T.StringType(), wanted)
    else:
        target = wanted
    return column(name) if data_type.simpleString() == target.simpleString() else column(name).cast(target)


def examine(
    frame: DataFrame,
    columns: ColumnsConfig,
    properties: dict[str, str] | None = None,
    *,
    with_id: bool = True,
) -> Ingest:
    """Understand a source: check its columns, detect formats, find the classes.

    Args:
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
    probs, probs_format, dtype = _probs_format(frame, columns, notes)
    labels = (columns.labels,) if isinstance(columns.labels, str) else tuple(columns.labels)
    for name in labels:
        field(frame, name, "source.labels")
    classes = _find_classes(frame, columns, probs, probs_format, properties or {}, notes)
    _check_width(frame, labels, probs, probs_format, classes, columns)
    labels_format = labels_format_of(frame, columns, labels, len(classes), notes)
    if labels_format == "columns" and len(labels) != len(classes):
        raise InputError(
            f"{len(labels)} label columns for {len(classes)} classes.",
            key="source.labels",
            fix="List one label column per class, in the order of the probabilities.",
        )
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
    return Ingest(frame, layout, tuple(notes))


def check_id(frame: DataFrame, name: str) -> None:
    """Refuse an id column that is missing or of a type that cannot name a row."""
    id_type = field(frame, name, "source.id").dataType
    if not isinstance(id_type, _ID_TYPES):
        raise InputError(
            f"column '{name}' is {type_name(id_type)}, which cannot name a row.",
            key="source.id",
            fix="Use a string, integral, date or binary column.",
        )


def _probs_format(
    frame: DataFrame, columns: ColumnsConfig, notes: list[str]
) -> tuple[tuple[str, ...], str, str]:
    """Columns, format and dtype of the probabilities."""
    key, wanted = "source.pred_probs", columns.pred_probs_format
    if not isinstance(columns.pred_probs, str):
        names = tuple(columns.pred_probs)
        found = "columns"
        types = [field(frame, name, key).dataType for name in names]
        elements: list[T.DataType] = types
    else:
        names = (columns.pred_probs,)
        data_type = field(frame, columns.pred_probs, key).dataType
        if _is_vector(data_type):
            found, elements = "vector", [T.DoubleType()]
        elif isinstance(data_type, T.ArrayType):
            found, elements = "array", [data_type.elementType]
        elif isinstance(data_type, T.MapType) and isinstance(data_type.keyType, T.StringType):
            found, elements = "map", [data_type.valueType]
        elif isinstance(data_type, (*_INTEGRAL, *_FLOATING)):
            found, elements = "columns", [data_type]
        else:
            found, elements = "unknown", [data_type]
    bad = [element for element in elements if not isinstance(element, (*_INTEGRAL, *_FLOATING))]
    if bad:
        raise InputError(
            f"column '{names[0]}' is {type_name(frame.schema[names[0]].dataType)}, which holds no probabilities.",
            key=key,
            fix="Use array<float>, array<double>, a vector, map<string,double>, or a list of numeric columns.",
        )
    if wanted not in ("auto", found):
        raise InputError(
            f"'{wanted}' was given, but column '{names[0]}' is {type_name(frame.schema[names[0]].dataType)}.",
            key="source.pred_probs_format",
            fix=f"Use '{found}' or 'auto'.",
        )
    dtype = "float32" if all(isinstance(element, T.FloatType) for element in elements) else "float64"
    if wanted == "auto":
        notes.append(f"pred_probs_format: {found} ({dtype}), from the type of column '{names[0]}'")
    return names, "array" if found == "vector" else found, dtype


def _find_classes(
    frame: DataFrame,
    columns: ColumnsConfig,
    probs: tuple[str, ...],
    probs_format: str,
    properties: dict[str, str],
    notes: list[str],
) -> list[str]:
    metadata = frame.schema[probs[0]].metadata or {}
    if columns.classes is not None:
        classes, origin = list(columns.classes), "source.classes"
    elif CLASSES_METADATA in metadata and probs_format != "columns":
        origin = f"metadata '{CLASSES_METADATA}' of column '{probs[0]}'"
        classes = parse_classes(metadata[CLASSES_METADATA], origin)
    elif CLASSES_PROPERTY in properties:
        origin = f"table property '{CLASSES_PROPERTY}'"
        classes = parse_classes(properties[CLASSES_PROPERTY], origin)
    elif not isinstance(columns.labels, str):
        classes, origin = list(columns.labels), "the names of the label columns"
    elif not isinstance(columns.pred_probs, str):
        classes, origin = list(columns.pred_probs), "the names of the probability columns"
    elif probs_format == "map":
        keys = frame.select(F.explode(F.map_keys(column(probs[0]))).alias("key")).distinct()
        # one row per class, not per example
        classes, origin = sorted(row["key"] for row in keys.collect()), f"the keys of column '{probs[0]}'"
    else:
        raise InputError(
            f"no class list: column '{probs[0]}' has no '{CLASSES_METADATA}' metadata and the table no "
            f"'{CLASSES_PROPERTY}' property.",
            key="source.classes",
            fix="Give the tag names in the order of the probabilities, as a list or a file with one per line.",
        )
    check_distinct(classes, origin)
    if columns.classes is None:
        notes.append(f"classes: {len(classes)}, from {origin}")
    return classes


def check_distinct(classes: list[str], origin: str) -> None:
    """Refuse a class list that names a class twice."""
    repeated = (
        sorted({name for name in classes if classes.count(name) > 1})
        if len(set(classes)) < len(classes)
        else []
    )
    if repeated:
        raise InputError(
            f"class '{repeated[0]}' occurs more than once in {origin}.",
            key="source.classes",
            fix="Name every class once, in the order of the probabilities.",
        )


def parse_classes(value: Any, origin: str) -> list[str]:
    """A class list as metadata and properties hold it: JSON."""
    try:
        classes = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        classes = None
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise InputError(
            f"{origin} is not a JSON list of strings.",
            key="source.classes",
            fix="Mend it, or give the tag names under source.classes.",
        )
    return classes


def _check_width(
    frame: DataFrame,
    labels: tuple[str, ...],
    probs: tuple[str, ...],
    probs_format: str,
    classes: list[str],
    columns: ColumnsConfig,
) -> None:
    if not classes:
        raise InputError("the class list is empty.", key="source.classes", fix="Name at least one tag.")
    width: int | None = None
    if probs_format == "columns":
        width = len(probs)
    elif probs_format == "array":
        value = (
            _vector_to_array(probs[0]) if _is_vector(frame.schema[probs[0]].dataType) else column(probs[0])
        )
        sizes = frame.select(F.size(value).alias("size")).where(F.col("size") >= 0)
        seen = [row["size"] for row in sizes.limit(_SAMPLE_ROWS).collect()]
        fits = len(classes) in seen or not seen or sizes.where(F.col("size") == len(classes)).limit(1).count()
        width = len(classes) if fits else max(set(seen), key=seen.count)
    if width is not None and width != len(classes):
        raise InputError(
            f"{len(classes)} classes, but column '{probs[0]}' has {width} probabilities per row."
            if probs_format == "array"
            else f"{len(classes)} classes, but {width} probability columns.",
            key="source.classes",
            fix="Give one class per probability, in their order.",
        )


def labels_format_of(
    frame: DataFrame, columns: LabelsConfig, labels: tuple[str, ...], num_classes: int, notes: list[str]
) -> str:
    """How the given tags are written, by the config or by type and content of their columns."""
    key = "source.labels_format"
    wanted = columns.labels_format
    if not isinstance(columns.labels, str):
        fitting, shown = ["columns"], "a list of columns"
        bad = [
            name
            for name in labels
            if not isinstance(frame.schema[name].dataType, (T.BooleanType, *_INTEGRAL, *_FLOATING))
        ]
        if bad:
            raise InputError(
                f"label column '{bad[0]}' is {type_name(frame.schema[bad[0]].dataType)}, not a number or boolean.",
                key="source.labels",
                fix="One column per tag holds 0 or 1, or false or true.",
            )
    else:
        data_type = frame.schema[labels[0]].dataType
        shown = type_name(data_type)
        fitting = _fitting_label_formats(data_type)
        if fitting == ["columns"] and num_classes != 1:
            fitting = []
    if not fitting:
        raise InputError(
            f"column '{labels[0]}' is {shown}, which holds no tags.",
            key="source.labels",
            fix="Use an array of tag names or class indices, a 0/1 array, a delimited string, or a list of columns.",
        )
    if wanted != "auto":
        if wanted not in fitting:
            raise InputError(
                f"'{wanted}' was given, but column '{labels[0]}' is {shown}.",
                key=key,
                fix=f"Use {' or '.join(repr(name) for name in fitting)}, or 'auto'.",
            )
        return wanted
    if len(fitting) == 1:
        notes.append(f"labels_format: {fitting[0]}, from the type of column '{labels[0]}' ({shown})")
        return fitting[0]
    return _indices_or_multi_hot(frame, labels[0], num_classes, notes)


def _fitting_label_formats(data_type: T.DataType) -> list[str]:
    if _is_vector(data_type):
        return ["multi_hot"]
    if isinstance(data_type, T.StringType):
        return ["delimited"]
    if isinstance(data_type, (T.BooleanType, *_INTEGRAL, *_FLOATING)):
        return ["columns"]
    if isinstance(data_type, T.ArrayType):
        element = data_type.elementType
        if isinstance(element, T.StringType):
            return ["names"]
        if isinstance(element, _INTEGRAL):
            return ["indices", "multi_hot"]
        if isinstance(element, (T.BooleanType, *_FLOATING)):
            return ["multi_hot"]
    return []


def _indices_or_multi_hot(frame: DataFrame, name: str, num_classes: int, notes: list[str]) -> str:
    """Integer arrays: class indices unless every list reads as a 0/1 vector of length K > 2."""
    value = column(name)
    vector_like = (F.size(value) == num_classes) & F.forall(value, lambda x: x.isin(0, 1))
    as_vector = F.coalesce(vector_like, F.lit(False))
    repeats = F.size(F.array_distinct(value)) < F.size(value)

    def tally(rows: DataFrame) -> tuple[int, int, int]:
        counts = rows.where(value.isNotNull()).agg(
            F.count_if(as_vector & repeats), F.count_if(as_vector), F.count_if(~as_vector)
        )
        first = counts.collect()[0]
        return first[0], first[1], first[2]

    only_vector, either, only_indices = tally(frame.limit(_SAMPLE_ROWS))
    if only_vector or not only_indices:
        only_vector, either, only_indices = tally(frame)
    column_text = f"column '{name}'"
    if only_vector and not only_indices and num_classes > 2:
        notes.append(
            f"labels_format: multi_hot, every list of {column_text} has length {num_classes} and holds 0 and 1 only"
        )
        return "multi_hot"
    if only_vector > only_indices or (either and not only_indices):
        raise InputError(
            f"{column_text} could hold class indices or 0/1 vectors: {either} of {either + only_indices} lists have "
            f"length {num_classes} and hold 0 and 1 only.",
            key="source.labels_format",
            fix="Say which: 'indices' or 'multi_hot'.",
        )
    notes.append(
        f"labels_format: indices, the lists of {column_text} are no 0/1 vectors of length {num_classes}"
    )
    return "indices"


def find_duplicates(ingest: Ingest) -> Ingest:
    """Find ids that occur more than once (a distributed count by id)."""
    ids = ingest.frame.select(column(ingest.layout.id).alias(ID)).where(F.col(ID).isNotNull())
    repeated = ids.groupBy(ID).count().where(F.col("count") > 1).select(ID)
    found = [row[ID] for row in repeated.limit(_MAX_LITERAL_DUPLICATES + 1).collect()]
    if not found:
        return ingest
    many = len(found) > _MAX_LITERAL_DUPLICATES
    return Ingest(
        ingest.frame,
        ingest.layout,
        ingest.notes,
        duplicates=repeated if many else None,
        duplicate_ids=() if many else tuple(found),
    )
