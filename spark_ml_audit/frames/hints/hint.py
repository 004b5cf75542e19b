"""What a look at the first rows found that is probably a mistake, and how to mend it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from spark_ml_audit.outcomes.outcome import MISREAD
from spark_ml_audit.text import show


@dataclass(frozen=True)
class Hint:
    """A likely mistake in a source or its config. It changes nothing by itself.

    Attributes:
        kind: Short name, for programs.
        found: What was seen, a sentence with its figures.
        mend: What to do about it, a sentence.
        key: Config key that it is about.
        settings: Config keys and values that mend it, where that is enough.
        is_serious: Whether no result should be believed before it is mended.

    Example:
        >>> hint = Hint("delimiter", "Tags look ';'-delimited.", "Say so.", "source.labels_delimiter",
        ...             {"source.labels_delimiter": ";"})
        >>> print(hint.sentence)
        Tags look ';'-delimited. Say so: --set 'source.labels_delimiter=";"'
        >>> print(hint.fix)
        Say so: --set 'source.labels_delimiter=";"'
    """

    kind: str
    found: str
    mend: str
    key: str
    settings: Mapping[str, object] = field(default_factory=dict)
    is_serious: bool = False

    @property
    def sentence(self) -> str:
        """All of it, as commands print it."""
        return f"{MISREAD if self.is_serious else ''}{self.found} {self.fix}"

    @property
    def fix(self) -> str:
        """What to do, with the options that do it."""
        if not self.settings:
            return self.mend
        words = [
            word
            for key, value in self.settings.items()
            for word in ("--set", shlex.quote(f"{key}={json.dumps(value, ensure_ascii=False)}"))
        ]
        return f"{self.mend.rstrip('.')}: {' '.join(words)}"


def sentences(hints: Iterable[Hint]) -> tuple[str, ...]:
    """The hints as commands print them, the serious ones first."""
    return tuple(hint.sentence for hint in sorted(hints, key=lambda hint: not hint.is_serious))


def some(values: Iterable[object], most: int = 3) -> str:
    """The first few values, for a sentence.

    >>> some(["red", "green", "blue", "grey"])
    "'red', 'green', 'blue', ..."
    """
    listed = list(values)
    return ", ".join(show(value) for value in listed[:most]) + (", ..." if len(listed) > most else "")


def share(part: int | float, whole: int | float) -> str:
    """A share as whole percent that is 0 or 100 only where it is.

    >>> share(0, 7), share(1, 9999), share(6, 7), share(9998, 9999)
    ('0%', '<1%', '86%', '>99%')
    """
    percent = 100 * part / whole
    if 0 < percent < 1:
        return "<1%"
    return ">99%" if 99 < percent < 100 else f"{percent:.0f}%"


def rows_looked_at(num_rows: int, whole: bool) -> str:
    """How many rows a sentence is about.

    >>> rows_looked_at(1000, whole=False), rows_looked_at(12, whole=True)
    ('the first 1,000 rows', 'all 12 rows')
    """
    return f"all {num_rows:,} rows" if whole else f"the first {num_rows:,} rows"
