"""What the demo and the notebooks write, on the embedded engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_ml_audit.config.engine import EngineConfig
from spark_ml_audit.demo.dataset import demo_classes, demo_file
from spark_ml_audit.demo.notebook import Workplace, open_workplace
from spark_ml_audit.demo.run import write_packages
from spark_ml_audit.engines.choose import choose_engine
from spark_ml_audit.frames.class_list import column_metadata
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.places import Place


@pytest.fixture
def engine() -> Iterator[Any]:
    engine = choose_engine(EngineConfig(kind="embedded"))
    yield engine
    engine.close()


def test_packages_are_those_shipped_with_tags_of_the_classes_alone(engine: Any, tmp_path: Path) -> None:
    write_packages(engine, str(tmp_path / "packages"))
    table = delta_table(engine, Place(str(tmp_path / "packages"), is_path=True))
    assert json.loads(column_metadata(table.schema(), "labels")["classes"]) == demo_classes()
    found = engine.collect(table.read()).sort_by("id")
    shipped = pq.read_table(demo_file()).sort_by("id")
    assert found.column_names == shipped.column_names
    for name in ("id", "text", "section", "depends", "evidence_labels"):
        assert found[name].to_pylist() == shipped[name].to_pylist()
    known = set(demo_classes())
    expected = [[tag for tag in tags if tag in known] for tags in shipped["labels"].to_pylist()]
    assert found["labels"].to_pylist() == expected


def test_a_second_demo_replaces_the_table(engine: Any, tmp_path: Path) -> None:
    for version in ("0", "1"):
        write_packages(engine, str(tmp_path / "packages"))
        table = delta_table(engine, Place(str(tmp_path / "packages"), is_path=True))
        assert table.newest_version() == version
    assert engine.collect(table.read().select("id")).num_rows == pq.read_metadata(demo_file()).num_rows


class TestWorkplace:
    @pytest.fixture
    def place(self, engine: Any, tmp_path: Path) -> Workplace:
        return Workplace(engine, "", str(tmp_path), 10)

    @pytest.mark.parametrize("kind", ["arrow", "pandas", "relation"])
    def test_what_is_saved_is_read(self, place: Workplace, kind: str) -> None:
        table = pa.table({"id": [1, 2], "tags.all": [["a"], []]})
        rows = {"arrow": table, "pandas": table.to_pandas(), "relation": duckdb.from_arrow(table)}[kind]
        where = place.save(rows, "saved")
        found = place.read(where).sort_values("id")
        assert found.to_dict("list") == {"id": [1, 2], "tags.all": [["a"], []]}

    def test_older_versions_stay(self, place: Workplace) -> None:
        for value in (1, 2):
            where = place.save(pd.DataFrame({"id": [value]}), "saved")
        assert place.read(where)["id"].tolist() == [2]
        place.save(place.read(where, version=0), "saved")
        assert place.read(where)["id"].tolist() == [1]

    def test_results_become_pandas(self, place: Workplace) -> None:
        found = place.rows_of(duckdb.sql("SELECT 1 AS id, ['a', 'b'] AS tags"))
        assert found.to_dict("list") == {"id": [1], "tags": [["a", "b"]]}

    def test_parameters_come_from_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("NOTEBOOK_ROWS", "7")
        monkeypatch.setenv("NOTEBOOK_FOLDER", str(tmp_path))
        place = open_workplace("elsewhere", rows=100)
        assert (place.rows, place.folder, place.schema) == (7, str(tmp_path), "")
        assert place.output == {"path": f"{tmp_path}/audit"}

    def test_parameters_come_from_widgets(self) -> None:
        class Widgets:
            def text(self, name: str, default: str) -> None:
                self.default = default

            def get(self, name: str) -> str:
                return {"rows": "8"}.get(name, self.default)

        class Utilities:
            widgets = Widgets()

        place = open_workplace("tables", rows=100, dbutils=Utilities())
        assert place.rows == 8
        assert Path(place.folder) == Path("tables").absolute()
