"""A real MLflow server, stores, trackers, and doors in front of the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spark_ml_audit.tracking import AuditTracker, SourceRef
from spark_ml_audit.tracking.beside import TrackerBeside
from tests.mlflow_server import Door, Server, running_server

SOURCE = SourceRef("/data/tags", is_path=True, version="0")


@pytest.fixture(scope="session", autouse=True)
def starting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A `mlflow server` that starts (10 s and more) while tests that do not need it run."""
    with running_server(tmp_path_factory.mktemp("mlflow-server")) as server:
        yield server


@pytest.fixture(scope="session")
def server(starting_server: Server) -> str:
    """Address of a running `mlflow server`."""
    return starting_server.ready_url()


@pytest.fixture(params=["sqlite", "http"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Tracking URI of a real store, on disk and behind a server."""
    if request.param == "http":
        return str(request.getfixturevalue("server"))
    return f"sqlite:///{tmp_path}/store/mlflow.db"


TRACKERS = {"here": AuditTracker, "beside": TrackerBeside}
both_trackers = pytest.mark.parametrize("make_tracker", TRACKERS, indirect=True)
"""Runs a test with a tracker in this process, and with one in a process of its own."""


@pytest.fixture
def make_tracker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., AuditTracker]]:
    kind = TRACKERS[getattr(request, "param", "here")]
    made = []

    def make(uri: str | None, **changes: object) -> AuditTracker:
        settings: dict[str, object] = {
            "tracking_uri": uri,
            "experiment": f"audit of {tmp_path.name}",
            "output_path": str(tmp_path / "out"),
            "run_id": "20260101t000000z-0a1b2c3d",
            "package_version": "0.1.0",
            "params": {"audit.filter_by": "prune_by_noise_rate", "audit.alpha": "0.8"},
            "source": SOURCE,
        }
        made.append(kind(**{**settings, **changes}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for tracker in made:
        tracker.close()


@pytest.fixture
def door(server: str) -> Iterator[Door]:
    door = Door(server)
    yield door
    door.shut()


@pytest.fixture
def black_hole() -> Iterator[Door]:
    hole = Door(None)
    yield hole
    hole.shut()
