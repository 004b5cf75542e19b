"""Labels as JSON: the very text that Spark writes, and back without loss."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.arrow.label_json import pack_labels, unpack_labels

ODD = ["".join(map(chr, range(32))), "\"\\/ \x7f\x80\u2028\u2029é😀<>&'", "", None]
# as `to_json` of Spark 4.2 wrote them, nulls written out
ODD_JSON = (
    r'["\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000B\f\r\u000E\u000F\u0010\u0011\u0012\u0013'
    r"\u0014\u0015\u0016\u0017\u0018\u0019\u001A\u001B\u001C\u001D\u001E\u001F"
    + '","\\"\\\\/ \x7f\x80\u2028\u2029é😀<>&\'","",null]'
)
# (a few others have digits too many before Java 19)
NUMBERS = [
    0.0, -0.0, 1.0, 0.1, 1e-3, 9.999e-4, 1e7, 9999999.0, 1.5e300, 2e-3,
    float("nan"), float("inf"), float("-inf"), 1 / 3, 100.0, None,
]  # fmt: skip
DOUBLES_JSON = (
    '[0.0,-0.0,1.0,0.1,0.001,9.999E-4,1.0E7,9999999.0,1.5E300,0.002,"NaN","Infinity","-Infinity",'
    "0.3333333333333333,100.0,null]"
)
FLOATS_JSON = (
    '[0.0,-0.0,1.0,0.1,0.001,9.999E-4,1.0E7,9999999.0,"Infinity",0.002,"NaN","Infinity",'
    '"-Infinity",0.33333334,100.0,null]'
)
FEW_DIGITS = pa.decimal128(12, 7)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([ODD]), ODD_JSON),
        (pa.array([NUMBERS], pa.list_(pa.float64())), DOUBLES_JSON),
        (pa.array([NUMBERS], pa.list_(pa.float64())).cast(pa.list_(pa.float32())), FLOATS_JSON),
        (pa.array([[Decimal(1), Decimal(0)]], pa.list_(FEW_DIGITS)), "[1.0000000,0E-7]"),
        (pa.array([[1, -2, None]], pa.list_(pa.int16())), "[1,-2,null]"),
        (pa.array([[True, False, None]]), "[true,false,null]"),
        (pa.array([[]], pa.list_(pa.string())), "[]"),
        (pa.array([None], pa.list_(pa.string())), "null"),
        (pa.array([None], pa.string()), "null"),
        (pa.array([False]), "false"),
        (pa.array(["a,b"]), '"a,b"'),
    ],
)
def test_labels_are_written_as_spark_writes_them(column, expected):
    assert pack_labels([column]).to_pylist() == [f'{{"l0":{expected}}}']


LABELS = {
    pa.list_(pa.string()): st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"]))),
    pa.list_(pa.int64()): st.lists(st.none() | st.integers(-(1 << 63), (1 << 63) - 1)),
    pa.list_(pa.bool_()): st.lists(st.booleans()),
    pa.list_(pa.float64()): st.lists(st.floats(allow_nan=False)),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.decimal128(20, 3): st.decimals(-(10**17) + 1, 10**17 - 1, places=3),
    pa.string(): st.text(st.characters(exclude_categories=["Cs"])),
    pa.int8(): st.integers(-128, 127),
}


@given(data=st.data())
def test_labels_come_back_as_they_were(data):
    kinds = data.draw(st.lists(st.sampled_from(list(LABELS)), min_size=1, max_size=4))
    num_rows = data.draw(st.integers(0, 4))
    values = [
        data.draw(st.lists(st.none() | LABELS[kind], min_size=num_rows, max_size=num_rows)) for kind in kinds
    ]
    columns = [pa.array(column, kind) for column, kind in zip(values, kinds, strict=True)]
    packed = pack_labels(columns)
    assert packed.null_count == 0
    for before, after in zip(columns, unpack_labels(packed, kinds), strict=True):
        assert after.type == before.type
        # by their text: 0.0 and -0.0 are not the same here
        assert repr(after.to_pylist()) == repr(before.to_pylist())


def test_slices_are_written_for_what_they_hold():
    column = pa.array([["x"], ["a", "b"], [], None, ["c"]]).slice(1, 3)
    assert pack_labels([column]).to_pylist() == ['{"l0":["a","b"]}', '{"l0":[]}', '{"l0":null}']


def test_words_for_numbers_that_are_none_come_back():
    kind = pa.list_(pa.float32())
    (found,) = unpack_labels(pa.array(['{"l0":["NaN","-Infinity",1.0]}', None]), [kind])
    assert repr(found.to_pylist()) == "[[nan, -inf, 1.0], None]"
