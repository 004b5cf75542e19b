"""Options of the test command, and the fixtures that more than one folder of tests needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.browser import Browser, browser_session
from tests.lake import Lake

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine

# how long an example takes says nothing on a machine that does other work as well
hypothesis.settings.register_profile("timeless", deadline=None)
hypothesis.settings.load_profile("timeless")

ENGINES = ("embedded", "spark", "connect")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=ENGINES,
        default="embedded",
        help="what runs the tests of tests/engine: the embedded engine, classic Spark or Spark Connect;"
        " tests marked `spark` run on classic Spark unless it is Connect (default: %(default)s)",
    )
    parser.addoption(
        "--long", action="store_true", help="also run the tests marked `long`, which take minutes each"
    )


def pytest_report_header(config: pytest.Config) -> str:
    return f"engine: {config.getoption('--engine')}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: part of `make test-matrix`"))


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A working folder of the test's own, and no setting of MLflow or Databricks from outside.

    A sqlite store that is given by its address keeps artifacts in the working directory: MLflow's convention.
    """
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "DATABRICKS_RUNTIME_VERSION"):
        monkeypatch.delenv(name, raising=False)
    mlflow = sys.modules.get("mlflow")
    if mlflow is not None and hasattr(mlflow, "set_tracking_uri"):
        mlflow.set_tracking_uri(None)


def kind_for(node: pytest.Item | pytest.Collector) -> str:
    """What runs a test, or what the tests of a module share: what was asked for, or what the mark says."""
    wanted = str(node.config.getoption("--engine"))
    return "spark" if wanted == "embedded" and node.get_closest_marker("spark") else wanted


@pytest.fixture
def engine_kind(request: pytest.FixtureRequest) -> str:
    """What runs this test: embedded, spark or connect."""
    return kind_for(request.node)


@pytest.fixture(scope="session")
def spark(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One local session for all tests that need one, classic or of Spark Connect."""
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    from spark_ml_audit.engines.java import require_java
    from spark_ml_audit.errors import SetupError

    try:
        require_java(os.environ)
    except SetupError as error:
        pytest.skip(f"Spark cannot start: {error}")
    from spark_ml_audit.engines.session import local_session_builder
    from tests.paths import PROJECT

    os.environ.setdefault("SPARK_ML_AUDIT_DRIVER_MEMORY", "2g")
    # tasks import the package too, whether it is installed or not
    known = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PROJECT), *([known] if known else [])])
    connect = pytestconfig.getoption("--engine") == "connect"
    # over Spark Connect only a few of the tests run: compiling their code well does not pay
    builder = local_session_builder("spark-ml-audit-tests", connect=connect, small=connect)
    for key, value in {
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        # a quarter of what a tiny audit costs; the tests that start the command line run with the defaults
        "spark.sql.adaptive.enabled": "false",
        "spark.databricks.delta.stats.collect": "false",
        "spark.databricks.delta.writeChecksumFile.enabled": "false",
        "spark.databricks.delta.snapshotPartitions": "1",
        # all queries of an audit, for the test that counts them
        "spark.sql.ui.retainedExecutions": "150",
    }.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    assert ("connect" in type(session).__module__) == connect
    yield session
    session.stop()


@pytest.fixture(scope="session")
def embedded_engine() -> Iterator[Engine]:
    """The embedded engine."""
    from spark_ml_audit.engines.embedded import EmbeddedEngine

    engine = EmbeddedEngine()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def spark_engine(spark: Any) -> Engine:
    """The engine in Spark's session."""
    from spark_ml_audit.engines.spark import SparkEngine

    return SparkEngine(spark)


def engine_for(request: pytest.FixtureRequest) -> Engine:
    """The engine of a test, or of what the tests of a module share."""
    name = "embedded_engine" if kind_for(request.node) == "embedded" else "spark_engine"
    found: Engine = request.getfixturevalue(name)
    return found


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engine that runs this test."""
    return engine_for(request)


@pytest.fixture(scope="module")
def house_engine(request: pytest.FixtureRequest) -> Engine:
    """The engine that runs what the tests of a module share."""
    return engine_for(request)


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One sqlite store for all audits: making a store costs seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking')}/mlflow.db"


def lake_for(request: pytest.FixtureRequest, folder: Path, uri: str) -> Lake:
    """A lake whose commands run on what the test, or the module, asks for."""
    kind = kind_for(request.node)
    if kind != "embedded":
        request.getfixturevalue("spark")
    return Lake("embedded" if kind == "embedded" else "spark", folder, uri)


@pytest.fixture
def lake(request: pytest.FixtureRequest, tmp_path: Path, tracking_uri: str) -> Lake:
    """A lake of the test's own."""
    return lake_for(request, tmp_path, tracking_uri)


@pytest.fixture(scope="module")
def house(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tracking_uri: str
) -> Lake:
    """A lake that the tests of a module share."""
    return lake_for(request, tmp_path_factory.mktemp("house"), tracking_uri)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser, one for a module."""
    with browser_session() as found:
        yield found
