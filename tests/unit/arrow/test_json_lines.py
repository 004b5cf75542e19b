"""JSON Lines: what Arrow reads and what Python reads is the same, and faults are named with their line."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_ml_audit.arrow import json_lines
from spark_ml_audit.arrow.json_lines import json_batches
from spark_ml_audit.errors import InputError


def read(content: bytes) -> list[dict[str, Any]]:
    return [
        row for batch in json_batches(lambda: io.BytesIO(content), "x.jsonl") for row in batch.to_pylist()
    ]


VALUES = {
    "text": st.text(st.characters(exclude_categories=("Cs",)), max_size=4) | st.just("2024-01-01"),
    "int": st.integers(-(2**40), 2**40),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "texts": st.lists(st.text("ab,'\"", max_size=3) | st.none(), max_size=3),
    "ints": st.lists(st.integers(0, 9), max_size=3),
    "floats": st.lists(st.floats(0, 1), max_size=3),
    "map": st.dictionaries(st.sampled_from("abc"), st.floats(0, 1) | st.none(), max_size=3),
}


@settings(max_examples=200)
@given(st.data(), st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=3, unique=True))
def test_arrow_and_python_read_the_same(data: st.DataObject, kinds: list[str]) -> None:
    row = st.fixed_dictionaries(
        {"id": st.integers(0, 9)}, optional={kind: VALUES[kind] | st.none() for kind in kinds}
    )
    rows = data.draw(st.lists(row, max_size=6))
    block = "\n".join(json.dumps(row) for row in rows).encode()
    slow = json_lines._by_python(block, "x", 1)
    fast = json_lines._by_arrow(block) if rows else None
    if fast is None:
        return
    assert set(fast.schema.names) == set(slow.schema.names)
    for name in slow.schema.names:
        one, other = (batch.column(batch.schema.names.index(name)) for batch in (fast, slow))
        assert str(one.type).replace("item", "element") == str(other.type).replace("item", "element")
        assert [_plain(value) for value in one.to_pylist()] == [_plain(value) for value in other.to_pylist()]


def _plain(value: Any) -> Any:
    """Keys of a map in an order of their own."""
    return sorted(value) if isinstance(value, list) and value and isinstance(value[0], tuple) else value


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'\xef\xbb\xbf{"id": "007"}\r\n\r\n{"id": "1"}', [{"id": "007"}, {"id": "1"}]),
        (b'{"id": 1}\n{"id": "x"}\n', [{"id": "1"}, {"id": "x"}]),
        (b'{"d": "2024-01-01 10:00:00"}', [{"d": "2024-01-01 10:00:00"}]),
        (b'{"t": [null, "x"]}\n{"t": ["y"]}', [{"t": [None, "x"]}, {"t": ["y"]}]),
        (b'{"p": {"a": 1}}\n{"p": {"b": 0.5}}', [{"p": [("a", 1.0)]}, {"p": [("b", 0.5)]}]),
        (b'{"p": {"a": 1}}\n{"p": {}}', [{"p": [("a", 1.0)]}, {"p": []}]),
        (b'{"m": {"a": {"b": 1}}}', [{"m": '{"a": {"b": 1}}'}]),
        (b'{"p": [NaN, 1]}', [{"p": [float("nan"), 1.0]}]),
        (b'{"n": 12345678901234567890}', [{"n": 12345678901234567890.0}]),
        (
            b'{"n": 9007199254740993, "m": {"a": []}}\n{"n": 0.5}',
            [
                {"n": 2.0**53, "m": '{"a": []}'},
                {"n": 0.5, "m": None},
            ],
        ),
        (b'{"p": {"a": 9007199254740993}}', [{"p": [("a", 2.0**53)]}]),
        (b'{"p": {"a": 9007199254740993}}\n{"p": {}}', [{"p": [("a", 2.0**53)]}, {"p": []}]),
        (b'{"p": [9007199254740993, 0.5], "m": {"a": []}}', [{"p": [2.0**53, 0.5], "m": '{"a": []}'}]),
    ],
)
def test_files_as_people_write_them(content: bytes, found: list[dict[str, Any]]) -> None:
    assert repr(read(content)) == repr(found)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"id": 1}\n{"id": 2\n', "line 2 of 'x.jsonl' is no JSON"),
        (b'{"id": 1}{"id": 2}\n', "line 1 of 'x.jsonl' is no JSON"),
        (b'{"id":\n1}\n', "line 1 of 'x.jsonl' is no JSON"),
        (b'{"id": 1}\n\n[1]\n', "line 3 of 'x.jsonl' is no object"),
        (b'[{"id": 1}]', "line 1 of 'x.jsonl' is no object"),
        (b'[\n{"id": 1}\n]', "line 1 of 'x.jsonl' is no object"),
        (b'\xef\xbb\xbf\r\n [{"id": 1}]', "line 2 of 'x.jsonl' is no object"),
        (b'{"id": 1, "id": 2}', "names a key twice"),
        ('{"id": "é"}'.encode("latin-1"), "line 1 of 'x.jsonl' is not UTF-8 (byte 0xe9)"),
        ('{"id": 1}'.encode("utf-16"), "is UTF-16"),
        (b'{"id": "\\ud800"}', "line 1 of 'x.jsonl' is no JSON"),
    ],
)
def test_faults_are_named_with_their_line(content: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(content)
    assert said in caught.value.message
    assert caught.value.fix


def test_a_list_around_the_objects_is_told_with_the_way_out() -> None:
    for content in (b'[{"id": 1}]', b'[\n{"id": 1}\n]'):
        with pytest.raises(InputError) as caught:
            read(content)
        assert "lines=True" in caught.value.fix


def test_a_list_around_the_objects_is_refused_before_the_rest_is_read() -> None:
    class Unread(io.BytesIO):
        def readline(self, *size: Any) -> bytes:
            raise AssertionError(size)

    with pytest.raises(InputError, match="begins a list"):
        next(json_batches(lambda: Unread(b'[{"id": 1}]'), "x.json"))


def test_ids_keep_their_digits_beside_one_that_no_bigint_holds() -> None:
    content = b'{"id": 138000}\n{"id": 18446744073709551000}\n'
    (batch,) = json_batches(lambda: io.BytesIO(content), "x.jsonl", {"id"})
    assert batch.column(0).to_pylist() == ["138000", "18446744073709551000"]


@pytest.mark.parametrize("other", ["1", "null", '"x"', "1.0"])
def test_ids_that_are_floats_are_refused_with_their_line(other: str) -> None:
    content = f'{{"id": {other}, "p": 1.5}}\n{{"id": 1.5}}\n'.encode()
    with pytest.raises(InputError, match=r"line [12] of 'x.jsonl' has the number 1\.[05] in") as caught:
        list(json_batches(lambda: io.BytesIO(content), "x.jsonl", {"id"}))
    assert caught.value.key == "source.id"


def test_lines_are_whole_wherever_blocks_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "_BLOCK", 50)
    lines = [json.dumps({"id": i, "x": "y" * (i % 90)}) for i in range(200)]
    assert [row["id"] for row in read("\n".join(lines).encode())] == list(range(200))
    lines[150] = "{"
    with pytest.raises(InputError, match="line 151"):
        read("\n".join(lines).encode())
