"""Tables in hand: what is read of each library's, what names their rows, in which form results go back."""

from __future__ import annotations

import datetime
import importlib
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from spark_ml_audit.engines.in_hand import NUMBERED, hold, is_table, named_in, to_pandas
from spark_ml_audit.errors import InputError


def frames() -> list[object]:
    rows = {"id": [3, 1, 2], "labels": [["a"], [], ["b", "a"]], "text": ["x", None, "z"]}
    found: list[object] = [pd.DataFrame(rows), pa.table(rows), pa.table(rows).to_batches()[0]]
    try:
        polars = importlib.import_module("polars")
    except ImportError:
        return found
    return [*found, polars.DataFrame(rows), polars.DataFrame(rows).lazy()]


@pytest.mark.parametrize("data", frames(), ids=lambda data: f"{type(data).__module__}.{type(data).__name__}")
def test_a_table_of_any_library_is_read_and_given_back_in_its_form(data: object) -> None:
    held = hold(data)
    assert held is not None
    assert held.table.column("labels").to_pylist() == [["a"], [], ["b", "a"]]
    assert held.table.column("text").to_pylist() == ["x", None, "z"]
    assert held.with_ids(None)[1] == "id"
    back = held.in_kind(pa.table({"tags": [["x"], []]}))
    library = type(data).__module__.split(".")[0]
    assert type(back).__module__.split(".")[0] == library
    assert len(back) == 2
    ordered = held.in_order(pa.table({"id": [1, 2, 3], "n": [1, 2, 3]}), "id")
    assert ordered.column("n").to_pylist() == [3, 1, 2]


def test_a_reader_is_read_once_and_stays_arrow() -> None:
    held = hold(pa.table({"id": [1, 2]}).to_reader())
    assert held is not None
    assert held.table.num_rows == 2
    assert isinstance(held.in_kind(held.table), pa.Table)


@pytest.mark.parametrize(
    "data", [[[0], [1]], np.zeros((2, 2)), pd.Series([1]), {"id": [1]}, None, "text", pa.array([1])]
)
def test_arrays_series_and_texts_are_no_tables(data: object) -> None:
    assert not is_table(data)
    assert hold(data) is None


class TestIds:
    def named(
        self, frame: pd.DataFrame, name: str | None = None
    ) -> tuple[str, list[object], tuple[str, ...]]:
        held = hold(frame)
        assert held is not None
        held, found = held.with_ids(name)
        return found, held.table.column(found).to_pylist(), held.notes

    def test_a_column_id_comes_first(self) -> None:
        frame = pd.DataFrame({"id": ["b", "a"]}, index=pd.Index([7, 8], name="film"))
        assert self.named(frame) == ("id", ["b", "a"], ())
        assert self.named(frame, "film")[:2] == ("film", [7, 8])

    @pytest.mark.parametrize(
        ("index", "name", "values"),
        [
            (pd.Index(["x", "y"], name="film"), "film", ["x", "y"]),
            (pd.Index(["x", "y"]), "index", ["x", "y"]),
            (pd.Index([4, 9]), "index", [4, 9]),  # rows of a larger frame
            (pd.Index([0, 1], name="film"), "film", [0, 1]),
            (pd.CategoricalIndex(["x", "y"], name="film"), "film", ["x", "y"]),
            (pd.RangeIndex(2), "row_number", [0, 1]),
            (pd.Index([0, 1]), "row_number", [0, 1]),
            (pd.Index(["x", "x"], name="film"), "row_number", [0, 1]),  # names no row
            (pd.Index([0.5, 1.5]), "row_number", [0, 1]),
            (pd.Index([1, 0], dtype=bool), "row_number", [0, 1]),
            (pd.date_range("2026-01-01", periods=2, name="day"), "row_number", [0, 1]),
            (pd.MultiIndex.from_tuples([(0, 1), (0, 2)], names=["a", "b"]), "row_number", [0, 1]),
            (pd.Index(["x", None]), "row_number", [0, 1]),
        ],
    )
    def test_else_an_index_that_can_or_the_row_number(
        self, index: pd.Index, name: str, values: list[object]
    ) -> None:
        found, ids, notes = self.named(pd.DataFrame({"labels": [["a"], []]}, index=index))
        assert (found, ids) == (name, values)
        assert (NUMBERED in notes) == (name == "row_number")
        assert len(notes) == 1

    def test_the_number_of_an_earlier_result_is_taken_as_it_is(self) -> None:
        assert self.named(pd.DataFrame({"row_number": [5, 6]})) == ("row_number", [5, 6], ())

    def test_a_column_that_would_be_hidden_is_named(self) -> None:
        with pytest.raises(InputError, match=r"'row_number', .* is there \('Row_Number'\)"):
            self.named(pd.DataFrame({"Row_Number": [5, 6]}))
        with pytest.raises(InputError, match="'index'"):
            self.named(pd.DataFrame({"index": [5, 6]}, index=["a", "b"]))

    def test_unsigned_ids_that_fit_are_whole_numbers(self) -> None:
        held = hold(pa.table({"id": pa.array([7, 3], pa.uint64())}))
        assert held is not None
        assert held.with_ids(None)[0].table.schema.field("id").type == pa.int64()
        large = hold(pa.table({"id": pa.array([2**63], pa.uint64())}))
        assert large is not None
        assert large.with_ids("id")[0].table.schema.field("id").type == pa.uint64()


class TestPandas:
    def test_arrays_sets_and_tuples_in_cells_are_lists_and_nan_is_null(self) -> None:
        frame = pd.DataFrame(
            {"p": [np.array([0.1, 0.9]), (0.2, 0.8), None], "tags": [{"b", "a"}, set(), np.nan]}
        )
        held = hold(frame)
        assert held is not None
        assert held.table.column("p").to_pylist() == [[0.1, 0.9], [0.2, 0.8], None]
        first, *others = held.table.column("tags").to_pylist()
        assert (sorted(first), others) == (["a", "b"], [[], None])

    def test_a_column_of_several_types_is_left_out_and_refused_where_it_is_asked_for(self) -> None:
        held = hold(pd.DataFrame({"id": [1, 2], "odd": [["a"], "b"]}))
        assert held is not None
        assert held.table.column_names == ["id"]
        assert "Column 'odd' was left out: it holds values of more than one type" in held.notes[0]
        held.check(["id", "elsewhere"])
        with pytest.raises(InputError, match=r"^odd: .*such as list \(row 0\) and str \(row 1\)"):
            held.check(["id", "odd"])

    def test_columns_of_one_name_are_refused_and_numbers_are_names(self) -> None:
        with pytest.raises(InputError, match="two columns are named 'a'"):
            hold(pd.DataFrame([[1, 2]], columns=["a", "a"]))
        held = hold(pd.DataFrame([[1, 2]]))
        assert held is not None
        assert held.table.column_names == ["0", "1"]

    def test_lists_come_back_as_lists_and_the_class_list_with_them(self) -> None:
        field = pa.field("p", pa.list_(pa.float32()), metadata={"classes": '["a", "b"]'})
        table = pa.table(
            {
                "tags": pa.array([["x", "y"], [], None], pa.list_(pa.string())),
                "cells": pa.array([[{"tag": "x"}], [], None]),
                "day": pa.array([datetime.date(2026, 1, 1)] * 3),
                "p": pa.array([[0.5, 0.25]] * 3, pa.list_(pa.float32())),
            }
        )
        frame = to_pandas(table.cast(table.schema.set(3, field)))
        assert frame["tags"].tolist() == [["x", "y"], [], None]
        assert frame["cells"].tolist() == [[{"tag": "x"}], [], None]
        assert frame["p"].tolist() == [[0.5, 0.25]] * 3
        assert frame.attrs["classes"] == ["a", "b"]
        held = hold(frame)
        assert held is not None
        noted = held.with_classes("p").table.schema.field("p").metadata
        assert json.loads(noted[b"classes"]) == ["a", "b"]


def test_rows_with_repeated_and_null_ids_have_an_order_too() -> None:
    held = hold(pa.table({"id": ["c", "a", "c", None, "b"]}))
    assert held is not None
    found = held.in_order(pa.table({"id": [None, "b", "c", "c", "a"]}), "id")
    assert found.column("id").to_pylist() == ["c", "c", "a", None, "b"]


def test_names_are_found_wherever_they_stand() -> None:
    options = {
        "duplicates": {"text": ["title"], "threshold": 0.9},
        "outliers": {"features": {"text": "body"}},
    }
    assert named_in(["id", ("a", None), options]) == {"id", "a", "title", "body"}
