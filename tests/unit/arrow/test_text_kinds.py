"""Types of columns of texts: one rule, whatever the batches."""

from __future__ import annotations

from functools import reduce

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.arrow.text_kinds import TYPES, Noticed, Role, as_kind, join, kind_of, settled

WORDS = [
    "", "1", "-2", "0", "007", "1.5", "1e3", "nan", "inf", "NA", "null", "true", "False", "2024-01-31",
    "2024-13-31", "2024-01-31 10:00", "2024-01-31T10:00:00Z", "12345678901234567890", "+1", "0,5", "[1, 2]",
    "[0.5]", "['a', 'b']", "[]", "[1", '["x"]', "{'a': 1}", '{"a": 0.5}', "a,b", " ", "[nan]", "('a',)",
]  # fmt: skip
ROLES = [
    Role(),
    Role("id"),
    Role("text"),
    Role("flag"),
    Role("prob"),
    Role("prob", decimal_comma=True),
    Role("probs"),
    Role("labels"),
    Role("labels", listed=True),
    Role("labels", listed=False),
    Role("labels", empty_is_null=True),
    Role("labels", null_is_empty=False),
]


def kind(values: list[str | None], role: Role) -> str:
    return kind_of(pa.array(values, pa.string()), role, parse=True)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["1", "-2", None, ""], "int"),
        (["1", "NA"], "int"),
        (["007", "1"], "text"),
        (["12345678901234567890"], "text"),
        (["1", "2.5", "nan"], "float"),
        (["nan"], "text"),
        (["NA", ""], "text"),
        (["true", "False"], "bool"),
        (["2024-01-31", ""], "date"),
        (["2024-01-31", "2024-01-31 10:00"], "time"),
        (["2024-13-31"], "text"),
        (["[1, 2]", "[]"], "ints"),
        (["[0.1 0.2]"], "floats"),
        (["['a']", "[1]"], "texts"),
        (["['a']", "b"], "text"),
        (["1,234"], "text"),
        ([], "text"),
    ],
)
def test_values_of_any_column(values: list[str | None], found: str) -> None:
    assert settled(kind(values, Role()), Role()) == found


@pytest.mark.parametrize(
    ("values", "role", "found"),
    [
        (["1", "2.5"], Role("id"), "text"),
        (["1", "2"], Role("id"), "int"),
        (["2024-01-31"], Role("id"), "text"),
        (["2024"], Role("text"), "text"),
        (["a,b", ""], Role("labels"), "text"),
        (["['a', 'b']", "", "['a"], Role("labels"), "texts"),
        (["[0, 2]", "[0, 2", ""], Role("labels"), "ints"),
        (["[0, 2]", "a"], Role("labels"), "text"),
        (["[0, 2]", "a"], Role("labels", listed=True), "ints"),
        (["[0, 2]"], Role("labels", listed=False), "text"),
        (["[0.1, 0.2]", "[0.1, x]", ""], Role("probs"), "floats"),
        (['{"a": 0.1}', ""], Role("probs"), "map"),
        (["[0.1]", '{"a": 0.1}'], Role("probs"), "text"),
        (["[0.1]", "NA"], Role("probs"), "floats"),
        (["0.1 0.2"], Role("probs"), "text"),
        (["", ""], Role("probs"), "floats"),
        (["", ""], Role("prob"), "float"),
        (["0,5", "1"], Role("prob", decimal_comma=True), "comma"),
        (["0,5", "1"], Role("prob"), "text"),
    ],
)
def test_values_of_columns_that_the_config_names(values: list[str], role: Role, found: str) -> None:
    assert settled(kind(values, role), role) == found


@given(st.lists(st.lists(st.sampled_from(WORDS) | st.none(), max_size=4), max_size=5), st.sampled_from(ROLES))
def test_a_kind_depends_on_values_and_not_on_their_batches(batches: list[list[str]], role: Role) -> None:
    whole = settled(kind([value for batch in batches for value in batch], role), role)
    parts = reduce(
        lambda one, other: join(one, other, role), (kind(batch, role) for batch in batches), "null"
    )
    assert settled(parts, role) == whole
    turned = reduce(
        lambda one, other: join(one, other, role), (kind(batch, role) for batch in batches[::-1]), "null"
    )
    assert settled(turned, role) == whole


@given(st.lists(st.sampled_from(WORDS) | st.none(), max_size=6), st.sampled_from(ROLES), st.data())
def test_every_value_reads_as_the_kind_that_holds_it_alone_or_among_others(
    values: list[str], role: Role, data: st.DataObject
) -> None:
    found = settled(kind(values, role), role)
    whole = as_kind(pa.array(values, pa.string()), found, role, "x", Noticed(), parse=True)
    assert whole.type == TYPES[found]
    assert len(whole) == len(values)
    cut = data.draw(st.integers(0, len(values)))
    parts = [
        as_kind(pa.array(part, pa.string()), found, role, "x", Noticed(), parse=True).to_pylist()
        for part in (values[:cut], values[cut:])
    ]
    assert repr(parts[0] + parts[1]) == repr(whole.to_pylist())


def test_empty_label_texts_mean_what_the_config_says() -> None:
    values = pa.array(["['a']", "", None, " "], pa.string())
    for empty_is_null, meant in ((False, []), (True, None)):
        role, reading = Role("labels", empty_is_null=empty_is_null), Noticed()
        assert as_kind(values, "texts", role, "x", reading, parse=True).to_pylist() == [["a"], *[meant] * 3]
        assert reading.empty_labels == 3
        texts = as_kind(pa.array(["a,b", "", None]), "text", role, "x", Noticed(), parse=True)
        assert texts.to_pylist() == ["a,b", *[None if empty_is_null else ""] * 2]


def test_a_null_of_json_is_unlabelled_where_an_empty_text_is_not() -> None:
    role = Role("labels", null_is_empty=False)
    for to, texts, found in (
        ("text", ["a,b", "", None], ["a,b", "", None]),
        ("texts", ["['a']", "", None], [["a"], [], None]),
        ("ints", ["[1]", "", None], [[1], [], None]),
        ("int", ["1", None], [1, None]),
    ):
        reading = Noticed()
        assert as_kind(pa.array(texts), to, role, "x", reading, parse=True).to_pylist() == found
        assert reading.empty_labels == texts.count("")


def test_what_is_no_list_is_malformed_and_not_unlabelled() -> None:
    reading = Noticed()
    values = pa.array(["['a']", "['b", "[1, {}]"])
    found = as_kind(values, "texts", Role("labels", empty_is_null=True), "x", reading, parse=True)
    assert found.to_pylist() == [["a"], [None], [None]]
    assert reading.bad["x"].tolist() == [False, True, True]


def test_typed_values_widen_as_json_writes_them() -> None:
    reading, role = Noticed(), Role()
    for values, to, found in (
        ([1, 2], "text", ["1", "2"]),
        ([1.5, None], "text", ["1.5", None]),
        ([True], "text", ["true"]),
        ([[1], []], "text", ["[1]", "[]"]),
        ([[1], None], "texts", [["1"], None]),
        ([1], "float", [1.0]),
        ([2**53 + 1], "float", [2.0**53]),
        ([[2**53 + 1], None], "floats", [[2.0**53], None]),
        ([None], "map", [None]),
    ):
        assert as_kind(pa.array(values), to, role, "x", reading, parse=False).to_pylist() == found
