"""`ema_label_quality`: the row score as a pandas UDF for DataFrames and SQL."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from spark_ml_audit.kernels.cell_scores import self_confidence
from spark_ml_audit.kernels.label_quality import ema


def _score_row(labels: Any, pred_probs: Any) -> float | None:
    """EMA 0.8 of one row's self-confidence; None where the audit would set the row aside."""
    if labels is None or pred_probs is None:
        return None
    probs = np.asarray(pred_probs)
    if probs.dtype == object:  # a null among the entries
        return None
    if probs.ndim != 1 or not len(probs) or not ((probs >= 0) & (probs <= 1)).all():
        return None
    cols = np.asarray(labels)
    if cols.dtype == object or (cols.dtype.kind == "f" and np.isnan(cols).any()):
        return None
    cols = cols.astype(np.int64) if len(cols) else np.empty(0, dtype=np.int64)
    if len(cols) and (cols.min() < 0 or cols.max() >= len(probs) or len(np.unique(cols)) < len(cols)):
        return None
    scores = self_confidence(probs[None, :], np.zeros(len(cols), dtype=np.int64), cols)
    return float(ema(scores, 0.8)[0])


def label_quality_of(labels: pd.Series, pred_probs: pd.Series) -> pd.Series:
    """EMA label quality of a batch of rows (Thyagarajan et al. 2022, section 4).

    Args:
        labels: Class indices of the given tags of each row, or None.
        pred_probs: The K probabilities of each row, or None.

    Returns:
        float64 scores, 0 worst to 1; missing where either is null or the row is faulty.

    Example:
        >>> labels = pd.Series([[0], [1], [2]])  # there is no class 2
        >>> pred_probs = pd.Series([[0.9, 0.2], [0.9, 0.2], [0.9, 0.2]])
        >>> label_quality_of(labels, pred_probs).round(2).tolist()
        [0.82, 0.12, nan]
    """
    rows: list[Any] = []
    cols: list[Any] = []
    probs: list[Any] = []
    good: list[int] = []
    for i, (tags, row) in enumerate(zip(labels, pred_probs, strict=True)):
        if tags is None or row is None or (good and len(row) != len(probs[0])):
            break
        good.append(i)
        probs.append(row)
        cols.append(tags)
        rows.append(np.full(len(tags), i))
    if len(good) == len(labels) and good:
        scores = _score_uniform(rows, cols, probs)
        if scores is not None:
            return pd.Series(scores, index=labels.index)
    scored = [_score_row(tags, row) for tags, row in zip(labels, pred_probs, strict=True)]
    return pd.Series(scored, index=labels.index, dtype="float64")


def _score_uniform(rows: list[Any], cols: list[Any], probs: list[Any]) -> np.ndarray[Any, Any] | None:
    """All rows at once when none is faulty; None otherwise."""
    matrix = np.stack(probs)
    if matrix.dtype == object or not matrix.size or not ((matrix >= 0) & (matrix <= 1)).all():
        return None
    flat_rows, flat_cols = np.concatenate(rows).astype(np.int64), np.concatenate(cols)
    if flat_cols.dtype.kind not in "iu" and len(flat_cols):
        return None
    flat_cols = flat_cols.astype(np.int64)
    codes = flat_rows * matrix.shape[1] + flat_cols
    if len(codes) and (
        flat_cols.min() < 0 or flat_cols.max() >= matrix.shape[1] or len(np.unique(codes)) < len(codes)
    ):
        return None
    scores: np.ndarray[Any, Any] = ema(self_confidence(matrix, flat_rows, flat_cols), 0.8)
    return scores


class _EmaLabelQuality:
    """A pandas UDF that is built for the kind of session it is used in.

    Takes a column of class indices (array<int>) and one of probabilities (array<float> or array<double>)
    and gives a double: the exponential moving average (alpha 0.8) of the row's self-confidence. Null, or a
    row the audit would set aside, gives null. Use it as a function of columns, or register it:
    ``spark.udf.register("ema_label_quality", ema_label_quality)``.

    Example:
        >>> from spark_ml_audit import ema_label_quality
        >>> rows = spark.createDataFrame(
        ...     [([0], [0.9, 0.2]), ([1], [0.9, 0.2])], "tags array<int>, p array<double>"
        ... )  # doctest: +SKIP
        >>> scored = rows.select(ema_label_quality("tags", "p").alias("score"))  # doctest: +SKIP
        >>> [round(row["score"], 2) for row in scored.collect()]  # doctest: +SKIP
        [0.82, 0.12]
    """

    __name__ = "ema_label_quality"
    __qualname__ = "ema_label_quality"

    def _udf(self) -> Any:
        # A UDF belongs to classic Spark or to Spark Connect; building it on use serves either.
        from pyspark.sql.pandas.functions import pandas_udf
        from pyspark.sql.types import DoubleType

        def ema_label_quality(labels: pd.Series, pred_probs: pd.Series) -> pd.Series:
            return label_quality_of(labels, pred_probs)

        make_udf: Any = pandas_udf
        return make_udf(ema_label_quality, DoubleType())

    def __call__(self, labels: Any, pred_probs: Any) -> Any:
        return self._udf()(labels, pred_probs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._udf(), name)


ema_label_quality = _EmaLabelQuality()
