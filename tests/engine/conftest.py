"""An audited lake for the tests that only look."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from spark_ml_audit.engines.base import Engine
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.places import Place
from tests.conftest import lake_for
from tests.datasets import Dataset, make_dataset
from tests.lake import Lake, tag_names
from tests.mlflow_fork import forked_trackers
from tests.review_page import Page, own_output, served


@dataclass(frozen=True)
class Audited:
    """A source and its audit with default options; tests look and leave them as they are.

    Attributes:
        lake: Where they are.
        data: What the source holds.
        source: Path of the source.
        result: What the audit printed.
    """

    lake: Lake
    data: Dataset
    source: str
    result: dict[str, Any]


def scan(engine: Engine, path: str, run_id: str | None = None) -> Any:
    """A Delta table, or the rows of one run, as a frame of the engine."""
    return delta_table(engine, Place(path, is_path=True)).read(run_id=run_id)


@pytest.fixture(scope="session")
def audited(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tracking_uri: str
) -> Audited:
    """One audit for all tests that only read one."""
    lake = lake_for(request, tmp_path_factory.mktemp("audited"), tracking_uri)
    data = make_dataset(3, "plain", "float32")
    source = lake.write(lake.dataset_frame(data))
    return Audited(
        lake, data, source, lake.audit(source__path=source, tracking__experiment="audits of tests")
    )


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """A plain data set."""
    return make_dataset(5, "plain", "float64")


@pytest.fixture(scope="module")
def names(dataset: Dataset) -> list[str]:
    """The names of its classes."""
    return tag_names(dataset.pred_probs.shape[1])


@pytest.fixture
def output(house: Lake) -> str:
    """An audit of the review page's films, in an output of its own."""
    return own_output(house)


@pytest.fixture
def page(house: Lake, output: str) -> Iterator[Page]:
    """The review page over it."""
    with served(house, {"output.path": output}) as found:
        yield found


@pytest.fixture(scope="package", autouse=True)
def _trackers() -> Iterator[None]:
    """MLflow is imported once, and not by every audit; how it is started is tested in `tests/tracking`."""
    if os.name != "posix" or sys.version_info < (3, 11):
        yield
        return
    with forked_trackers():
        yield


@pytest.fixture(scope="module")
def shared_page(house: Lake) -> Iterator[Page]:
    """One review page for the tests of a module that only ask, or whose decisions are in nobody's way."""
    with served(house, {"output.path": own_output(house)}) as found:
        yield found
