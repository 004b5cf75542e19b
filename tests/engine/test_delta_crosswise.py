"""Two Delta writers, one table: what one begins, the other continues, retries, changes and reads."""

from __future__ import annotations

import os
import threading
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path

import narwhals as nw
import pyarrow as pa
import pytest

from spark_ml_audit.engines.base import Engine, count_rows
from spark_ml_audit.engines.embedded import EmbeddedEngine
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.delta import DeltaTable
from spark_ml_audit.lake.places import Place
from tests.engine.test_delta_contract import NEW, OLD, frame, rows_of

pytestmark = [pytest.mark.spark, pytest.mark.matrix]


@pytest.fixture(params=["embedded first", "spark first"])
def both(
    request: pytest.FixtureRequest, embedded_engine: Engine, spark_engine: Engine, tmp_path: Path
) -> list[tuple[Engine, DeltaTable]]:
    """One table that is not there yet, by both writers, in both orders."""
    place = Place(str(tmp_path / "t äö"), is_path=True)
    found = [(engine, delta_table(engine, place)) for engine in (embedded_engine, spark_engine)]
    return found if request.param == "embedded first" else found[::-1]


def test_what_one_begins_the_other_continues_and_retries(both: list[tuple[Engine, DeltaTable]]) -> None:
    (one, begun), (other, continued) = both
    begun.append(frame(one, ["a"]), "first", {"run_id": "r1", "say": "it's é"}, indexed=2)
    begun.append(frame(one, []), "empty", {"run_id": "r1"})
    for transaction in ("first", "empty"):
        continued.append(frame(other, ["never"]), transaction, {"run_id": "r1"})
    continued.append(frame(other, ["b"], "r2", score=[0.5]), "second", {"run_id": "r2"})
    begun.append(frame(one, ["never"], "r2"), "second", {"run_id": "r2"})
    begun.append(frame(one, ["c"], "r3", score=[1.5]), "third", {"run_id": "r3"})
    for engine, table in both:
        wanted = [("r1", "a", None), ("r2", "b", 0.5), ("r3", "c", 1.5)]
        assert rows_of(engine, table.read()) == wanted
        assert rows_of(engine, table.read(run_id="r2")) == wanted[1:2]
        assert not table.has_foreign_commits("run_id")
    seen = [table.commits("run_id") for _, table in both]
    assert seen[0] == seen[1]
    assert [commit.metadata["run_id"] for commit in seen[0]] == ["r3", "r2", "r1", "r1"]
    assert len({table.newest_version() for _, table in both}) == 1
    details = [table.detail() for _, table in both]
    assert details[0] == details[1]
    for version in range(int(begun.newest_version() or 0) + 1):
        assert begun.schema(version) == continued.schema(version)
        assert rows_of(one, begun.read(version)) == rows_of(other, continued.read(version))


def test_versions_have_one_time(both: list[tuple[Engine, DeltaTable]]) -> None:
    for k in range(4):
        engine, table = both[k % 2]
        table.append(frame(engine, ["a"]), str(k), {})
    log = Path(both[0][1].place.text, "_delta_log")
    for k, seconds in enumerate((1_000_000, 2_000_000, 1_500_000, 3_000_000)):  # a clock that was set back
        os.utime(log / f"{k:020}.json", (seconds, seconds))
        (log / f".{k:020}.json.crc").unlink(missing_ok=True)
    for seconds in (999_999, 1_000_000, 1_999_999, 2_000_000, 2_000_001, 2_999_999, 3_000_000):
        at = datetime.fromtimestamp(seconds, timezone.utc).isoformat()
        assert both[0][1].newest_version(at) == both[1][1].newest_version(at), seconds


def test_one_overwrites_what_the_other_wrote(both: list[tuple[Engine, DeltaTable]]) -> None:
    (one, begun), (other, continued) = both
    begun.overwrite(frame(one, ["a", "b"]), "first", {"by": "us"}, column_metadata={"id": {"k": "é"}})
    assert continued.schema() == begun.schema()
    assert continued.schema().field("id").metadata == {b"k": "é".encode()}
    rows = other.from_arrow(pa.table({"x": [1.5], "tags": [["a"]]}))
    continued.overwrite(rows, "second", {"by": "us"}, column_metadata={"tags": {"classes": '["a"]'}})
    begun.overwrite(frame(one, ["never"]), "second", {"by": "us"})
    continued.set_properties({"spark_ml_audit.classes": '["it\'s"]'})
    for engine, table in both:
        assert rows_of(engine, table.read()) == [(1.5, ["a"])]
        assert table.schema().field("tags").metadata == {b"classes": b'["a"]'}
        assert table.detail().properties["spark_ml_audit.classes"] == '["it\'s"]'
        assert rows_of(engine, table.read(0)) == [("r1", "a"), ("r1", "b")]
        assert not table.has_foreign_commits("us")


def test_one_deletes_and_updates_what_the_other_wrote(both: list[tuple[Engine, DeltaTable]]) -> None:
    (one, begun), (other, continued) = both
    for run_id in ("r1", "r2"):
        begun.append(frame(one, ["a", "b", "c"], run_id, **OLD), run_id, {"run_id": run_id})
    continued.delete_runs(["r1", "it's \\ $x"])
    known = {f"old_{k}": column for k, column in enumerate(OLD.values())}
    wanted = {f"new_{k}": column for k, column in enumerate(NEW.values())}
    changes = other.from_arrow(pa.table({"row_id": ["a", "b", "c"], **known, **wanted}))
    continued.update(changes, "id", list(OLD))
    for engine, table in both:
        assert rows_of(engine, table.read()) == rows_of(engine, frame(engine, ["a", "b", "c"], "r2", **NEW))
        assert table.has_deleted("r1")
        assert not table.has_deleted("r2")
    begun.append(frame(one, ["d"], "r3"), "r3", {"run_id": "r3"})
    assert len(rows_of(other, continued.read())) == 4


ALL_KINDS = pa.table(
    {
        "string": ["a", "é'\"\\\n", None, "z" * 40 + "\U0010ffff", ""],
        "boolean": [True, None, False, True, False],
        "byte": pa.array([1, -128, None, 127, 0], pa.int8()),
        "short": pa.array([1, -(2**15), None, 2**15 - 1, 0], pa.int16()),
        "int": pa.array([1, -(2**31), None, 2**31 - 1, 0], pa.int32()),
        "long": pa.array([1, -(2**63), None, 2**63 - 1, 0], pa.int64()),
        "float": pa.array([0.1, -0.0, None, float("inf"), 1e-40], pa.float32()),
        "double": [0.1, -0.0, None, 1e300, 5e-324],
        "odd.double`": [float("nan"), float("-inf"), None, 1.0, -1.0],
        "date": pa.array([date(2020, 2, 29), date(1582, 10, 15), None, date(9999, 12, 31), date(1970, 1, 1)]),
        "time": pa.array(
            [0, -1, None, 1_600_000_000_123_456, 253_402_300_799_999_999], pa.timestamp("us", "UTC")
        ),
        "decimal": pa.array([Decimal("1.10"), Decimal("-99999999.99"), None, Decimal(0), Decimal("2.5")]),
        "binary": pa.array([b"a", b"\xff\x00", None, b"", b"x"]),
        "tags": pa.array([["x"], [], None, [None, "é"], ["y"]], pa.list_(pa.string())),
        "scores": pa.array([[0.1], [], None, [None, 1.0], [2.0]], pa.list_(pa.float32())),
        "map": pa.array([[("k", 1.0)], [], None, [("a", None)], []], pa.map_(pa.string(), pa.float64())),
        "struct": pa.array(
            [{"x": 1, "y": ["q"]}, {"x": None, "y": None}, None, {"x": 3, "y": []}, {"x": 4, "y": [None]}],
            pa.struct([("x", pa.int64()), ("y", pa.list_(pa.string()))]),
        ),
        "structs": pa.array([[{"t": "a", "v": 0.5}], [], None, [None], [{"t": None, "v": None}]]),
    }
)  # fmt: skip


def test_all_kinds_of_values_come_back_as_they_were(both: list[tuple[Engine, DeltaTable]]) -> None:
    wanted = repr(rows_of(both[0][0], both[0][0].from_arrow(ALL_KINDS)))
    for k, (engine, table) in enumerate(both):
        table.append(engine.from_arrow(ALL_KINDS), str(k), {})
        for reading, seen in both:
            assert repr(rows_of(reading, seen.read(k))) == (
                wanted if k == 0 else repr(sorted(rows_of(reading, seen.read(0)) * 2, key=repr))
            )
            assert seen.schema(k) == ALL_KINDS.schema.remove_metadata()


COMPARED = ["string", "int", "long", "double", "date", "time"]


def test_statistics_hide_no_row(both: list[tuple[Engine, DeltaTable]]) -> None:
    """Both skip files by what their statistics say."""
    values = ALL_KINDS.select([*COMPARED, "odd.double`"])
    for k in range(values.num_rows):
        engine, table = both[k % 2]
        rows = values.slice(k, 1).add_column(0, "run_id", pa.array([f"r{k}"]))
        table.append(engine.from_arrow(pa.concat_tables([rows, rows])), str(k), {})
    for engine, table in both:
        found = table.read()
        for k, row in enumerate(values.to_pylist()):
            assert len(rows_of(engine, table.read(run_id=f"r{k}"))) == 2
            for name in COMPARED:
                value = nw.col(name)
                wanted = value.is_null() if row[name] is None else value == nw.lit(row[name])
                assert count_rows(engine, found.filter(wanted)) == 2, (engine.kind, name, row[name])
        assert len(rows_of(engine, table.read().filter(nw.col("double") >= 1e300))) == 2
        assert len(rows_of(engine, table.read().filter(nw.col("string") > "zz"))) == 4


def test_writers_of_both_kinds_at_once_all_land(both: list[tuple[Engine, DeltaTable]]) -> None:
    (one, begun), (other, _) = both
    begun.append(frame(one, ["a"], "r0"), "r0", {})
    failed: list[Exception] = []

    def append(engine: Engine, number: int) -> None:
        own = EmbeddedEngine() if engine.kind == "embedded" else engine
        table = delta_table(own, begun.place)
        try:
            for k in range(number, number + 3):
                table.append(frame(own, ["a"], f"r{k}"), f"r{k}", {})
        except Exception as error:  # noqa: BLE001 - shown below
            failed.append(error)

    # runs 1 to 5, each by two or more
    starts = ((one, 1), (other, 2), (one, 3), (other, 1))
    threads = [threading.Thread(target=append, args=start) for start in starts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for engine, table in both:
        assert rows_of(engine, table.read()) == [(f"r{k}", "a") for k in range(6)]
