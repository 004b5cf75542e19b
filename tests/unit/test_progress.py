"""Progress: plain lines in logs, one line per stage on terminals, nothing that can fail a run."""

from __future__ import annotations

import io
import re

import pytest

from spark_ml_audit.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(text: str) -> list[str]:
    """Return the lines a terminal shows after carriage returns have overwritten their starts."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return [line for line in lines if line]


def test_log_has_one_dated_line_per_event() -> None:
    log = io.StringIO()
    progress = Progress(log)
    with progress.stage("profile"):
        progress.note("3 files")
    lines = log.getvalue().splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "", line) for line in lines] == [
        "profile started",
        "3 files",
        "profile: 0.0 s",
    ]
    assert "\r" not in log.getvalue()


def test_terminal_shows_one_line_per_stage() -> None:
    terminal = Terminal()
    progress = Progress(terminal)
    with progress.stage("a long stage"):
        progress.note("note")
        with progress.stage("in"):
            pass
    assert screen(terminal.getvalue()) == ["note", "in: 0.0 s", "a long stage: 0.0 s"]


def test_seconds_add_up_in_order_of_first_start() -> None:
    progress = Progress(quiet=True)
    for name in ("read", "write", "read"):
        with progress.stage(name):
            pass
    assert list(progress.seconds) == ["read", "write"]
    assert all(seconds >= 0 for seconds in progress.seconds.values())


def test_failed_stage_is_timed_and_said() -> None:
    log = io.StringIO()
    progress = Progress(log)
    with pytest.raises(KeyError), progress.stage("apply"):
        raise KeyError
    assert "apply: failed after" in log.getvalue()
    assert "apply" in progress.seconds


def test_closed_stream_fails_nothing() -> None:
    log = io.StringIO()
    progress = Progress(log)
    log.close()
    with progress.stage("profile"):
        progress.note("x")
    assert "profile" in progress.seconds


def test_goes_to_stderr_and_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress().stage("profile"):
        pass
    with Progress(quiet=True).stage("hidden"):
        pass
    out, err = capsys.readouterr()
    assert out == ""
    assert "profile started" in err
    assert "hidden" not in err
