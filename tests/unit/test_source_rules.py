"""What the engine may not use: serverless Spark refuses it, or it would tie the code to one JVM."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.paths import PACKAGE, PROJECT

# Serverless compute and Spark Connect refuse these, whatever object they are asked of.
FORBIDDEN_ATTRIBUTES = {
    "rdd", "foreachRDD", "mapPartitions", "_jvm", "_jdf", "_jsc", "_jsparkSession", "_sc", "sparkContext",
    "setCheckpointDir", "cache", "cacheTable", "persist", "unpersist", "localCheckpoint",
    "setLocalProperty", "setJobGroup", "accumulator", "newSession",
}  # fmt: skip
FORBIDDEN_NAMES = {"SparkContext", "SparkConf", "RDD", "StorageLevel"}
SESSION_SQL = re.compile(r"\s*(SET(?! TBLPROPERTIES)|RESET|CACHE|UNCACHE|ADD JAR)\s")
# Builds the one session that is ours to set up, on a plain machine.
BUILDS_SESSIONS = {"engines/session.py"}
# Identifiers in SQL text are quoted here.
SQL_PLACES = {
    "engines/embedded.py", "engines/queries.py", "lake/delta_spark.py",
    "integrations/udf.py",
}  # fmt: skip
# pyspark.ml, DQX, and functions registered with a session or connection of the user's.
FACES_OF_SPARK = {"ml.py", "integrations/dqx.py", "integrations/udf.py"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "build_debtags" not in path.parts)


def offences(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and name of everything in a module that Spark Connect or serverless compute refuses."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.append((node.lineno, node.attr if node.attr in FORBIDDEN_ATTRIBUTES else ""))
            if isinstance(node.value, ast.Attribute) and node.value.attr == "conf":
                found.append((node.lineno, f"conf.{node.attr}" if node.attr in {"set", "unset"} else ""))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # as a plain attribute it is the checkpoint of a stream
            found.append((node.lineno, node.func.attr if node.func.attr == "checkpoint" else ""))
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = {part for alias in node.names for part in alias.name.split(".")}
            found += [(node.lineno, name) for name in names & FORBIDDEN_NAMES]
        elif isinstance(node, ast.Name):
            found.append((node.lineno, node.id if node.id in FORBIDDEN_NAMES else ""))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = SESSION_SQL.match(node.value)
            found.append((node.lineno, match[1] if match else ""))
    return [(line, name) for line, name in found if name]


@pytest.mark.parametrize(
    "path",
    # sets its own connection up
    [path for path in MODULES if path.name != "embedded.py"],
    ids=lambda path: path.relative_to(PACKAGE).as_posix(),
)
def test_the_package_uses_what_every_kind_of_session_has(path: Path) -> None:
    assert offences(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "frame.rdd.map(f)", "spark._jvm.x", "spark.sparkContext", "from pyspark import SparkContext",
        "df.cache()", "df.checkpoint()", "df.persist(level)", "spark.catalog.cacheTable('t')",
        "spark.conf.set('a', 'b')",
        "self.spark.conf.unset('a')",
        "spark.sql('SET spark.sql.ansi.enabled=true')", "spark.sql('CACHE TABLE t')",
        "import pyspark.SparkConf",
        "df.localCheckpoint()",
    ],
)  # fmt: skip
def test_the_check_sees_what_it_looks_for(line: str) -> None:
    assert offences(ast.parse(line))


def test_one_place_configures_sessions() -> None:
    building = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if re.search(r"\.builder\b|\.config\(", path.read_text(encoding="utf-8"))
    }
    assert building == BUILDS_SESSIONS


def test_nothing_is_printed_but_by_the_command_line() -> None:
    printing = [
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert printing == []


def test_sql_text_is_built_only_where_identifiers_are_quoted():
    using_sql = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if re.search(r"\.sql\(|\bexpr\(", path.read_text())
    }
    assert using_sql <= SQL_PLACES


def test_nobody_asks_which_engine_runs():
    """`engine.kind` is for people: shown and written, compared only where engines and writers are chosen."""
    asking = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if asks_for_engine(node)
    }
    assert {place for place in asking if not place.startswith(("engines/", "lake/"))} == set()


def asks_for_engine(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        texts = [ast.unparse(part) for part in (node.left, *node.comparators)]
        return any(text.endswith("engine.kind") for text in texts)
    return isinstance(node, ast.Call) and bool(re.match(r"isinstance\(.*Engine", ast.unparse(node)))


def test_engines_are_known_in_two_folders_and_the_faces_of_spark():
    """Spark, DuckDB and delta-rs are imported by engines and lake alone, but for what is theirs by nature."""
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in imported(node)
        if name.partition(".")[0] in {"pyspark", "delta", "duckdb", "deltalake"}
    }
    assert {place for place in knowing if not place.startswith(("engines/", "lake/"))} <= FACES_OF_SPARK


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def lines_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function from `def` to its end, its docstring not counted."""
    first = node.body[0]
    has_docstring = ast.get_docstring(node) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if has_docstring else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


MAX_FILE, MAX_FUNCTION = 400, 50
TESTS = sorted((PROJECT / "tests").rglob("*.py"))


def test_files_are_to_be_read_at_a_sitting():
    counts = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in (*MODULES, *TESTS)}
    assert {str(path.relative_to(PROJECT)): n for path, n in counts.items() if n > MAX_FILE} == {}


def test_functions_fit_on_a_screen():
    long = {
        f"{path.relative_to(PACKAGE)}:{node.name}": size
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and (size := lines_without_docstring(node)) > MAX_FUNCTION
    }
    assert long == {}


def test_no_two_classes_bear_one_name():
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(path.relative_to(PACKAGE).as_posix())
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_unit_tests_mirror_the_packages():
    """A folder of tests/unit is a folder of the package: who looks for the tests of one finds them."""
    root = PROJECT / "tests" / "unit"
    folders = {path.parent.relative_to(root).as_posix() for path in root.rglob("test_*.py")}
    assert {name for name in folders if not (PACKAGE / name).is_dir()} == set()
