"""What an audit sees of the runs before it, and of what killed ones left."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from spark_ml_audit.config.output import OutputConfig
from spark_ml_audit.engines.base import Engine, rows_of
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import EarlierRuns, earlier_runs, previous_run
from spark_ml_audit.lake.schemas import CLASSES_SCHEMA, RUNS_SCHEMA

LATER = "20270101t000000z-00000000"


@pytest.fixture
def tables(engine: Engine, tmp_path: object) -> OutputTables:
    return OutputTables(engine, OutputConfig.parse({"path": f"{tmp_path}/out"}, "output"))


def leave(tables: OutputTables, run_id: str, source: str = "here", *, finished: bool = True) -> None:
    """A run with two classes, as it is found later."""
    classes = [{"tag": tag, "class_index": k, "num_given": k} for k, tag in enumerate(("x", "y"))]
    tables.append_records("classes", classes, CLASSES_SCHEMA, run_id, {"fingerprint": ""})
    if finished:
        finish(tables, run_id, source)


def finish(tables: OutputTables, run_id: str, source: str = "here") -> None:
    row = {"run_id": run_id, "source": source, "num_rows": 3, "config": "{}", "gates": "[]"}
    tables.append_records("runs", [row], RUNS_SCHEMA, run_id)


def test_an_output_without_tables_has_no_earlier_runs(tables: OutputTables) -> None:
    assert earlier_runs(tables, LATER, "here") == EarlierRuns()


def test_the_previous_run_with_its_classes_and_what_has_not_finished(tables: OutputTables) -> None:
    first, second, other, killed, own = (f"2026010{day}t000000z-0000000{day}" for day in range(1, 6))
    leave(tables, first)
    leave(tables, second)
    leave(tables, other, "elsewhere")
    leave(tables, killed, finished=False)
    leave(tables, own, finished=False)

    found = earlier_runs(tables, own, "here")
    assert found.previous == previous_run(tables, own, "here")
    assert found.previous is not None
    assert (found.previous.run_id, found.previous.ref.num_rows) == (second, 3)
    assert [row.tag for row in found.previous.classes] == ["x", "y"]
    assert found.unfinished == (killed,)
    assert earlier_runs(tables, first, "here").previous is None


def test_leftovers_go_unless_their_run_is_young_or_has_finished_meanwhile(tables: OutputTables) -> None:
    old, young, late = "20260101t000000z-00000001", "20260102t000000z-00000002", "20260101t000000z-00000003"
    for run_id in (old, young, late):
        leave(tables, run_id, finished=False)
    leave(tables, "20260101t000000z-00000004")
    unfinished = earlier_runs(tables, LATER, "here").unfinished
    assert set(unfinished) == {old, young, late}
    finish(tables, late)
    now = datetime(2026, 1, 2, 1, tzinfo=timezone.utc)
    assert tables.remove_orphans(unfinished, now, timedelta(hours=24)) == [old]
    left = {row["run_id"] for row in rows_of(tables.engine, tables.read("classes"))}
    assert left == {young, late, "20260101t000000z-00000004"}
