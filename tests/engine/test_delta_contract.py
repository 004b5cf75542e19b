"""What every Delta writer promises (`lake/delta.py`), asked of each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from spark_ml_audit.engines.base import Engine
from spark_ml_audit.engines.embedded import EmbeddedEngine
from spark_ml_audit.lake.choose import delta_table, ensure_schema
from spark_ml_audit.lake.delta import DeltaTable
from spark_ml_audit.lake.places import Place

SPARK = [pytest.mark.spark, pytest.mark.matrix]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each engine's writer is asked, of tables under a path, under an odd one, and in its catalog if any."""
    if "table" in metafunc.fixturenames:
        places = [
            pytest.param(kind, place, marks=SPARK if kind == "spark" else ())
            for kind in ("embedded", "spark")
            for place in ("path", "odd path", *(("name",) if kind == "spark" else ()))
        ]
        metafunc.parametrize(("engine", "table"), places, indirect=True)
    elif "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", ["embedded", pytest.param("spark", marks=SPARK)], indirect=True)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(f"{request.param}_engine")
    return found


@pytest.fixture
def table(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> DeltaTable:
    """A table that is not there yet."""
    if request.param == "name":
        ensure_schema(engine, "`contract`")
        return delta_table(engine, Place(f"contract.t_{abs(hash(str(tmp_path)))}", is_path=False))
    return delta_table(engine, Place(str(tmp_path / {"path": "t"}.get(request.param, "o'dd `t` é*?")), True))


@pytest.fixture
def here(engine: Engine, tmp_path: Path) -> DeltaTable:
    return delta_table(engine, Place(str(tmp_path / "here"), is_path=True))


def rows_of(engine: Engine, rows: Any) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.values()) for row in engine.collect(rows).to_pylist()), key=repr)


def frame(engine: Engine, ids: Sequence[str], run_id: str = "r1", **more: Sequence[Any]) -> Any:
    runs = pa.array([run_id] * len(ids), pa.string())
    return engine.from_arrow(pa.table({"run_id": runs, "id": pa.array(ids, pa.string()), **more}))


def data_files(table: DeltaTable) -> set[str]:
    return {file.name for file in Path(table.place.text).rglob("*.parquet") if "_delta_log" not in file.parts}


def test_a_table_that_is_not_there_has_nothing(table: DeltaTable) -> None:
    assert table.existing() is None
    assert table.commits("r1") == ()
    assert not table.has_deleted("r1")
    assert not table.has_foreign_commits("run_id")
    assert not Path(table.place.text).exists()
    with pytest.raises(Exception, match=r"."):
        table.detail()


def test_a_table_that_is_broken_is_not_taken_for_missing(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a"]), "first", {})
    (log,) = Path(here.place.text, "_delta_log").glob("*0.json")
    log.write_text('{"metaData":', encoding="utf-8")
    for crc in log.parent.glob("*crc"):
        crc.unlink()
    fresh = here if engine.kind == "embedded" else delta_table(engine, Place(here.place.text + "/", True))
    with pytest.raises(Exception, match=r"."):
        fresh.existing()


def test_a_transaction_is_committed_once_and_found_by_what_it_recorded(
    engine: Engine, table: DeltaTable
) -> None:
    for _ in range(2):
        table.append(frame(engine, ["a"]), "first", {"run_id": "r1", "say": "it's"})
    table.append(frame(engine, ["b"], "r2"), "second", {"run_id": "r2"})
    assert rows_of(engine, table.read()) == [("r1", "a"), ("r2", "b")]
    assert rows_of(engine, table.read(run_id="r2")) == [("r2", "b")]
    (found,) = table.commits("r1")
    assert dict(found.metadata) == {"run_id": "r1", "say": "it's"}
    assert [commit.version for commit in table.commits("run_id")] == [found.version + 1, found.version]
    assert table.newest_version() == str(found.version + 1)
    assert rows_of(engine, table.read(found.version)) == [("r1", "a")]
    assert not table.has_foreign_commits("run_id")


def test_a_transaction_without_rows_counts(engine: Engine, table: DeltaTable) -> None:
    table.append(frame(engine, []), "first", {"run_id": "r1"})
    assert rows_of(engine, table.read()) == []
    table.append(frame(engine, []), "second", {"run_id": "r2"})
    table.append(frame(engine, ["late"]), "second", {"run_id": "r2"})
    assert rows_of(engine, table.read()) == []
    assert len(table.commits("run_id")) == 2


def test_columns_that_come_later_are_null_in_older_rows(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a"]), "first", {"by": "us"})
    here.append(frame(engine, ["b"], score=[0.5]), "second", {"by": "us"})
    here.append(frame(engine, ["c"]), "third", {"by": "us"})
    assert rows_of(engine, here.read()) == [("r1", "a", None), ("r1", "b", 0.5), ("r1", "c", None)]
    assert len(here.commits("by")) == 3
    assert not here.has_foreign_commits("by")


def test_values_of_another_type_are_refused(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a"], n=pa.array([1], pa.int64())), "first", {})
    files = data_files(here)
    with pytest.raises(Exception, match="n"):
        here.append(frame(engine, ["b"], n=["text"]), "second", {})
    assert data_files(here) == files
    assert rows_of(engine, here.read()) == [("r1", "a", 1)]


def test_an_overwrite_replaces_rows_and_schema_once(engine: Engine, table: DeltaTable) -> None:
    table.append(frame(engine, ["a"]), "first", {"by": "us"})
    for _ in range(2):
        other = engine.from_arrow(pa.table({"x": [1.5]}))
        table.overwrite(other, "second", {"by": "us"}, column_metadata={"x": {"classes": '["é"]'}})
    assert rows_of(engine, table.read()) == [(1.5,)]
    assert table.schema().field("x").metadata == {b"classes": '["é"]'.encode()}
    newest, older = (commit.version for commit in table.commits("us"))
    assert table.newest_version() == str(newest)
    assert rows_of(engine, table.read(older)) == [("r1", "a")]
    assert table.schema(older).names == ["run_id", "id"]
    assert not table.has_foreign_commits("us")


def test_an_overwrite_may_be_the_first_transaction(engine: Engine, here: DeltaTable) -> None:
    here.overwrite(frame(engine, ["a"]), "first", {}, column_metadata={"id": {"say": "x"}})
    assert rows_of(engine, here.read()) == [("r1", "a")]
    assert here.schema().field("id").metadata == {b"say": b"x"}


def test_versions_are_found_by_time(engine: Engine, here: DeltaTable) -> None:
    before = datetime.now(timezone.utc) - timedelta(minutes=1)
    here.append(frame(engine, ["a"]), "first", {})
    assert here.newest_version(before.isoformat()) is None
    for later in (before + timedelta(hours=1), (before + timedelta(hours=1)).replace(tzinfo=None)):
        assert here.newest_version(later.isoformat()) == "0"
        assert here.newest_version(later.isoformat(" ")) == "0"


def test_the_rows_of_a_run_are_deleted_and_that_is_remembered(engine: Engine, table: DeltaTable) -> None:
    for run_id in ("r1", "r2", "r3"):
        table.append(frame(engine, ["a", "b"], run_id), run_id, {"run_id": run_id})
    table.delete_runs(["r1", "r3"])
    assert rows_of(engine, table.read()) == [("r2", "a"), ("r2", "b")]
    assert table.has_deleted("r1")
    assert table.has_deleted("r3")
    assert not table.has_deleted("r2")


def test_an_update_leaves_rows_that_are_not_as_known(engine: Engine, table: DeltaTable) -> None:
    table.append(frame(engine, ["a", "b", "c"], tags=["x", "y", None], n=[1, 2, 3]), "first", {})
    known = {"row_id": ["a", "b", "c", "gone"], "old_0": ["x", "other", None, "x"]}
    changes = engine.from_arrow(pa.table({**known, "new_0": ["X", "Y", "Z", "W"]}))
    table.update(changes, "id", ["tags"])
    assert rows_of(engine, table.read()) == [("r1", "a", "X", 1), ("r1", "b", "y", 2), ("r1", "c", "Z", 3)]
    assert not table.has_deleted("r1")


OLD = {
    "tags": pa.array([["x", "y"], [], None], pa.list_(pa.string())),
    "n": pa.array([1, None, 3], pa.int32()),
    "yes": pa.array([True, None, False]),
    "p.q`": pa.array([0.5, float("nan"), None]),
    "probs": pa.array([[0.5, 0.25], None, []], pa.list_(pa.float32())),
}
NEW = {
    "tags": pa.array([None, ["y"], ["x", None]], pa.list_(pa.string())),
    "n": pa.array([None, 2, 4], pa.int32()),
    "yes": pa.array([None, True, True]),
    "p.q`": pa.array([0.25, 0.5, 1.0]),
    "probs": pa.array([[1.0], [], None], pa.list_(pa.float32())),
}


def test_an_update_knows_every_kind_of_label(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a", "b", "c"], **OLD), "first", {})
    known = {f"old_{k}": column for k, column in enumerate(OLD.values())}
    wanted = {f"new_{k}": column for k, column in enumerate(NEW.values())}
    ids = {"row_id": ["a", "b", "c"]}
    for name in OLD:  # one is not as known: its row stays
        k = list(OLD).index(name)
        stale = engine.from_arrow(pa.table({**ids, **known, **wanted, f"old_{k}": wanted[f"new_{k}"]}))
        here.update(stale, "id", list(OLD))
    # as texts: NaN is not NaN
    assert repr(rows_of(engine, here.read())) == repr(rows_of(engine, frame(engine, ["a", "b", "c"], **OLD)))
    here.update(engine.from_arrow(pa.table({**ids, **known, **wanted})), "id", list(OLD))
    assert rows_of(engine, here.read()) == rows_of(engine, frame(engine, ["a", "b", "c"], **NEW))


def test_properties_are_set_and_read(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a"]), "first", {}, indexed=1)
    here.set_properties({"spark_ml_audit.classes": '["it\'s", "b"]'})
    detail = here.detail()
    assert detail.format == "delta"
    assert detail.properties["spark_ml_audit.classes"] == '["it\'s", "b"]'
    assert detail.properties["delta.dataSkippingNumIndexedCols"] == "1"
    assert detail.properties["delta.setTransactionRetentionDuration"] == "interval 30 days"
    version = here.newest_version()
    here.set_properties({"spark_ml_audit.classes": '["it\'s", "b"]'})
    here.set_properties({})
    assert here.newest_version() == version


def test_what_others_wrote_is_seen(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a"]), "first", {"correction_id": "c"})
    here.set_properties({"spark_ml_audit.x": "1"})
    changes = pa.table({"row_id": ["a"], "old_0": ["r1"], "new_0": ["r2"]})
    here.update(engine.from_arrow(changes), "id", ["run_id"])
    assert not here.has_foreign_commits("correction_id")
    deltalake.write_deltalake(here.place.text, pa.table({"run_id": ["r9"], "id": ["z"]}), mode="append")
    assert here.has_foreign_commits("correction_id")
    assert rows_of(engine, here.read()) == [("r2", "a"), ("r9", "z")]


def test_an_empty_table_of_others_is_not_ours(engine: Engine, table: DeltaTable) -> None:
    rows = frame(engine, [])
    if engine.kind == "embedded":
        deltalake.write_deltalake(table.place.text, engine.collect(rows))
    elif table.place.is_path:
        rows.to_native().write.format("delta").save(table.place.text)
    else:
        rows.to_native().write.format("delta").saveAsTable(table.place.table_name)
    assert table.has_foreign_commits("correction_id")
    table.append(frame(engine, ["a"]), "first", {"correction_id": "c"})
    assert table.has_foreign_commits("correction_id")


def test_words_of_others_in_the_history_are_passed_over(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a"]), "first", {"run_id": "r1"})
    for words in ("vacuumed after r1", '["r1"]'):
        properties = deltalake.CommitProperties(custom_metadata={"userMetadata": words})
        table = pa.table({"run_id": ["r9"], "id": ["z"]})
        deltalake.write_deltalake(here.place.text, table, mode="append", commit_properties=properties)
    assert [commit.version for commit in here.commits("r1")] == [0]


def test_writers_at_once_all_land(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a"], "r0"), "r0", {})
    failed: list[Exception] = []

    def append(run_id: str) -> None:
        own = EmbeddedEngine() if engine.kind == "embedded" else engine
        table = delta_table(own, here.place)
        try:
            table.append(frame(own, ["a"], run_id), run_id, {"run_id": run_id})
            table.delete_runs(["r0"])
        except Exception as error:  # noqa: BLE001 - shown below
            failed.append(error)

    # each transaction twice: it lands once
    threads = [threading.Thread(target=append, args=(f"r{1 + k % 4}",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert rows_of(engine, here.read()) == [(f"r{k}", "a") for k in range(1, 5)]


def test_any_reader_of_delta_reads_it(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a"], tags=[["x", "y"]], score=[0.5]), "first", {})
    found = deltalake.DeltaTable(here.place.text).to_pyarrow_table().to_pylist()
    assert found == [{"run_id": "r1", "id": "a", "tags": ["x", "y"], "score": 0.5}]
