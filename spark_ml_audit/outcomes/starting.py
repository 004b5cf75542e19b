"""What `init` returns: the config it wrote, and why it chose what it chose."""

from __future__ import annotations

import json
from dataclasses import dataclass

from spark_ml_audit.outcomes.base import Record
from spark_ml_audit.outcomes.outcome import Outcome


@dataclass(frozen=True)
class Choice(Record):
    """A value chosen for a key.

    Attributes:
        key: The dotted key.
        value: As YAML has it.
        why: What speaks for it, a phrase.
        others: What else would do, likeliest first.

    Example:
        >>> Choice("source.show", ["title", "plot"], "texts").shown
        'title, plot'
    """

    key: str
    value: object
    why: str
    others: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The value for people: a text as it is, a long list cut."""
        if isinstance(self.value, list | tuple):
            names = [str(name) for name in self.value]
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            return ", ".join(names[:6]) + more
        return self.value if isinstance(self.value, str) else json.dumps(self.value)


@dataclass(frozen=True, kw_only=True)
class InitOutcome(Outcome):
    """A config written for a source.

    Attributes:
        config: Path of the file.
        source: Path or table that was looked at.
        schema: Column names and types, in order.
        num_rows_read: First rows that were looked at.
        choices: What was chosen, and why.
        is_auditable: Whether `check` passes with the config as it is.
        next_command: What to type next.
    """

    config: str
    source: str
    schema: tuple[tuple[str, str], ...]
    num_rows_read: int
    choices: tuple[Choice, ...]
    is_auditable: bool
    next_command: str
