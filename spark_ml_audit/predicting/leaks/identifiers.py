"""Columns that tell rows apart and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.predicting.leaks.names import named_like_identifier

MIN_VALUES = 50
"""Values that a column must have in the sample to be taken for an identifier."""

NEARLY_UNIQUE = 0.95
"""Share of different values from which they are nearly unique."""

# Of codes, which are no words: without blanks, with digits or all of one length, no word in two of them.
_NO_BLANKS, _DIGITS, _ONE_LENGTH, _SHARED_WORDS = 0.99, 0.75, 0.9, 0.5
# A word that nearly all values hold is a prefix of codes.
_PREFIX = 0.9
# Rank correlation with ids, and largest distance from an even spread, of row numbers.
_IN_ORDER, _EVEN = 0.99, 0.1
_WORD = re.compile(r"[^\W\d_]{4,}")
_MEASURE = re.compile(r"[-+]?\d*[.,]\d+(?:[eE][-+]?\d+)?|\d{4}-\d\d-\d\d.*")


def text_identifier(values: Sequence[str | None], ids: Sequence[str | None]) -> str | None:
    """Why a column of texts is an identifier; None where it is not.

    Args:
        values: Of some rows.
        ids: Ids of the same rows, as texts.

    Example:
        >>> names = [f"package-{word}" for word in ("red", "green", "blue", "black", "white")] * 20
        >>> text_identifier([f"a{i:04x}" for i in range(100)], names)
        'an identifier: 100 of 100 values differ'
        >>> text_identifier(names, names)
        'repeats the ids of the rows'
        >>> text_identifier([f"on {name}" for name in names], names) is None
        True
    """
    pairs = [(value, own) for value, own in zip(values, ids, strict=True) if value]
    if len(pairs) < MIN_VALUES:
        return None
    known = [value for value, _ in pairs]
    if _share([value == own for value, own in pairs]) >= NEARLY_UNIQUE:
        return "repeats the ids of the rows"
    if _share([not re.search(r"\s", value) for value in known]) < _NO_BLANKS:
        return None
    holds = [own is not None and len(own) > 3 and own in value for value, own in pairs]
    if _share(holds) >= NEARLY_UNIQUE:
        return "holds the ids of the rows"
    distinct = len(set(known))
    if distinct < NEARLY_UNIQUE * len(known) or not _are_codes(known):
        return None
    return f"an identifier: {distinct:,} of {len(known):,} values differ"


def _are_codes(known: Sequence[str]) -> bool:
    if _share([bool(_MEASURE.fullmatch(value)) for value in known]) >= _PREFIX:
        return False
    length, same = Counter(len(value) for value in known).most_common(1)[0]
    with_digits = _share([bool(re.search(r"\d", value)) for value in known])
    if with_digits < _DIGITS and (length < 4 or same < _ONE_LENGTH * len(known)):
        return False
    words = [set(_WORD.findall(value.casefold())) for value in known]
    held = Counter(word for row in words for word in row)
    shared = [any(2 <= held[word] < _PREFIX * len(known) for word in row) for row in words]
    return _share(shared) < _SHARED_WORDS


def number_identifier(
    name: str, values: npt.NDArray[np.float64], ids: Sequence[Any], num_rows: float
) -> str | None:
    """Why a column of numbers is an identifier; None where it is not.

    Nearly unique whole numbers are one if the column's name says so, or if they are the ids, follow them or
    number the rows. Other nearly unique numbers measure something.

    Args:
        name: Of the column.
        values: Of some rows drawn by a hash, NaN for null.
        ids: Ids of the same rows.
        num_rows: Rows that there are about.

    Example:
        >>> rng, ids = np.random.default_rng(0), [f"r{i:03}" for i in range(200)]
        >>> number_identifier("nr", np.arange(200.0), ids, num_rows=200)
        'numbers the rows in the order of their ids'
        >>> number_identifier("size", rng.lognormal(12, 2, 200).round(), ids, num_rows=200) is None
        True
    """
    known = ~np.isnan(values)
    found, own = values[known], [row_id for row_id, kept in zip(ids, known, strict=True) if kept]
    distinct = len(np.unique(found))
    whole = np.array_equal(found, np.floor(found))
    if len(found) < MIN_VALUES or not whole or distinct < NEARLY_UNIQUE * len(found):
        return None
    if _share([str(row_id) == str(int(value)) for row_id, value in zip(own, found, strict=True)]) >= (
        NEARLY_UNIQUE
    ):
        return "repeats the ids of the rows"
    if named_like_identifier(name):
        return f"an identifier: {distinct:,} of {len(found):,} values differ"
    if all(row_id is not None for row_id in own) and _correlation(found, own) >= _IN_ORDER:
        return "numbers the rows in the order of their ids"
    span = found.max() - found.min() + 1
    steps = np.arange(1, len(found) + 1) / len(found)
    uneven = np.abs((np.sort(found) - found.min() + 1) / span - steps).max()
    if span <= 2 * num_rows and uneven <= _EVEN:
        return f"numbers the rows: {distinct:,} of {len(found):,} values differ, evenly spread"
    return None


def _correlation(values: npt.NDArray[np.float64], ids: Sequence[Any]) -> float:
    """Size of the rank correlation of numbers with ids, which are nearly unique both."""
    places = np.empty(len(ids))
    places[sorted(range(len(ids)), key=lambda i: ids[i])] = np.arange(len(ids))
    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    return abs(float(np.corrcoef(ranks, places)[0, 1]))


def _share(hits: Sequence[bool]) -> float:
    return float(np.mean(hits)) if len(hits) else 0.0
