"""Exact ranks without one place that sorts everything: `Engine.ranked`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_ml_audit.engines import ranking
from spark_ml_audit.engines.base import Engine
from spark_ml_audit.engines.columns import names_of
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.places import Place

pytestmark = pytest.mark.matrix

NUM_BINS = 1000


def histogram_of(scores: Any) -> Any:
    bins = np.clip(np.floor(scores * NUM_BINS), 0, NUM_BINS - 1).astype(int)
    return np.bincount(bins, minlength=NUM_BINS)


def ranks_of(engine: Engine, scores: Any, ids: Any) -> dict[Any, int]:
    table = pa.table(
        {"score": pa.array(scores, pa.float64()), "id": ids, "kept": [[i] for i in range(len(ids))]}
    )
    ranked = engine.ranked(engine.from_arrow(table), ("score", "id"), "rank", histogram_of(scores))
    assert names_of(ranked) == ["score", "id", "kept", "rank"]
    found = engine.collect(ranked)
    assert found.num_rows == len(ids)
    return dict(zip(found.column("id").to_pylist(), found.column("rank").to_pylist(), strict=True))


def expected_ranks(scores: Any, ids: Any) -> dict[Any, int]:
    order = sorted(range(len(ids)), key=lambda i: (scores[i], ids[i]))
    return {ids[i]: rank for rank, i in enumerate(order, start=1)}


@pytest.fixture
def narrow_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "_ROWS_PER_RANGE", 40)


def test_ranks_by_value_then_id_in_one_range(engine: Engine) -> None:
    scores = np.array([0.5, 0.1, 0.5, 1.0, 0.0])
    ids = pa.array(["b", "x", "a", "é", "z"])
    assert ranks_of(engine, scores, ids) == {"z": 1, "x": 2, "a": 3, "b": 4, "é": 5}


@pytest.mark.usefixtures("narrow_ranges")
def test_ranks_over_many_ranges(engine: Engine) -> None:
    rng = np.random.default_rng(0)
    scores = np.round(rng.beta(0.4, 2, 700), 3)  # many ties, crowded at 0
    ids = [f"r{i}" for i in rng.permutation(700)]
    assert ranks_of(engine, scores, pa.array(ids)) == expected_ranks(scores, ids)


@pytest.mark.usefixtures("narrow_ranges")
@pytest.mark.parametrize("kind", ["string", "int64", "binary"])
def test_one_value_that_nearly_all_rows_share_is_divided_by_id(engine: Engine, kind: str) -> None:
    rng = np.random.default_rng(1)
    scores = np.where(rng.random(600) < 0.9, 0.2, rng.random(600))
    numbers = rng.permutation(600) - 300
    ids: list[Any] = {
        "string": [f"{n}" for n in numbers],
        "int64": numbers.tolist(),
        "binary": [int(n + 300).to_bytes(2, "big") for n in numbers],
    }[kind]
    assert ranks_of(engine, scores, pa.array(ids)) == expected_ranks(scores, ids)


@pytest.mark.usefixtures("narrow_ranges")
def test_files_follow_each_other_in_rank(engine: Engine, engine_kind: str, tmp_path: Path) -> None:
    scores = np.random.default_rng(2).random(500)
    table = pa.table({"score": scores, "id": list(range(500))})
    ranked = engine.ranked(engine.from_arrow(table), ("score", "id"), "rank", histogram_of(scores))
    table = delta_table(engine, Place(str(tmp_path / "ranked"), is_path=True))
    table.append(ranked, "once", {}, in_order=True)
    files = [pq.read_table(path).column("rank").to_pylist() for path in tmp_path.glob("ranked/*.parquet")]
    assert len(files) > (0 if engine_kind == "embedded" else 5)
    assert all(ranks == sorted(ranks) for ranks in files)
    spans = sorted((ranks[0], ranks[-1]) for ranks in files)
    assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_no_rows(engine: Engine) -> None:
    scores = np.array([])
    table = pa.table({"score": pa.array([], pa.float64()), "id": pa.array([], pa.string())})
    ranked = engine.ranked(engine.from_arrow(table), ("score", "id"), "rank", histogram_of(scores))
    assert engine.collect(ranked).num_rows == 0
