"""Texts made fit to be shown: without secrets, harmless, short; numbers as people read them."""

from __future__ import annotations

import difflib
import re
import reprlib
import unicodedata
from collections.abc import Iterable, Sequence

# ---- secrets out -----------------------------------------------------------------------------------

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
    """Return `text` with passwords in addresses and token-like parameters replaced by ``***``.

    >>> redact("postgresql://ann:s3cret@db/audits")
    'postgresql://ann:***@db/audits'
    """
    text = _PASSWORD.sub(rf"\g<head>{_MASK}@", text)
    text = _WEB_USER.sub(rf"\g<head>{_MASK}@", text)
    return _PARAMETER.sub(rf"\g<head>{_MASK}", text)


def redact_value(key: str, value: object) -> object:
    """Return a config value (nested lists and mappings included) fit to be stored under `key`.

    >>> redact_value("api_key", "abc")
    '***'
    """
    if isinstance(value, dict):
        return {name: redact_value(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact_value(key, item) for item in value]
    if isinstance(value, str):
        return _MASK if _KEYS.search(key) else redact(value)
    return value


# ---- harmless --------------------------------------------------------------------------------------

_PLAIN = re.compile(r"[^\x20-\x7e]")
# Control, formatting, surrogate, unassigned and private characters, and separators of lines.
_SUSPICIOUS = ("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp")
# Joiners shape emoji and several scripts; tab and newline are white space in a page.
_KEPT_BY_PAGES = "\t\n\u200c\u200d"


def harmless(text: str, keep: str = "") -> str:
    r"""Return `text` with the characters written out that could hide, reorder or move what is shown.

    Args:
        text: As found in data.
        keep: Characters that stay what they are.

    >>> print(harmless("abc\u202egpj.exe"))
    abc\u202egpj.exe
    """

    def written_out(match: re.Match[str]) -> str:
        char = match[0]
        if char in keep or unicodedata.category(char) not in _SUSPICIOUS:
            return char
        return char.encode("unicode_escape").decode("ascii")

    return _PLAIN.sub(written_out, text)


def for_page(text: object, limit: int | None = None) -> str:
    r"""A text as a page may show it.

    Args:
        text: Anything; its `str` is taken.
        limit: Most characters of the text, before any is written out; a longer one ends in an ellipsis.

    Example:
        >>> print(for_page("Right\u202eto left"), for_page("A long description", limit=7))
        Right\u202eto left A long…
    """
    plain = str(text)
    if limit is not None and len(plain) > limit:
        plain = plain[: max(limit - 1, 0)] + "…"
    return harmless(plain, _KEPT_BY_PAGES)


def for_terminal(text: str, width: int | None = None) -> str:
    """A text as a terminal may show it, cut to `width` columns if given.

    >>> for_terminal("documentary", width=8), for_terminal("日本語の本", width=6)
    ('documen…', '日本…')
    """
    shown = harmless(text)
    if width is None or columns_wide(shown) <= width:
        return shown
    kept = ""
    for char in shown:
        if columns_wide(kept + char) > width - 1:
            break
        kept += char
    return kept + "…"


def columns_wide(text: str) -> int:
    r"""Count the terminal columns of a text: wide characters take two, combining ones none.

    >>> columns_wide("book"), columns_wide("日本"), columns_wide("e\u0301")
    (4, 4, 1)
    """
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def printable(text: str) -> str:
    r"""Return `text` without NUL and with ? for lone surrogates: databases and UTF-8 refuse both.

    >>> printable("dra\x00ma"), printable("dra\ud800ma")
    ('drama', 'dra?ma')
    """
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def one_line(text: str, max_chars: int = 300) -> str:
    r"""Return `text` on one line without control characters, cut to `max_chars`.

    >>> one_line("first\n\tsecond"), one_line("A long description", max_chars=7)
    ('first second', 'A long…')
    """
    flat = " ".join("".join(c if c.isprintable() else " " for c in printable(text)).split())
    return flat if len(flat) <= max_chars else flat[: max_chars - 1] + "…"


# ---- values in messages ----------------------------------------------------------------------------

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 4
_SHORT.maxlevel = 2


def show(value: object) -> str:
    """Write a value briefly, on one line, without secrets, and with YAML's words for null and booleans.

    >>> show(None), show(True), show("a tag")
    ('null', 'true', "'a tag'")
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        value = redact(value)
        return repr(value if len(value) <= 80 else f"{value[:79]}…")
    try:
        return redact(_SHORT.repr(value))
    except (ValueError, RecursionError):  # whole numbers too long to print, endless nesting
        return f"a {type(value).__name__}"


def suggest(word: str, known: Iterable[str]) -> str:
    """Return "Did you mean ...? " for the known word nearest to `word`, or nothing.

    >>> suggest("labls", ["labels", "id"])
    'Did you mean labels? '
    """
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word[:100].casefold(), folded, n=1, cutoff=0.6)
    return f"Did you mean {folded[near[0]]}? " if near else ""


# ---- numbers and lists for people ------------------------------------------------------------------


def number(value: float | int | None, none: str = "none") -> str:
    """A number with thousands set apart, a float in six digits; `none` for None.

    >>> number(21040), number(0.123456789), number(None)
    ('21,040', '0.123457', 'none')
    """
    if value is None:
        return none
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def percent(share: float | None, digits: int = 2) -> str:
    """A share as percent, a dash for None.

    Two digits, so that a health of 99.97% does not read as 100%; one is enough for an estimate.

    >>> percent(0.2916), percent(0.4, 1), percent(None)
    ('29.16%', '40.0%', '–')
    """
    return "–" if share is None else f"{100 * share:.{digits}f}%"


def plural(count: int, noun: str, plural_noun: str | None = None) -> str:
    """A count with its noun.

    >>> plural(1, "row"), plural(1200, "class", "classes")
    ('1 row', '1,200 classes')
    """
    return f"{count:,} {noun if count == 1 else plural_noun or noun + 's'}"


def enumerated(names: Sequence[str]) -> str:
    """Names as an enumeration.

    >>> enumerated(["a", "b", "c"])
    'a, b and c'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
