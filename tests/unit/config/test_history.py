"""Configs of compare and trend."""

from __future__ import annotations

import pytest

from spark_ml_audit.config import CompareConfig, TrendConfig, load_as
from spark_ml_audit.errors import ConfigError
from tests.paths import CONF


@pytest.mark.parametrize(("name", "config"), [("compare", CompareConfig), ("trend", TrendConfig)])
def test_example_files_state_the_defaults(name: str, config: type[CompareConfig | TrendConfig]) -> None:
    path = str(CONF / f"{name}.example.yml")
    place = load_as(config, path).output.path
    assert load_as(config, path) == load_as(config, None, [f"output.path={place}"])


@pytest.mark.parametrize(
    ("config", "override", "key"),
    [
        (CompareConfig, "compare={run: a, against: a}", "compare.against"),
        (CompareConfig, "compare.run=5", "compare.run"),
        (CompareConfig, "output.run_id=20260131t180000z-0a1b2c3d", "output.run_id"),
        (CompareConfig, "compare.agianst=a", "compare.agianst"),
        (TrendConfig, "trend.last=0", "trend.last"),
        (TrendConfig, "trend.classes=[]", "trend.classes"),
        (TrendConfig, "trend.classes=[a, a]", "trend.classes"),
        (TrendConfig, "trend.file=trend.png", "trend.file"),
        (TrendConfig, "trend.top=101", "trend.top"),
    ],
)
def test_faulty_keys_are_refused(config: type[CompareConfig | TrendConfig], override: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_as(config, None, ["output.path=o", override])
    assert caught.value.key == key
    assert caught.value.fix
