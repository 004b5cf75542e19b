"""Features on their way to models: types as models take them, a sample that is the same however rows come."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.engines.columns import in_frame
from spark_ml_audit.frames.features import TextCut, _Lowest, to_pandas


def test_models_get_dates_in_utc_exact_doubles_and_true_names() -> None:
    late = datetime.datetime(2020, 5, 1, 23, 30, tzinfo=datetime.timezone.utc)
    early = datetime.datetime(1955, 5, 1, 0, 30, tzinfo=datetime.timezone.utc)
    values: dict[str, Any] = {
        in_frame("price.net"): pa.array([Decimal("0.07"), None], pa.decimal128(10, 2)),
        "seen": pa.array([late, early], pa.timestamp("us", "Asia/Tokyo")),
        "local": pa.array([late.replace(tzinfo=None), None], pa.timestamp("us")),
        "vector": pa.array([[1.0, 2.0], None], pa.list_(pa.float32())),
    }
    frame = to_pandas(pa.table(values))
    assert list(frame.columns) == ["price.net", "seen", "local", "vector"]
    assert frame["price.net"][0] == 0.07
    assert np.isnan(frame["price.net"][1])
    assert frame["seen"].tolist() == [late.date(), early.date()]
    assert frame["local"].tolist() == [late.date(), None]
    assert frame["vector"][0].dtype == np.float32


@pytest.mark.parametrize("repeated", [1, 40])
def test_the_rows_of_a_sample_are_the_same_however_they_are_split(repeated: int) -> None:
    rng = np.random.default_rng(0)
    ids = [None if i % 50 == 0 else f"r{i // repeated}" for i in range(400)]
    values = pa.StructArray.from_arrays(
        [pa.array([f"{i % 9}" * 3000 for i in range(400)]), pa.array([[float(i)] for i in range(400)])],
        ["text", "vector"],
    )
    rows = pa.RecordBatch.from_arrays([pa.array(ids), values], names=["row_id", "features"])
    found = []
    for size, order in ((400, np.arange(400)), (7, rng.permutation(400)), (60, rng.permutation(400))):
        mixed = rows.take(pa.array(order))
        tasks = [[mixed.slice(start, size)] for start in range(0, 400, size)]
        if size == 7:
            tasks = [[batch for task in tasks for batch in task]]
        kept = [batch for task in tasks for batch in _Lowest(30, TextCut())(iter(task))]
        table = pa.Table.from_batches(kept).sort_by([("place", "ascending"), ("tie", "ascending")])
        found.append(table.slice(0, 30).to_pylist())
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 30
    assert {len(row["features"]["text"]) for row in found[0]} == {2000}


def test_texts_and_lists_are_cut_but_for_columns_that_stay_whole() -> None:
    texts, lists = pa.array(["ab" * 10, None, "é" * 7]), pa.array([["x"] * 9, None, ["y"]])
    columns = {"text": texts, "large": texts.cast(pa.large_string()), "list": lists, "labels": texts}
    rows = pa.StructArray.from_arrays([*columns.values(), pa.array([[1.0] * 9] * 3)], [*columns, "vector"])
    cut = TextCut(first=4, last=3, whole=frozenset({"labels"})).of_struct(rows)
    assert cut.type == rows.type
    first, null, short = cut.to_pylist()
    assert (first["text"], first["large"], first["list"]) == ("abab bab", "abab bab", ["x"] * 4)
    assert (first["labels"], first["vector"]) == ("ab" * 10, [1.0] * 9)
    assert (null["text"], null["list"]) == (None, None)
    assert (short["text"], short["list"]) == ("é" * 7, ["y"])
