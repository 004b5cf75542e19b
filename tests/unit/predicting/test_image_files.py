"""Where relative paths of images begin."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_ml_audit.config import PredictSource
from spark_ml_audit.predicting.images import image_files


def folder_of(path: str, **more: object) -> str | None:
    source = PredictSource.parse({"path": path, "features": {"image": "picture"}, **more}, "source")
    found = image_files(source)
    assert found is not None
    return found.folder


@pytest.mark.parametrize("begins", ["", "file://"])
@pytest.mark.parametrize("name", ["films", "films/part.parquet", "films/*.parquet", "films/year=*/*.parquet"])
def test_it_is_the_folder_of_the_source_however_that_is_named(tmp_path: Path, begins: str, name: str) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "part.parquet").write_bytes(b"")
    assert folder_of(f"{begins}{tmp_path}/{name}") == str(tmp_path / "films")


def test_a_relative_pattern_begins_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder_of("*.parquet") == str(tmp_path)


def test_the_config_may_name_another(tmp_path: Path) -> None:
    assert folder_of("s3://bucket/films", image_folder=str(tmp_path)) == str(tmp_path)
