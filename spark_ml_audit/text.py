"""Secrets taken out of texts that are stored or shown."""

from __future__ import annotations

import re

_MASK = "***"

# scheme://user:password@host. The password may hold "/" or "@" in database addresses; a bare number
# before a slash is a port, not a password.
_PASSWORD = re.compile(r"(?P<head>://[^\s/:@]*:)(?!\d+/)\S*?@(?=[^\s@/]*(?:[/?#\s'\"]|$))")
# https://token@host. Elsewhere the part before "@" is a name (abfss://container@account).
_WEB_USER = re.compile(r"(?P<head>\bhttps?://)[^\s/:@]+@", re.IGNORECASE)
_PARAMETER = re.compile(
    r"(?P<head>[?&;\s](?:[\w.-]*(?:token|password|passwd|pwd|secret|api_?key|accountkey|accesskey)|sig|signature)=)"
    r"[^&;\s'\"]+",
    re.IGNORECASE,
)
_KEYS = re.compile(r"(?:token|password|passwd|secret|credential|api_?key)s?$", re.IGNORECASE)


def redact(text: str) -> str:
    """Return `text` with passwords in addresses and token-like parameters replaced by ``***``."""
    text = _PASSWORD.sub(rf"\g<head>{_MASK}@", text)
    text = _WEB_USER.sub(rf"\g<head>{_MASK}@", text)
    return _PARAMETER.sub(rf"\g<head>{_MASK}", text)


def redact_value(key: str, value: object) -> object:
    """Return a config value (nested lists and mappings included) fit to be stored under `key`."""
    if isinstance(value, dict):
        return {name: redact_value(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(key, item) for item in value]
    if isinstance(value, str):
        return _MASK if _KEYS.search(key) else redact(value)
    return value
