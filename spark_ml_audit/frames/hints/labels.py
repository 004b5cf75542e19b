"""Hints on given tags: another delimiter, another spelling than the class list's, codes, nothing at all."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.frames.hints.hint import Hint, rows_looked_at, share, some

_CLASSES = "source.classes"
# From how many given tags on, and from which share, something is said.
_LEAST_SHARE = 0.05
_MOST_LISTED_CLASSES = 20
_DELIMITERS = (",", ";", "|", "\t", "/", " ")
# Seldom part of a name: what is said of them needs no class list.
_SURE_DELIMITERS = (";", "|", "\t")
_WHOLE_NUMBER = re.compile(r"\s*[+-]?\d+(?:\.0*)?\s*")
_SEPARATORS = re.compile(r"[\s_\-]+")

Tags = Counter[str]


def label_hints(rows: pa.Table, layout: InputLayout, most: int = 1000) -> Iterator[Hint]:
    """Look at the given tags.

    Args:
        rows: First rows of the source.
        layout: How they are read.
        most: Rows from which on these need not be all.

    Example:
        >>> layout = InputLayout("id", ("tags",), "names", ",", (), "none", "float32", ("drama", "comedy"))
        >>> rows = pa.table({"tags": [["Drama"], ["Comedy", "Drama"], []]})
        >>> [hint.found for hint in label_hints(rows, layout)]
        ["None of the 3 tags of all 3 rows is among the 2 classes, but 100% of them are, in another case: \
'Drama' for 'drama'."]
    """
    where = rows_looked_at(rows.num_rows, whole=rows.num_rows < most)
    arrays = [rows.column(name).combine_chunks() for name in layout.labels]
    if all(array.null_count == len(array) for array in arrays) or (
        layout.empty_is_unlabelled and layout.labels_format == "delimited" and not _has_text(arrays[0])
    ):
        mend = (
            "Check that source.labels names the column of tags; rows with null are counted and not audited."
        )
        yield Hint("unlabelled", f"None of {where} is labelled.", mend, "source.labels")
        return
    if layout.labels_format in ("delimited", "names"):
        yield from _named(arrays[0].drop_null(), layout, where)
    elif layout.labels_format == "indices":
        yield from _indexed(arrays[0].drop_null(), layout, where)
    elif not _has_any(arrays):
        yield _no_tags(layout, f"No tag is given in {where}: column '{layout.labels[0]}' holds no 1.")


def _has_any(arrays: Iterable[Any]) -> bool:
    """Whether any value is neither 0 nor null, or there is no value at all."""
    flat = [array.flatten() if pa.types.is_nested(array.type) else array for array in arrays]
    values = [array.drop_null() for array in flat]
    if not any(len(array) for array in values):
        return True
    return any(pc.any(array.cast(pa.bool_())).as_py() for array in values if _is_plain(array))


def _is_plain(array: Any) -> bool:
    return bool(
        pa.types.is_boolean(array.type) or pa.types.is_integer(array.type) or pa.types.is_floating(array.type)
    )


def _has_text(texts: Any) -> bool:
    return any(pc.utf8_trim_whitespace(texts.drop_null()).to_pylist())


def _no_tags(layout: InputLayout, found: str) -> Hint:
    if layout.labels_format == "delimited":
        mend = "An empty text means that no tag applies; if it means that nobody looked yet, say so."
        return Hint("no_tags", found, mend, "source.labels", {"source.empty_labels": "not_annotated"})
    mend = "Check source.labels: an empty list means that no tag applies, null that nobody looked yet."
    return Hint("no_tags", found, mend, "source.labels")


# ---- names -----------------------------------------------------------------------------------------


def _named(labels: Any, layout: InputLayout, where: str) -> Iterator[Hint]:
    column, is_text = f"column '{layout.labels[0]}'", layout.labels_format == "delimited"
    if is_text:
        texts = [text for text in pc.utf8_trim_whitespace(labels).to_pylist() if text]
        tags = Counter(_parts(texts, layout.labels_delimiter))
    else:
        tags = Counter(text for text in labels.flatten().drop_null().to_pylist() if text.strip())
        texts = [text.strip() for text in tags.elements()]
    if not texts:
        kind = "All texts" if is_text else "All lists"
        yield _no_tags(layout, f"{kind} in {column} are empty in {where}.")
        return
    other = _delimiter(texts, tags, layout, is_text)
    if other is not None:
        yield other
        return
    known = set(layout.classes)
    unknown = Counter({tag: count for tag, count in tags.items() if tag not in known})
    if unknown.total() >= max(1.0, _LEAST_SHARE * tags.total()):
        yield _unknown(unknown, tags, layout, where)


def _parts(texts: Iterable[str], delimiter: str) -> list[str]:
    """The tags in texts, as they are read."""
    parts = [part.strip() for text in texts for part in text.split(delimiter)]
    return [part for part in parts if part]


def _delimiter(texts: list[str], tags: Tags, layout: InputLayout, is_text: bool) -> Hint | None:
    """Another delimiter that leads to far more tags of the class list, or to far fewer different tags."""
    known = set(layout.classes)
    now = _share_in(tags, known)
    best: tuple[float, str, Tags] | None = None
    for delimiter in _DELIMITERS:
        if is_text and delimiter == layout.labels_delimiter:
            continue
        if sum(delimiter in text for text in texts) < max(1.0, _LEAST_SHARE * len(texts)):
            continue
        parts = Counter(_parts(texts, delimiter))
        then = _share_in(parts, known)
        if then >= now + _LEAST_SHARE and then > 0.5 and (best is None or then > best[0]):
            best = then, delimiter, parts
    if best is not None:
        return _split_hint(best[1], f"{_percent(best[0])} of them are classes then", layout, now)
    # where the classes are the tags in use, all are known however they are split
    unsplit = not is_text or not any(layout.labels_delimiter in text for text in texts)
    for delimiter in _SURE_DELIMITERS if unsplit else ():
        parts = Counter(_parts(texts, delimiter))
        if (
            now == 1
            and sum(delimiter in text for text in texts) >= 0.2 * len(texts)
            and 2 * len(parts) <= len(tags)
        ):
            said = f"these are {len(parts):,} different tags then instead of {len(tags):,}"
            return _split_hint(delimiter, said, layout, None)
    return None


def _split_hint(delimiter: str, gain: str, layout: InputLayout, now: float | None) -> Hint:
    name, shown = layout.labels[0], "tab" if delimiter == "\t" else f"'{delimiter}'"
    look = f"look {'tab' if delimiter == chr(9) else shown}-delimited"
    if layout.labels_format == "delimited":
        instead = "" if now is None else f", split at '{layout.labels_delimiter}' {_percent(now)}"
        return Hint(
            "delimiter",
            f"Tags in column '{name}' {look}: {gain}{instead}.",
            "Set the delimiter.",
            "source.labels_delimiter",
            {"source.labels_delimiter": delimiter},
            is_serious=True,
        )
    return Hint(
        "delimiter",
        f"Entries of the lists in column '{name}' {look}: {gain}.",
        "Split them in the source; in pandas: labels.map(lambda tags: [part.strip() for tag in tags for part "
        f"in tag.split({delimiter!r})]).",
        "source.labels",
        is_serious=True,
    )


def _share_in(tags: Tags, known: set[str]) -> float:
    total = tags.total()
    return sum(count for tag, count in tags.items() if tag in known) / total if total else 0.0


def _percent(part: float) -> str:
    return share(part, 1)


# ---- tags that are not in the class list -----------------------------------------------------------


def _without_accents_apart(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _spaced(text: str) -> str:
    return _SEPARATORS.sub(" ", text.strip()).strip()


# What a tag may be but for, the least change first.
_CHANGES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("with blanks around them", str.strip),
    ("in another case", str.casefold),
    ("in another case and with blanks around them", lambda text: text.strip().casefold()),
    ("with other separators ('_', '-', blank)", _spaced),
    ("in another Unicode form", _without_accents_apart),
    (
        "in another case and with other separators ('_', '-', blank)",
        lambda text: _spaced(_without_accents_apart(text)).casefold(),
    ),
)


def _unknown(unknown: Tags, tags: Tags, layout: InputLayout, where: str) -> Hint:
    all_of_them = unknown.total() == tags.total()
    num, classes = f"{tags.total():,}", f"the {len(layout.classes):,} classes"
    if all_of_them:
        found = f"None of the {num} tags of {where} is among {classes}"
    else:
        found = f"{unknown.total():,} of the {num} tags of {where} are not among {classes}"
    change, pairs = _nearest(unknown, layout.classes)
    matched = sum(unknown[tag] for tag in pairs)
    if matched:
        tag = max(pairs, key=lambda tag: (unknown[tag], tag))
        said = (
            f"{found}, but {share(matched, unknown.total())} of them are, {change}: {_for(tag, pairs[tag])}."
        )
        return _respelled(said, unknown, pairs, layout)
    examples = some(tag for tag, _ in unknown.most_common(4))
    said = f"{found}: {examples}; the classes are {some(layout.classes)}."
    tags_are_numbers, classes_are_numbers = _are_numbers(unknown), _are_numbers(layout.classes)
    if tags_are_numbers and not classes_are_numbers:
        mend = "Give names, or positions in the class list as whole numbers, from 0: these look like codes."
        return Hint("codes", said, mend, "source.labels", is_serious=all_of_them)
    if all_of_them and classes_are_numbers and not tags_are_numbers:
        mend = (
            "Give the names of the tags as class list, in the order of the probabilities, not their numbers."
        )
        return Hint("codes", said, mend, _CLASSES, is_serious=True)
    mend = "Give the class list that belongs to these tags, in the order of the probabilities."
    return Hint("unknown_tags", said, mend, _CLASSES, is_serious=all_of_them)


def _are_numbers(texts: Iterable[str]) -> bool:
    return all(_WHOLE_NUMBER.fullmatch(text) for text in texts)


def _for(tag: str, name: str) -> str:
    return f"{tag!r} for {name!r}"


def _nearest(unknown: Tags, classes: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """The change that makes most of the tags known, and tag -> class by it."""
    best: tuple[str, dict[str, str]] = ("", {})
    most = 0
    for name, change in _CHANGES:
        by_form: dict[str, str] = {}
        for known in classes:
            by_form.setdefault(change(known), known)
        pairs = {tag: by_form[form] for tag in unknown if (form := change(tag)) in by_form}
        matched = sum(unknown[tag] for tag in pairs)
        if matched > most:
            best, most = (name, pairs), matched
    return best


_METHODS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("strip", str.strip),
    ("lower", str.lower),
    ("upper", str.upper),
    ("title", str.title),
)


def _gives(change: Callable[[str], str], pairs: dict[str, str]) -> bool:
    return all(change(tag) == name for tag, name in pairs.items())


def _in_pandas(method: str, layout: InputLayout) -> str:
    if layout.labels_format == "delimited":
        return f"labels.str.{method}()"
    return f"labels.map(lambda tags: [tag.{method}() for tag in tags])"


def _respelled(found: str, unknown: Tags, pairs: dict[str, str], layout: InputLayout) -> Hint:
    """A hint on tags written otherwise than the classes; with the class list mended where it is short."""
    mend = "Write the class list as the tags are written, in the same order, or change the tags in the source"
    how = (f"; in pandas: {_in_pandas(name, layout)}." for name, change in _METHODS if _gives(change, pairs))
    mend += next(how, ".")
    written = {name: tag for tag, name in pairs.items()}
    settings: dict[str, object] = {}
    is_plain = len(written) == len(pairs) and all(tag == tag.strip() for tag in pairs)
    if (
        is_plain
        and len(pairs) == len(unknown)
        and len(layout.classes) == len(written) <= _MOST_LISTED_CLASSES
    ):
        settings = {_CLASSES: [written[name] for name in layout.classes]}
    is_all = found.startswith("None")
    return Hint("spelling", found, mend, _CLASSES, settings, is_serious=is_all)


# ---- positions -------------------------------------------------------------------------------------


def _indexed(lists: Any, layout: InputLayout, where: str) -> Iterator[Hint]:
    values, column, num_classes = (
        lists.flatten().drop_null(),
        f"column '{layout.labels[0]}'",
        layout.num_classes,
    )
    if not len(values):
        if len(lists):
            yield _no_tags(layout, f"All lists in {column} are empty in {where}.")
        return
    bounds = pc.min_max(values).as_py()
    low, high = bounds["min"], bounds["max"]
    outside = pc.sum(pc.or_(pc.less(values, 0), pc.greater_equal(values, num_classes))).as_py()
    if low == 1 and high == num_classes:
        found = (
            f"The numbers in {column} go from 1 to {high} in {where}, but positions in a list of "
            f"{num_classes:,} classes go from 0 to {num_classes - 1}."
        )
        mend = "Subtract 1 in the source, or give the names of the tags."
        yield Hint("counted_from_one", found, mend, "source.labels", is_serious=True)
    elif outside >= max(1.0, _LEAST_SHARE * len(values)):
        found = (
            f"{outside:,} of the {len(values):,} numbers in {column} ({low} to {high}) in {where} are no "
            f"positions in a list of {num_classes:,} classes: they look like codes."
        )
        mend = "Give the names of the tags, or their positions in the class list, from 0."
        yield Hint("codes", found, mend, "source.labels", is_serious=outside == len(values))
