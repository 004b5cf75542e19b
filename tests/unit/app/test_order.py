"""The order of a random queue is that of the hashes of all ids, however few are hashed at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.app import queues
from spark_ml_audit.app.index import coded, index_of
from spark_ml_audit.app.queues import BLIND_SEED, QueueFilter, resolve
from spark_ml_audit.arrow.hashes import hash_values

ROWS, CLASSES = 50, ["war", "drama", "noir"]


def test_hashes_are_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = {"tag": "war", "issue": "missing", "pred_prob": 0.9, "cell_score": 0.1}
    other = {"tag": "noir", "issue": "extraneous", "pred_prob": 0.2, "cell_score": 0.2}
    ranks = np.random.default_rng(1).permutation(ROWS) + 1
    batch = pa.RecordBatch.from_pydict(
        {
            "id": [f"film {rank}" for rank in ranks],
            "issue_rank": ranks,
            "given_tags": [["drama"] if rank % 2 else [] for rank in ranks],
            "flagged_cells": [[cell, other] if rank % 3 else [cell] for rank in ranks],
        }
    )
    # in two chunks, as an engine collects them
    table = pa.Table.from_batches([coded(part, pa.array(CLASSES)) for part in (batch[:20], batch[20:])])
    index = index_of(table, pa.string())
    assert index.ids.to_pylist() == [f"film {rank}" for rank in range(1, ROWS + 1)]
    assert [index.given.of(row) for row in range(3)] == [[1], [], [1]]
    assert [index.cells.of(row) for row in range(3)] == [[0, 2], [0, 2], [0]]
    assert index.missing[:4].tolist() == [True, False, True, False]
    whole = np.argsort(hash_values(index.ids, BLIND_SEED), kind="stable")
    at_once = resolve(index, QueueFilter(blind=True, view="cell", order="random"), CLASSES)
    monkeypatch.setattr(queues, "_HASHED_ROWS", 7)
    rows = resolve(index, QueueFilter(order="random"), CLASSES)
    assert rows.rows.tolist() == whole.tolist()
    cells = resolve(index, QueueFilter(blind=True, view="cell", order="random"), CLASSES)
    assert cells.places.tolist() == at_once.places.tolist()
    assert len(cells) == 2 * ROWS - ROWS // 3
