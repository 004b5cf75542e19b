"""What the engine may not use: serverless Spark refuses it, or it would tie the code to one JVM."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "spark_ml_audit"
FORBIDDEN = {
    "RDDs": r"\.rdd\b",
    "the JVM handle": r"\b_jvm\b|\b_jdf\b|\b_jsparkSession\b",
    "the SparkContext": r"\.sparkContext\b|\bSparkContext\b",
    "caching": r"\.cache\(\)|\.persist\(",
    "session settings": r"\.conf\.set\(",
    "printing": r"(?<![\w.])print\(",
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "build_debtags" not in path.parts)


@pytest.mark.parametrize("what", FORBIDDEN)
def test_package_source_never_uses(what):
    found = [
        f"{path.relative_to(PACKAGE)}:{number}: {line.strip()}"
        for path in MODULES
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if re.search(FORBIDDEN[what], line)
    ]
    assert not found


def test_sql_text_is_built_only_where_identifiers_are_quoted():
    using_sql = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if re.search(r"\.sql\(|\bexpr\(", path.read_text())
    }
    assert using_sql <= {"io/merging.py", "io/source.py", "io/tables.py"}


def test_files_stay_small_enough_to_read_at_a_sitting():
    long = {path.name: count for path in MODULES if (count := len(path.read_text().splitlines())) > 450}
    assert not long
