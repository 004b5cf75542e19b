"""What is said of extras that are missing."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest

from spark_ml_audit.engines.base import Engine
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.choose import delta_table
from spark_ml_audit.lake.places import Place


@pytest.mark.parametrize("is_there", [True, False])
def test_spark_is_to_be_installed_only_where_it_is_missing(
    embedded_engine: Engine, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    find = importlib.util.find_spec

    def found(name: str, package: str | None = None) -> Any:
        return (object() if is_there else None) if name in ("pyspark", "delta") else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", found)
    with pytest.raises(ConfigError, match="only Spark knows") as refused:
        delta_table(embedded_engine, Place("main.tags", is_path=False))
    fix = refused.value.fix
    assert fix.startswith("Set engine.kind to spark (--engine spark)")
    assert (" pip install " in fix and sys.executable in fix) != is_there
