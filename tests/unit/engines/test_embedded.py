"""The embedded engine's own promises: names, types, maps run anew, failures told as they were raised."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_ml_audit.engines.base import count_rows, is_empty, rows_of
from spark_ml_audit.engines.columns import column, in_frame
from spark_ml_audit.engines.embedded import EmbeddedEngine
from spark_ml_audit.engines.limits import Limits
from spark_ml_audit.kernels.records import make_records
from tests.paths import PROJECT

ODD = 'a.b `c` "d"'


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EmbeddedEngine]:
    found = EmbeddedEngine(Limits(2, 1 << 30, str(tmp_path / "spill")))
    yield found
    found.close()


def numbers(engine: EmbeddedEngine, count: int = 100_000) -> Any:
    return engine.from_arrow(pa.table({"n": np.arange(count)}))


def doubled(batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        values = batch.column(0).to_numpy() * 2
        yield pa.RecordBatch.from_arrays([batch.column(0), pa.array(values)], names=["n", "twice"])


def test_odd_names_go_through_and_come_back(engine: EmbeddedEngine, tmp_path: Path):
    frame = engine.from_arrow(pa.table({ODD: ["x", "y"], "n": [1, 2]}))
    chosen = frame.filter(column(ODD) == "y").select(column(ODD), "n")
    assert rows_of(engine, chosen) == [{ODD: "y", "n": 2}]
    assert engine.schema(chosen).names == [ODD, "n"]
    (file,) = engine.write_parquet(chosen, str(tmp_path / "written"))
    assert pq.read_schema(file.path).names == [ODD, "n"]
    assert rows_of(engine, engine.scan_parquet(file.path)) == [{ODD: "y", "n": 2}]
    assert engine.native(chosen).columns == [ODD, "n"]


def test_a_map_is_lazy_and_runs_anew_each_time(engine: EmbeddedEngine):
    calls = []

    def counted(batches: Iterator[Any]) -> Iterator[Any]:
        calls.append(threading.get_ident())
        return doubled(batches)

    mapped = engine.map_batches(numbers(engine), counted, keep=("n",), add=pa.schema([("twice", pa.int64())]))
    assert not calls
    for _ in range(2):
        total = engine.collect(mapped.select(nw.col("twice").sum())).column(0)[0].as_py()
        assert total == 100_000 * 99_999
    assert len(calls) == 2 * engine.limits.threads


def test_maps_may_stand_on_maps_and_join_each_other(engine: EmbeddedEngine):
    added = pa.schema([("twice", pa.int64())])
    once = engine.map_batches(numbers(engine, 50), doubled, keep=("n",), add=added)
    again = engine.map_batches(once.select(nw.col("twice").alias("n")), doubled, keep=("n",), add=added)
    joined = once.join(again.select("n", nw.col("twice").alias("four")), left_on="twice", right_on="n")
    found = engine.collect(joined.sort("n"))
    assert found.column("four").to_pylist() == [4 * n for n in range(50)]


def test_what_a_function_raises_is_raised_and_the_engine_goes_on(engine: EmbeddedEngine):
    class OddError(Exception):
        pass

    def failing(batches: Iterator[Any]) -> Iterator[Any]:
        yield from doubled(batches)
        raise OddError("here")

    mapped = engine.map_batches(numbers(engine), failing, keep=("n",), add=pa.schema([("twice", pa.int64())]))
    for _ in range(2):
        with pytest.raises(OddError, match="here"):
            engine.collect(mapped)
    assert count_rows(engine, numbers(engine)) == 100_000


@pytest.mark.parametrize("declared", [pa.float64(), pa.int32(), pa.string()])
def test_what_was_not_declared_is_refused_and_not_cast(engine: EmbeddedEngine, declared: Any):
    mapped = engine.map_batches(numbers(engine), doubled, keep=("n",), add=pa.schema([("twice", declared)]))
    with pytest.raises(TypeError, match="declared"):
        engine.collect(mapped)


def test_a_reader_that_stops_early_leaves_no_thread(engine: EmbeddedEngine):
    mapped = engine.map_batches(
        numbers(engine, 2_000_000), doubled, keep=("n",), add=pa.schema([("twice", pa.int64())])
    )
    before = threading.active_count()
    for _ in range(3):
        assert not is_empty(engine, mapped)
    assert threading.active_count() <= before + 1


def test_records_are_added_up_over_threads(engine: EmbeddedEngine):
    def reduce(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            values = batch.column(0).to_numpy()
            yield make_records(values % 3, values % 2, 1, values)

    records = engine.reduce_batches(numbers(engine), reduce)
    found = {
        (int(c), int(s)): (int(a), int(b))
        for c, s, a, b in zip(*(records[name] for name in ("class_index", "slot", "a", "b")), strict=True)
    }
    values = np.arange(100_000)
    expected = {
        (c, s): (int(mask.sum()), int(values[mask].sum()))
        for c in range(3)
        for s in range(2)
        if (mask := (values % 3 == c) & (values % 2 == s)).any()
    }
    assert found == expected
    assert len(engine.reduce_batches(numbers(engine, 0), reduce)["a"]) == 0


def test_sums_and_odd_integers_become_types_that_delta_has(engine: EmbeddedEngine):
    table = pa.table({"k": pa.array([1, 1, 2], pa.uint8()), "v": pa.array([1, 2, 3], pa.uint64())})
    frame = engine.from_arrow(table)
    summed = frame.group_by("k").agg(nw.col("k").cast(nw.Int64).sum().alias("s")).sort("k")
    assert engine.schema(summed).field("s").type == pa.int64()
    assert engine.schema(frame).types == [pa.int16(), pa.decimal128(20, 0)]


def test_files_in_order_follow_each_other(engine: EmbeddedEngine, tmp_path: Path):
    generator = np.random.default_rng(1)
    scores = generator.integers(0, 500, 300_000) / 1000
    table = pa.table({"id": np.arange(300_000), "score": scores, "text": ["x" * 50] * 300_000})
    ranked = engine.ranked(engine.from_arrow(table), ("score", "id"), "rank", np.array([300_000]))
    files = engine.write_parquet(ranked, str(tmp_path / "ranked"), in_order=True)
    found = pa.concat_tables([pq.read_table(file.path) for file in files])
    assert found.column("rank").to_pylist() == list(range(1, 300_001))
    order = np.lexsort((np.arange(300_000), scores))
    assert found.column("id").to_pylist() == order.tolist()


def test_nothing_is_left_in_the_table_folder_when_writing_fails(engine: EmbeddedEngine, tmp_path: Path):
    def failing(batches: Iterator[Any]) -> Iterator[Any]:
        for number, batch in enumerate(doubled(batches)):
            if number == 2:
                raise ValueError("full")
            yield batch

    mapped = engine.map_batches(numbers(engine), failing, keep=("n",), add=pa.schema([("twice", pa.int64())]))
    with pytest.raises(ValueError, match="full"):
        engine.write_parquet(mapped, str(tmp_path / "table"))
    assert list((tmp_path / "table").iterdir()) == []


def test_no_rows_make_no_file(engine: EmbeddedEngine, tmp_path: Path):
    assert engine.write_parquet(numbers(engine, 0), str(tmp_path / "none")) == []


def test_lists_are_sorted_and_leave_nulls_out(engine: EmbeddedEngine):
    frame = engine.from_arrow(pa.table({"k": [1, 1, 1, 2], "v": ["b", None, "a", None]}))
    assert sorted(rows_of(engine, engine.lists(frame, ["k"], "v")), key=lambda row: row["k"]) == [
        {"k": 1, "v": ["a", "b"]},
        {"k": 2, "v": []},
    ]


@pytest.mark.parametrize("folder", ["plain", "with space", "50%", "a[1]", "star*", "Ünï'q\"uote"])
def test_files_are_found_whatever_their_folder_is_called(engine: EmbeddedEngine, tmp_path: Path, folder: str):
    place = tmp_path / folder / "day=1"
    place.mkdir(parents=True)
    pq.write_table(pa.table({"n": [1, 2]}), place / "part.parquet")
    (tmp_path / folder / "_SUCCESS").touch()
    rows = rows_of(engine, engine.scan_parquet(str(tmp_path / folder)).sort("n"))
    assert rows == [{"n": 1, "day": 1}, {"n": 2, "day": 1}]


def group_sum(number: int, rows: pa.Table) -> pa.Table:
    return pa.table({"group": [number], "total": [int(np.sum(rows.column("v").to_numpy()))]})


def dying(number: int, rows: pa.Table) -> pa.Table:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return group_sum(number, rows)


def test_groups_run_in_processes_and_a_killed_one_is_told(
    engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
):
    from spark_ml_audit.errors import AuditError

    monkeypatch.setattr("spark_ml_audit.engines.processes._FEW_ROWS", 0)
    frame = engine.from_arrow(pa.table({"g": [0, 1, 0, 2], "v": [1, 2, 3, 4]}))
    schema = pa.schema([("group", pa.int64()), ("total", pa.int64())])
    found = engine.run_groups(frame, "g", [0, 1, 2, 3], group_sum, schema)
    assert dict(zip(*found.to_pydict().values(), strict=True)) == {0: 4, 1: 2, 2: 4}
    with pytest.raises(AuditError, match="killed"):
        engine.run_groups(frame, "g", [0, 1, 2], dying, schema)
    assert not list(Path(engine.limits.spill).rglob("*.parquet"))


def test_few_rows_are_not_worth_a_process(engine: EmbeddedEngine):
    frame = engine.from_arrow(pa.table({"g": [0, 1, 0], "v": [1, 2, 3]}))
    schema = pa.schema([("group", pa.int64()), ("pid", pa.int64())])

    def where(number: int, rows: pa.Table) -> pa.Table:
        return pa.table({"group": [number], "pid": [os.getpid()]})

    found = engine.run_groups(frame, "g", [0, 1], where, schema)
    assert set(found.column("pid").to_pylist()) == {os.getpid()}


def test_names_in_frames_are_as_they_were_where_they_are_plain():
    assert in_frame("Genre 1-ü") == "Genre 1-ü"


def test_work_beside_gives_its_result_or_raises_its_error(engine: EmbeddedEngine):
    assert engine.beside(lambda: 3)() == 3
    fail = engine.beside(lambda: int("none"))
    with pytest.raises(ValueError, match="none"):
        fail()


def test_libraries_have_their_threads_back_after_streams_that_overlapped():
    """In a process of its own: OpenBLAS obeys one thread, and other tests leave it to another."""
    done = subprocess.run(
        [sys.executable, "-c", OVERLAPPING], capture_output=True, check=False, cwd=PROJECT, text=True
    )
    assert done.returncode == 0, done.stderr


OVERLAPPING = """
import numpy as np, narwhals as nw, pyarrow as pa
from threadpoolctl import threadpool_info
from spark_ml_audit.engines.base import count_rows, is_empty
from spark_ml_audit.engines.embedded import EmbeddedEngine

def blas():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

def seen(batches):
    inside.append(blas())
    for batch in batches:
        yield pa.RecordBatch.from_arrays([batch.column(0), batch.column(0)], names=["n", "same"])

engine, before, inside = EmbeddedEngine(), blas(), []
numbers = engine.from_arrow(pa.table({"n": np.arange(100_000)}))
once = engine.map_batches(numbers, seen, keep=("n",), add=pa.schema([("same", pa.int64())]))
other = once.select(nw.col("n").alias("k"), nw.col("same").alias("other"))
assert count_rows(engine, once.join(other, left_on="n", right_on="k")) == 100_000
assert not is_empty(engine, once)
assert inside[0] == {1}, inside
assert blas() == before, blas()
"""


def test_an_engine_goes_with_its_last_frame(tmp_path: Path) -> None:
    """What DuckDB holds, Python cannot see: nothing that is registered may hold the engine."""
    spill = tmp_path / "spill"
    engine = EmbeddedEngine(Limits(2, 1 << 30, str(spill)))
    frame = engine.map_batches(
        numbers(engine, 10), doubled, keep=("n",), add=pa.schema([("twice", pa.int64())])
    )
    relation = engine.native(frame)
    kept = weakref.ref(engine)
    del engine, frame
    gc.collect()
    assert kept() is None
    # what a user still holds can still be read
    assert sorted(relation.fetchall())[:2] == [(0, 0), (1, 2)]
