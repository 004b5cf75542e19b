"""What all records share: fields as strict JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, cast


class Record:
    """Base of the frozen dataclasses that commands return and tables hold.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Share(Record):
    ...     part: int
    ...     whole: int
    ...     derived = ("share",)
    ...     @property
    ...     def share(self) -> float:
    ...         return self.part / self.whole
    >>> Share(1, 4).to_dict()
    {'part': 1, 'whole': 4, 'share': 0.25}
    """

    derived: ClassVar[tuple[str, ...]] = ()
    """Properties that stand among the fields in `to_dict`."""

    spread: ClassVar[tuple[str, ...]] = ()
    """Fields that are records whose own keys stand among the fields, and not below their name."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name as strict JSON (see `plain`)."""
        found: dict[str, Any] = {}
        for name in (*(item.name for item in dataclasses.fields(cast("Any", self))), *self.derived):
            value = getattr(self, name)
            if name in self.spread:
                found |= value.to_dict()
            else:
                found[name] = plain(value)
        return found


def plain(value: Any) -> Any:
    """Return a value as strict JSON holds it.

    Records become mappings, tuples lists, NumPy scalars Python numbers, NaN and infinity null.

    >>> plain({"share": float("nan"), "tags": ("a", "b")})
    {'share': None, 'tags': ['a', 'b']}
    """
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if not isinstance(value, str) and hasattr(value, "item"):
        value = value.item()  # NumPy scalars
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
