"""Keeps stdout for the result: what anything else prints there goes to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TextIO

_diverted: list[int] = []
"""Where the descriptor of stdout is kept while stdout is diverted."""


def announce(line: str) -> None:
    """Write a line to the true stdout while it is diverted: what a command says before it is done."""
    saved = _diverted[-1] if _diverted else None
    if saved is None:
        write(sys.__stdout__, f"{line}\n")
    else:
        os.write(saved, f"{line}\n".encode())


@contextmanager
def divert_stdout() -> Iterator[None]:
    """Send stdout to stderr for the time of the block: Python's, and that of processes started in it.

    Spark's JVM and MLflow print at times; a reader of ``--json`` must not find that in the result.
    Where stdout is no plain process stream (a notebook, a test) only Python's own is diverted.
    """
    real = sys.stdout
    saved = _divert_descriptor(real)
    if saved is not None:
        _diverted.append(saved)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if saved is not None:
            _diverted.remove(saved)
            with suppress(OSError, ValueError):
                real.flush()  # what was written to it meanwhile belongs on stderr
            os.dup2(saved, 1)
            os.close(saved)


def _divert_descriptor(stream: TextIO | None) -> int | None:
    try:
        if stream is None or stream.fileno() != 1:
            return None
        stream.flush()
        saved = os.dup(1)
        try:
            os.dup2(2, 1)
        except OSError:  # stderr is closed
            os.close(saved)
            return None
    except (OSError, ValueError):
        return None
    return saved


def write(stream: TextIO | None, text: str) -> None:
    """Write a text and flush it; characters the stream cannot encode are escaped.

    A reader that went away is no error: the work is done, and the exit status tells how.
    """
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (BrokenPipeError, ValueError):
        _abandon(stream)


def flush(stream: TextIO | None) -> None:
    """Flush a stream, so that a reader that went away is noticed here and not at interpreter exit."""
    try:
        if stream is not None:
            stream.flush()
    except (BrokenPipeError, ValueError):
        _abandon(stream)


def _abandon(stream: TextIO | None) -> None:
    with suppress(OSError, ValueError, AttributeError):
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, stream.fileno())  # type: ignore[union-attr]
        os.close(sink)
