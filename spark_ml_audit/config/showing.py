"""Values as error messages show them."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable

from spark_ml_audit.text import redact

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 4
_SHORT.maxlevel = 2


def show(value: object) -> str:
    """Write a value briefly, on one line, without secrets, and with YAML's words for null and booleans."""
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
    """Return "Did you mean ...? " for the known word nearest to `word`, or nothing."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word[:100].casefold(), folded, n=1, cutoff=0.6)
    return f"Did you mean {folded[near[0]]}? " if near else ""
