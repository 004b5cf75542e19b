"""Cells of a file of decisions, which people and spreadsheets wrote, as ids, times, verdicts and texts.

What cannot be read becomes null. Texts are read as Spark's cast reads them, a time without a zone as UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.json_rows import json_objects
from spark_ml_audit.arrow.types import is_binary, is_integral, is_string
from spark_ml_audit.arrow.value_texts import value_texts

TIME = pa.timestamp("us", tz="UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# What a cell may have around it: blanks and control characters.
_AROUND = "".join(map(chr, range(33))) + "\x7f"

_WHOLE = re.compile(r"[+-]?[0-9]+", re.ASCII)
_HEX = re.compile(r"([0-9A-Fa-f]{2})*")
_DAY = re.compile(r"\+?(\d{4,6})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](.*))?)?)?", re.ASCII | re.DOTALL)
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?)?(.*))?", re.ASCII)
_OFFSET = re.compile(r"(?:UTC|GMT|UT)?([+-])(\d{1,2})(?::?(\d{2})(?::?(\d{2}))?)?", re.ASCII)
_MOST_HOURS = 18
_MOST_DIGITS = 100  # Python refuses to read some thousands of them

# What people type for a verdict. Tools that know empty cells as numbers only write 1 as 1.0.
_WORDS = {
    **dict.fromkeys(("y", "yes", "1", "1.0", "true"), "present"),
    **dict.fromkeys(("n", "no", "0", "0.0", "false"), "absent"),
    "?": "unsure",
}


def texts_of(values: Any) -> Any:
    """The cells as texts.

    >>> texts_of(pa.array([7, None])).to_pylist()
    ['7', None]
    """
    return values if is_string(values.type) else pa.array(value_texts(values), pa.string())


def verdicts_of(values: Any) -> Any:
    """The cells as verdicts are compared: without blanks around them, in lower case.

    >>> verdicts_of(pa.array([" Present ", None])).to_pylist()
    ['present', None]
    """
    return pc.utf8_lower(pc.utf8_trim(texts_of(values), characters=" "))


def read_verdicts(values: Any) -> Any:
    """The cells as verdicts, the short words that people type among them; other words stay as they are.

    A verdict says whether the row has the tag, whatever it was given: `y` or `1` is present.

    >>> read_verdicts(pa.array([" Y", "0", "FALSE", "?", "perhaps", None])).to_pylist()
    ['present', 'absent', 'absent', 'unsure', 'perhaps', None]
    """
    known = verdicts_of(values)
    found = [_unless_null(word, lambda word: _WORDS.get(word, word)) for word in known.to_pylist()]
    return pa.array(found, pa.string())


def are_blank(values: Any) -> Any:
    """Whether each cell holds nothing but blanks.

    >>> are_blank(pa.array(["  ", None, "x"])).to_pylist()
    [True, True, False]
    """
    return pc.equal(pc.fill_null(pc.utf8_trim(texts_of(values), characters=" "), ""), "")


def ids_of(values: Any, kind: Any) -> Any:
    r"""The cells as ids of some type.

    Args:
        values: Arrow array of the cells.
        kind: Arrow type of the ids: texts, whole numbers, dates or bytes, which texts write as hex digits.

    Example:
        >>> ids_of(pa.array([" 12 ", "1.5", None, "300", "9" * 5000]), pa.int8()).to_pylist()
        [12, None, None, None, None]
        >>> ids_of(pa.array(["00ff", "xy"]), pa.binary()).to_pylist()
        [b'\x00\xff', None]
    """
    if values.type == kind:
        return values
    if is_string(kind):
        return texts_of(values)
    if is_integral(kind):
        return _wholes_of(values, kind)
    read = _bytes_of if is_binary(kind) else _date_of
    return pa.array([_unless_null(value, read) for value in values.to_pylist()], kind)


def times_of(values: Any) -> Any:
    """The cells as moments.

    >>> cells = ["2026-06-01", "2026-06-01 12:30", "2026-06-01T12:00:00.5+02:00", "June 1", None]
    >>> for moment in times_of(pa.array(cells)).to_pylist():
    ...     print(moment)
    2026-06-01 00:00:00+00:00
    2026-06-01 12:30:00+00:00
    2026-06-01 10:00:00.500000+00:00
    None
    None
    """
    if pa.types.is_timestamp(values.type):
        # one without a zone is taken for UTC
        known = values if values.type.tz else values.cast(pa.timestamp(values.type.unit, tz="UTC"))
        return known.cast(TIME, safe=False)
    return pa.array([_unless_null(value, _time_of) for value in values.to_pylist()], TIME)


def rows_as_json(columns: Sequence[Any], names: Sequence[str]) -> Any:
    """Rows as JSON objects, without their nulls.

    >>> rows_as_json([pa.array([1, None]), pa.array(["a", "b"])], ["id", "tag"]).to_pylist()
    ['{"id":1,"tag":"a"}', '{"tag":"b"}']
    """
    return json_objects(columns, names, nulls=False)


def _unless_null(value: Any, function: Callable[[Any], Any]) -> Any:
    return None if value is None else function(value)


def _wholes_of(values: Any, kind: Any) -> Any:
    def read(value: Any) -> int | None:
        if isinstance(value, str):
            text = value.strip(_AROUND)
            return int(text) if len(text) <= _MOST_DIGITS and _WHOLE.fullmatch(text) else None
        try:
            return int(value)
        except (TypeError, ValueError, OverflowError):
            return None

    limit = 1 << (kind.bit_width - 1)
    found = [_unless_null(value, read) for value in values.to_pylist()]
    fitting = [value if value is not None and -limit <= value < limit else None for value in found]
    return pa.array(fitting, kind)


def _bytes_of(value: Any) -> bytes | None:
    if isinstance(value, str):
        return bytes.fromhex(value) if _HEX.fullmatch(value) else None
    return value if isinstance(value, bytes) else None


def _date_of(value: Any) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    found = _DAY.fullmatch(value.strip(_AROUND)) if isinstance(value, str) else None
    return None if found is None else _day_of(found)


def _day_of(found: re.Match[str]) -> date | None:
    try:
        return date(int(found[1]), int(found[2] or 1), int(found[3] or 1))
    except ValueError:
        return None


def _time_of(value: Any) -> datetime | None:
    """A moment from a text, a date, or the seconds since 1970."""
    try:
        if isinstance(value, str):
            return _time_of_text(value.strip(_AROUND))
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _EPOCH + timedelta(seconds=value)
    except (ValueError, OverflowError):  # no such day or hour, or beyond the year 9999
        pass
    return None


def _time_of_text(text: str) -> datetime | None:
    found = _DAY.fullmatch(text)
    day = None if found is None else _day_of(found)
    if found is None or day is None:
        return None
    start = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
    if found[4] is None:
        return start
    clock = _CLOCK.fullmatch(found[4])
    if clock is None:
        return None
    zone = _zone_of((clock[5] or "").strip(" "))
    if zone is None:
        return None
    micros = int((clock[4] or "")[:6].ljust(6, "0"))
    local = start.replace(
        hour=int(clock[1]), minute=int(clock[2] or 0), second=int(clock[3] or 0), microsecond=micros
    )
    return local.replace(tzinfo=zone).astimezone(timezone.utc)


def _zone_of(text: str) -> timezone | ZoneInfo | None:
    """The zone that a text names, UTC where it is empty; None where there is no such zone."""
    if text in ("", "Z"):
        return timezone.utc
    found = _OFFSET.fullmatch(text)
    if found is None:
        try:
            return ZoneInfo(text)
        except (KeyError, ValueError, OSError):
            return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    offset = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if offset > timedelta(hours=_MOST_HOURS) or minutes > 59 or seconds > 59:
        return None
    return timezone(-offset if found[1] == "-" else offset)
