"""Which column is probably meant where the one that is named is not there, by name and by type."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from spark_ml_audit.arrow.types import is_binary, is_floating, is_integral, is_list, is_number, is_string
from spark_ml_audit.engines.columns import missing_column_fix
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.usual_names import IDS, LABELS, PROB_PREFIXES, PROBS

_NAMES = {"source.id": IDS, "source.labels": LABELS, "source.pred_probs": PROBS}
_MOST_LISTED = 30


def _names_rows(kind: Any) -> bool:
    return bool(is_string(kind) or is_integral(kind) or is_binary(kind) or pa.types.is_date(kind))


def _holds_tags(kind: Any) -> bool:
    if is_list(kind):
        return not is_floating(kind.value_type) and not pa.types.is_nested(kind.value_type)
    return is_string(kind)


def _holds_probs(kind: Any) -> bool:
    if is_list(kind):
        return is_floating(kind.value_type)
    return bool(pa.types.is_map(kind) and is_number(kind.item_type))


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "source.id": _names_rows,
    "source.labels": _holds_tags,
    "source.pred_probs": _holds_probs,
}


def source_field(schema: pa.Schema, name: str, key: str) -> Any:
    """The field of a source column that the config names.

    Args:
        schema: Of the source.
        name: Of the column.
        key: Config key that names it: source.id, source.labels or source.pred_probs.

    Raises:
        InputError: There is no such column; the message names the one that is probably meant.

    Example:
        >>> schema = pa.schema([("id", pa.string()), ("genres", pa.list_(pa.string()))])
        >>> try:
        ...     source_field(schema, "labels", "source.labels")
        ... except InputError as error:
        ...     print(error.fix)
        Did you mean 'genres'? Its columns are: 'id', 'genres'.
    """
    place = schema.get_field_index(name)
    if place >= 0:
        return schema.field(place)
    likely = likely_column(schema, name, key)
    fix = missing_column_fix(name, schema.names, near=likely)
    if likely is None and key == "source.pred_probs" and (listed := columns_of_probs(schema)):
        shown = ", ".join(listed)
        fix = f"If it has one column per tag, list them: --set '{key}=[{shown}]'. {fix}"
    if likely is None and key == "source.id":
        fix += " Files without an id: --set source.row_numbers=true numbers their rows."
    raise InputError(f"the source has no column '{name}'.", key=key, fix=fix)


def likely_column(schema: pa.Schema, name: str, key: str) -> str | None:
    """The column that is probably meant, of a type that can serve; None where there is none.

    >>> schema = pa.schema([("n", pa.int64()), ("text", pa.string()), ("Scores", pa.list_(pa.float32()))])
    >>> likely_column(schema, "pred_probs", "source.pred_probs"), likely_column(schema, "x", "source.labels")
    ('Scores', None)
    """
    fits = _FITS[key]
    fitting: dict[str, str] = {
        _plain(item.name): item.name for item in reversed(list(schema)) if fits(item.type)
    }
    if _plain(name) in fitting:
        return fitting[_plain(name)]
    near = difflib.get_close_matches(_plain(name), fitting, n=1, cutoff=0.75)
    if near:
        return fitting[near[0]]
    known = next((_plain(other) for other in _NAMES[key] if _plain(other) in fitting), None)
    if known is not None:
        return fitting[known]
    ending = [other for plain, other in fitting.items() if key == "source.id" and plain.endswith("id")]
    listed = [item.name for item in schema if is_list(item.type) and fits(item.type)]
    only = [ending, listed][key != "source.id"]
    return only[0] if len(only) == 1 else None


def columns_of_probs(schema: pa.Schema) -> list[str]:
    """Columns that look like one probability per tag; none where they are too many to be listed.

    >>> columns_of_probs(pa.schema([("year", pa.int64()), ("p_sea", pa.float32()), ("p_sun", pa.float32())]))
    ['p_sea', 'p_sun']
    """
    for prefix in PROB_PREFIXES:
        found = [
            item.name
            for item in schema
            if item.name.lower().startswith(f"{prefix}_") and is_floating(item.type)
        ]
        if len(found) > 1:
            return found if len(found) <= _MOST_LISTED else []
    return []


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())
