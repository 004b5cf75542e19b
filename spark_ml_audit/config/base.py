"""What all config sections share: strict reading, one kind of error, plain output."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from spark_ml_audit.config.messages import explain
from spark_ml_audit.text import redact_value

_Self = TypeVar("_Self", bound="Section")

# Tracking servers refuse longer parameter values; older ones at this length.
_MAX_FLAT_VALUE = 500


class Section(BaseModel):
    """A mapping of known keys. Unknown keys and loosely typed values are refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @classmethod
    def parse(cls: type[_Self], values: Mapping[str, object], prefix: str = "") -> _Self:
        """Build the section from a mapping.

        Args:
            values: Keys and values as YAML gives them.
            prefix: Dotted place of this section, put before the keys in messages.

        Raises:
            ConfigError: With the dotted key, the value found and the fix.

        Example:
            >>> from spark_ml_audit.config import ReportConfig
            >>> from spark_ml_audit.errors import ConfigError
            >>> try:
            ...     ReportConfig.parse({"max_rows": -1}, "report")
            ... except ConfigError as error:
            ...     print(f"{error.key}: {error.message}")
            report.max_rows: found -1, which is not a whole number from 0 to 1000.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise explain(error, cls, prefix) from None

    def to_mapping(self) -> dict[str, Any]:
        """Return the keys and values, defaults included, as plain JSON-able data with secrets redacted.

        >>> class Server(Section):
        ...     uri: str
        ...     token: str | None = None
        >>> Server.parse({"uri": "https://ann:s3cret@host", "token": "abc"}).to_mapping()
        {'uri': 'https://ann:***@host', 'token': '***'}
        """
        dumped = self.model_dump(mode="json", by_alias=True)
        return {key: redact_value(key, value) for key, value in dumped.items()}

    def to_json(self) -> str:
        """Return `to_mapping` as a JSON text."""
        return json.dumps(self.to_mapping(), ensure_ascii=False)

    def flat(self) -> dict[str, str]:
        """Return dotted keys with their values as texts (secrets redacted, at most 500 characters each).

        Lists are JSON; a value too long is cut and ends with its length and a digest of the whole.

        >>> class Gate(Section):
        ...     limit: float = 0.1
        >>> class Config(Section):
        ...     gate: Gate = Gate()
        ...     classes: tuple[str, ...] = ("drama", "comedy")
        >>> Config().flat()
        {'gate.limit': '0.1', 'classes': '["drama", "comedy"]'}
        """
        return {key: _cut(_as_text(value)) for key, value in _leaves("", self.to_mapping())}


def plain_arguments(values: Mapping[str, object]) -> dict[str, object]:
    """Turn NumPy scalars and arrays among Python arguments into plain numbers and lists.

    >>> import numpy as np
    >>> plain_arguments({"alpha": np.float64(0.9), "classes": np.array(["drama", "comedy"]), "id": "film"})
    {'alpha': 0.9, 'classes': ['drama', 'comedy'], 'id': 'film'}
    """
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}


def digest(values: Mapping[str, object]) -> str:
    """Return the SHA-256 of a JSON-able mapping, whatever the order of its keys.

    >>> digest({"id": "film", "alpha": 0.8}) == digest({"alpha": 0.8, "id": "film"})
    True
    """
    text = json.dumps(values, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _leaves(prefix: str, values: Mapping[str, object]) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += _leaves(f"{prefix}{key}.", value)
        else:
            found.append((f"{prefix}{key}", value))
    return found


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str) -> str:
    if len(text) <= _MAX_FLAT_VALUE:
        return text
    tail = f"... ({len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:12]})"
    return text[: _MAX_FLAT_VALUE - len(tail)] + tail


def fingerprint_of(config: Section, decides: set[str], **more: Any) -> str:
    """Return the SHA-256 (hex) of some sections without the keys that are left at their defaults.

    Args:
        config: Holds the sections.
        decides: Their names.
        **more: What else decides the result.
    """
    found = config.model_dump(mode="json", by_alias=True, include=decides, exclude_defaults=True)
    source = found.get("source", {})
    source.pop("show", None)  # shown, not computed with
    if source.get("format") == "delta":  # was the default once
        del source["format"]
    return digest({**found, **more})
