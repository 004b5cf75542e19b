"""Keys of metrics, parameters and MLflow tags, as every server takes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spark_ml_audit.outcomes.records import ClassRow

_MAX_KEY = 250
_MAX_TAG_IN_KEY = 60
_NOT_IN_KEY = re.compile(r"[^\w\-. /]", re.ASCII)
_NOT_IN_CLASS_KEY = re.compile(r"[^\w\-. ]+", re.ASCII)


def clean_key(name: str) -> str:
    """Replace what servers refuse in a key and cut it to their length.

    >>> clean_key("class_3/lift:macro")
    'class_3/lift_macro'
    """
    return _NOT_IN_KEY.sub("_", name)[:_MAX_KEY] or "_"


def class_key(row: ClassRow) -> str:
    """What the metrics of a class begin with: its index, and as much of its tag as keys may hold.

    MLflow's pages put metrics of the same beginning together, under it as their heading. The index alone
    tells classes apart; of a tag without plain letters or digits nothing is left.

    >>> from spark_ml_audit.outcomes.records import CLASS_COLUMNS, ClassRow
    >>> rows = [ClassRow.from_mapping({**dict.fromkeys(CLASS_COLUMNS), "class_index": k, "tag": tag})
    ...         for k, tag in enumerate(["science fiction", "../a/b", "日本"])]
    >>> [class_key(row) for row in rows]
    ['class_0 science fiction', 'class_1 a_b', 'class_2']
    """
    plain = _NOT_IN_CLASS_KEY.sub("_", row.tag or "").strip("_-. ")[:_MAX_TAG_IN_KEY].strip("_-. ")
    return f"class_{row.class_index} {plain}".strip()
