"""Tables that other people made with Spark, whatever they switched on, by the embedded engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from spark_ml_audit.engines.base import Engine
from spark_ml_audit.errors import InputError
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.delta import DeltaTable
from spark_ml_audit.lake.places import Place
from tests.engine.test_delta_contract import frame, rows_of

pytestmark = [pytest.mark.spark, pytest.mark.matrix]


@pytest.fixture
def engine(embedded_engine: Engine) -> Engine:
    return embedded_engine


@pytest.fixture
def here(engine: Engine, tmp_path: Path) -> DeltaTable:
    return delta_table(engine, Place(str(tmp_path / "he re"), is_path=True))


def write(spark: Any, table: DeltaTable, *columns: str, rows: int = 4, by: Any = (), **options: Any) -> None:
    """A table of Spark with the columns run_id, id, n and more, in one file per partition."""
    made = spark.range(rows).selectExpr("concat('r', id % 2) run_id", "string(id) id", "int(id) n", *columns)
    names = {name.replace("__", "."): value for name, value in options.items()}
    made.coalesce(1).write.format("delta").partitionBy(*by).options(**names).save(table.place.text)


def by_spark(spark_engine: Engine, table: DeltaTable) -> list[tuple[Any, ...]]:
    return rows_of(spark_engine, delta_table(spark_engine, table.place).read())


ODD = "case id when 0 then null when 1 then 'a b%c/d[e]*~|{}' when 2 then 'x=y' else '' end"


def test_partitioned_tables(spark: Any, spark_engine: Engine, engine: Engine, here: DeltaTable) -> None:
    times = "timestamp'2020-01-01 00:00:00.123456' t"
    write(
        spark,
        here,
        f"{ODD} p",
        "date'2020-02-02' + int(id) d",
        times,
        "id > 1 b",
        by=("p", "d", "t", "b", "run_id"),
    )
    assert rows_of(engine, here.read()) == by_spark(spark_engine, here)
    assert here.schema() == delta_table(spark_engine, here.place).schema()
    assert [row[1] for row in rows_of(engine, here.read(run_id="r1"))] == ["1", "3"]
    more = engine.collect(here.read(run_id="r1"))
    for _ in range(2):
        here.append(engine.from_arrow(more), "again", {"by": "us"})
    assert rows_of(engine, here.read()) == by_spark(spark_engine, here)
    assert len(rows_of(engine, here.read())) == 6
    changes = {
        "row_id": ["2", "0"],
        "old_0": pa.array([2, 7], pa.int32()),
        "new_0": pa.array([20, 70], pa.int32()),
    }
    here.update(engine.from_arrow(pa.table(changes)), "id", ["n"])
    here.delete_runs(["r1"])
    assert [row[1:3] for row in by_spark(spark_engine, here)] == [("0", 0), ("2", 20)]
    here.overwrite(engine.from_arrow(more), "over", {"by": "us"})
    assert (
        by_spark(spark_engine, here)
        == rows_of(engine, here.read())
        == rows_of(engine, engine.from_arrow(more))
    )


def test_files_that_delta_rs_does_not_remove_are_left(spark: Any, engine: Engine, here: DeltaTable) -> None:
    write(spark, here, "'é' p", by=("p",))
    before = rows_of(engine, here.read())
    changes = pa.table({"row_id": ["2"], "old_0": ["r0"], "new_0": ["r9"]})
    for attempt in (
        lambda: here.delete_runs(["r1"]),
        lambda: here.update(engine.from_arrow(changes), "id", ["run_id"]),
        lambda: here.overwrite(frame(engine, ["a"]), "over", {}),
    ):
        with pytest.raises(InputError, match="delta-rs does not remove the file"):
            attempt()
    assert rows_of(engine, here.read()) == before
    here.append(engine.from_arrow(engine.collect(here.read())), "again", {})
    assert rows_of(engine, here.read()) == sorted(before * 2)


def test_deleted_rows_of_files(spark: Any, spark_engine: Engine, engine: Engine, here: DeltaTable) -> None:
    write(spark, here, "array('a', null) tags", delta__enableDeletionVectors=True)
    assert len(rows_of(engine, here.read())) == 4
    spark.sql(f"DELETE FROM delta.`{here.place.text}` WHERE id = '1'")
    assert rows_of(engine, here.read()) == by_spark(spark_engine, here)
    assert rows_of(engine, here.read(run_id="r1")) == [("r1", "3", 3, ["a", None])]
    assert len(rows_of(engine, here.read(0))) == 4
    here.append(frame(engine, ["new"], "r9"), "new", {})
    assert rows_of(engine, here.read()) == by_spark(spark_engine, here)
    here.delete_runs(["r0"])
    assert [row[1] for row in by_spark(spark_engine, here)] == ["3", "new"]
    here.set_properties({"spark_ml_audit.x": "1"})
    assert rows_of(engine, here.read()) == by_spark(spark_engine, here)
    assert "variantType" not in deltalake.DeltaTable(here.place.text).protocol().reader_features


def test_columns_under_other_names(
    spark: Any, spark_engine: Engine, engine: Engine, here: DeltaTable
) -> None:
    write(spark, here, "named_struct('x', id) s", "array('a') tags", delta__columnMapping__mode="name")
    spark.sql(f"ALTER TABLE delta.`{here.place.text}` RENAME COLUMN tags TO `odd tags.x`")
    spark.sql(f"ALTER TABLE delta.`{here.place.text}` DROP COLUMN n")
    assert rows_of(engine, here.read()) == by_spark(spark_engine, here)
    assert here.schema() == engine.schema(here.read()) == delta_table(spark_engine, here.place).schema()
    assert len(rows_of(engine, here.read(run_id="r1"))) == 2
    with pytest.raises(InputError, match="he re' cannot be written"):
        here.append(frame(engine, ["new"], other=[1]), "new", {})
    here.delete_runs(["r1"])
    assert len(by_spark(spark_engine, here)) == 2


def test_types_that_were_widened(spark: Any, spark_engine: Engine, engine: Engine, here: DeltaTable) -> None:
    if spark.version.startswith("3."):
        pytest.skip("Delta widens types from Spark 4 on")
    write(spark, here, delta__enableTypeWidening=True)
    spark.sql(f"ALTER TABLE delta.`{here.place.text}` ALTER COLUMN n TYPE bigint")
    spark.sql(f"INSERT INTO delta.`{here.place.text}` VALUES ('r9', 'z', {2**40})")
    assert rows_of(engine, here.read()) == by_spark(spark_engine, here)
    assert here.schema().field("n").type == pa.int64()
    with pytest.raises(InputError, match=r"he re' cannot be written without Spark: .*TypeWidening"):
        here.append(frame(engine, ["new"]), "new", {})
    assert rows_of(engine, here.read()) == by_spark(spark_engine, here)


def test_rows_are_checked_where_the_table_has_checks(
    spark: Any, spark_engine: Engine, engine: Engine, here: DeltaTable
) -> None:
    name = f"delta.`{here.place.text}`"
    spark.sql(f"CREATE TABLE {name} (run_id string, id string NOT NULL, n bigint) USING delta")
    spark.sql(f"ALTER TABLE {name} ADD CONSTRAINT positive CHECK (n > 0)")
    here.append(frame(engine, ["a"], n=[1]), "first", {})
    for bad in (frame(engine, ["b"], n=[-1]), engine.from_arrow(pa.table({"run_id": ["r1"], "n": [1]}))):
        with pytest.raises(InputError, match="he re' cannot be written"):
            here.append(bad, "second", {})
    assert by_spark(spark_engine, here) == rows_of(engine, here.read()) == [("r1", "a", 1)]


def test_spark_tidies_up_between(spark: Any, spark_engine: Engine, engine: Engine, here: DeltaTable) -> None:
    for k in range(6):
        here.append(frame(engine, ["a", "b"], f"r{k}"), f"r{k}", {"run_id": f"r{k}"})
    spark.sql(f"OPTIMIZE delta.`{here.place.text}`")
    spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
    spark.sql(f"VACUUM delta.`{here.place.text}` RETAIN 0 HOURS")
    spark.conf.unset("spark.databricks.delta.retentionDurationCheck.enabled")
    here.append(frame(engine, ["never"], "r1"), "r1", {"run_id": "r1"})
    here.append(frame(engine, ["c"], "r9"), "r9", {"run_id": "r9"})
    assert len(rows_of(engine, here.read())) == 13
    assert rows_of(engine, here.read()) == by_spark(spark_engine, here)
    assert not here.has_foreign_commits("run_id")
    with pytest.raises(FileNotFoundError):
        here.read(2)


def test_files_of_a_clone_are_elsewhere(
    spark: Any, spark_engine: Engine, engine: Engine, here: DeltaTable
) -> None:
    write(spark, here)
    clone = delta_table(engine, Place(here.place.text + " clone", is_path=True))
    spark.sql(f"CREATE TABLE delta.`{clone.place.text}` SHALLOW CLONE delta.`{here.place.text}`")
    clone.append(frame(engine, ["new"]), "first", {})
    assert rows_of(engine, clone.read()) == by_spark(spark_engine, clone)


def test_what_cannot_be_read_is_named_with_the_reason(spark: Any, here: DeltaTable) -> None:
    from pyspark.ml.linalg import Vectors

    vectors = spark.createDataFrame([(1, Vectors.dense([1.0]))], ["id", "v"])
    vectors.write.format("delta").save(here.place.text)
    for attempt in (here.existing, here.read, here.schema, here.detail):
        with pytest.raises(InputError, match=r"he re' cannot be read without Spark: .*udt"):
            attempt()
