"""Texts from data made fit to be shown: valid, bounded, without characters that reorder or hide others."""

from __future__ import annotations

import re
import unicodedata

# Joiners shape emoji and several scripts; tab and newline are white space in a page.
_HARMLESS = frozenset("\t\n\u200c\u200d")
_SUSPICIOUS = re.compile(r"[^\x20-\x7e]")


def shown(text: object, limit: int | None = None) -> str:
    r"""A text as a page may show it.

    Control, formatting and unassigned characters and lone surrogates are written out (`\u202e`), so that
    nothing reverses the reading direction, hides a part, or is refused by UTF-8.

    Args:
        text: Anything; its `str` is taken.
        limit: Longest result in characters; a longer one ends in an ellipsis.
    """
    plain = str(text)
    if limit is not None and len(plain) > limit:
        plain = plain[: max(limit - 1, 0)] + "…"
    return _SUSPICIOUS.sub(_visible, plain)


def _visible(match: re.Match[str]) -> str:
    char = match[0]
    if char in _HARMLESS or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"):
        return char
    return char.encode("unicode_escape").decode("ascii")


def number(value: float | int | None) -> str:
    """A number for people: thousands separated, floats in four digits."""
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def percent(share: float | None) -> str:
    """A share as percent, more digits where it is small; no line break before the sign."""
    if share is None:
        return "–"
    return f"{100 * share:.{2 if share < 0.1 else 1}f}\u00a0%"


def listed(names: list[str]) -> str:
    """Names as an enumeration: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def plural(count: int, noun: str, plural_noun: str | None = None) -> str:
    """A count with its noun."""
    return f"{count:,} {noun if count == 1 else plural_noun or noun + 's'}"
