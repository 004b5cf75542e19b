"""A class list for a source that has none: the tags in use, where they are as many as the probabilities."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pyarrow.compute as pc

from spark_ml_audit.arrow.types import is_list, is_string

_MOST_LISTED = 20
_FIX = "Give the tag names in the order of the probabilities, as a list or a file with one per line."
_SORTED = "if the model had them sorted by name, as scikit-learn's binarizers do"


def class_list_fix(labels: Any, probs: Any, delimiter: str) -> str:
    """What to do about a missing class list, by the first rows.

    Args:
        labels: Arrow array of the given tags.
        probs: Arrow array of the probabilities, as lists.
        delimiter: Between the tags of a text.

    Example:
        >>> import pyarrow as pa
        >>> labels, probs = pa.array([["sea"], ["sun", "sand"]]), pa.array([[0.2, 0.7, 0.4]])
        >>> found = class_list_fix(labels, probs, ",")
        >>> print(found[found.index("--set"):])
        --set 'source.classes=["sand", "sea", "sun"]'
    """
    tags, widths = _tags(labels, delimiter), pc.unique(pc.list_value_length(probs)).drop_null()
    if not tags or len(widths) != 1:
        return _FIX
    width = widths[0].as_py()
    if len(tags) != width:
        return f"{_FIX} The first rows have {len(tags):,} different tags and {width:,} probabilities each."
    same = (
        f"{_FIX} The different tags of the first rows are as many as the probabilities, {width:,}: {_SORTED},"
    )
    if width > _MOST_LISTED:
        return f"{same} write them so."
    setting = shlex.quote(f"source.classes={json.dumps(tags, ensure_ascii=False)}")
    return f"{same} this is it: --set {setting}"


def _tags(labels: Any, delimiter: str) -> list[str]:
    """The different tags, sorted; none where they have no names."""
    if is_string(labels.type):
        flat = pc.utf8_trim_whitespace(pc.split_pattern(labels, pattern=delimiter).flatten())
    elif is_list(labels.type) and is_string(labels.type.value_type):
        flat = labels.flatten()
    else:
        return []
    return sorted(tag for tag in pc.unique(flat.drop_null()).to_pylist() if tag.strip())
