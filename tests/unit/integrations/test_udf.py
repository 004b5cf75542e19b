"""`ema_label_quality`: the same score from Arrow, from DuckDB's SQL and from the series that Spark gives."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.integrations.udf import (
    _scores_of_series,
    label_quality_of,
    register_ema_label_quality,
)
from spark_ml_audit.kernels.cell_scores import self_confidence
from spark_ml_audit.kernels.label_quality import ema

GOOD: list[tuple[Any, Any]] = [
    ([0], [0.9, 0.2]),
    ([], [0.9, 0.2]),
    ([1, 0], [0.9, 0.2]),
    ([2], [0.1, 0.2, 0.7]),
]
FAULTY: list[tuple[Any, Any]] = [
    (None, [0.5, 0.5]),
    ([0], None),
    ([2], [0.5, 0.5]),
    ([-1], [0.5, 0.5]),
    ([0, 0], [0.5, 0.5]),
    ([None], [0.5, 0.5]),
    ([0], [0.5, None]),
    ([0], [0.5, float("nan")]),
    ([0], [0.5, 1.5]),
    ([], []),
]


def arrays(rows: list[tuple[Any, Any]], label: Any = None, prob: Any = None) -> tuple[Any, Any]:
    labels = pa.array([row[0] for row in rows], pa.list_(label or pa.int32()))
    return labels, pa.array([row[1] for row in rows], pa.list_(prob or pa.float64()))


def by_hand(rows: list[tuple[Any, Any]], dtype: Any = np.float64) -> list[float]:
    found = []
    for tags, probs in rows:
        cols = np.array(tags, dtype=np.int64)
        scores = self_confidence(np.array([probs], dtype=dtype), np.zeros(len(cols), dtype=np.int64), cols)
        found.append(float(ema(scores, 0.8)[0]))
    return found


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    register_ema_label_quality(connection)
    return connection


def by_sql(connection: duckdb.DuckDBPyConnection, labels: Any, probs: Any) -> list[float | None]:
    connection.register("scored_rows", pa.table({"tags": labels, "p": probs}))
    return [row[0] for row in connection.sql("SELECT ema_label_quality(tags, p) FROM scored_rows").fetchall()]


def test_faulty_rows_have_no_score_and_spoil_no_other() -> None:
    found = label_quality_of(*arrays([*GOOD, *FAULTY])).to_pylist()
    assert found == [*by_hand(GOOD), *[None] * len(FAULTY)]


@pytest.mark.parametrize("label", [pa.int8(), pa.int32(), pa.int64()])
@pytest.mark.parametrize(("prob", "dtype"), [(pa.float32(), np.float32), (pa.float64(), np.float64)])
def test_duckdb_scores_floats_as_floats(connection: Any, label: Any, prob: Any, dtype: Any) -> None:
    found = by_sql(connection, *arrays([*GOOD, *FAULTY], label, prob))
    assert found == [*by_hand(GOOD, dtype), *[None] * len(FAULTY)]


@pytest.mark.parametrize("as_objects", [True, False])
@pytest.mark.parametrize("prob", [pa.float32(), pa.float64()])
@pytest.mark.parametrize("rows", [GOOD, [*GOOD, *FAULTY], [*GOOD, FAULTY[0]], FAULTY[:2], []])
def test_series_of_spark_score_alike_whatever_pandas_made_of_nulls(
    rows: list[tuple[Any, Any]], prob: Any, as_objects: bool
) -> None:
    labels, probs = arrays(rows, prob=prob)
    series = [values.to_pandas(integer_object_nulls=as_objects) for values in (labels, probs)]
    found = [None if np.isnan(score) else score for score in _scores_of_series(*series)]
    assert found == label_quality_of(labels, probs).to_pylist()


@pytest.mark.parametrize(
    ("arguments", "score"),
    [
        ("[0], [0.9, 0.2]", 0.82),
        ("[0]::INTEGER[1], [0.9, 0.2]::DOUBLE[2]", 0.82),
        ("NULL, [0.5]", None),
        ("[0], NULL", None),
        ("[], [0.5]", 0.5),
        ("[1], [0, 1]", 1.0),
    ],
)
def test_duckdb_takes_literals(connection: Any, arguments: str, score: float | None) -> None:
    ((found,),) = connection.sql(f"SELECT ema_label_quality({arguments})").fetchall()
    assert found is None if score is None else found == pytest.approx(score)


def test_the_function_may_be_registered_twice_and_refuses_what_is_no_list(connection: Any) -> None:
    register_ema_label_quality(connection)
    with pytest.raises(duckdb.Error, match="takes lists: class indices and probabilities; found int32"):
        connection.sql("SELECT ema_label_quality(0, [0.5])").fetchall()


def test_many_rows_come_in_many_batches(connection: Any) -> None:
    rng = np.random.default_rng(0)
    rows = [
        ([int(k)], p.tolist()) for k, p in zip(rng.integers(0, 4, 5000), rng.random((5000, 4)), strict=True)
    ]
    labels, probs = arrays(rows)
    assert sorted(by_sql(connection, labels, probs)) == sorted(label_quality_of(labels, probs).to_pylist())
