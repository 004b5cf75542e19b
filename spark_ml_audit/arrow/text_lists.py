r"""Lists that are written as texts, as pandas, NumPy, Python and JSON write them, parsed on Arrow arrays.

The usual forms are taken apart by Arrow alone; a Python loop is left to texts with escapes or mixed quotes.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.lists import lengths_of, list_array

Mask = npt.NDArray[np.bool_]

_SPACE = " \t\r\n\f\v"
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$|^[+-]?(?i:nan|inf|infinity)$"
_NULLS = ["null", "None"]
# What no list of numbers that JSON, Python or NumPy writes lacks.
_OF_NUMBERS = r"^[\[(](?:[\s0-9,.eE+\-]|(?i:nan|inf|infinity|null|none))*[\])]$"
_QUOTED = r"^\[\s*(?:Q[^Q\\]*Q(?:(?:\s*,\s*|\s+)Q[^Q\\]*Q)*)?\s*,?\s*\]$"
_BETWEEN = r"Q(?:\s*,\s*|\s+)Q"
# Python puts neighbouring texts together: what NumPy writes without commas would be one name.
_WITHOUT_COMMA = re.compile(r"""['"]\s+['"]""")


def as_mask(found: Any) -> Mask:
    """An Arrow array of booleans as NumPy mask; a null is false.

    >>> as_mask(pa.array([True, None])).tolist()
    [True, False]
    """
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def looks_listed(texts: Any) -> Mask:
    """Which texts begin as a list, tuple or set does.

    >>> looks_listed(pa.array(["['a']", " [", "a", None])).tolist()
    [True, True, False, False]
    """
    return as_mask(pc.match_substring_regex(texts, r"^\s*[\[({]"))


def are_numbers(texts: Any) -> Mask:
    """Which texts are lists of numbers, as far as their characters tell.

    >>> are_numbers(pa.array(["[0, 1]", "[1. 2.]", "[]", "['1']", None])).tolist()
    [True, True, True, False, False]
    """
    return as_mask(pc.match_substring_regex(pc.utf8_trim(texts, _SPACE), _OF_NUMBERS))


def number_lists(texts: Any, *, whole: bool = False) -> tuple[Any, Mask]:
    r"""Lists of numbers, with commas or, as NumPy writes them, with spaces.

    Args:
        texts: Arrow array of strings.
        whole: Whether integers are wanted, and not doubles.

    Returns:
        Array of lists, null where a text is null or no such list; and the mask of the latter.

    Example:
        >>> texts = pa.array(["[0.1, 1]", "[0.5\n 1.]", "[]", "[0.1, null]", "[1 ... 2]", None])
        >>> lists, bad = number_lists(texts)
        >>> lists.to_pylist(), bad.tolist()
        ([[0.1, 1.0], [0.5, 1.0], [], [0.1, None], None, None], [False, False, False, False, True, False])
    """
    wanted = pa.int64() if whole else pa.float64()
    trimmed = pc.utf8_trim(texts, _SPACE)
    bad = ~as_mask(pc.match_substring_regex(trimmed, r"^\[[^\[\]]*\]$|^\([^()]*\)$"))
    inner = pc.utf8_trim(pc.if_else(pa.array(bad), "", trimmed), "[]()" + _SPACE)
    parts, lengths = _split(inner, pc.split_pattern(inner, ","))
    found = _cast(pc.utf8_trim(parts, _SPACE), wanted)
    if found is None:
        inner = pc.replace_substring_regex(inner, r"\s*,\s*|\s+", ",")
        parts, lengths = _split(inner, pc.split_pattern(inner, ","))
        nulls = as_mask(pc.is_in(parts, value_set=pa.array(_NULLS)))
        fits = as_mask(pc.match_substring_regex(parts, r"^-?[0-9]{1,18}$" if whole else _NUMBER))
        rows = np.repeat(np.arange(len(lengths)), lengths)
        bad[rows[~(fits | nulls)]] = True
        found = pc.if_else(pa.array(fits), parts, pa.scalar(None, pa.string())).cast(wanted)
        kept = ~bad[rows]
        found, lengths = found.filter(pa.array(kept)), np.where(bad, 0, lengths)
    nulls = _nulls(texts)
    return list_array(lengths, found, mask=pa.array(bad | nulls)), bad & ~nulls


def text_lists(texts: Any) -> tuple[Any, Mask]:
    r"""Lists of texts, as Python, pandas, NumPy or JSON write them.

    Args:
        texts: Arrow array of strings.

    Returns:
        As `number_lists`, of strings.

    Example:
        >>> lists, bad = text_lists(pa.array(["['a', 'b']", '["a"]', "['a'\n 'b']", "('a', None)"]))
        >>> lists.to_pylist()
        [['a', 'b'], ['a'], ['a', 'b'], ['a', None]]
        >>> lists, bad = text_lists(pa.array(["[]", "['a", None]))
        >>> lists.to_pylist(), bad.tolist()
        ([[], None, None], [False, True, False])
    """
    texts = pc.utf8_trim(texts, _SPACE)
    nulls = _nulls(texts)
    left, groups = ~nulls, []
    for quote in "'\"":
        mine = left & as_mask(pc.match_substring_regex(texts, _QUOTED.replace("Q", quote)))
        if mine.any():
            groups.append((mine, _unquoted(texts.filter(pa.array(mine)), quote)))
            left = left & ~mine
    bad = np.zeros(len(nulls), dtype=np.bool_)
    if left.any():
        found = [_slow(text, _texts_in) for text in texts.filter(pa.array(left)).to_pylist()]
        bad[left] = [value is None for value in found]
        groups.append((left, pa.array(found, pa.list_(pa.string()))))
    return _assembled(groups, len(nulls), pa.list_(pa.string())), bad


def number_maps(texts: Any) -> tuple[Any, Mask]:
    """Objects from tag to number, as JSON or Python write them.

    Args:
        texts: Arrow array of strings.

    Returns:
        Array of maps, null where a text is null or no such object; and the mask of the latter.

    Example:
        >>> maps, bad = number_maps(pa.array(['{"a": 0.5}', "{'a': 1, 'b': None}", "{'a'}", None]))
        >>> maps.to_pylist(), bad.tolist()
        ([[('a', 0.5)], [('a', 1.0), ('b', None)], None, None], [False, False, True, False])
    """
    found = [None if text is None else _slow(text, _numbers_in) for text in texts.to_pylist()]
    bad = np.array([value is None for value in found], dtype=np.bool_) & ~_nulls(texts)
    return pa.array(found, pa.map_(pa.string(), pa.float64())), bad


def _split(inner: Any, parts: Any) -> tuple[Any, Any]:
    """Parts of all texts and their number per text; an empty text has none."""
    empty = as_mask(pc.equal(pc.fill_null(inner, ""), ""))
    lengths = lengths_of(parts)
    values = pc.list_flatten(parts)
    if empty.any():
        rows = np.repeat(np.arange(len(lengths)), lengths)
        values, lengths = values.filter(pa.array(~empty[rows])), np.where(empty, 0, lengths)
    return values, lengths


def _cast(values: Any, kind: Any) -> Any:
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        return None


def _nulls(array: Any) -> Mask:
    return np.asarray(array.is_null().to_numpy(zero_copy_only=False), dtype=np.bool_)


def _unquoted(texts: Any, quote: str) -> Any:
    """Lists of texts that hold no escape and no such quote."""
    inner = pc.utf8_trim(texts, "[]," + _SPACE)
    bare = pc.utf8_slice_codeunits(inner, 1, -1)
    parts = pc.split_pattern_regex(bare, _BETWEEN.replace("Q", quote))
    values, lengths = _split(inner, parts)
    return list_array(lengths, values)


def _assembled(groups: list[tuple[Mask, Any]], num_rows: int, kind: Any) -> Any:
    """Arrays of some rows each as one array of all; null where no group has the row."""
    if len(groups) == 1 and groups[0][0].all():
        return groups[0][1]
    places = np.full(num_rows, -1, dtype=np.int64)
    begin = 0
    for mask, values in groups:
        places[mask] = np.arange(begin, begin + len(values))
        begin += len(values)
    if not groups:
        return pa.nulls(num_rows, kind)
    everything = pa.concat_arrays([values.cast(kind) for _, values in groups])
    return everything.take(pa.array(places, mask=places < 0))


def _slow(text: str, read: Callable[[Any], Any]) -> Any:
    try:
        return read(json.loads(text))
    except (ValueError, RecursionError, OverflowError):
        pass
    if _WITHOUT_COMMA.search(text):
        return None
    if text == "set()":
        return read([])
    try:
        return read(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, OverflowError):
        return None


def _texts_in(value: Any) -> list[str | None] | None:
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    if not isinstance(value, list | tuple):
        return None
    found: list[str | None] = []
    for item in value:
        if item is not None and (isinstance(item, bool) or not isinstance(item, str | int | float)):
            return None
        found.append(None if item is None else str(item))
    return found if all(item is None or _is_unicode(item) for item in found) else None


def _numbers_in(value: Any) -> list[tuple[str, float | None]] | None:
    if not isinstance(value, dict):
        return None
    found: list[tuple[str, float | None]] = []
    for name, item in value.items():
        if item is not None and (isinstance(item, bool) or not isinstance(item, int | float)):
            return None
        if not _is_unicode(str(name)):
            return None
        found.append((str(name), None if item is None else float(item)))
    return found


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
