"""Packed tag lists come back as they were, whatever slice of an Arrow array holds them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.arrow.packed_tags import TagLists, pack_tags, unpack_tags

ROWS = st.lists(st.tuples(*[st.lists(st.integers(0, 9_999), max_size=4) for _ in range(4)]), max_size=8)


def pairs(lists):
    rows = np.repeat(np.arange(len(lists)), [len(tags) for tags in lists])
    return rows, np.array([tag for tags in lists for tag in tags], dtype=np.int64)


def lists_of(pair, num_rows):
    return [pair[1][pair[0] == i].tolist() for i in range(num_rows)]


def pack(rows):
    return pack_tags(TagLists(len(rows), *[pairs([row[part] for row in rows]) for part in range(4)]))


@given(ROWS, st.data())
def test_packed_rows_come_back_from_any_slice(rows, data):
    start = data.draw(st.integers(0, len(rows)))
    length = data.draw(st.integers(0, len(rows) - start))
    found = unpack_tags(pack(rows).slice(start, length))
    kinds = (found.given, found.missing, found.extraneous, found.ambiguous)
    parts = [lists_of(pair, length) for pair in kinds]
    assert list(zip(*parts, strict=True)) == [tuple(row) for row in rows[start : start + length]]


@given(ROWS)
def test_wide_binary_is_read_too(rows):
    packed = pack(rows)
    packed.validate(full=True)
    found = unpack_tags(packed.cast(pa.large_binary()))
    assert lists_of(found.given, len(rows)) == [row[0] for row in rows]
