"""Texts made fit to be shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.text import for_terminal


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_cleaned_text_is_one_printable_line(text: str, width: int) -> None:
    shown = for_terminal(text, width)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)
    shown.encode()
    assert len(for_terminal("a" * 100, width)) == width
