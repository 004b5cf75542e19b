"""The command line in this process, which costs nothing, and as a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.paths import PROJECT


@dataclass(frozen=True)
class Done:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


def captured(call: Callable[[], int]) -> Done:
    """The status that a call returns or exits with, and what it wrote."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = call()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


def run_here(*arguments: str) -> Done:
    """Run a command in this process."""
    from spark_ml_audit.cli import main

    return captured(lambda: main(arguments))


def settings_of(command: str) -> dict[str, object]:
    """The keys that a printed command sets, its short forms and its source among them."""
    from spark_ml_audit.cli.options import given_by
    from spark_ml_audit.cli.program import build_parser
    from spark_ml_audit.config import read_values

    options = build_parser().parse_args(shlex.split(command)[1:])
    values = read_values(options.config, options.overrides, given=given_by(options))
    return {f"{name}.{key}": value for name, keys in values.items() for key, value in dict(keys).items()}  # type: ignore[call-overload]


def run_process(*arguments: str, cwd: Path | None = None, **environ: str) -> Done:
    """Run a command in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "spark_ml_audit", *arguments],
        capture_output=True,
        check=False,
        cwd=cwd,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environ},
        timeout=60,
    )
    return Done(done.returncode, done.stdout, done.stderr)
