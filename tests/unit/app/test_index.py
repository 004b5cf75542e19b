"""The index of a run's rows: where rows are, by ids of every kind."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.app.index import AuditIndex, Lists

IDS = [
    pa.array(["b", "a", "é", ""]),
    pa.array([7, -1, 0, 2**60]),
    pa.array([b"b", b"a", b"\x00", b""]),
    pa.array([Decimal("1.50"), Decimal("-2.00"), Decimal("0.00"), Decimal("9.99")], pa.decimal128(10, 2)),
    pa.array([18_000, 1, 0, -5], pa.int32()).cast(pa.date32()),
]


def index_of(ids: Any) -> AuditIndex:
    n = len(ids)
    none, nothing = Lists(np.zeros(n + 1, np.int64), np.zeros(0, np.int32)), np.full(n, np.nan, np.float32)
    empty = np.zeros(0)
    return AuditIndex(
        ids, n, none, none, empty.astype(bool), empty.astype(np.float32), nothing, nothing,
        np.full(n, -1, np.int32),
    )  # fmt: skip


@pytest.mark.parametrize("ids", IDS, ids=lambda ids: str(ids.type))
def test_rows_are_found_by_their_ids_as_often_as_they_are_asked_for(ids: Any) -> None:
    index = index_of(ids.slice(0, 3))
    nobody = pa.nulls(1, ids.type)
    asked = pa.concat_arrays([ids.slice(2, 2), ids.slice(0, 1), nobody, ids.slice(2, 1)])
    assert index.rows_of(asked).tolist() == [2, -1, 0, -1, 2]
    assert index.rows_of(pa.chunked_array([asked.slice(0, 1), asked.slice(1)])).tolist() == [2, -1, 0, -1, 2]
    assert index.rows_of(asked.slice(0, 0)).tolist() == []
    assert index.rows_of(nobody).tolist() == [-1]
    assert [index.row_of(one.as_py()) for one in asked.slice(0, 3)] == [2, -1, 0]


def test_further_rows_come_behind_those_that_are_held() -> None:
    index = index_of(IDS[0].slice(0, 2))
    longer = index.with_rows(pa.array(["a", "new", "new"]))
    assert longer.ids.to_pylist() == ["b", "a", "new"]
    assert longer.num_issues == 2
    assert longer.rows_of(pa.array(["new", "a"])).tolist() == [2, 1]
