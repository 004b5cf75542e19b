"""`ema_label_quality`: the row score as a function of SQL, in Spark and in DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from spark_ml_audit.arrow.decode import decode
from spark_ml_audit.arrow.layout import FAULT, InputLayout
from spark_ml_audit.arrow.lists import lengths_of, list_array
from spark_ml_audit.arrow.types import is_list
from spark_ml_audit.kernels.cell_scores import self_confidence
from spark_ml_audit.kernels.label_quality import ema

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NAME = "ema_label_quality"
_ALPHA = 0.8


def label_quality_of(labels: Any, pred_probs: Any) -> Any:
    """EMA label quality of a batch of rows (Thyagarajan et al. 2022, section 4).

    Args:
        labels: Arrow array: a list of class indices per row, those of the given tags, or null.
        pred_probs: Arrow array: the K probabilities of each row, or null.

    Returns:
        Arrow array of doubles, 0 worst to 1; null where either is null or an audit would set the row aside.

    Raises:
        TypeError: These are no lists.

    Example:
        >>> labels = pa.array([[0], [1], [2], None])  # there is no class 2
        >>> scores = label_quality_of(labels, pa.array([[0.9, 0.2]] * 4))
        >>> [score and round(score, 2) for score in scores.to_pylist()]
        [0.82, 0.12, None, None]
    """
    labels, pred_probs = _lists(labels, pa.int64()), _lists(pred_probs, None)
    dtype = "float32" if pred_probs.type.value_type == pa.float32() else "float64"
    widths = lengths_of(pred_probs)
    found = np.full(len(widths), np.nan)
    for width in np.unique(widths[widths > 0]).tolist():
        # rows of as many classes, read as an audit reads them: what it sets aside has no score
        rows = np.flatnonzero(widths == width)
        layout = InputLayout("", ("",), "indices", ",", ("",), "array", dtype, ("",) * width)
        chosen = [values.take(pa.array(rows)) for values in (labels, pred_probs)]
        faults = pa.array(np.zeros(len(rows), dtype=np.int8))
        names = [FAULT, *layout.label_columns, *layout.prob_columns]
        decoded = decode(pa.RecordBatch.from_arrays([faults, *chosen], names=names), layout)
        scores = self_confidence(decoded.pred_probs, decoded.rows, decoded.cols)
        found[rows[decoded.audited]] = ema(scores, _ALPHA)
    return pa.array(found, mask=np.isnan(found))


def _lists(values: Any, wanted: Any) -> Any:
    """One Arrow array of lists of numbers, of a type wanted or of floats as wide as they are."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    kind = values.type
    if pa.types.is_null(kind):
        return pa.nulls(len(values), pa.list_(wanted or pa.float64()))
    if not is_list(kind):
        raise TypeError(f"{_NAME} takes lists: class indices and probabilities; found {kind}")
    wanted = wanted or (pa.float32() if kind.value_type == pa.float32() else pa.float64())
    same = pa.types.is_list(kind) and kind.value_type == wanted
    return values if same else values.cast(pa.list_(wanted), safe=False)


# ---- Spark -----------------------------------------------------------------------------------------


def _scores_of_series(labels: pd.Series, pred_probs: pd.Series) -> pd.Series:
    scores = label_quality_of(_lists_of_series(labels), _lists_of_series(pred_probs))
    return pd.Series(scores.to_numpy(zero_copy_only=False), index=labels.index)


def _lists_of_series(series: pd.Series) -> Any:
    """The Arrow array that Spark made a series of: lists of numbers.

    Where one row of a batch holds a null, pandas has objects or doubles in all of them.
    """
    rows = [None if row is None else np.asarray(row) for row in series]
    known = [row for row in rows if row is not None]
    flat = pa.array(np.concatenate(known) if known else np.zeros(0), from_pandas=True)
    lengths = [0 if row is None else len(row) for row in rows]
    return list_array(lengths, flat, mask=pa.array([row is None for row in rows], pa.bool_()))


class _EmaLabelQuality:
    """A pandas UDF that is built for the kind of session it is used in.

    Takes a column of class indices (array<int>) and one of probabilities (array<float> or array<double>)
    and gives a double: the exponential moving average (alpha 0.8) of the row's self-confidence. Null, or a
    row the audit would set aside, gives null. Use it as a function of columns, or register it:
    ``spark.udf.register("ema_label_quality", ema_label_quality)``. In DuckDB: `register_ema_label_quality`.

    Example:
        >>> from spark_ml_audit import ema_label_quality
        >>> rows = spark.createDataFrame(
        ...     [([0], [0.9, 0.2]), ([1], [0.9, 0.2])], "tags array<int>, p array<double>"
        ... )  # doctest: +SKIP
        >>> scored = rows.select(ema_label_quality("tags", "p").alias("score"))  # doctest: +SKIP
        >>> [round(row["score"], 2) for row in scored.collect()]  # doctest: +SKIP
        [0.82, 0.12]
    """

    __name__ = _NAME
    __qualname__ = _NAME

    def _udf(self) -> Any:
        # A UDF belongs to classic Spark or to Spark Connect; building it on use serves either.
        from pyspark.sql.pandas.functions import pandas_udf
        from pyspark.sql.types import DoubleType

        def ema_label_quality(labels: pd.Series, pred_probs: pd.Series) -> pd.Series:
            return _scores_of_series(labels, pred_probs)

        make_udf: Any = pandas_udf
        return make_udf(ema_label_quality, DoubleType())

    def __call__(self, labels: Any, pred_probs: Any) -> Any:
        return self._udf()(labels, pred_probs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._udf(), name)


ema_label_quality = _EmaLabelQuality()


# ---- DuckDB ----------------------------------------------------------------------------------------


def register_ema_label_quality(connection: DuckDBPyConnection) -> None:
    """Make `ema_label_quality(labels, pred_probs)` a function of a DuckDB connection's SQL.

    It takes a list of class indices and a list of probabilities and gives a double: the exponential moving
    average (alpha 0.8) of the row's self-confidence. Null, or a row the audit would set aside, gives null.

    Args:
        connection: The connection; where it has the function already, nothing is done.

    Example:
        >>> import duckdb
        >>> connection = duckdb.connect()
        >>> register_ema_label_quality(connection)
        >>> rows = connection.sql("SELECT [0] AS tags, [0.9, 0.2] AS p UNION ALL SELECT [7], [0.9, 0.2]")
        >>> rows.project("round(ema_label_quality(tags, p), 2)").fetchall()
        [(0.82,), (None,)]
    """
    from duckdb.func import ARROW, SPECIAL

    known = "SELECT 1 FROM duckdb_functions() WHERE function_name = ? LIMIT 1"
    if connection.cursor().execute(known, [_NAME]).fetchone() is None:
        # without types of parameters it gets floats and doubles as they are, and scores them as an audit does
        connection.create_function(_NAME, label_quality_of, None, "DOUBLE", type=ARROW, null_handling=SPECIAL)
