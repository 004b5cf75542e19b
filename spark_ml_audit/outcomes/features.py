"""What a model learned from, and what was left out of it and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spark_ml_audit.outcomes.base import Record


@dataclass(frozen=True)
class Shortcut(Record):
    """A single word or value that tells a tag almost alone.

    Attributes:
        column: Where it stands.
        value: The word of a text, element of a list, or value.
        tag: The tag.
        precision: Share of the rows with it that carry the tag.
        recall: Share of the rows with the tag that have it.
    """

    column: str
    value: str
    tag: str
    precision: float
    recall: float


@dataclass(frozen=True)
class FeatureUse(Record):
    """What a model learned from.

    Attributes:
        features: Kind -> columns; kinds without a column are left out.
        left_out: Column -> why it is no feature, for the columns that nobody named.
        shortcuts: The surest first, some dozens at most.
        num_rows_judged: Labelled rows by which columns were judged; None where they were not.

    Example:
        >>> use = FeatureUse({"text": ("title",)}, {"gold": "named like labels ('gold')"}, num_rows_judged=90)
        >>> FeatureUse.from_json(use.to_json()) == use
        True
    """

    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    shortcuts: tuple[Shortcut, ...] = ()
    num_rows_judged: int | None = None

    def to_json(self) -> str:
        """The fields as JSON text, as tables hold them."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | None) -> FeatureUse:
        """From the text in a table; nothing for null, which older versions wrote.

        >>> FeatureUse.from_json(None)
        FeatureUse(features={}, left_out={}, shortcuts=(), num_rows_judged=None)
        """
        if text is None:
            return cls()
        found: dict[str, Any] = json.loads(text)
        return cls(
            {kind: tuple(columns) for kind, columns in found["features"].items()},
            found["left_out"],
            tuple(Shortcut(**shortcut) for shortcut in found["shortcuts"]),
            found["num_rows_judged"],
        )
