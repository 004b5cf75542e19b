"""Lists by their lengths and entries, whatever kind of array holds them and wherever its slice begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.arrow.lists import lengths_of, list_array, lists_contain, places_of, rows_of_lists

LISTS: list[list[int | None] | None] = [[7], [1, None], [], None, [2, 3, 4], [None], None]
# a null that has entries all the same, as writers may leave them
HIDDEN = pa.ListArray.from_arrays(
    pa.array([0, 1, 3, 5], pa.int32()), pa.array([7, 8, 9, 1, 2]), mask=pa.array([False, True, False])
)


@pytest.mark.parametrize("kind", [pa.list_(pa.int32()), pa.large_list(pa.int64())])
@pytest.mark.parametrize(("start", "stop"), [(0, 7), (2, 6), (3, 4), (5, 5)])
def test_every_entry_has_its_row_and_place(kind: Any, start: int, stop: int) -> None:
    lists = pa.array(LISTS, kind).slice(start, stop - start)
    entries = [
        (row, place, value)
        for row, values in enumerate(LISTS[start:stop])
        for place, value in enumerate(values or [])
    ]
    lengths = lengths_of(lists)
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [len(values or []) for values in LISTS[start:stop]]
    found = zip(
        rows_of_lists(lists).tolist(), places_of(lengths).tolist(), lists.flatten().to_pylist(), strict=True
    )
    assert list(found) == entries
    assert lengths_of(pa.chunked_array([lists, lists])).tolist() == lengths.tolist() * 2


def test_entries_of_a_null_do_not_count() -> None:
    assert lengths_of(HIDDEN).tolist() == [1, 0, 2]
    assert rows_of_lists(HIDDEN).tolist() == [0, 2, 2]
    assert len(HIDDEN.flatten()) == 3
    assert lists_contain(HIDDEN, pa.array([7, 8, 2])).to_pylist() == [True, False, True]


@pytest.mark.parametrize(("start", "stop"), [(0, 7), (2, 6), (3, 4), (5, 5)])
def test_lists_are_put_together_again(start: int, stop: int) -> None:
    lists = pa.array(LISTS, pa.list_(pa.int32())).slice(start, stop - start)
    again = list_array(lengths_of(lists), lists.flatten(), mask=lists.is_null())
    again.validate(full=True)
    assert again.equals(lists)
    assert again.type == lists.type
    without_nulls = list_array(lengths_of(lists).tolist(), lists.flatten())
    assert without_nulls.to_pylist() == [values or [] for values in LISTS[start:stop]]


def test_lists_contain_what_is_beside_them() -> None:
    lists = pa.array([["x"], ["a", "b"], [], None, ["c", None], ["d"]]).slice(1)
    values = pa.array(["b", "b", "b", "c", None])
    assert lists_contain(lists, values).to_pylist() == [True, False, False, True, False]
    nothing = pa.array([], pa.list_(pa.string()))
    assert lists_contain(nothing, pa.array([], pa.string())).to_pylist() == []
