"""What the values of a column say of the tags: that they bear or reproduce them, or tell one of them alone.

A leak is read by value: another edition of the tags holds their names, or a value for each. A feature
generalises: it tells many tags somewhat, one or the other of them well by one word or value (a shortcut).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spark_ml_audit.kernels.readings import (
    BestElements,
    BoolArray,
    Reading,
    best_elements,
    one_for_each_set,
    read_by_elements,
    read_by_rank,
    read_by_value,
    share_that_implies,
)
from spark_ml_audit.outcomes.features import Shortcut
from spark_ml_audit.predicting.leaks.values import (
    Entries,
    bins_of,
    class_entries,
    codes_of,
    elements_of,
    entries_of,
    holds_lists,
    mentions_of,
    numbers_of,
    parts_of,
    set_positions,
    texts_of,
    value_keys,
    words_of,
)

MIN_ROWS = 100
"""Labelled rows in the sample from which values are judged at all."""

MIN_POSITIVES = 10
"""Rows with a tag, and rows without it, from which a column is said to tell it."""

AUC, F1_OF_ONE, F1_OF_MANY = 0.98, 0.9, 0.95
"""Figures above and from which a tag counts as read off: by a column about one thing, and by one of many."""

SHORTCUT_F1, SHORTCUT_AUC = 0.9, 0.9
"""Figures from which a single word or value is a shortcut."""

_FOLDS = 5
_BINS = 64
# Numbers of no more different values are codes: each tells what it tells.
_FEW_NUMBERS = 20
_FEW_TAGS = 3
# Entries that are class names, and agreement beyond chance with the tags of their rows.
_CLASS_NAMES, _AGREEMENT = 0.5, 0.25
# Of mentions in free texts: those on named things name tags by nature, but not nearly all and no others.
_MENTIONED = 0.9
_IMPLIES, _IMPLYING_ROWS, _MIN_IMPLYING = 0.95, 0.9, 5
# Tags that are on more rows than this are implied by anything.
_COMMON = 0.7
# Pairs of value and set of tags beyond one for each.
_SLACK = 0.05
# Least rows of a word or value that may reach the F1 of a shortcut: 10 rows with the tag, recall .82.
_MIN_HELD = 8
# Share of rows whose text others have too, from which texts are values.
_REPEATED = 0.5
_MAX_VALUE = 100


@dataclass(frozen=True)
class TagSample:
    """Labelled rows, drawn by a hash of their ids, and their tags.

    Attributes:
        classes: All class names.
        delimiter: What stands between tags in delimited labels.
        given: Shape (n, K).
    """

    classes: tuple[str, ...]
    delimiter: str
    given: BoolArray

    @property
    def num_rows(self) -> int:
        """Rows n."""
        return len(self.given)

    @cached_property
    def judged(self) -> npt.NDArray[np.int64]:
        """Classes with enough rows of both kinds; none in a sample that is too small."""
        counts = self.given.sum(axis=0)
        enough = (counts >= MIN_POSITIVES) & (counts <= self.num_rows - MIN_POSITIVES)
        return np.flatnonzero(enough & (self.num_rows >= MIN_ROWS))

    @cached_property
    def prevalence(self) -> npt.NDArray[np.float64]:
        """Share of the rows with each tag, shape (K,)."""
        share: npt.NDArray[np.float64] = self.given.mean(axis=0)
        return share

    @property
    def folds(self) -> npt.NDArray[np.int64]:
        """Fold of each row."""
        return np.arange(self.num_rows) % _FOLDS

    def take(self, rows: BoolArray) -> TagSample:
        """The same for some of the rows."""
        return TagSample(self.classes, self.delimiter, self.given[rows])


@dataclass(frozen=True)
class Judgement:
    """What the values of a column say.

    Attributes:
        reason: Why it leaks; None where it does not.
        shortcuts: Its words or values that tell a tag almost alone, one per tag.
    """

    reason: str | None = None
    shortcuts: tuple[Shortcut, ...] = ()


def judge_column(name: str, kind: str, values: pd.Series, sample: TagSample) -> Judgement:
    """Judge a column by its values.

    Args:
        name: Of the column.
        kind: How models would read it.
        values: Of the rows of the sample.
        sample: Their tags.

    Example:
        >>> given = np.arange(200)[:, None] % 4 == 0
        >>> flags = pd.Series(given[:, 0])
        >>> judge_column("seen", "boolean", flags, TagSample(("rare",), ",", given)).reason
        "tells the tag 'rare' (AUC 1.000, F1 1.00 out of fold)"
        >>> texts = pd.Series([f"row {i} zq" if i % 4 == 0 else f"row {i}" for i in range(200)])
        >>> judge_column("body", "text", texts, TagSample(("rare",), ",", given)).shortcuts[0].value
        'zq'
    """
    if kind == "embedding":
        positions = set_positions(values)
        return (
            Judgement()
            if positions is None
            else Judgement(_judge_entries(_entries(positions, sample), sample))
        )
    if kind == "text":
        return _judge_texts(name, values, sample)
    keys = value_keys(values)
    if kind in ("numeric", "date"):
        found = numbers_of(values, kind)
        if len(np.unique(found[~np.isnan(found)])) > _FEW_NUMBERS:
            return Judgement(_judge_numbers(found, sample) or _stands_for_sets(keys, sample))
    reason = _bears_names(_parts(keys, sample), sample) or _judge_codes(keys, sample)
    if reason := reason or _stands_for_sets(keys, sample):
        return Judgement(reason)
    each = _entries([set() if key is None else {key} for key in keys], sample)
    return Judgement(None, _shortcuts(name, each, sample))


def _judge_texts(name: str, values: pd.Series, sample: TagSample) -> Judgement:
    if holds_lists(values):
        bags: Sequence[Any] = [elements_of(value) for value in values]
        held = _entries(bags, sample)
        reason = _bears_names(bags, sample) or _judge_entries(held, sample)
    else:
        texts = texts_of(values)
        held = _entries([set() if text is None else words_of(text) for text in texts], sample)
        reason = _bears_names(_parts(texts, sample), sample) or _mentions_names(texts, sample)
        reason = reason or _judge_entries(held, sample)
        reason = reason or _judge_repeated(texts, sample) or _stands_for_sets(texts, sample)
    return Judgement(reason, () if reason else _shortcuts(name, held, sample))


# ---- names of classes ------------------------------------------------------------------------------


def _parts(texts: Sequence[str | None], sample: TagSample) -> list[list[str]]:
    """What stands between delimiters; a text that is a class name is one part, whatever it holds."""
    names = {_spelled(name) for name in sample.classes}
    return [
        [] if text is None else [text] if _spelled(text) in names else parts_of(text, sample.delimiter)
        for text in texts
    ]


def _spelled(name: str) -> str:
    return name.strip().casefold()


def _bears_names(bags: Sequence[Sequence[str]], sample: TagSample) -> str | None:
    """Whether entries are class names, and more often of tags that the row carries than by chance."""
    places = {_spelled(name): place for place, name in enumerate(sample.classes)}
    total, rows, cols = class_entries(bags, places)
    agreeing = sample.given[rows, cols]
    if agreeing.sum() < MIN_POSITIVES or len(rows) < _CLASS_NAMES * total:
        return None
    if _beyond_chance(agreeing, cols, sample) < _AGREEMENT:
        return None
    return (
        f"holds class names: {len(rows) / total:.0%} of its entries are, "
        f"{agreeing.mean():.0%} of them on rows that carry the tag"
    )


def _beyond_chance(agreeing: BoolArray, cols: npt.NDArray[np.int64], sample: TagSample) -> float:
    """Share of named tags that are given, 0 for what the tags' prevalence explains and 1 for all."""
    chance = float(sample.prevalence[cols].mean())
    return (float(agreeing.mean()) - chance) / (1 - chance) if chance < 1 else 0.0


def _mentions_names(texts: Sequence[str | None], sample: TagSample) -> str | None:
    """Whether texts name the tags of their row, nearly all and hardly others."""
    judged = sample.judged
    if len(judged) < _FEW_TAGS:
        return None
    rows, cols = mentions_of(texts, [sample.classes[k] for k in judged])
    given = sample.given[:, judged]
    agreeing = given[rows, cols]
    if agreeing.sum() < max(MIN_POSITIVES, _MENTIONED * given.sum()) or agreeing.mean() < _MENTIONED:
        return None
    if _beyond_chance(agreeing, judged[cols], sample) < _MENTIONED / 2:
        return None
    return (
        f"its texts name the tags: {agreeing.sum() / given.sum():.0%} of the given ones, "
        f"and {agreeing.mean():.0%} of those named are given"
    )


# ---- readings --------------------------------------------------------------------------------------


def _judge_numbers(values: npt.NDArray[np.float64], sample: TagSample) -> str | None:
    """A number tells a tag by its size, or by the range that it is in."""
    judged = sample.judged
    if not len(judged):
        return None
    by_range = read_by_value(bins_of(values, _BINS), sample.given[:, judged], sample.folds)
    reason = _told(by_range, F1_OF_ONE, judged, sample.classes, least=1)
    known = ~np.isnan(values)
    if reason is not None or not known.any():
        return reason
    few = sample.take(known)
    own = few.judged
    by_size = read_by_rank(values[known], few.given[:, own])
    return _told(by_size, F1_OF_ONE, own, sample.classes, least=1)


def _judge_codes(keys: Sequence[str | None], sample: TagSample) -> str | None:
    """Values tell tags out of fold: one by two values, or most of them by many."""
    codes, names = codes_of(keys)
    known = codes > 0
    parts = [(codes, sample)]
    if known.any() and not known.all():
        parts.append((codes[known], sample.take(known)))
    for found, rows in parts:
        judged = rows.judged
        if not len(judged):
            continue
        given = rows.given[:, judged]
        reading = read_by_value(found, given, rows.folds)
        if len(names) <= 2:
            reason = _told(reading, F1_OF_ONE, judged, rows.classes, least=1)
        else:
            reason = _told(reading, F1_OF_MANY, judged, rows.classes, least=min(len(judged), _FEW_TAGS))
            reason = reason or _all_imply(found, given)
        if reason is not None:
            return reason
    return None


def _judge_repeated(texts: Sequence[str | None], sample: TagSample) -> str | None:
    """Texts that come again and again are values, such as a digest of the tags."""
    codes, names = codes_of(texts)
    again = np.bincount(codes)[codes] > 1
    return _judge_codes(texts, sample) if len(names) > 2 and again.mean() >= _REPEATED else None


def _stands_for_sets(keys: Sequence[str | None], sample: TagSample) -> str | None:
    """Whether a column holds a value for each set of tags: a digest, a text of bits, a number of flags."""
    codes, names = codes_of(keys)
    repeated = len(codes) - len(names)
    if sample.num_rows < MIN_ROWS or repeated < MIN_ROWS or not one_for_each_set(codes, sample.given, _SLACK):
        return None
    return f"its {len(names):,} values stand for the sets of tags, one for each"


@dataclass(frozen=True, eq=False)
class _Held:
    """Elements or words of a column, and how well each by itself tells the judged tags."""

    entries: Entries
    best: BestElements


def _entries(bags: Sequence[Any], sample: TagSample) -> _Held:
    entries = entries_of(bags, _MIN_HELD)
    given = sample.given[:, sample.judged]
    return _Held(entries, best_elements(entries.rows, entries.codes, given, len(entries.names)))


def _judge_entries(held: _Held, sample: TagSample) -> str | None:
    """Elements or words tell most of the tags, each by itself."""
    entries, judged = held.entries, sample.judged
    if len(judged) < _FEW_TAGS or not entries.names:
        return None
    # a cheap look first: what no element tells alone, none tells out of fold
    if (held.best.f1 >= F1_OF_MANY).sum() < max(_FEW_TAGS, len(judged) / 2):
        return None
    reading = read_by_elements(entries.rows, entries.codes, sample.given[:, judged], sample.folds)
    return _told(reading, F1_OF_MANY, judged, sample.classes, least=_FEW_TAGS)


def _all_imply(codes: npt.NDArray[np.int64], given: BoolArray) -> str | None:
    """Whether nearly every row has a value that implies a tag, as codes of the main tag do."""
    told = given[:, given.mean(axis=0) <= _COMMON]
    share, num_tags = share_that_implies(codes, told, _IMPLIES, _MIN_IMPLYING)
    if share < _IMPLYING_ROWS or num_tags < _FEW_TAGS:
        return None
    return f"its values imply tags: {num_tags} tags, on {share:.0%} of the rows"


def _told(
    reading: Reading, f1: float, judged: npt.NDArray[np.int64], classes: Sequence[str], least: int
) -> str | None:
    """Why a column tells so many tags that it leaks; None where it does not.

    Args:
        reading: Of the judged classes.
        f1: Least F1 of a tag that is read off.
        judged: These classes.
        classes: All class names.
        least: Tags to be read off; where it is not 1, half of the judged ones too.
    """
    hits = np.flatnonzero((reading.auc > AUC) & (reading.f1 >= f1))
    if not len(hits) or len(hits) < least or (least > 1 and len(hits) < len(judged) / 2):
        return None
    best = hits[np.lexsort((-reading.auc[hits], -reading.f1[hits]))[0]]
    name = classes[judged[best]]
    figures = f"AUC {reading.auc[best]:.3f}, F1 {reading.f1[best]:.2f} out of fold"
    if len(hits) == 1:
        return f"tells the tag '{name}' ({figures})"
    return f"tells {len(hits)} of {len(judged)} tags, best '{name}' ({figures})"


# ---- shortcuts -------------------------------------------------------------------------------------


def _shortcuts(name: str, held: _Held, sample: TagSample) -> tuple[Shortcut, ...]:
    """Per tag the one word or value that tells it almost alone, where there is one."""
    entries, best, judged = held.entries, held.best, sample.judged
    if not len(judged) or not entries.names:
        return ()
    chosen = np.flatnonzero((best.f1 >= SHORTCUT_F1) & (best.auc >= SHORTCUT_AUC))
    return tuple(
        Shortcut(
            name,
            _shown(entries.names[best.element[k]]),
            sample.classes[judged[k]],
            float(best.precision[k]),
            float(best.recall[k]),
        )
        for k in chosen
    )


def _shown(value: str) -> str:
    return value if len(value) <= _MAX_VALUE else f"{value[: _MAX_VALUE - 1]}…"
