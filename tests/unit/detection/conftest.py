"""The engine of these tests: the one in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from spark_ml_audit.engines.embedded import EmbeddedEngine


@pytest.fixture
def engine() -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine()
    yield engine
    engine.close()
