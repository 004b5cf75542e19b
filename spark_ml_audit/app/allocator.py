"""How this process keeps memory: a server lives for long, and should hold no more than it uses."""

from __future__ import annotations

import contextlib
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Of glibc's `mallopt`."""

_KEPT = 128 << 10
_ARENAS = 1


def keep_little() -> None:
    """Have freed memory given back to the system, where the C library is glibc; else nothing.

    glibc gives every thread a heap of its own that it hardly ever shrinks, and learns from the first large
    arrays to keep the next ones: for a page over a million rows that is a hundred megabytes that nobody uses.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library, another system
        library = ctypes.CDLL(None)
        for what, value in ((_ARENA_MAX, _ARENAS), (_MMAP_THRESHOLD, _KEPT), (_TRIM_THRESHOLD, _KEPT)):
            library.mallopt(what, value)


def give_back() -> None:
    """Give freed memory back now, where the C library is glibc."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
