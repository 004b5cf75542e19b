"""How labels and probabilities are written: by the config, or by type and content of their columns."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark_ml_audit.config.source import ColumnsConfig, LabelsConfig
from spark_ml_audit.engines.columns import column, field, type_name
from spark_ml_audit.errors import InputError

SAMPLE_ROWS = 1000
INTEGRAL = (T.ByteType, T.ShortType, T.IntegerType, T.LongType)
FLOATING = (T.FloatType, T.DoubleType, T.DecimalType)


def is_vector(data_type: T.DataType) -> bool:
    """Whether a column holds pyspark.ml vectors."""
    return isinstance(data_type, T.UserDefinedType) and "vector" in type(data_type).__name__.lower()


def vector_to_array_column(name: str) -> Column:
    """A column of vectors as one of array<double>."""
    from pyspark.ml.functions import vector_to_array

    value = column(name)
    # the function itself fails on null
    return F.when(value.isNotNull(), vector_to_array(value))


def probs_format_of(
    frame: DataFrame, columns: ColumnsConfig, notes: list[str]
) -> tuple[tuple[str, ...], str, str]:
    """Columns, format and dtype of the probabilities.

    Args:
        frame: The source.
        columns: What the config says.
        notes: Takes a sentence on what was found.

    Returns:
        Names of the columns; array, map or columns; float32 or float64.

    Raises:
        InputError: A column is missing, holds no probabilities, or not in the format given.
    """
    key, wanted = "source.pred_probs", columns.pred_probs_format
    if not isinstance(columns.pred_probs, str):
        names = tuple(columns.pred_probs)
        found = "columns"
        types = [field(frame, name, key).dataType for name in names]
        elements: list[T.DataType] = types
    else:
        names = (columns.pred_probs,)
        data_type = field(frame, columns.pred_probs, key).dataType
        if is_vector(data_type):
            found, elements = "vector", [T.DoubleType()]
        elif isinstance(data_type, T.ArrayType):
            found, elements = "array", [data_type.elementType]
        elif isinstance(data_type, T.MapType) and isinstance(data_type.keyType, T.StringType):
            found, elements = "map", [data_type.valueType]
        elif isinstance(data_type, (*INTEGRAL, *FLOATING)):
            found, elements = "columns", [data_type]
        else:
            found, elements = "unknown", [data_type]
    bad = [element for element in elements if not isinstance(element, (*INTEGRAL, *FLOATING))]
    if bad:
        raise InputError(
            f"column '{names[0]}' is {type_name(frame.schema[names[0]].dataType)}, which holds no "
            "probabilities.",
            key=key,
            fix="Use array<float>, array<double>, a vector, map<string,double>, or a list of numeric "
            "columns.",
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


def label_columns_of(frame: DataFrame, columns: LabelsConfig) -> tuple[str, ...]:
    """The columns of the given tags.

    Raises:
        InputError: One is missing.
    """
    labels = (columns.labels,) if isinstance(columns.labels, str) else tuple(columns.labels)
    for name in labels:
        field(frame, name, "source.labels")
    return labels


def labels_format_of(
    frame: DataFrame, columns: LabelsConfig, labels: tuple[str, ...], num_classes: int, notes: list[str]
) -> str:
    """How the given tags are written, by the config or by type and content of their columns.

    Raises:
        InputError: It cannot be decided, or the columns do not fit it.
    """
    found = _labels_format(frame, columns, labels, num_classes, notes)
    if found == "columns" and len(labels) != num_classes:
        raise InputError(
            f"{len(labels)} label columns for {num_classes} classes.",
            key="source.labels",
            fix="List one label column per class, in class order.",
        )
    return found


def _labels_format(
    frame: DataFrame, columns: LabelsConfig, labels: tuple[str, ...], num_classes: int, notes: list[str]
) -> str:
    key = "source.labels_format"
    wanted = columns.labels_format
    if not isinstance(columns.labels, str):
        fitting, shown = ["columns"], "a list of columns"
        bad = [
            name
            for name in labels
            if not isinstance(frame.schema[name].dataType, (T.BooleanType, *INTEGRAL, *FLOATING))
        ]
        if bad:
            raise InputError(
                f"label column '{bad[0]}' is {type_name(frame.schema[bad[0]].dataType)}, "
                "not a number or boolean.",
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
            fix="Use an array of tag names or class indices, a 0/1 array, a delimited string, or a list of "
            "columns.",
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
    if isinstance(data_type, T.ArrayType):
        return _fitting_array_formats(data_type.elementType)
    if isinstance(data_type, T.StringType):
        return ["delimited"]
    if isinstance(data_type, (T.BooleanType, *INTEGRAL, *FLOATING)):
        return ["columns"]
    return ["multi_hot"] if is_vector(data_type) else []


def _fitting_array_formats(element: T.DataType) -> list[str]:
    if isinstance(element, T.StringType):
        return ["names"]
    if isinstance(element, INTEGRAL):
        return ["indices", "multi_hot"]
    return ["multi_hot"] if isinstance(element, (T.BooleanType, *FLOATING)) else []


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

    only_vector, either, only_indices = tally(frame.limit(SAMPLE_ROWS))
    if only_vector or not only_indices:
        only_vector, either, only_indices = tally(frame)
    column_text = f"column '{name}'"
    if only_vector and not only_indices and num_classes > 2:
        notes.append(
            f"labels_format: multi_hot, every list of {column_text} has length {num_classes} and holds only "
            "0 and 1"
        )
        return "multi_hot"
    if only_vector > only_indices or (either and not only_indices):
        raise InputError(
            f"{column_text} could hold class indices or 0/1 vectors: {either} of {either + only_indices} "
            f"lists have length {num_classes} and hold 0 and 1 only.",
            key="source.labels_format",
            fix="Say which: 'indices' or 'multi_hot'.",
        )
    notes.append(
        f"labels_format: indices, the lists of {column_text} are no 0/1 vectors of length {num_classes}"
    )
    return "indices"
