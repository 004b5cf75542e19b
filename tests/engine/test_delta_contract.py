"""What every Delta writer promises (`lake/delta.py`), asked of the one that belongs to the engine."""

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
from spark_ml_audit.lake.choose import delta_table, ensure_schema
from spark_ml_audit.lake.delta import DeltaTable
from spark_ml_audit.lake.places import Place

pytestmark = [pytest.mark.spark, pytest.mark.matrix]


@pytest.fixture(params=["path", "odd path", "name"])
def table(request: pytest.FixtureRequest, engine: Engine, tmp_path: Path) -> DeltaTable:
    """A table that is not there yet, under a path and in a catalog."""
    if request.param == "name":
        ensure_schema(engine, "`contract`")
        return delta_table(engine, Place(f"contract.t_{abs(hash(str(tmp_path)))}", is_path=False))
    return delta_table(engine, Place(str(tmp_path / {"path": "t"}.get(request.param, "o'dd `t` é")), True))


@pytest.fixture
def here(engine: Engine, tmp_path: Path) -> DeltaTable:
    return delta_table(engine, Place(str(tmp_path / "here"), is_path=True))


def rows_of(engine: Engine, rows: Any) -> list[tuple[Any, ...]]:
    return sorted((tuple(row.values()) for row in engine.collect(rows).to_pylist()), key=repr)


def frame(engine: Engine, ids: Sequence[str], run_id: str = "r1", **more: Sequence[Any]) -> Any:
    return engine.from_arrow(pa.table({"run_id": [run_id] * len(ids), "id": list(ids), **more}))


def test_a_table_that_is_not_there_has_nothing(table: DeltaTable) -> None:
    assert table.existing() is None
    assert table.commits("r1") == ()
    assert not table.has_deleted("r1")
    assert not table.has_foreign_commits("run_id")


def test_a_transaction_is_committed_once_and_found_by_what_it_recorded(
    engine: Engine, table: DeltaTable
) -> None:
    for _ in range(2):
        table.append(frame(engine, ["a"]), "first", {"run_id": "r1", "say": "it's"})
    table.append(frame(engine, ["b"], "r2"), "second", {"run_id": "r2"})
    assert rows_of(engine, table.read()) == [("r1", "a"), ("r2", "b")]
    (found,) = table.commits("r1")
    assert dict(found.metadata) == {"run_id": "r1", "say": "it's"}
    assert [commit.version for commit in table.commits("run_id")] == [found.version + 1, found.version]
    assert table.newest_version() == str(found.version + 1)
    assert rows_of(engine, table.read(found.version)) == [("r1", "a")]
    assert not table.has_foreign_commits("run_id")


def test_columns_that_come_later_are_null_in_older_rows(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a"]), "first", {})
    here.append(frame(engine, ["b"], score=[0.5]), "second", {})
    here.append(frame(engine, ["c"]), "third", {})
    assert rows_of(engine, here.read()) == [("r1", "a", None), ("r1", "b", 0.5), ("r1", "c", None)]


def test_an_overwrite_replaces_rows_and_schema_once(engine: Engine, table: DeltaTable) -> None:
    table.append(frame(engine, ["a"]), "first", {"by": "us"})
    for _ in range(2):
        other = engine.from_arrow(pa.table({"x": [1.5]}))
        table.overwrite(other, "second", {"by": "us"})
    assert rows_of(engine, table.read()) == [(1.5,)]
    newest, older = (commit.version for commit in table.commits("us"))
    assert table.newest_version() == str(newest)
    assert rows_of(engine, table.read(older)) == [("r1", "a")]
    assert not table.has_foreign_commits("us")


def test_versions_are_found_by_time(engine: Engine, here: DeltaTable) -> None:
    before = datetime.now(timezone.utc) - timedelta(minutes=1)
    here.append(frame(engine, ["a"]), "first", {})
    assert here.newest_version(before.isoformat()) is None
    assert here.newest_version((before + timedelta(hours=1)).isoformat()) == "0"


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


def test_properties_are_set_and_read(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a"]), "first", {})
    here.set_properties({"spark_ml_audit.classes": '["it\'s", "b"]'})
    detail = here.detail()
    assert detail.format == "delta"
    assert detail.properties["spark_ml_audit.classes"] == '["it\'s", "b"]'
    version = here.newest_version()
    here.set_properties({"spark_ml_audit.classes": '["it\'s", "b"]'})
    assert here.newest_version() == version


def test_what_others_wrote_is_seen(engine: Engine, here: DeltaTable) -> None:
    here.append(frame(engine, ["a"]), "first", {"correction_id": "c"})
    assert not here.has_foreign_commits("correction_id")
    deltalake.write_deltalake(here.place.text, pa.table({"run_id": ["r9"], "id": ["z"]}), mode="append")
    assert here.has_foreign_commits("correction_id")
    assert rows_of(engine, here.read()) == [("r1", "a"), ("r9", "z")]


def test_an_empty_table_of_others_is_not_ours(engine: Engine, table: DeltaTable) -> None:
    rows = frame(engine, ["a"]).limit(0).write.format("delta")
    if table.place.is_path:
        rows.save(table.place.text)
    else:
        rows.saveAsTable(table.place.table_name)
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
        try:
            here.append(frame(engine, ["a"], run_id), run_id, {"run_id": run_id})
            here.delete_runs(["r0"])
        except Exception as error:  # noqa: BLE001 - shown below
            failed.append(error)

    threads = [threading.Thread(target=append, args=(f"r{k}",)) for k in range(1, 5)]
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
