"""The page's tables by SQL: the statements that a warehouse gets, run by Spark, whose dialect they are in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from spark_ml_audit.app.decide import decide, take_back
from spark_ml_audit.app.queues import QueueFilter
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.app.warehouse_reader import WarehouseReader
from spark_ml_audit.config import ServeConfig, load_as
from spark_ml_audit.engines.base import Engine
from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.lake.places import literal_in
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

    def execute(self, statement: str, parameters: dict[str, Any]) -> None:
        # Delta's parser on top of Spark's does not take named parameters: they are written in
        def written(match: re.Match[str]) -> str:
            value = parameters[match[1]]
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
