"""The page's tables by SQL: the statements that a warehouse gets, run by Spark, whose dialect they are in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from spark_ml_audit.app.decide import decide, take_back
from spark_ml_audit.app.queues import QueueFilter
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.app.warehouse_reader import WarehouseReader
from spark_ml_audit.config import ServeConfig, load_as
from spark_ml_audit.engines.base import Engine
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.lake.places import Place, literal_in
from spark_ml_audit.lake.schemas import DECISIONS_FIELDS
from spark_ml_audit.lake.warehouse import Warehouse
from tests.lake import Lake
from tests.review_page import FILMS, TAGS, films

pytestmark = pytest.mark.spark


class SparkConnection:
    """A session of Spark as Python's database interface, as the connector to warehouses has it."""

    def __init__(self, spark: Any) -> None:
        self.spark = spark
        self.found: Any = None

    @contextmanager
    def cursor(self) -> Iterator[SparkConnection]:
        yield self

    def close(self) -> None:
        """Nothing is open."""

    def execute(self, statement: str, parameters: dict[str, Any] | None = None) -> None:
        given = parameters or {}
        # what the connector binds: see its docs/parameters.md
        assert len(given) <= 255
        assert sum(len(str(value).encode()) for value in given.values()) <= 1 << 20
        assert all(isinstance(value, str | int | float | date | None) for value in given.values())

        # Delta's parser on top of Spark's does not take named parameters: they are written in
        def written(match: re.Match[str]) -> str:
            value = given[match[1]]
            if isinstance(value, date):
                return f"DATE '{value}'"
            if isinstance(value, str):
                return literal_in("spark", value)
            return "NULL" if value is None else str(value)

        self.found = self.spark.sql(re.sub(r":(p\d+)\b", written, statement))

    def fetchall_arrow(self) -> Any:
        return self.found.toArrow()


@pytest.fixture(scope="module")
def served_schema(house: Lake, spark: Any) -> str:
    """An output in a schema."""
    rows, _ = films(80, hostile=False)
    source = house.write(house.frame(rows, FILMS, TAGS))
    spark.sql("CREATE SCHEMA IF NOT EXISTS served")
    spark.sql(f"CREATE TABLE IF NOT EXISTS served.films USING DELTA LOCATION '{source}'")
    house.audit(
        source__table="served.films", source__classes=TAGS, source__show=["text"], output__schema="served"
    )
    return "served"


@pytest.fixture
def session(served_schema: str, spark: Any, embedded_engine: Engine) -> ReviewSession:
    config = load_as(ServeConfig, None, [f"output.schema={served_schema}"])
    reader = WarehouseReader(Warehouse(lambda: SparkConnection(spark)), embedded_engine, config)
    return ReviewSession(reader, config.serve)


def test_rows_are_read_and_decisions_written_by_sql(session: ReviewSession, spark: Any) -> None:
    queue = session.queue(QueueFilter(), "ann")
    assert len(queue.items) == spark.table("served.issues").count()
    row = int(queue.items.rows[0])
    worst = spark.table("served.issues").orderBy("issue_rank").first()
    assert session.index.id_of(row) == worst["id"]
    content = session.contents.get(worst["id"])
    assert content is not None
    assert [session.classes[code] for code in content.given] == worst["given_tags"]
    assert "Film" in (content.values["text"] or "")
    assert len(content.pred_probs) == len(TAGS)
    sent = {"decision_id": "one", "id": worst["id"], "cells": [["war", "present"]], "note": "it's"}
    for _ in range(2):
        decide(session, sent, "ann")
    stored = spark.table("served.decisions").collect()
    assert [(item["tag"], item["verdict"], item["who"], item["note"]) for item in stored] == [
        ("war", "present", "ann", "it's")
    ]
    assert stored[0]["run_id"] == session.reader.run.run_id
    session.refresh()
    assert session.state.num_by == {"ann": 1}
    assert take_back(session, ["one.0"], "ann") == ["one.0"]
    assert session.reader.undo("one.0", "ann") is False  # once is enough
    assert session.reader.undo("two.0", "ann") is True
    again = ReviewSession(session.reader, session.options)
    assert again.state.num_by["ann"] == 0
    with pytest.raises(InputError, match="done by jobs"):
        session.reader.draw({"how": "random", "size": 10})


def test_a_schema_without_a_run_is_refused(spark: Any, embedded_engine: Engine) -> None:
    spark.sql("CREATE SCHEMA IF NOT EXISTS nothing_served")
    config = load_as(ServeConfig, None, ["output.schema=nothing_served"])
    with pytest.raises(ConfigError, match="no finished run"):
        WarehouseReader(Warehouse(lambda: SparkConnection(spark)), embedded_engine, config)


# ---- rows of decisions, as the warehouse takes them --------------------------------------------------


@pytest.fixture
def warehouse(spark: Any) -> Warehouse:
    spark.sql("CREATE SCHEMA IF NOT EXISTS decided")
    return Warehouse(lambda: SparkConnection(spark))


def _decided(ids: pa.Array, note: str = 'it\'s \\ "so" ; é \U0001f600') -> pa.Table:
    """Decisions on rows of some ids."""
    texts = {"tag": "war", "verdict": "present", "kind": "single", "note": note}
    columns = [
        pa.array([f"{k}" if name == "decision_id" else texts.get(name) for k in range(len(ids))], kind)
        for name, kind in DECISIONS_FIELDS
    ]
    return pa.table([ids, *columns], names=["film", *(name for name, _ in DECISIONS_FIELDS)])


def test_a_decision_on_many_cells_is_one_statement(warehouse: Warehouse, spark: Any) -> None:
    place, rows = Place.of("decided.many"), _decided(pa.array(range(500), pa.int64()))
    assert warehouse.append(place, rows, "decision_id") == 500
    assert warehouse.append(place, rows, "decision_id") == 0
    assert spark.table("decided.many").count() == 500
    commits = [row["operation"] for row in spark.sql("DESCRIBE HISTORY decided.many").collect()]
    assert commits.count("MERGE") <= 2
    found = warehouse.rows(place, ("film",), among=("film", list(range(450)))).column("film")
    assert sorted(found.to_pylist()) == list(range(450))
    # beyond a megabyte: in several, and whole after all
    long = _decided(pa.array([f"{k}-" + "x" * 90_000 for k in range(20)]))
    assert warehouse.append(Place.of("decided.long"), long, "decision_id") == 20


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        (pa.array([-7, 7], pa.int8()), "tinyint"),
        (pa.array([-700, 700], pa.int16()), "smallint"),
        (pa.array([1 << 40, -(1 << 40)], pa.int64()), "bigint"),
        (pa.array([b"\x00\xff", b"~t"], pa.binary()), "binary"),
        (pa.array([b"\x00", b""], pa.large_binary()), "binary"),
        (pa.array(["007", ":p0 'x' \\"], pa.large_string()), "string"),
        (pa.array([date(2026, 1, 31), date(1969, 12, 31)], pa.date32()), "date"),
    ],
    ids=["int8", "int16", "int64", "binary", "large_binary", "large_string", "date"],
)  # fmt: skip
def test_ids_of_every_kind_come_back(warehouse: Warehouse, spark: Any, ids: pa.Array, kind: str) -> None:
    place = Place.of(f"decided.ids_{str(ids.type).partition('[')[0]}")
    assert warehouse.append(place, _decided(ids), "decision_id") == 2
    assert dict(spark.table(place.text).dtypes)["film"] == kind
    stored = warehouse.rows(place, ("film", "note"))
    assert set(stored.column("film").to_pylist()) == set(ids.to_pylist())
    assert set(stored.column("note").to_pylist()) == {'it\'s \\ "so" ; é \U0001f600'}
    for value in ids.to_pylist():
        found = warehouse.rows(place, ("film",), among=("film", [value])).column("film").to_pylist()
        assert found == [value]


def test_an_id_of_another_kind_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(InputError, match="column 'film' is array<bigint>, which is not written"):
        warehouse.append(Place.of("decided.none"), _decided(pa.array([[1]])), "decision_id")
    assert warehouse.columns(Place.of("decided.none")) == ()


def test_a_table_of_an_older_version_gets_the_newer_columns(warehouse: Warehouse, spark: Any) -> None:
    place, old = Place.of("decided.older"), ("tag", "verdict", "who", "note", "sample_id", "import_id")
    listed = ", ".join(f"{name} STRING" for name in old)
    spark.sql(f"CREATE TABLE decided.older (film BIGINT, {listed}, `when` TIMESTAMP) USING DELTA")
    spark.sql("INSERT INTO decided.older (film, tag, verdict) VALUES (1, 'war', 'absent')")
    assert warehouse.append(place, _decided(pa.array([2], pa.int64())), "decision_id") == 1
    rows = {row["film"]: row for row in spark.table("decided.older").collect()}
    assert (rows[1]["verdict"], rows[1]["decision_id"]) == ("absent", None)
    assert (rows[2]["verdict"], rows[2]["decision_id"], rows[2]["kind"]) == ("present", "0", "single")


def test_a_session_that_ended_is_opened_again(spark: Any) -> None:
    class RequestError(Exception):
        """As the connector says it of a session that ended."""

    opened: list[SparkConnection] = []

    class Ending(SparkConnection):
        def execute(self, statement: str, parameters: dict[str, Any] | None = None) -> None:
            if self is opened[0] and self.found is not None:
                raise RequestError("Invalid SessionHandle")
            super().execute(statement, parameters)

    def connect() -> SparkConnection:
        opened.append(Ending(spark))
        return opened[-1]

    spark.sql("CREATE SCHEMA IF NOT EXISTS decided")
    warehouse, place = Warehouse(connect), Place.of("decided.again")
    assert warehouse.append(place, _decided(pa.array([1], pa.int64())), "decision_id") == 1
    assert warehouse.rows(place, ("film",)).num_rows == 1
    assert len(opened) == 2
