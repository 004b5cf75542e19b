"""Flags and verdicts by annotator: every form of column, beside a plain count."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from spark_ml_audit.arrow.annotators import COUNTED, count_flags, count_verdicts, takes

MAP = pa.map_(pa.string(), pa.string())
ROWS = {
    "given_tags": [["a", "b"], [], ["a"], ["c"]],
    "extraneous_tags": [["b"], [], [], ["c"]],
    "missing_tags": [[], ["a"], ["b", "c"], []],
}


def batch(**people: Any) -> pa.RecordBatch:
    lists = {name: pa.array(values, pa.list_(pa.string())) for name, values in ROWS.items()}
    return pa.RecordBatch.from_pydict({**lists, **people})


def found(counted: Any) -> dict[str, tuple[int, ...]]:
    assert counted.schema == COUNTED
    rows = [tuple(row.values()) for row in counted.to_pylist()]
    return {row[0]: row[1:5] for row in sorted(rows)}


def test_one_name_per_row() -> None:
    own = batch(who=pa.array(["ann", " ann ", None, "bob"]))
    assert found(count_flags(own, ["who"])) == {"ann": (2, 2, 1, 1), "bob": (1, 1, 1, 0)}


def test_numbers_several_columns_and_lists_name_everybody_once() -> None:
    numbers = batch(who=pa.array([7, 7, 8, None]))
    assert found(count_flags(numbers, ["who"])) == {"7": (2, 2, 1, 1), "8": (1, 1, 0, 2)}
    two = batch(first=pa.array(["ann", "bob", "", None]), second=pa.array(["bob", "bob", "ann", None]))
    assert found(count_flags(two, ["first", "second"])) == {"ann": (2, 3, 1, 2), "bob": (2, 2, 1, 1)}
    lists = batch(who=pa.array([["ann", "bob"], ["bob", "bob"], ["ann"], None]))
    assert found(count_flags(lists, ["who"])) == found(count_flags(two, ["first", "second"]))


def test_a_map_names_who_gave_which_tag() -> None:
    maps = pa.array([[("a", "ann"), ("b", "bob")], [], [("a", "bob")], [("x", "cem")]], MAP)
    # c of the last row was given by nobody whom the map names; missing tags go to all of a row
    assert found(count_flags(batch(who=maps), ["who"])) == {
        "ann": (1, 1, 0, 0),
        "bob": (2, 2, 1, 2),
        "cem": (1, 0, 0, 0),
    }


def test_verdicts_go_to_who_gave_the_tag_or_to_all_of_the_row() -> None:
    maps = pa.array([[("a", "ann"), ("b", "bob")]] * 3, MAP)
    cells = pa.RecordBatch.from_pydict(
        {
            "tag": ["a", "b", "c"],
            "verdict": ["absent", "present", "present"],
            "given_tags": pa.array([["a", "b"]] * 3, pa.list_(pa.string())),
            "who": maps,
        }
    )
    counted = {row["annotator"]: row for row in count_verdicts(cells, ["who"]).to_pylist()}
    assert {name: (row["num_judged"], row["num_wrong"]) for name, row in counted.items()} == {
        "ann": (2, 2),
        "bob": (2, 1),
    }


def test_no_rows_and_nobody_named_count_nothing() -> None:
    empty = batch(who=pa.array([None] * 4, pa.string()))
    assert count_flags(empty, ["who"]).num_rows == 0
    assert count_flags(empty.slice(0, 0), ["who"]).num_rows == 0


def test_which_types_can_name_people() -> None:
    for kind in (pa.string(), pa.int32(), pa.list_(pa.string()), MAP):
        assert takes(kind)
    for kind in (
        pa.float64(),
        pa.timestamp("us"),
        pa.list_(pa.list_(pa.string())),
        pa.map_(pa.int32(), pa.string()),
    ):
        assert not takes(kind)
