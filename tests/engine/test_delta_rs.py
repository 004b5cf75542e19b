"""Delta tables by the embedded engine: places, races, commits that fail, files that are skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from spark_ml_audit.engines.base import Engine
from spark_ml_audit.engines.embedded import EmbeddedEngine
from spark_ml_audit.errors import AuditError, InputError
from spark_ml_audit.lake import delta_rs
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.delta import DeltaTable
from spark_ml_audit.lake.delta_rs_files import StagedRows
from spark_ml_audit.lake.places import Place
from tests.engine.test_delta_contract import data_files, frame, rows_of
from tests.paths import PROJECT


@pytest.fixture
def engine(embedded_engine: Engine) -> Engine:
    return embedded_engine


@pytest.fixture
def here(engine: Engine, tmp_path: Path) -> DeltaTable:
    return delta_table(engine, Place(str(tmp_path / "here"), is_path=True))


# ---- places ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["per%cent", "a%20b", "back\\slash", "br[1]", "c^d", "d|e"])
def test_folders_that_delta_rs_does_not_find_are_refused(engine: Engine, tmp_path: Path, name: str) -> None:
    table = delta_table(engine, Place(str(tmp_path / name / "t"), is_path=True))
    for attempt in (table.existing, table.detail, lambda: table.append(frame(engine, ["a"]), "first", {})):
        with pytest.raises(InputError, match="in its name") as found:
            attempt()
        assert "spark" in found.value.fix
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["a b", "äö日本", "q?x*", "h#sh&;,=+", 'o\'dd `t` "é"', "~t{x}", "a:b@c!"])
def test_other_odd_names_do(engine: Engine, tmp_path: Path, name: str) -> None:
    table = delta_table(engine, Place(str(tmp_path / name / "t"), is_path=True))
    table.append(frame(engine, ["a"]), "first", {})
    table.append(frame(engine, ["b"]), "second", {})
    table.update(
        engine.from_arrow(pa.table({"row_id": ["a"], "old_0": ["r1"], "new_0": ["r2"]})), "id", ["run_id"]
    )
    assert rows_of(engine, table.read()) == [("r1", "b"), ("r2", "a")]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_is_followed_through_links(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    table = delta_table(engine, Place(f"{tmp_path}/link/../link/t", is_path=True))
    table.append(frame(engine, ["a"]), "first", {})
    assert rows_of(engine, delta_table(engine, Place(f"{tmp_path}/real/t", True)).read()) == [("r1", "a")]


def test_places_beyond_this_machine_are_refused(engine: EmbeddedEngine) -> None:
    for place in (Place("s3://lake/tags", True), Place("main.tags", False)):
        with pytest.raises(InputError, match="no folder of this machine"):
            delta_rs.RsDeltaTable(engine, place).existing()


def test_a_folder_without_a_log_holds_no_table(engine: Engine, here: DeltaTable) -> None:
    for folder in ("", "_delta_log"):
        Path(here.place.text, folder).mkdir()
        assert here.existing() is None
        assert here.newest_version() is None
        with pytest.raises(InputError, match="holds no Delta table"):
            here.read()
    here.append(frame(engine, ["a"]), "first", {})
    assert rows_of(engine, here.read()) == [("r1", "a")]
    with pytest.raises(InputError, match="here' cannot be read"):
        here.read(7)


# ---- commits that fail or lose ---------------------------------------------------------------------


def fail(*args: Any, **kwargs: Any) -> None:
    raise OSError("disk full")


def test_files_of_a_commit_that_failed_are_removed(
    engine: Engine, here: DeltaTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(delta_rs, "create_table_with_add_actions", fail)
        with pytest.raises(AuditError, match="disk full"):
            here.append(frame(engine, ["a"]), "first", {})
    assert data_files(here) == set()
    here.append(frame(engine, ["a"]), "first", {})
    files = data_files(here)
    with monkeypatch.context() as patch:
        patch.setattr(deltalake.DeltaTable, "create_write_transaction", fail)
        for write in (here.append, here.overwrite):
            with pytest.raises(AuditError, match="disk full"):
                write(frame(engine, ["b"]), "second", {})
    assert data_files(here) == files


def test_files_of_a_commit_that_landed_stay_whatever_comes_after(
    engine: Engine, here: DeltaTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.append(frame(engine, ["a"]), "first", {})
    real = deltalake.DeltaTable.create_write_transaction

    def then_fail(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        fail()

    with monkeypatch.context() as patch:
        patch.setattr(deltalake.DeltaTable, "create_write_transaction", then_fail)
        with pytest.raises(AuditError, match="disk full"):
            here.append(frame(engine, ["b"]), "second", {})
    here.append(frame(engine, ["b"]), "second", {})
    assert rows_of(engine, here.read()) == [("r1", "a"), ("r1", "b")]


class Meanwhile:
    """Does something once, when rows have become files and before they are committed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
        real, self._act = StagedRows.files, act

        def files(rows: StagedRows, schema: pa.Schema) -> Any:
            found = real(rows, schema)
            act, self._act = self._act, None
            if act is not None:
                act()
            return found

        monkeypatch.setattr(StagedRows, "files", files)


@pytest.mark.parametrize("begun", [True, False])
def test_an_overwrite_leaves_no_row_that_came_in_between(
    engine: Engine, here: DeltaTable, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    if begun:
        here.append(frame(engine, ["a"]), "first", {})
    Meanwhile(monkeypatch, lambda: here.append(frame(engine, ["between"]), "second", {}))
    here.overwrite(engine.from_arrow(pa.table({"x": [1.5]})), "third", {})
    assert rows_of(engine, here.read()) == [(1.5,)]


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("more", [{}, {"score": [0.5]}])
def test_the_loser_of_a_race_leaves_what_the_other_committed(
    engine: Engine, here: DeltaTable, monkeypatch: pytest.MonkeyPatch, begun: bool, more: Any
) -> None:
    if begun:
        here.append(frame(engine, ["a"]), "first", {})
    Meanwhile(monkeypatch, lambda: here.append(frame(engine, ["mine"], **more), "second", {}))
    here.append(frame(engine, ["yours"], **more), "second", {})
    assert [row[1] for row in rows_of(engine, here.read())] == (["a"] if begun else []) + ["mine"]
    assert len(data_files(here)) == (2 if begun else 1)


def test_an_append_meets_columns_that_came_in_between(
    engine: Engine, here: DeltaTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.append(frame(engine, ["a"]), "first", {})
    Meanwhile(monkeypatch, lambda: here.append(frame(engine, ["b"], score=[1.5], n=[1]), "second", {}))
    here.append(frame(engine, ["c"], score=[2.5], tags=[["x"]]), "third", {})
    wanted = [("r1", "a", None, None, None), ("r1", "b", 1.5, 1, None), ("r1", "c", 2.5, None, ["x"])]
    assert rows_of(engine, here.read()) == wanted


def test_processes_at_once_commit_every_transaction_once(engine: Engine, here: DeltaTable) -> None:
    code = f"""
import sys
import pyarrow as pa
from spark_ml_audit.engines.embedded import EmbeddedEngine
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.places import Place
engine = EmbeddedEngine()
table = delta_table(engine, Place({here.place.text!r}, True))
for k in range(int(sys.argv[1]), int(sys.argv[1]) + 6):
    rows = pa.table({{"run_id": [f"r{{k % 6}}"], "id": ["a"], f"c{{k % 2}}": [k % 6]}})
    table.append(engine.from_arrow(rows), str(k % 6), {{"run_id": f"r{{k % 6}}"}})
"""
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(first)], cwd=PROJECT, stderr=subprocess.PIPE)
        for first in (0, 2, 4)
    ]
    errors = [worker.communicate(timeout=120)[1].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], errors
    found = engine.collect(here.read()).to_pylist()
    assert sorted(row["run_id"] for row in found) == [f"r{k}" for k in range(6)]
    assert {row["run_id"]: row[f"c{int(row['run_id'][1]) % 2}"] for row in found} == {
        f"r{k}": k for k in range(6)
    }
    assert len(data_files(here)) == 6


# ---- what is read ----------------------------------------------------------------------------------


def test_files_of_other_runs_are_not_opened(engine: Engine, here: DeltaTable) -> None:
    for run_id in ("r1", "r2", "r3"):
        here.append(frame(engine, ["a"], run_id), run_id, {}, indexed=1)
    kept = {file: Path(here.place.text, file).read_bytes() for file in data_files(here)}
    for file, content in kept.items():
        if b"r2" not in content:
            Path(here.place.text, file).unlink()
    assert rows_of(engine, here.read(run_id="r2")) == [("r2", "a")]
    assert rows_of(engine, here.read(run_id="none")) == []
    with pytest.raises(FileNotFoundError):
        here.read()


def test_narrower_values_become_those_of_the_table(engine: Engine, here: DeltaTable) -> None:
    wide = {"n": pa.array([1], pa.int64()), "l": pa.array([[1.0]], pa.list_(pa.float64()))}
    here.append(frame(engine, ["a"], **wide), "first", {})
    narrow = {"N": pa.array([3], pa.int32()), "l": pa.array([[0.5]], pa.list_(pa.float32()))}
    here.append(frame(engine, ["b"], **narrow), "second", {})
    assert rows_of(engine, here.read()) == [("r1", "a", 1, [1.0]), ("r1", "b", 3, [0.5])]
    with pytest.raises(InputError, match=r"column 'n' of '.*here' is bigint, new rows have double"):
        here.append(frame(engine, ["c"], n=[0.5]), "third", {})


def test_older_files_lack_columns_and_parts_of_structs(engine: Engine, here: DeltaTable) -> None:
    path = here.place.text
    deltalake.write_deltalake(path, pa.table({"s": [{"x": 1}]}))
    more = pa.table({"s": [{"x": 2, "y": ["a"]}], "n": [1]})
    deltalake.write_deltalake(path, more, mode="append", schema_mode="merge")
    assert rows_of(engine, here.read()) == [({"x": 1, "y": None}, None), ({"x": 2, "y": ["a"]}, 1)]


def test_properties_do_not_ask_more_of_readers(engine: Engine, here: DeltaTable) -> None:
    """delta-rs would: of every table with features it makes one with variants."""
    times = pa.array([0], pa.timestamp("us"))
    here.append(frame(engine, ["a"]), "first", {})
    here.append(frame(engine, ["b"], local=times), "second", {})
    here.set_properties({"spark_ml_audit.classes": "é"})
    here.append(frame(engine, ["c"], local=times), "third", {})
    protocol = deltalake.DeltaTable(here.place.text).protocol()
    assert protocol.reader_features == ["timestampNtz"]
    assert here.detail().properties["spark_ml_audit.classes"] == "é"
    assert len(rows_of(engine, here.read())) == 3
    assert not list(Path(here.place.text, "_delta_log").glob("*.tmp"))
