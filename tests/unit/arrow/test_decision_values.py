"""Cells that people wrote, read as Spark's casts read them; what cannot be read is null."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from spark_ml_audit.arrow.decision_values import (
    TIME,
    are_blank,
    ids_of,
    rows_as_json,
    texts_of,
    times_of,
    verdicts_of,
)

# text -> what Spark 4.2 makes of it in UTC
TIMES = {
    "2026": "2026-01-01 00:00:00",
    "2026-6": "2026-06-01 00:00:00",
    "2026-6-1": "2026-06-01 00:00:00",
    " 2026-06-01 ": "2026-06-01 00:00:00",
    "2026-06-01 1": "2026-06-01 01:00:00",
    "2026-06-01T1:2": "2026-06-01 01:02:00",
    "2026-06-01 1:2:3": "2026-06-01 01:02:03",
    "2026-06-01 12:00:00.": "2026-06-01 12:00:00",
    "2026-06-01 12:00:00.5": "2026-06-01 12:00:00.500000",
    "2026-06-01 12:00:00.1234567": "2026-06-01 12:00:00.123456",
    "2026-06-01T12:00:00Z": "2026-06-01 12:00:00",
    "2026-06-01T12:00:00 Z": "2026-06-01 12:00:00",
    "2026-06-01T12:00:00+02": "2026-06-01 10:00:00",
    "2026-06-01T12:00:00+2": "2026-06-01 10:00:00",
    "2026-06-01T12:00:00+0200": "2026-06-01 10:00:00",
    "2026-06-01T12:00:00+02:00:30": "2026-06-01 09:59:30",
    "2026-06-01T12:00:00-18:00": "2026-06-02 06:00:00",
    "2026-06-01 12:00:00 Europe/Berlin": "2026-06-01 10:00:00",
    "2026-06-01 12:00:00Europe/Berlin": "2026-06-01 10:00:00",
    "2026-03-29 02:30:00 Europe/Berlin": "2026-03-29 01:30:00",  # an hour that there was not
    "2026-10-25 02:30:00 Europe/Berlin": "2026-10-25 00:30:00",  # one that there was twice
    "2026-06-01 12:00:00\t": "2026-06-01 12:00:00",
    "+2026-06-01": "2026-06-01 00:00:00",
    "0001-01-01": "0001-01-01 00:00:00",
    "9999-12-31 23:59:59.999999": "9999-12-31 23:59:59.999999",
    # what Spark refuses, though ISO 8601 has it
    "2026-06-01T12:00Z": "2026-06-01 12:00:00",
    "2026-06-01T12:00+02:00": "2026-06-01 10:00:00",
}
NO_TIMES = [
    "", "2026-06-01T", "2026-06-01T12:00:00z", "2026-06-01  12:00", "2026-06-01Z", "2026-02-30", "20260601",
    "2026-06-01 24:00:00", "2026-06-01 12:00:00 AM", "June 1", "01/06/2026", "1e3", "\u00a02026-06-01",
    "2026-06-01t12:00", "2026-06-01T12:00:00+19:00", "2026-06-01T12:60", "2026-06 12:00", "2026-06-01T1200",
    "2026-06-01 12:00:00 Nowhere/Town", "2026-06-01 12:00:00 Europe", "2026-06-01 12:00:00 ../etc/passwd",
    "2026-06-01 12:00:00+02:99", "0000-01-01", "99999-01-01",
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TIMES.items())
def test_times_are_read_as_spark_reads_them(text, expected):
    (found,) = times_of(pa.array([text])).to_pylist()
    assert str(found) == f"{expected}+00:00"


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_null(text):
    assert times_of(pa.array([text, None])).to_pylist() == [None, None]


def test_times_of_other_types():
    moment = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)
    assert times_of(pa.array([moment, None], TIME)).to_pylist() == [moment, None]
    assert times_of(pa.array([moment.replace(tzinfo=None)], pa.timestamp("us"))).to_pylist() == [moment]
    east = timezone(timedelta(hours=2))
    assert times_of(pa.array([moment], pa.timestamp("ns", tz="+02:00"))).to_pylist() == [
        moment.astimezone(east)
    ]
    assert times_of(pa.array([date(2026, 6, 1)])).to_pylist() == [moment.replace(hour=0)]
    assert times_of(pa.array([1780315200, 1 << 62])).to_pylist() == [moment, None]
    assert times_of(pa.array([True])).to_pylist() == [None]
    assert times_of(pa.nulls(2)).to_pylist() == [None, None]
    assert times_of(pa.array(["2026"])).type == TIME


WHOLE = {
    "5": 5, " 5 ": 5, "+5": 5, "-5": -5, "0005": 5, "\t5": 5, "5.0": None, "5.": None, "1e3": None, "": None,
    "0x5": None, "٣": None, "5L": None, "128": None, "-129": None, "5\u00a0": None, "5_0": None,
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), WHOLE.items())
def test_whole_numbers_are_read_as_spark_reads_them(text, expected):
    assert ids_of(pa.array([text]), pa.int8()).to_pylist() == [expected]


def test_ids_of_every_type():
    assert ids_of(pa.array([300, -5, None]), pa.int8()).to_pylist() == [None, -5, None]
    assert ids_of(pa.array([2.7, float("nan"), float("inf")]), pa.int64()).to_pylist() == [2, None, None]
    assert ids_of(pa.array([7, None]), pa.string()).to_pylist() == ["7", None]
    days = pa.array(["2026-6-1", "2026-06-01T", "2026-06-01 what", "2026", "soon", None])
    first = date(2026, 6, 1)
    assert ids_of(days, pa.date32()).to_pylist() == [first, first, first, date(2026, 1, 1), None, None]
    moments = pa.array([datetime(2026, 6, 1, 5)], pa.timestamp("us"))
    assert ids_of(moments, pa.date32()).to_pylist() == [first]
    assert ids_of(pa.array(["00fF", "", "0", "zz", None]), pa.binary()).to_pylist() == [
        b"\x00\xff", b"", None, None, None,
    ]  # fmt: skip
    assert ids_of(pa.array([b"\x01"]), pa.binary()).to_pylist() == [b"\x01"]
    assert ids_of(pa.array([1]), pa.date32()).to_pylist() == [None]
    for kind in (pa.string(), pa.int32(), pa.date32(), pa.binary()):
        assert ids_of(pa.nulls(1, pa.string()), kind).type == kind


def test_verdicts_and_blanks():
    cells = pa.array(["Absent ", " UNSURE", "pre sent", "", "  ", None])
    assert verdicts_of(cells).to_pylist() == ["absent", "unsure", "pre sent", "", "", None]
    assert are_blank(cells).to_pylist() == [False, False, False, True, True, True]
    assert verdicts_of(pa.array([True])).to_pylist() == ["true"]
    assert are_blank(pa.nulls(1, TIME)).to_pylist() == [True]
    assert texts_of(pa.array([1.0, None])).to_pylist() == ["1.0", None]


def test_rejected_rows_are_kept_as_json_without_their_nulls():
    columns = [pa.array([1, 2]), pa.array(['a "b"', None]), pa.array([None, None], TIME)]
    assert rows_as_json(columns, ["id", "tag", "when"]).to_pylist() == [
        r'{"id":1,"tag":"a \"b\""}',
        '{"id":2}',
    ]
