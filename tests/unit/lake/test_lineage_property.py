"""The property that says what a copy continues is data of whoever wrote the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from spark_ml_audit.config import OutputConfig
from spark_ml_audit.engines.embedded import EmbeddedEngine
from spark_ml_audit.engines.limits import Limits
from spark_ml_audit.lake.lineage import first_of, is_elsewhere, place_of_output, read_origins, write_origins
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.outcomes.runs import Origin

IDS = {"run_id": "20260131t180000z-0a1b2c3d", "correction_id": "20260201t090000z-4e5f6a7b"}
GOOD: dict[str, Any] = {
    "source": "data/films", "source_version": "7", **IDS, "output": {"path": "/data/audits"},
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"output": {"path": None, "schema": "main.audits"}},
        {"output": {"path": 7}},
        {"output": None},
        {"source": None},
        {"source": "\ud800"},
        {"source_version": "\udfff"},
        {"source_version": 7},
        {"run_id": "../../etc"},
    ],
)
def test_a_record_that_is_not_ours_is_passed_over(changes: dict[str, Any]) -> None:
    good = read_origins(json.dumps([GOOD]))
    assert [origin.run_id for origin in good] == [IDS["run_id"]]
    found = read_origins(json.dumps([GOOD, {**GOOD, **changes}]))
    assert found == good
    write_origins(found).encode()


def test_an_output_is_itself_however_it_is_spelled(tmp_path: Path) -> None:
    engine = EmbeddedEngine(Limits(1, 1 << 30, str(tmp_path / "spill")))
    plain, slash = str(tmp_path / "audits"), f"{tmp_path}/audits/"
    for path in (plain, slash):
        tables = OutputTables(engine, OutputConfig(path=path))
        assert not is_elsewhere(tables, {"path": plain})
        assert not is_elsewhere(tables, {"path": slash})
        assert is_elsewhere(tables, {"path": f"{plain}2"})
    assert place_of_output(OutputConfig(path=slash)) == {"path": plain}
    engine.close()


def test_the_origin_is_read_as_it_was_written() -> None:
    origin = Origin("data/é", None, IDS["run_id"], IDS["correction_id"], {"schema": "main.a", "prefix": "b_"})
    assert read_origins(write_origins([origin])) == (origin,)


def test_an_output_that_cannot_be_read_is_as_one_that_is_not_there(tmp_path: Path) -> None:
    engine = EmbeddedEngine(Limits(1, 1 << 30, str(tmp_path / "spill")))
    tables = OutputTables(engine, OutputConfig(path=str(tmp_path / "own")))
    origins = []
    for name in ("broken", "whole"):
        write_deltalake(str(tmp_path / name / "runs"), pa.table({"odd": [1]}))
        place = {"path": str(tmp_path / name)}
        origins.append(Origin("data/films", "7", IDS["run_id"], IDS["correction_id"], place))

    def look(other: OutputTables, origin: Origin) -> str:
        if "broken" in origin.output["path"]:
            raise KeyError("source")
        return other.location("runs")

    assert first_of(tables, origins, look) == str(tmp_path / "whole" / "runs")
    assert first_of(tables, origins[:1], look) is None
    engine.close()
