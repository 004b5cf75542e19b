"""Lists written as texts: what pandas, NumPy, Python and JSON write is read back as it was."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.arrow.text_lists import number_lists, number_maps, text_lists

NAMES = st.text(st.characters(exclude_categories=("Cs",)), max_size=6)
NUMBERS = st.floats(allow_nan=False, width=64) | st.integers(-(2**31), 2**31)


@given(st.lists(st.lists(NAMES, max_size=4), max_size=5), st.sampled_from(["repr", "json", "ascii"]))
def test_texts_come_back_from_python_and_json(rows: list[list[str]], how: str) -> None:
    write = {"repr": repr, "json": lambda row: json.dumps(row, ensure_ascii=False), "ascii": json.dumps}[how]
    found, bad = text_lists(pa.array([write(row) for row in rows], pa.string()))
    # Python puts neighbouring texts together, so a name with that in it is refused and never misread
    for row, value, is_bad in zip(rows, found.to_pylist(), bad.tolist(), strict=True):
        assert value == row or is_bad


@given(st.lists(st.lists(NUMBERS, max_size=4), max_size=5), st.sampled_from([repr, json.dumps]))
def test_numbers_come_back_from_python_and_json(rows: list[list[float]], write: object) -> None:
    found, bad = number_lists(pa.array([write(row) for row in rows], pa.string()))  # type: ignore[operator]
    assert not bad.any()
    assert found.to_pylist() == [[float(value) for value in row] for row in rows]


def test_pandas_and_numpy_write_lists_that_are_read(tmp_path: object) -> None:
    probs = np.random.default_rng(1).random((50, 20)).astype(np.float32)
    frame = pd.DataFrame(
        {"tags": [["it's", "b"], np.array(["a", "b c"], dtype=object)] * 25, "p": list(probs)}
    )
    path = f"{tmp_path}/x.csv"
    frame.to_csv(path, index=False)
    texts = pd.read_csv(path)
    numbers, bad = number_lists(pa.array(texts["p"]))
    assert not bad.any()
    # NumPy writes eight digits
    assert np.allclose(np.array(numbers.to_pylist()), probs, atol=1e-7)
    tags, bad = text_lists(pa.array(texts["tags"]))
    assert not bad.any()
    assert tags.to_pylist()[:2] == [["it's", "b"], ["a", "b c"]]


@pytest.mark.parametrize(
    "text",
    [
        "[0.1, x]", "[0.1", "0.1]", "[1 2 ... 3]", "[[1]]", "[0.1,,0.2]", "[0.1, 0.2,]", "", "1", "[1;2]",
        "[0x1]", "[1_0]", "(1, 2]", "[--1]",
    ],
)  # fmt: skip
def test_what_is_no_list_of_numbers_is_bad(text: str) -> None:
    good = "[1.5, 2]"
    found, bad = number_lists(pa.array([good, text, good]))
    assert bad.tolist() == [False, True, False]
    assert found.to_pylist() == [[1.5, 2.0], None, [1.5, 2.0]]


@pytest.mark.parametrize(
    "text",
    [
        "['a'", "a", "", "['a' + 'b']", "[a]", "[['a']]", "[True]", '{"a": 1}', "['a', 'b' \"c\"]",
        "[\"\\ud800\"]",
    ],
)  # fmt: skip
def test_what_is_no_list_of_texts_is_bad(text: str) -> None:
    found, bad = text_lists(pa.array(["['a']", text]))
    assert (found.to_pylist(), bad.tolist()) == ([["a"], None], [False, True])


def test_deeply_nested_texts_are_bad_and_break_nothing() -> None:
    deep = "[" * 100_000
    for read in (text_lists, number_lists, number_maps):
        assert read(pa.array([deep]))[1].tolist() == [True]


def test_a_number_beyond_doubles_is_bad_and_breaks_nothing() -> None:
    found, bad = number_maps(pa.array(['{"a": 1}', '{"a": 1' + "0" * 400 + "}"]))
    assert (found.to_pylist(), bad.tolist()) == ([[("a", 1.0)], None], [False, True])


def test_slices_are_read_as_themselves() -> None:
    texts = pa.array(["['x']", "['a', 'b']", "[]", None, "('c',)"]).slice(1)
    assert text_lists(texts)[0].to_pylist() == [["a", "b"], [], None, ["c"]]
    numbers = pa.array(["[9]", "[1 2]", "[]", None]).slice(1)
    assert number_lists(numbers, whole=True)[0].to_pylist() == [[1, 2], [], None]
