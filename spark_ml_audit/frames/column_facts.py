"""What the first rows say of a column: whether it tells rows apart, holds tags, probabilities or texts."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_ml_audit.arrow.types import (
    is_binary,
    is_floating,
    is_integral,
    is_list,
    is_number,
    is_string,
    type_name,
)
from spark_ml_audit.engines.base import VECTOR

DELIMITERS = (",", ";", "|", "\t", "/")
"""What may stand between tags, likeliest first."""

_LONG_TEXT = 20
_DELIMITED_SHARE = 0.02
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ColumnFacts:
    """A column and its first values.

    Attributes:
        field: Of the schema, its metadata included.
        values: Its first values, an Arrow array.
    """

    field: Any
    values: Any

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.field.name)

    @property
    def words(self) -> str:
        """Its name in lower case, words apart by underscores.

        >>> ColumnFacts(pa.field("Pred Probs", pa.int8()), pa.array([], pa.int8())).words
        'pred_probs'
        >>> ColumnFacts(pa.field("givenTags", pa.int8()), pa.array([], pa.int8())).words
        'given_tags'
        """
        apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name)
        return re.sub(r"[^a-z0-9]+", "_", apart.lower()).strip("_")

    @property
    def type_name(self) -> str:
        """Its type as users write it."""
        return "vector" if self.is_vector else type_name(self.field.type)

    @property
    def is_vector(self) -> bool:
        """Whether it holds vectors of pyspark.ml."""
        return VECTOR in (self.field.metadata or {})

    @cached_property
    def given(self) -> Any:
        """The values that are not null."""
        return self.values.drop_null()

    # ---- rows told apart ---------------------------------------------------------------------------

    @property
    def can_name_rows(self) -> bool:
        """Whether its type can serve as id."""
        kind = self.field.type
        return bool(is_string(kind) or is_integral(kind) or is_binary(kind) or pa.types.is_date(kind))

    @cached_property
    def is_unique(self) -> bool:
        """Whether no value is null or comes twice."""
        if not self.can_name_rows or not len(self.values) or self.values.null_count:
            return False
        return int(pc.count_distinct(self.values).as_py()) == len(self.values)

    @cached_property
    def counts_up(self) -> bool:
        """Whether it numbers the rows."""
        if not is_integral(self.field.type) or not self.is_unique:
            return False
        steps = np.diff(self.values.to_numpy(zero_copy_only=False))
        return bool((steps == 1).all()) and len(self.values) > 1

    # ---- tags --------------------------------------------------------------------------------------

    @property
    def is_list_of_texts(self) -> bool:
        """Whether it holds lists of texts."""
        return is_list(self.field.type) and is_string(self.field.type.value_type)

    @property
    def is_list_of_integers(self) -> bool:
        """Whether it holds lists of whole numbers or booleans."""
        if not is_list(self.field.type):
            return False
        kind = self.field.type.value_type
        return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))

    @property
    def is_text(self) -> bool:
        """Whether it holds texts."""
        return is_string(self.field.type)

    @cached_property
    def is_flag(self) -> bool:
        """Whether it holds 0 and 1 alone, or false and true."""
        kind = self.field.type
        if pa.types.is_boolean(kind):
            return True
        if not is_number(kind) or not len(self.given):
            return False
        return set(pc.unique(self.given).to_pylist()) <= {0, 1}

    @cached_property
    def delimiter(self) -> str | None:
        """What stands between the tags of its texts; None where nothing seems to."""
        if not self.is_text or not len(self.given):
            return None
        found: Counter[str] = Counter()
        for text in self.given.to_pylist():
            found.update({mark for mark in DELIMITERS if mark in text})
        best = max(DELIMITERS, key=lambda mark: (found[mark], -DELIMITERS.index(mark)))
        return best if found[best] > _DELIMITED_SHARE * len(self.given) else None

    @cached_property
    def repetition(self) -> float:
        """How often its tags, or the parts of its texts, come again: 0 never, towards 1 always."""
        parts = self.tags
        return 1 - len(set(parts)) / len(parts) if parts else 0.0

    @cached_property
    def tags(self) -> list[str]:
        """All its tags, or the parts of its texts, in their order."""
        if self.is_list_of_texts:
            return [tag for tag in self.given.flatten().to_pylist() if tag is not None]
        if not self.is_text:
            return []
        mark = self.delimiter
        parts = [part for text in self.given.to_pylist() for part in (text.split(mark) if mark else [text])]
        return [part.strip() for part in parts if part.strip()]

    @cached_property
    def longest_tag(self) -> int:
        """Characters of its longest tag or part."""
        return max((len(tag) for tag in self.tags), default=0)

    @property
    def is_list_in_text(self) -> bool:
        """Whether its texts are lists as Python or JSON write them."""
        texts = [text.strip() for text in self.given.to_pylist()] if self.is_text else []
        return bool(texts) and all(text.startswith("[") and text.endswith("]") for text in texts if text)

    # ---- probabilities -----------------------------------------------------------------------------

    @cached_property
    def _numbers(self) -> Any:
        """All numbers in its lists or maps, or its own; None where it holds others."""
        kind = self.field.type
        if is_list(kind) and is_number(kind.value_type):
            return self.given.flatten().drop_null()
        if pa.types.is_map(kind) and is_string(kind.key_type) and is_number(kind.item_type):
            maps = self.given
            if not len(maps):
                return maps.items
            first, last = maps.offsets[0].as_py(), maps.offsets[-1].as_py()
            return maps.items.slice(first, last - first).drop_null()
        return self.given if is_number(kind) else None

    @cached_property
    def are_shares(self) -> bool:
        """Whether all its numbers lie in [0, 1], but for rounding and gaps, and not all are 0 or 1."""
        numbers = self._numbers
        if numbers is None or not len(numbers):
            return False
        values = np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
        values = values[~np.isnan(values)]
        if not ((values >= -_ROUNDING) & (values <= 1 + _ROUNDING)).all():
            return False
        return bool(((values > 0) & (values < 1)).any())

    @property
    def holds_numbers(self) -> bool:
        """Whether it holds lists or maps of numbers with a fraction."""
        kind = self.field.type
        if is_list(kind):
            return bool(is_floating(kind.value_type)) or self.is_vector
        return bool(pa.types.is_map(kind)) and self._numbers is not None

    @cached_property
    def width(self) -> int | None:
        """Numbers per row of lists of them, as most rows have it."""
        if not is_list(self.field.type) or not len(self.given):
            return None
        sizes = Counter(pc.list_value_length(self.given).to_pylist())
        return int(sizes.most_common(1)[0][0])

    # ---- texts -------------------------------------------------------------------------------------

    @cached_property
    def mean_length(self) -> float:
        """Characters of its texts on average."""
        if not self.is_text or not len(self.given):
            return 0.0
        return float(pc.mean(pc.utf8_length(self.given)).as_py())

    @cached_property
    def is_prose(self) -> bool:
        """Whether its texts are long and have words."""
        if self.mean_length < _LONG_TEXT:
            return False
        return float(pc.mean(pc.cast(pc.match_substring(self.given, " "), pa.float64())).as_py()) > 0.5
