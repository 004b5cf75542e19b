"""Progress of a run on stderr, and the seconds each stage took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TextIO, TypeVar

T = TypeVar("T")


class Progress:
    """Names the stage a run is in.

    On a terminal each stage is one line, completed in place; in a log every event is a line of its own
    with its UTC time. Nothing goes to stdout, and a stream that is closed never fails a run.

    Attributes:
        seconds: Stage -> seconds, in the order of their first start; a repeated stage adds up.
        quiet: Whether nothing is printed; seconds are kept all the same.

    Example:
        >>> import io
        >>> log = io.StringIO()
        >>> progress = Progress(log)
        >>> with progress.stage("profile"):
        ...     progress.note("The table has 3 small files.")
        >>> [line.partition(" ")[2] for line in log.getvalue().splitlines()][:2]  # after the time
        ['profile started', 'The table has 3 small files.']
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self.quiet = quiet
        self._stream = stream
        self._running: list[str] = []

    @property
    def stages(self) -> dict[str, float]:
        """Stage -> seconds, rounded to milliseconds."""
        return {name: round(seconds, 3) for name, seconds in self.seconds.items()}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage and show it; stages may nest.

        >>> progress = Progress(quiet=True)
        >>> for name in ("read", "write", "read"):
        ...     with progress.stage(name):
        ...         pass
        >>> list(progress.seconds)
        ['read', 'write']
        """
        self.seconds.setdefault(name, 0.0)
        self._interrupt_line()
        self._running.append(name)
        self._show_running()
        started = time.monotonic()
        outcome = "failed"
        try:
            yield
            outcome = "done"
        finally:
            took = time.monotonic() - started
            self.seconds[name] += took
            self._running.pop()
            self._show_end(name, f"{took:.1f} s" if outcome == "done" else f"failed after {took:.1f} s")

    def note(self, text: str) -> None:
        """Show one sentence, on a line of its own."""
        self._interrupt_line()
        self._write(f"{text}\n" if self._on_terminal() else f"{_now()} {text}\n")
        if self._on_terminal():
            self._show_running()

    def _show_running(self) -> None:
        if not self._running:
            return
        name = self._running[-1]
        self._write(f"{name} ..." if self._on_terminal() else f"{_now()} {name} started\n")

    def _show_end(self, name: str, how: str) -> None:
        if self._on_terminal():
            self._write(f"\r{name}: {how}\n")
            self._show_running()
        else:
            self._write(f"{_now()} {name}: {how}\n")

    def _interrupt_line(self) -> None:
        """Clear the unfinished line of the running stage on a terminal."""
        if self._running and self._on_terminal():
            self._write("\r" + " " * (len(self._running[-1]) + 4) + "\r")

    def _on_terminal(self) -> bool:
        stream = self._target()
        try:
            return stream is not None and stream.isatty()
        except ValueError:  # closed
            return False

    def _target(self) -> TextIO | None:
        # Looked up each time: notebooks and tests exchange sys.stderr.
        return self._stream if self._stream is not None else sys.stderr

    def _write(self, text: str) -> None:
        stream = self._target()
        if self.quiet or stream is None:
            return
        encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except (OSError, ValueError):
            self.quiet = True  # nobody reads any more; the run goes on


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
