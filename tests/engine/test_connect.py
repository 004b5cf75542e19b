"""The tests that stand for all, once more over Spark Connect, in a process of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from spark_ml_audit.engines.java import require_java
from tests.paths import PROJECT

pytestmark = pytest.mark.spark

NEWEST = (4, 2)
# A few in every run; `make test-matrix` runs all marked ones.
FEW = ("equals_the_oracle", "is_recorded")


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_the_same_tests_pass_over_spark_connect(engine_kind: str, pytestconfig: pytest.Config) -> None:
    if engine_kind == "connect":
        pytest.skip("runs over Spark Connect already")
    every = bool(pytestconfig.getoption("--long"))
    pyspark = pytest.importorskip("pyspark")
    if tuple(map(int, pyspark.__version__.split(".")[:2])) < NEWEST:
        pytest.skip("a local server of Spark Connect with Delta starts on the newest Spark only")
    pytest.importorskip("grpc", reason="pyspark[connect] is not installed")
    require_java(os.environ)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST", "SPARK_", "PYSPARK"))
    }
    environment["PYTHONPATH"] = str(PROJECT)
    command = [sys.executable, "-m", "pytest", "--engine", "connect", "-m", "matrix"]
    command += ["-q", "-p", "no:cacheprovider", "-W", "ignore"]
    command += [] if every else ["-k", " or ".join(FEW)]
    done = subprocess.run(
        [*command, str(PROJECT / "tests" / "engine")],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None, done.stdout
    assert int(passed[1]) >= (30 if every else 4)
