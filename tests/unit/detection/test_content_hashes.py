"""Contents of rows: which are the same, which are left out, what is told of their tags."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.detection.content_hashes import WITH_TAGS, WITHOUT_TAGS, content_hashes
from spark_ml_audit.engines.base import rows_of
from tests.unit.detection.rows import finder_of, ingest_of


def read(finder: Any, **asked: Any) -> dict[str, dict[str, Any]]:
    rows = rows_of(finder.ingest.engine, content_hashes(finder, **asked))
    return {row.pop("id"): row for row in rows}


def test_texts_are_the_same_but_for_case_and_blanks_and_empty_ones_are_left_out(engine: Any) -> None:
    texts = ["A red film", " a RED  film", "a red film.", "", None, " "]
    finder = finder_of(ingest_of(engine, {"body": texts}, [[]] * 6), text="body")
    found = read(finder)
    assert set(found) == {"r0", "r1", "r2"}
    assert found["r0"] == found["r1"] != found["r2"]


def test_several_columns_are_one_text(engine: Any) -> None:
    columns = {"a": ["x", "x y"], "b.c": pa.array([["y"], []], pa.list_(pa.string()))}
    finder = finder_of(ingest_of(engine, columns, [[], []]), text=["a", "b.c"])
    found = read(finder)
    assert found["r0"] == found["r1"]


def test_vectors_of_another_width_and_without_a_direction_are_left_out(engine: Any) -> None:
    vectors = [[1.0, 0.0], [1.0, -0.0], [2.0, 0.0], [0.0, 0.0], [1.0], None, [float("nan"), 1.0]]
    columns = {"vector": pa.array(vectors, pa.list_(pa.float64()))}
    found = read(finder_of(ingest_of(engine, columns, [[]] * 7), embedding="vector"))
    assert set(found) == {"r0", "r1", "r2"}
    assert found["r0"] == found["r1"] != found["r2"]


def test_tags_follow_a_sign_of_whether_there_are_any(engine: Any) -> None:
    tags = [["blue", "red"], [], None, ["no such tag"], ["green"]]
    found = read(finder_of(ingest_of(engine, {"body": list("abcde")}, tags), text="body"), tags=True)
    given = {name: row["given"] for name, row in found.items()}
    assert given == {
        "r0": [WITH_TAGS, 0, 2], "r1": [WITH_TAGS], "r2": [WITHOUT_TAGS], "r4": [WITH_TAGS, 1],
    }  # fmt: skip


@pytest.mark.parametrize("wanted", [["r1"], ["r0", "r2"], []])
def test_only_what_is_asked_for_is_read(engine: Any, wanted: list[str]) -> None:
    finder = finder_of(ingest_of(engine, {"body": ["one", "two", "three"]}, [[]] * 3), text="body")
    every = read(finder, keys=True, body=True)
    only = np.sort(np.array([every[name]["content"] for name in wanted], dtype=np.int64))
    assert read(finder, keys=True, body=True, only=only) == {name: every[name] for name in wanted}
