"""Where a path leads, for programs other than Spark."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_ml_audit.config import load_config
from spark_ml_audit.config.paths import local_path
from spark_ml_audit.errors import ConfigError


@pytest.mark.parametrize(
    ("path", "here", "on_databricks"),
    [
        ("/data/tags", "/data/tags", None),
        ("file:///data/my%20tags", "/data/my tags", "/data/my tags"),
        ("/Volumes/main/a/b", "/Volumes/main/a/b", "/Volumes/main/a/b"),
        ("dbfs:/Volumes/main/a/b", None, "/Volumes/main/a/b"),
        ("s3://bucket/a", None, None),
    ],
)
def test_a_volume_is_a_folder_on_databricks_alone(
    monkeypatch: pytest.MonkeyPatch, path: str, here: str | None, on_databricks: str | None
) -> None:
    assert local_path(path) == (None if here is None else Path(here))
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    assert local_path(path) == (None if on_databricks is None else Path(on_databricks))


def test_a_folder_with_a_colon_is_no_address() -> None:
    places = ["source.path=a", "output.schema=a.b"]
    assert load_config(None, [*places, "output.files=audits:films"]).output.files == "audits:films"
    with pytest.raises(ConfigError, match="an address and not a local path"):
        load_config(None, [*places, "output.files=s3://bucket/reports"])
