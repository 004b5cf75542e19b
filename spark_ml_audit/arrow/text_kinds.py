"""What the texts of a column are: one rule for every engine, whatever the batches a file is read in.

Every batch of a column has a kind; kinds join into the least one that holds all of them, so that the kind of
a column depends on its values alone. `as_kind` reads a batch as a kind that holds it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.text_lists import (
    Mask,
    are_numbers,
    as_mask,
    looks_listed,
    number_lists,
    number_maps,
    text_lists,
)
from spark_ml_audit.arrow.types import is_integral, is_list, is_string

_MAP = pa.map_(pa.string(), pa.float64())
TYPES = {
    "null": pa.string(),
    "words": pa.string(),
    "nans": pa.string(),
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "comma": pa.float64(),
    "date": pa.date32(),
    "time": pa.timestamp("us", tz="UTC"),
    "text": pa.string(),
    "list": pa.list_(pa.string()),
    "bools": pa.list_(pa.bool_()),
    "ints": pa.list_(pa.int64()),
    "floats": pa.list_(pa.float64()),
    "texts": pa.list_(pa.string()),
    "map": _MAP,
}
"""Kind -> Arrow type.

null: nothing; words: nothing but "NA" and the like, which is null among numbers; nans: nothing but NaN and
infinities; comma: numbers with a decimal comma; list: empty lists only; map: tag to number.
"""

LISTS = frozenset({"list", "bools", "ints", "floats", "texts"})
_PROBS = ("prob", "probs")
_NO_NUMBERS = ("NA", "N/A", "n/a", "null", "NULL", "None", "<NA>")
_BOOLEANS = ("true", "false", "True", "False", "TRUE", "FALSE")
# 00123 and what no bigint holds name things; they are no quantities.
_NAMES = r"^[+-]?0[0-9]|^\+|^[+-]?[0-9]{19,}$"
_WHOLE = r"^(?:0|-?[1-9][0-9]{0,17})$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIME = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?)?$"
)
_COMMA = r"^[+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?$|^(?i:nan)$"
_NAN = r"^(?i:nan|[+-]?inf|[+-]?infinity)$"
_NUMBERS = ("nans", "int", "float", "comma")


@dataclass(frozen=True)
class Role:
    """What a column is for, which decides what its texts may be.

    Attributes:
        name: id, labels, probs (one column of all probabilities), prob (of one class), flag (of the tags of
            one class), text, or any.
        listed: Of labels: whether they must be lists (True), must not be (False), or may be (None).
        empty_is_null: Of labels: whether an empty text means "not annotated".
        null_is_empty: Of labels: whether a null is an empty text, as in CSV.
        decimal_comma: Whether numbers may have a decimal comma.
    """

    name: str = "any"
    listed: bool | None = None
    empty_is_null: bool = False
    null_is_empty: bool = True
    decimal_comma: bool = False


@dataclass
class Noticed:
    """What was found while a batch was read.

    Attributes:
        empty_labels: Label texts with nothing in them.
        bad: Column -> rows whose text is no list or object; their values are null or malformed.
    """

    empty_labels: int = 0
    bad: dict[str, Mask] = field(default_factory=dict)


def join(one: str, other: str, role: Role) -> str:
    """The least kind that holds two.

    >>> join("int", "float", Role()), join("int", "text", Role()), join("null", "date", Role())
    ('float', 'text', 'date')
    >>> join("ints", "texts", Role()), join("list", "ints", Role()), join("nans", "int", Role())
    ('texts', 'ints', 'float')
    """
    both = {one, other}
    for nothing in ("null", "words"):
        if nothing in both:
            return next(iter(both - {nothing}), nothing)
    if len(both) == 1:
        return one
    if role.name == "id":
        return "text"
    if both <= LISTS:
        left = both - {"list"}
        return next(iter(left)) if len(left) == 1 else "floats" if left == {"ints", "floats"} else "texts"
    if both <= set(_NUMBERS):  # a NaN among integers makes them doubles
        return "comma" if "comma" in both else "float"
    return "time" if both == {"date", "time"} else "text"


def settled(kind: str, role: Role) -> str:
    """The kind of a column once all of it was seen: one without values is what its role needs.

    >>> settled("null", Role("probs")), settled("int", Role("probs")), settled("words", Role())
    ('floats', 'int', 'text')
    """
    if TYPES[kind] != pa.string():
        return kind
    needed = {"probs": "floats", "prob": "float", "flag": "int"} if kind == "null" else {}
    return needed.get(role.name, "text")


def kind_of(values: Any, role: Role, *, parse: bool) -> str:
    """The least kind that holds an array.

    Args:
        values: Arrow array.
        role: What its column is for.
        parse: Whether texts may mean something else: those of CSV do, those of JSON only as tags or
            probabilities.

    Example:
        >>> [kind_of(pa.array(texts), Role(), parse=True) for texts in (["1", "-2"], ["1", "2.5"], ["007"])]
        ['int', 'float', 'text']
        >>> kind_of(pa.array(["['a']", "[]"]), Role("labels"), parse=True)
        'texts'
    """
    if not is_string(values.type):
        return _kind_of_type(values.type)
    texts = pc.unique(values.drop_null()) if role.name in ("any", "flag") else values.drop_null()
    if not len(texts):
        return "null"
    if not parse or role.name == "text":
        return "text"
    return _KIND_OF.get(role.name, _kind_of_values)(texts, role)


def _kind_of_type(kind: Any) -> str:
    if pa.types.is_null(kind):
        return "null"
    if pa.types.is_boolean(kind):
        return "bool"
    if is_integral(kind):
        return "int"
    if pa.types.is_floating(kind):
        return "float"
    if pa.types.is_map(kind):
        return "map"
    if is_list(kind):
        inner = _kind_of_type(kind.value_type) if not is_string(kind.value_type) else "text"
        return {"null": "list", "bool": "bools", "int": "ints", "float": "floats"}.get(inner, "texts")
    raise TypeError(f"no kind is known for {kind}")


def _all(found: Any) -> bool:
    return bool(as_mask(found).all())


def _kind_of_id(texts: Any, role: Role) -> str:
    return "int" if _all(pc.match_substring_regex(texts, _WHOLE)) else "text"


def _kind_of_labels(texts: Any, role: Role) -> str:
    filled = texts.filter(pc.not_equal(pc.utf8_trim_whitespace(texts), ""))
    if not len(filled):
        return "list" if role.listed else "null"
    if role.listed is False or not (role.listed or looks_listed(filled).all()):
        whole = role.listed is None and _all(pc.match_substring_regex(filled, r"^[01]$"))
        return "int" if whole else "text"
    # what has no end, or nothing in it, tells nothing of the others
    filled = filled.filter(pc.match_substring_regex(filled, r"[^\s\[(][\s\])}]*[\])}]\s*$"))
    if not len(filled):
        return "list"
    if not are_numbers(filled).all():
        return "texts"
    return "ints" if not number_lists(filled, whole=True)[1].any() else "floats"


def _kind_of_probs(texts: Any, role: Role) -> str:
    filled = _without_no_numbers(texts)
    filled = filled.filter(pc.not_equal(pc.utf8_trim_whitespace(filled), ""))
    for begin, kind in ((r"^\s*[\[(]", "floats"), (r"^\s*\{", "map")):
        begun = as_mask(pc.match_substring_regex(filled, begin))
        if len(filled) and begun.all():
            return kind
        if begun.any():
            return "text"
    return _kind_of_values(texts, role)


def _kind_of_values(texts: Any, role: Role) -> str:
    """The kind of a column of single values, or of lists that all can be read."""
    filled = _without_no_numbers(texts)
    if not len(filled):
        return "null" if not len(texts.filter(pc.not_equal(texts, ""))) else "words"
    for kind, fits in _VALUES:
        if fits(filled, role):
            return kind
    if not _all(pc.starts_with(pc.utf8_ltrim_whitespace(filled), "[")):
        return "text"
    if are_numbers(filled).all():
        if not number_lists(filled, whole=True)[1].any():
            return "ints"
        if not number_lists(filled)[1].any():
            return "floats"
    return "texts" if not text_lists(filled)[1].any() else "text"


def _without_no_numbers(texts: Any) -> Any:
    return texts.filter(pc.invert(pc.is_in(texts, value_set=pa.array(["", *_NO_NUMBERS]))))


def _is_whole(texts: Any, role: Role) -> bool:
    return _all(pc.match_substring_regex(texts, _WHOLE))


def _is_number(texts: Any, role: Role) -> bool:
    if not _casts(texts, pa.float64()):
        return False
    return role.name in _PROBS or not as_mask(pc.match_substring_regex(texts, _NAMES)).any()


def _is_nan(texts: Any, role: Role) -> bool:
    return role.name not in _PROBS and _all(pc.match_substring_regex(texts, _NAN))


def _has_commas(texts: Any, role: Role) -> bool:
    # elsewhere 1,234 may be a thousand
    return role.decimal_comma and role.name in _PROBS and _all(pc.match_substring_regex(texts, _COMMA))


def _is_boolean(texts: Any, role: Role) -> bool:
    return _all(pc.is_in(texts, value_set=pa.array(_BOOLEANS)))


def _is_date(texts: Any, role: Role) -> bool:
    return _all(pc.match_substring_regex(texts, _DATE)) and _casts(texts, pa.date32())


def _is_time(texts: Any, role: Role) -> bool:
    return _all(pc.match_substring_regex(texts, _TIME)) and _times(texts) is not None


_VALUES: tuple[tuple[str, Callable[[Any, Role], bool]], ...] = (
    ("int", _is_whole),
    ("nans", _is_nan),
    ("float", _is_number),
    ("bool", _is_boolean),
    ("comma", _has_commas),
    ("date", _is_date),
    ("time", _is_time),
)


_KIND_OF: dict[str, Callable[[Any, Role], str]] = {
    "id": _kind_of_id,
    "labels": _kind_of_labels,
    "probs": _kind_of_probs,
}


def _casts(texts: Any, kind: Any) -> bool:
    try:
        texts.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _times(texts: Any) -> Any:
    """Points in time; those without a zone are UTC's. None where one is none."""
    kind = TYPES["time"]
    zoned = as_mask(pc.match_substring_regex(texts, r"(?:Z|[+-][0-9]{2}:[0-9]{2})$")) & as_mask(
        pc.greater(pc.utf8_length(texts), 10)
    )
    try:
        if zoned.all():
            return texts.cast(kind)
        # a date alone ends like a zone; it is midnight
        plain = pc.if_else(pa.array(zoned), pa.scalar(None, pa.string()), texts)
        with_zone = pc.if_else(pa.array(zoned), texts, pa.scalar(None, pa.string()))
        found = plain.cast(pa.timestamp("us")).cast(kind)
        return pc.coalesce(found, with_zone.cast(kind)) if zoned.any() else found
    except pa.ArrowInvalid:
        return None


def as_kind(values: Any, kind: str, role: Role, name: str, reading: Noticed, *, parse: bool) -> Any:
    """An array as a kind that holds it.

    Args:
        values: Arrow array.
        kind: Of its column.
        role: What its column is for.
        name: Of its column.
        reading: Takes what was found.
        parse: As in `kind_of`.

    Example:
        >>> reading = Noticed()
        >>> as_kind(pa.array(["1", None, ""]), "int", Role(), "n", reading, parse=True).to_pylist()
        [1, None, None]
        >>> texts = pa.array(["['a']", "", "['b"])
        >>> as_kind(texts, "texts", Role("labels"), "tags", reading, parse=True).to_pylist()
        [['a'], [], [None]]
        >>> reading.empty_labels, reading.bad["tags"].tolist()
        (1, [False, False, True])
    """
    wanted = TYPES[kind]
    if not is_string(values.type):
        return _from_typed(values, kind)
    if role.name == "labels":
        return _labels_as(values, kind, role, name, reading)
    if wanted == pa.string():
        return values.cast(wanted)
    texts = pc.if_else(
        pc.fill_null(pc.is_in(values, value_set=pa.array(["", *_NO_NUMBERS])), False),
        pa.scalar(None, pa.string()),
        values.cast(pa.string()),
    )
    if kind in LISTS or kind == "map":
        found, bad = _lists_as(texts, kind)
        if bad.any():
            reading.bad[name] = bad
        return found
    if kind == "time":
        return _times(texts)
    if kind == "comma":
        texts = pc.replace_substring(texts, ",", ".")
    return texts.cast(wanted)


def _lists_as(texts: Any, kind: str) -> tuple[Any, Mask]:
    if kind == "map":
        return number_maps(texts)
    if kind in ("ints", "floats"):
        return number_lists(texts, whole=kind == "ints")
    return text_lists(texts)


def _labels_as(values: Any, kind: str, role: Role, name: str, reading: Noticed) -> Any:
    """Label texts: an empty one means "no tags" or "not annotated"; what is no list is malformed."""
    texts = values.cast(pa.string())
    texts = pc.fill_null(texts, "") if role.null_is_empty else texts
    empty = as_mask(pc.equal(pc.utf8_trim_whitespace(texts), ""))
    reading.empty_labels += int(empty.sum())
    unlabelled = pa.array(empty & role.empty_is_null)
    if TYPES[kind] == pa.string():
        return pc.if_else(unlabelled, pa.scalar(None, pa.string()), texts)
    if kind == "int":
        return pc.if_else(pa.array(empty), pa.scalar(None, pa.string()), texts).cast(pa.int64())
    found, bad = _lists_as(pc.if_else(pa.array(empty), "[]", texts), kind)
    if bad.any():
        reading.bad[name] = bad
        # a list with a null in it is malformed, where a null list would be "not annotated"
        found = pc.if_else(pa.array(bad), pa.scalar([None], TYPES[kind]), found)
    return pc.if_else(unlabelled, pa.scalar(None, TYPES[kind]), found) if role.empty_is_null else found


def _from_typed(values: Any, kind: str) -> Any:
    """Values that JSON has types for, as a wider kind."""
    wanted = TYPES[kind]
    if pa.types.is_null(values.type):
        return pa.nulls(len(values), wanted)
    own = _kind_of_type(values.type)
    if own == "list" and kind in LISTS:
        return values.cast(pa.list_(pa.null())).cast(wanted)
    if wanted != pa.string() or own == "int":
        return values.cast(wanted, safe=False)  # doubles have no digits for integers beyond 2^53
    rows = values.to_pylist()
    if own == "map":
        rows = [None if row is None else dict(row) for row in rows]
    texts = [None if row is None else json.dumps(row, ensure_ascii=False) for row in rows]
    return pa.array(texts, pa.string())
