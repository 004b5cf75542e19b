"""Texts put into Parquet files, by several threads of one process."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from spark_ml_audit.config import SourceConfig
from spark_ml_audit.lake.source_files import open_texts, roles_of


class Scans:
    """An engine whose frames are the texts of files, all in one folder of its process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def own_folder(self) -> Path:
        return self.folder

    def scan_parquet(self, path: str) -> str:
        return Path(path).read_text(encoding="utf-8")


def test_threads_that_read_texts_at_once_each_get_their_own_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    together = threading.Barrier(4)

    def copied(source: Any, target: Path) -> list[str]:
        together.wait(30)  # all have chosen where to write
        target.write_text(source.files[0].read_text(encoding="utf-8"), encoding="utf-8")
        together.wait(30)
        return []

    monkeypatch.setattr("spark_ml_audit.lake.text_files.to_parquet", copied)
    (tmp_path / "own").mkdir()
    engine: Any = Scans(tmp_path / "own")

    def opened(number: int) -> Any:
        path = tmp_path / f"{number}.csv"
        path.write_text(f"id\n{number}\n", encoding="utf-8")
        config = SourceConfig.parse({"path": str(path)}, "source")
        return open_texts(engine, config, "csv", roles_of(config)).frame

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(opened, range(4))) == [f"id\n{number}\n" for number in range(4)]
