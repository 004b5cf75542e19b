"""Kinds of config values, each with the checks and messages that belong to it.

A field's `description` completes "Set <key> to ...": the messages of refused values are made from it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from spark_ml_audit.config.paths import is_path, split_identifier
from spark_ml_audit.text import show

PROBLEM = "spark_ml_audit"
MAX_COUNT = 10**15


def also(*accepted: dict[str, object]) -> Callable[[dict[str, Any]], None]:
    """Say in a field's JSON Schema what its validator accepts beside values of its type.

    Args:
        *accepted: JSON Schemas of such values.

    Example:
        >>> schema = {"type": "integer"}
        >>> also({"type": "null"})(schema)
        >>> schema
        {'anyOf': [{'type': 'integer'}, {'type': 'null'}]}
    """

    def extend(schema: dict[str, Any]) -> None:
        known = schema.pop("anyOf", None) or [{"type": schema.pop("type")}]
        schema["anyOf"] = [*known, *accepted]

    return extend


def problem(message: str, fix: str, at: str = "") -> PydanticCustomError:
    """Build the error a validator raises.

    Args:
        message: What was found, a sentence.
        fix: What to do, a sentence.
        at: Dotted path below the value under validation, for checks across several keys.

    Example:
        >>> found = problem("found 3, an odd number.", "Give an even number.")
        >>> found.message(), found.context["fix"]
        ('found 3, an odd number.', 'Give an even number.')
    """
    return PydanticCustomError(PROBLEM, "{message}", {"message": message, "fix": fix, "at": at})


def check_text(value: object) -> object:
    r"""Refuse texts that no file system, catalog or server can hold; leave other types to the caller.

    >>> check_text("data/films"), check_text(12)
    ('data/films', 12)
    >>> try:
    ...     check_text("data\tfilms")
    ... except PydanticCustomError as error:
    ...     print(error.message())
    found 'data\tfilms', which holds the control character '\t'.
    """
    if isinstance(value, str):
        if not value.strip():
            raise problem(f"found {show(value)}, an empty text.", "Write its value, or leave the key out.")
        bad = next((char for char in value if unicodedata.category(char) in ("Cc", "Cs")), None)
        if bad is not None:
            raise problem(
                f"found {show(value)}, which holds the control character {bad!r}.",
                "Remove that character; a text in double quotes reads backslashes as escapes.",
            )
    return value


def _check_encodable(value: str) -> str:
    if any(unicodedata.category(char) == "Cs" for char in value):
        raise problem(f"found {show(value)}, which is not valid Unicode.", "Remove the lone surrogates.")
    return value


def _plain_zero(value: float) -> float:
    return value + 0.0  # -0.0 would print and hash differently from 0.0


def _columns(value: object) -> str | tuple[str, ...]:
    """Accept one column name or a list of different ones."""
    if isinstance(value, str) and value:
        return _check_encodable(value)
    if isinstance(value, list | tuple) and value:
        for position, name in enumerate(value):
            if not isinstance(name, str) or not name:
                raise problem(
                    f"entry {position + 1} is {show(name)}, not a column name.",
                    'Put column names that read as numbers or booleans in quotes, for example "1" or "no".',
                )
            _check_encodable(name)
        twice = repeated(value)
        if twice is not None:
            raise problem(f"names the column {show(twice)} twice.", "Name every column once.")
        return tuple(value)
    raise problem(
        f"found {show(value)}, which names no column.", "Give a column name, or a list of column names."
    )


def repeated(names: list[str] | tuple[str, ...]) -> str | None:
    """Return the first name that occurs more than once, or None.

    >>> repeated(["drama", "comedy", "drama"]), repeated(["drama", "comedy"])
    ('drama', None)
    """
    counts = Counter(names)
    return next((name for name in names if counts[name] > 1), None)


_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


def _version(value: object) -> int | str | None:
    """Accept null, a Delta version number, or an ISO timestamp (kept as text)."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
        return value
    if isinstance(value, date):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, str) and _TIMESTAMP.fullmatch(value) and _is_real_time(value):
        return value
    raise problem(
        f"found {show(value)}, neither a version number nor a timestamp.",
        "Give a whole number such as 12, or a timestamp such as 2026-01-31 or 2026-01-31 18:00:00.",
    )


def _is_real_time(text: str) -> bool:
    # Fractions are cut off first: before Python 3.11 only 3 or 6 digits of them are parsed.
    plain = re.sub(r"\.[0-9]+", "", text).replace("Z", "+00:00")
    try:
        datetime.fromisoformat(plain)
    except ValueError:
        return False
    return True


_DURATION = re.compile(r"([0-9]{1,8})\s*([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MAX_DURATION = timedelta(days=36_500)


def _duration(value: object) -> timedelta:
    """Accept a timedelta or a text such as 24h."""
    found: timedelta | None = None
    if isinstance(value, timedelta):
        found = value
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        found = timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    if found is None or not timedelta(0) <= found <= _MAX_DURATION:
        raise problem(
            f"found {show(value)}, not a duration.",
            "Give a whole number and a unit (s, m, h, d or w), such as 24h, 30m or 7d; 100 years at most.",
        )
    return found


def show_duration(value: timedelta) -> str:
    """Write a duration as config files do, in the largest of d, h, m and s that divides it; one day is 24h.

    >>> [show_duration(timedelta(minutes=minutes)) for minutes in (90, 24 * 60, 7 * 24 * 60)]
    ['90m', '24h', '7d']
    """
    seconds = int(value.total_seconds())
    unit = next((unit for unit in "dhm" if seconds and seconds % _UNITS[unit] == 0), "s")
    if unit == "d" and seconds == _UNITS["d"]:
        return "24h"
    return f"{seconds // _UNITS[unit]}{unit}"


def _counts(value: object) -> tuple[int, ...] | None:
    """Accept null or a list of whole numbers, one per class."""
    if value is None:
        return None
    if not isinstance(value, list | tuple) or not value:
        raise problem(
            f"found {show(value)}, not a list of counts.",
            "Give a list of whole numbers, one per class in class order, or null.",
        )
    for position, count in enumerate(value):
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_COUNT:
            raise problem(
                f"the count of class {position} is {show(count)}, not a whole number of 0 or more.",
                "Give a list of whole numbers, one per class in class order.",
            )
    return tuple(value)


def _identifier(most_parts: int, example: str) -> AfterValidator:
    def check(value: str) -> str:
        parts = split_identifier(value)
        if parts is None or len(parts) > most_parts:
            raise problem(
                f"found {show(value)}, not a name of at most {most_parts} parts.",
                f"Write it as {example}; put parts with dots or spaces in backticks.",
            )
        return value

    return AfterValidator(check)


def check_place(value: str) -> str:
    """Refuse texts that are neither a path nor a table name.

    >>> check_place("./decisions"), check_place("main.quality.decisions")
    ('./decisions', 'main.quality.decisions')
    >>> try:
    ...     check_place("my decisions")
    ... except PydanticCustomError as error:
    ...     print(error.message())
    found 'my decisions', neither a path nor a table name.
    """
    if not is_path(value):
        parts = split_identifier(value)
        if parts is None or len(parts) > 3:
            raise problem(
                f"found {show(value)}, neither a path nor a table name.",
                "Write a folder with a slash (./decisions), or a table as catalog.schema.table.",
            )
    return value


Text = Annotated[str, BeforeValidator(check_text)]
PlaceText = Annotated[
    Annotated[Text, AfterValidator(check_place)],
    Field(description="a folder with a slash in it, or a table name such as catalog.schema.table"),
]
AnyText = Annotated[str, Field(min_length=1), AfterValidator(_check_encodable)]
TableName = Annotated[Text, _identifier(3, "catalog.schema.table")]
SchemaName = Annotated[Text, _identifier(2, "catalog.schema")]
Fraction = Annotated[float, Field(ge=0, le=1), AfterValidator(_plain_zero)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Columns = Annotated[str | tuple[str, ...], BeforeValidator(_columns)]
Version = Annotated[int | str | None, BeforeValidator(_version)]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(show_duration),
    WithJsonSchema(
        {"type": "string", "pattern": f"^\\s*{_DURATION.pattern}\\s*$", "examples": ["24h", "7d"]}
    ),
]
ClassCounts = Annotated[tuple[int, ...] | None, BeforeValidator(_counts)]
