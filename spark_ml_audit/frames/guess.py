"""Which column of a source is what, by name, type and first values: what `init` writes into a config."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spark_ml_audit.config.paths import refused_by_delta
from spark_ml_audit.config.source import RESERVED_COLUMNS
from spark_ml_audit.frames.column_facts import ColumnFacts
from spark_ml_audit.frames.usual_names import IDS, LABELS, PROB_PREFIXES, PROB_SUFFIXES, PROBS
from spark_ml_audit.outcomes.starting import Choice

_TEXTS = (
    "text", "title", "body", "description", "content", "comment", "sentence", "message", "summary",
    "abstract", "plot", "review", "question", "subject", "document",
)  # fmt: skip
_VECTORS = re.compile(r"(?:^|_)(?:emb|embed\w*|vec|vector|features?|hidden|encoding)(?:_|$)")
_OF_LABELS = re.compile(
    r"^(?:labels?|tags?|is|has|y|true|given|gold|target)_|_(?:label|tag|true|given|gold)$"
)
_OF_PROBS = re.compile(rf"^(?:{'|'.join(PROB_PREFIXES)})_|_(?:{'|'.join(PROB_SUFFIXES)})$")
_LONGEST_TAG = 80
_MOST_SHOWN = 2
_MANY = 12


@dataclass(frozen=True)
class Guess:
    """Which column is what.

    Attributes:
        id: Column that names a row; None where none can.
        labels: Column of the tags, or several; None where none looks like it.
        pred_probs: Column of the probabilities, or several; None where there are none.
        show: Texts.
        delimiter: What stands between tags in a text; None where they are no texts.
        classes: Class names that follow from names of columns; None where they are found elsewhere.
    """

    id: Choice | None
    labels: Choice | None
    pred_probs: Choice | None
    show: Choice | None
    delimiter: Choice | None = None
    classes: Choice | None = None


def guess_columns(columns: Sequence[ColumnFacts], given: Mapping[str, object] | None = None) -> Guess:
    """Choose columns for the keys that nothing is given for.

    Args:
        columns: Of the source, in their order.
        given: Keys of the `source` section that are settled.

    Example:
        >>> import pyarrow as pa
        >>> rows = pa.table({"film": ["a", "b"], "genres": [["sea"], []], "p": [[0.2], [0.1]]})
        >>> facts = [ColumnFacts(field, rows[field.name].combine_chunks()) for field in rows.schema]
        >>> found = guess_columns(facts)
        >>> found.id.value, found.labels.value, found.pred_probs.value
        ('film', 'genres', 'p')
    """
    given = given or {}
    by_name = {column.name: column for column in columns}
    probs, labels = _pairs(columns) if not {"labels", "pred_probs"} & set(given) else (None, None)
    if "pred_probs" in given:
        probs = _settled("source.pred_probs", given["pred_probs"])
    elif probs is None:
        probs = _probs(columns)
    taken = _named(probs)
    if "labels" in given:
        labels = _settled("source.labels", given["labels"])
    elif labels is None:
        labels = _labels([column for column in columns if column.name not in taken])
    taken |= _named(labels)
    row_id = (
        _settled("source.id", given["id"])
        if "id" in given
        else _id([column for column in columns if column.name not in taken])
    )
    taken |= _named(row_id)
    show = (
        _settled("source.show", given["show"])
        if "show" in given
        else _show([column for column in columns if column.name not in taken])
    )
    return Guess(
        row_id, labels, probs, show, _delimiter(labels, by_name, given), _classes(labels, probs, given)
    )


def _settled(key: str, value: object) -> Choice | None:
    return None if value is None else Choice(key, value, "as given")


def _named(choice: Choice | None) -> set[str]:
    """The columns that a choice names."""
    value = None if choice is None else choice.value
    if isinstance(value, str):
        return {value}
    return {str(name) for name in value} if isinstance(value, list | tuple) else set()


def _rank(words: str, known: Sequence[str]) -> float:
    """How much a name speaks for a meaning: 1 for the likeliest, 0 for none."""
    if words in known:
        return 1 - known.index(words) / (2 * len(known))
    parts = words.split("_")
    return 0.3 if any(name in (parts[0], parts[-1]) for name in known if len(name) > 1) else 0.0


def _best(
    columns: Sequence[ColumnFacts], score: Callable[[ColumnFacts], float]
) -> tuple[ColumnFacts | None, tuple[str, ...]]:
    """The column of the highest score above 0, the first of equal ones; and the names of the others."""
    scored = [(score(column), -place, column) for place, column in enumerate(columns)]
    found = sorted((item for item in scored if item[0] > 0), key=lambda item: item[:2], reverse=True)
    if not found:
        return None, ()
    return found[0][2], tuple(column.name for _, _, column in found[1:])


# ---- probabilities ---------------------------------------------------------------------------------


def _probs(columns: Sequence[ColumnFacts]) -> Choice | None:
    def score(column: ColumnFacts) -> float:
        named = _rank(column.words, PROBS)
        if not column.holds_numbers or (_VECTORS.search(column.words) and not named):
            return 0.0
        if not column.are_shares:
            return named if named >= 0.5 else 0.0
        return 1 + named

    best, others = _best(columns, score)
    if best is not None:
        said = "from 0 to 1" if best.are_shares else "not all from 0 to 1, by its name"
        return Choice("source.pred_probs", best.name, f"{best.type_name}, {said}", others)
    group = [column for column in columns if _OF_PROBS.search(column.words) and column.are_shares]
    if len(group) < 2:
        return None
    names = [column.name for column in group]
    return Choice("source.pred_probs", names, f"{len(group)} columns of numbers from 0 to 1")


def _pairs(columns: Sequence[ColumnFacts]) -> tuple[Choice | None, Choice | None]:
    """Columns of probabilities and of tags whose names belong together: p_sea beside sea or label_sea."""
    flags = {_OF_LABELS.sub("", column.words): column for column in columns if column.is_flag}
    probs = {
        _OF_PROBS.sub("", column.words): column
        for column in columns
        if column.are_shares and _OF_PROBS.search(column.words)
    }
    if len(flags.keys() & probs.keys()) < 2:
        return None, None
    # whose values do not fit is named like the others: what is wrong with it is told, no class is lost
    flags = _named_like(_OF_LABELS, columns) | flags
    probs = _named_like(_OF_PROBS, columns) | probs
    both = [name for name in flags if name in probs]
    said = f"one per tag, paired by name ({flags[both[0]].name} and {probs[both[0]].name})"
    return (
        Choice("source.pred_probs", [probs[name].name for name in both], f"numbers from 0 to 1, {said}"),
        Choice("source.labels", [flags[name].name for name in both], f"0 and 1, {said}"),
    )


def _named_like(pattern: re.Pattern[str], columns: Sequence[ColumnFacts]) -> dict[str, ColumnFacts]:
    """Columns whose names say what they hold, by the rest of the name."""
    return {pattern.sub("", column.words): column for column in columns if pattern.search(column.words)}


# ---- tags ------------------------------------------------------------------------------------------


def _labels(columns: Sequence[ColumnFacts]) -> Choice | None:
    def score(column: ColumnFacts) -> float:
        named = _rank(column.words, LABELS)
        if column.is_list_of_texts:
            return 2 + named + column.repetition if column.longest_tag <= _LONGEST_TAG else named
        if column.is_list_of_integers:
            return 1.5 + named if named or not _VECTORS.search(column.words) else 0.0
        if column.is_text and column.longest_tag <= _LONGEST_TAG:
            if named >= 0.5 or column.is_list_in_text:
                return 1 + named
            is_delimited = column.delimiter is not None and not column.is_prose and column.repetition > 0.8
            return 0.5 + named if is_delimited else 0.0
        return 0.0

    best, others = _best(columns, score)
    flags = [column for column in columns if column.is_flag and not column.is_list_of_integers]
    if best is None or (not best.is_list_of_texts and not best.is_list_of_integers and len(flags) >= _MANY):
        marked = [column for column in flags if _OF_LABELS.search(column.words)]
        chosen = marked if len(marked) > 1 else flags
        if len(chosen) > 1:
            names = [column.name for column in chosen]
            return Choice("source.labels", names, f"{len(names)} columns of 0 and 1, one per tag")
    if best is None:
        return None
    return Choice("source.labels", best.name, _why_labels(best), others)


def _why_labels(column: ColumnFacts) -> str:
    if column.is_text and not column.is_list_in_text:
        said = "by its name" if column.delimiter is None else "tags with a delimiter between"
        return f"{column.type_name}, {said}"
    tags = column.tags
    some = f", {len(set(tags)):,} different tags in the first rows" if tags else ""
    return f"{column.type_name}{some}"


def _delimiter(
    labels: Choice | None, by_name: Mapping[str, ColumnFacts], given: Mapping[str, object]
) -> Choice | None:
    if labels is None or not isinstance(labels.value, str) or "labels_delimiter" in given:
        return None
    column = by_name.get(labels.value)
    if column is None or not column.is_text or column.is_list_in_text or column.delimiter in (None, ","):
        return None
    with_it = sum(column.delimiter in text for text in column.given.to_pylist())
    return Choice(
        "source.labels_delimiter", column.delimiter, f"in {with_it:,} of {len(column.given):,} texts"
    )


def _classes(labels: Choice | None, probs: Choice | None, given: Mapping[str, object]) -> Choice | None:
    """Names of tags that the names of columns spell with more around them."""
    if "classes" in given:
        return _settled("source.classes", given["classes"])
    for choice, around in ((labels, _OF_LABELS), (probs, _OF_PROBS)):
        if choice is None or isinstance(choice.value, str) or not isinstance(choice.value, list | tuple):
            continue
        names = [str(name) for name in choice.value]
        bare = [_bare(name, around) for name in names]
        if bare != names and len(set(bare)) == len(bare) and all(bare):
            return Choice("source.classes", bare, f"names of the columns, as {names[0]}")
        return None
    return None


def _bare(name: str, around: re.Pattern[str]) -> str:
    found = around.search(name.lower())
    return name if found is None else name[: found.start()] + name[found.end() :]


# ---- rows and texts --------------------------------------------------------------------------------


def _id(columns: Sequence[ColumnFacts]) -> Choice | None:
    def score(column: ColumnFacts) -> float:
        if not column.can_name_rows or refused_by_delta(column.name) or column.words in RESERVED_COLUMNS:
            return 0.0
        if column.name.lower() in RESERVED_COLUMNS:
            return 0.0
        named = max(_rank(column.words, IDS), 0.7 if column.words.endswith("_id") else 0.0)
        if not column.is_unique:
            return 0.1 if named > 0.9 else 0.0
        # a number may happen not to come twice
        if column.is_prose or not (named or column.is_text or column.counts_up):
            return 0.0
        return 1 + named + (0.2 if column.is_text or column.counts_up else 0.0)

    best, others = _best(columns, score)
    if best is None:
        return None
    if not best.is_unique:
        but = "; values are null or come twice" if len(best.values) else ""
        return Choice("source.id", best.name, f"{best.type_name}, by its name{but}")
    return Choice("source.id", best.name, f"{best.type_name}, no value comes twice", others)


def _show(columns: Sequence[ColumnFacts]) -> Choice | None:
    def score(column: ColumnFacts) -> float:
        named = _rank(column.words, _TEXTS)
        return named + column.is_prose if column.is_text and (named >= 0.5 or column.is_prose) else 0.0

    best, others = _best(columns, score)
    if best is None:
        return None
    names = [best.name, *others][:_MOST_SHOWN]
    in_order = [column.name for column in columns if column.name in names]
    return Choice(
        "source.show", in_order, "text" if len(in_order) == 1 else "texts", tuple(others[_MOST_SHOWN - 1 :])
    )
