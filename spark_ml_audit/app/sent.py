"""What a browser sends, read with checks: whatever it holds, it is used or refused with a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spark_ml_audit.errors import InputError
from spark_ml_audit.text import show

RUN = "run_id"
"""Of the run that a page shows: what it sends is about that one."""

MOST_NAME = 300
MOST_ID = 100_000
MOST_TAG = 10_000
MOST_TEXT = 2000

Sent = Mapping[str, Any]


class OtherRunError(InputError):
    """What was sent is about another run than the one that is served.

    Args:
        sent: The run that the page shows.
        served: The run that is served now.

    Example:
        >>> print(OtherRunError("20260101-aa", "20260102-bb").message)
        this page shows audit 20260101-aa, and audit 20260102-bb is served now.
    """

    def __init__(self, sent: str, served: str) -> None:
        super().__init__(
            f"this page shows audit {show(sent)[1:-1]}, and audit {served} is served now.",
            key=RUN,
            fix="Reload the page to review the audit that is served now.",
        )


def plain_text(text: str) -> str:
    r"""A text that can be written as UTF-8; what cannot is a question mark.

    >>> plain_text("a\ud800b")
    'a?b'
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def text_of(sent: Sent, key: str, longest: int = MOST_TEXT) -> str:
    """A text; "" where there is none.

    Raises:
        InputError: It is no text, or longer.

    Example:
        >>> text_of({"tag": "war"}, "tag"), text_of({}, "tag")
        ('war', '')
        >>> text_of({"tag": ["war"]}, "tag")
        Traceback (most recent call last):
        ...
        spark_ml_audit.errors.InputError: tag: tag is no text of at most 2,000 characters.
    """
    value = sent.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest:
        raise InputError(f"{key} is no text of at most {longest:,} characters.", key=key)
    return plain_text(value)


def one_of(sent: Sent, key: str, known: Sequence[str]) -> str:
    """One of some words.

    Raises:
        InputError: It is another one, or no word.

    Example:
        >>> one_of({"how": "random"}, "how", ("random", "certify"))
        'random'
    """
    value = sent.get(key)
    if not isinstance(value, str) or value not in known:
        raise InputError(f"found {show(value)}, none of {', '.join(known)}.", key=key)
    return value


def whole_of(sent: Sent, key: str, default: int, most: int) -> int:
    """A whole number from 1 to some greatest one: others are brought there.

    Raises:
        InputError: It is no whole number.

    Example:
        >>> whole_of({"size": 10}, "size", 100, 1000), whole_of({}, "size", 100, 1000)
        (10, 100)
    """
    value = sent.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"found {show(value)}, not a whole number.", key=key)
    return min(max(value, 1), most)
