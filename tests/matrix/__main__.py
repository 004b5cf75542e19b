"""Run the marked tests on older versions of Spark; here, the long tests once and the failure tests often.

make test-matrix                                               # all of it
python -m tests.matrix --versions 3.5.9 --no-long --repeat 0   # one version
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.paths import PROJECT

VENVS = PROJECT / ".venv-matrix"
# Spark -> what goes with it. Older pyspark knows neither pandas 3 nor the newest pyarrow.
VERSIONS = {
    "3.5.9": ("pyspark==3.5.9", "delta-spark==3.3.2", "pandas==2.2.*", "pyarrow==19.*", "setuptools<80"),
    "4.0.2": ("pyspark[connect]==4.0.2", "delta-spark==4.4.0"),
    "4.1.1": ("pyspark[connect]==4.1.1", "delta-spark==4.4.0"),
}
TESTS = (
    "deltalake>=1",
    "duckdb>=2,<3",
    "hypothesis",
    "psutil",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "selenium>=4.20",
)
LONG = tuple(f"tests/engine/test_{name}.py" for name in ("connect", "notebooks", "oracle_cli"))
# What is about Spark by nature runs on it in either case.
FAULTS = {
    "embedded": ("tests/engine", "tests/tracking", "tests/cluster"),
    "spark": ("tests/engine", "tests/tracking"),
}
ALWAYS = ("mlflow>=3.1,<4", "matplotlib", *TESTS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the matrix; the exit status is 0 if everything passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix", description=__doc__)
    parser.add_argument("--versions", nargs="*", default=list(VERSIONS), choices=list(VERSIONS))
    parser.add_argument("--repeat", type=int, default=10, help="times the failure tests run (default: 10)")
    parser.add_argument(
        "--long",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run what `make test` leaves out: all of Spark Connect, all notebooks, all kinds of data",
    )
    options = parser.parse_args(arguments)
    results = [(f"Spark {version}", *run_version(version)) for version in options.versions]
    if options.long:
        results.append(("long tests", *pytest(Path(sys.executable), "not faults", *LONG)))
    for number in range(1, options.repeat + 1):
        for engine, folders in FAULTS.items():
            found = pytest(Path(sys.executable), "faults", *folders, "--engine", engine)
            results.append((f"failure tests, {engine}, {number} of {options.repeat}", *found))
    print()
    for name, code, seconds, summary in results:
        print(f"{name:35} {'passed' if code == 0 else 'FAILED':7} {seconds:6.0f} s  {summary}")
    return int(any(code for _, code, _, _ in results))


def run_version(version: str) -> tuple[int, float, str]:
    """Exit status, seconds and last line of the marked tests on one version of Spark."""
    python = VENVS / version / "bin" / "python"
    make_environment(version, python)
    return pytest(python, "matrix", "tests/engine", "--engine", "spark")


def make_environment(version: str, python: Path) -> None:
    """Make the environment of a version unless it is there as wanted."""
    wanted = "\n".join(
        [*VERSIONS[version], *ALWAYS, (PROJECT / "pyproject.toml").read_text(encoding="utf-8")]
    )
    stamp = VENVS / version / ".installed"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv is None:
        raise SystemExit("uv is not installed; `make setup` brings it")
    print(f"making the environment for Spark {version}", flush=True)
    base = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([uv, "venv", "--quiet", "--clear", "--python", base, str(python.parents[1])], check=True)
    install = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        str(python),
        "-r",
        str(PROJECT / "pyproject.toml"),
    ]
    subprocess.run([*install, *VERSIONS[version], *ALWAYS], check=True)
    stamp.write_text(wanted, encoding="utf-8")


def pytest(python: Path, marker: str, *folders: str) -> tuple[int, float, str]:
    """Run the tests with a marker, of folders or with options; exit status, seconds, last line."""
    there = [folder for folder in folders if not folder.startswith("tests") or (PROJECT / folder).exists()]
    command = [
        str(python),
        "-m",
        "pytest",
        "--long",
        "-m",
        marker,
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore",
        *there,
    ]
    print(f"\n$ {' '.join(command)}", flush=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    started = time.monotonic()
    last = ""
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment | {"PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            sys.stdout.write(line)
            last = line.strip() if re.search(r"\d+ (passed|failed|error)", line) else last
    return process.returncode, time.monotonic() - started, last


if __name__ == "__main__":
    sys.exit(main())
