"""What stands in a column, taken apart: words, elements of lists, parts of delimited texts, values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spark_ml_audit.models.columns import calendar, category_keys, numbers, truths
from spark_ml_audit.models.text import as_text, is_null

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

_WORD = re.compile(r"\w+|[^\w\s]")
_LETTERS = re.compile(r"\w+")
_AROUND = " \t\r\n[](){}<>\"'`"


@dataclass(frozen=True)
class Entries:
    """What rows hold, each thing once per row.

    Attributes:
        rows: Row of each entry, ascending.
        codes: Its place in `names`.
        names: The different things, sorted.
    """

    rows: IntArray
    codes: IntArray
    names: tuple[str, ...]


def entries_of(bags: Sequence[Collection[str]], min_rows: int) -> Entries:
    """Number the things that at least some rows hold.

    Args:
        bags: Per row what it holds.
        min_rows: Rows that must hold a thing.

    Example:
        >>> found = entries_of([{"sea", "wood"}, set(), {"sea"}], min_rows=2)
        >>> found.names, found.rows.tolist(), found.codes.tolist()
        (('sea',), [0, 2], [0, 0])
    """
    held = Counter(name for bag in bags for name in set(bag))
    names = tuple(sorted(name for name, count in held.items() if count >= min_rows))
    places = {name: place for place, name in enumerate(names)}
    rows: list[int] = []
    codes: list[int] = []
    for row, bag in enumerate(bags):
        kept = sorted({places[name] for name in bag if name in places})
        rows += [row] * len(kept)
        codes += kept
    return Entries(np.array(rows, dtype=np.int64), np.array(codes, dtype=np.int64), names)


def words_of(text: str) -> set[str]:
    """The words and signs of a text, in lower case.

    >>> sorted(words_of("Thanks, thanks!"))
    ['!', ',', 'thanks']
    """
    return set(_WORD.findall(text.casefold()))


def parts_of(text: str, delimiter: str) -> list[str]:
    """What stands between delimiters in a text: the one that labels have, or one of the usual ones.

    >>> parts_of("['Comedy', 'Drama']", ","), parts_of("Comedy & Drama | War", "&")
    (['Comedy', 'Drama'], ['Comedy', 'Drama', 'War'])
    """
    usual = r"[,;|/\t\n]"
    pattern = usual if not delimiter.strip() else f"{usual}|{re.escape(delimiter.strip())}"
    parts = (part.strip(_AROUND) for part in re.split(pattern, text.strip(_AROUND)))
    return [part for part in parts if part]


def elements_of(value: Any) -> list[str]:
    """The texts of a list; none for null.

    >>> elements_of(["sea", None, "wood"]), elements_of(None)
    (['sea', 'wood'], [])
    """
    if not _is_list(value):
        return []
    return [as_text(part) for part in value if not is_null(part)]


def holds_lists(values: pd.Series) -> bool:
    """Whether the values of a column are lists, null aside."""
    return any(_is_list(value) for value in values)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def set_positions(values: pd.Series) -> list[list[str]] | None:
    """Positions of ones in vectors that hold nothing but 0 and 1; None for other vectors.

    >>> set_positions(pd.Series([[1.0, 0.0, 1.0], None])), set_positions(pd.Series([[0.5, 1.0]]))
    ([['0', '2'], []], None)
    """
    found: list[list[str]] = []
    for value in values:
        vector = np.asarray(value, dtype=np.float64) if _is_list(value) else np.zeros(0)
        if not np.isin(vector, (0.0, 1.0)).all():
            return None
        found.append([str(place) for place in np.flatnonzero(vector)])
    return found if any(found) else None


def texts_of(values: pd.Series) -> list[str | None]:
    """Texts, None for null."""
    return [None if is_null(value) else str(value) for value in values]


def numbers_of(values: pd.Series, kind: str) -> FloatArray:
    """A column of numbers, dates (as days) or booleans as numbers, NaN for null."""
    if kind == "date":
        days: FloatArray = calendar(values)[:, 0]
        return days
    return truths(values) if kind == "boolean" else numbers(values)


def value_keys(values: pd.Series) -> list[str | None]:
    """Values as texts that are equal where the values are; None for null."""
    return category_keys(values)


def codes_of(keys: Sequence[str | None]) -> tuple[IntArray, tuple[str, ...]]:
    """Codes of values, 0 for null and from 1 in their order, and the values.

    >>> codes, values = codes_of(["b", None, "a"])
    >>> codes.tolist(), values
    ([2, 0, 1], ('a', 'b'))
    """
    values = tuple(sorted({key for key in keys if key is not None}))
    places = {value: place + 1 for place, value in enumerate(values)}
    return np.array([0 if key is None else places[key] for key in keys], dtype=np.int64), values


def bins_of(values: FloatArray, num_bins: int) -> IntArray:
    """Bins of about equal numbers of values, the last one for NaN; shape (n,).

    >>> bins_of(np.array([1.0, 2.0, 3.0, 4.0, np.nan]), num_bins=2).tolist()
    [0, 0, 1, 1, 2]
    """
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, num_bins + 1)[1:-1])) if len(known) else known
    codes: IntArray = np.searchsorted(edges, values, side="right").astype(np.int64)
    codes[np.isnan(values)] = len(edges) + 1
    return codes


def mentions_of(texts: Sequence[str | None], classes: Sequence[str]) -> tuple[IntArray, IntArray]:
    """Where texts hold the names of classes, as whole words: rows, and classes.

    >>> rows, cols = mentions_of(["A science fiction film", "Fiction"], ["Science-fiction", "fiction"])
    >>> rows.tolist(), cols.tolist()
    ([0, 0, 1], [0, 1, 1])
    """
    spelled = [[] if text is None else _LETTERS.findall(text.casefold()) for text in texts]
    rows_with: dict[str, set[int]] = {}
    for row, words in enumerate(spelled):
        for word in words:
            rows_with.setdefault(word, set()).add(row)
    found: list[tuple[int, int]] = []
    for place, name in enumerate(classes):
        wanted = _LETTERS.findall(name.casefold())
        if wanted:
            candidates = set.intersection(*[rows_with.get(word, set()) for word in wanted])
            found += [(row, place) for row in candidates if _holds(spelled[row], wanted)]
    found.sort()
    pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _holds(words: Sequence[str], wanted: Sequence[str]) -> bool:
    if len(wanted) == 1:
        return True
    width = len(wanted)
    starts: Iterator[int] = (i for i, word in enumerate(words) if word == wanted[0])
    return any(list(words[i : i + width]) == list(wanted) for i in starts)


def class_entries(
    bags: Sequence[Sequence[str]], classes: Mapping[str, int]
) -> tuple[int, IntArray, IntArray]:
    """Which entries of rows are names of classes.

    Args:
        bags: Per row its entries.
        classes: Name in lower case -> class.

    Returns:
        Number of all entries; and row and class of those that are names, each once.

    Example:
        >>> total, rows, cols = class_entries([["Comedy", "new"], ["war"]], {"comedy": 0, "war": 1})
        >>> total, rows.tolist(), cols.tolist()
        (3, [0, 1], [0, 1])
    """
    pairs = sorted(
        {
            (row, classes[name])
            for row, bag in enumerate(bags)
            for entry in bag
            if (name := entry.strip().casefold()) in classes
        }
    )
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return sum(len(bag) for bag in bags), table[:, 0], table[:, 1]
