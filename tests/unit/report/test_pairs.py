"""Pairs of tags are counted as if each were written down."""

from __future__ import annotations

from collections import Counter
from itertools import product
from unittest import mock

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_ml_audit.report import pairs
from spark_ml_audit.report.pairs import LISTS, PAIRS, count_pairs

TAGS = st.lists(st.sampled_from(["", "a", "b", "ä\N{GRINNING FACE}", "d" * 40]), unique=True)


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[str], list[str], list[str]]:
    given_tags = draw(TAGS)
    missing = [tag for tag in draw(TAGS) if tag not in given_tags]
    return missing, given_tags, [tag for tag in given_tags if draw(st.booleans())]


def batch_of(rows: list[tuple[list[str], list[str], list[str]]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else ([], [], [])
    kind = pa.list_(pa.string())
    # what is before and after a slice belongs to nobody
    arrays = [pa.array([["x"], *column, ["y"]], kind).slice(1, len(rows)) for column in columns]
    return pa.record_batch(arrays, names=LISTS)


@settings(deadline=None)
@given(
    st.lists(st.lists(rows(), max_size=6), max_size=4), st.sampled_from([0, 2, 4, 1000]), st.integers(1, 5)
)
def test_pairs_are_those_of_a_loop(
    batches: list[list[tuple[list[str], list[str], list[str]]]], in_square: int, at_once: int
) -> None:
    num_rows: Counter[tuple[str, str]] = Counter()
    swapped: Counter[tuple[str, str]] = Counter()
    for missing, given_tags, extraneous in (row for batch in batches for row in batch):
        for pair in product(missing, given_tags):
            num_rows[pair] += 1
            swapped[pair] += pair[1] in extraneous
    limits = {"_MOST_IN_SQUARE": in_square, "_PAIRS_AT_ONCE": at_once, "_KEPT_PAIRS": at_once}
    with mock.patch.multiple(pairs, **limits):
        found = pa.Table.from_batches(count_pairs(map(batch_of, batches)), PAIRS).to_pylist()
    assert {(row["missing"], row["given"]): row["num_rows"] for row in found} == num_rows
    assert {(row["missing"], row["given"]): row["num_swapped"] for row in found} == swapped
    assert len(found) == len(num_rows)


def test_null_lists_have_no_pairs() -> None:
    kind = pa.list_(pa.string())
    lists = [[["a"], None, ["a"]], [None, ["b"], ["b"]], [None, None, []]]
    batch = pa.record_batch([pa.array(values, kind) for values in lists], names=LISTS)
    found = [tuple(row.values()) for part in count_pairs(iter([batch])) for row in part.to_pylist()]
    assert found == [("a", "b", 1, 0)]
