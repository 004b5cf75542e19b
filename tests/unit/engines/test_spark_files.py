"""The folder of a process whose Spark tasks run on this machine."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spark_ml_audit.engines import spark_files
from spark_ml_audit.engines.limits import Limits


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spark_files._folder.cache_clear()
    yield tmp_path
    spark_files._folder.cache_clear()


def session(master: str) -> Any:
    return SimpleNamespace(conf={"spark.master": master})


def test_threads_share_one_folder_that_others_know_to_be_of_this_process(made: Path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: spark_files.folder_of(session("local[2]")), range(8)))
    assert len(set(folders)) == 1
    assert folders[0] is not None
    assert folders[0].is_dir()
    assert [path.name for path in made.iterdir()] == [folders[0].parent.name]
    name = folders[0].parent.name
    assert name.startswith(f"spark_ml_audit-spill-{os.getpid()}-")
    assert name.endswith(f"@{platform.node()}")
    Limits.of_machine()  # of a process that lives, nothing is removed
    assert folders[0].is_dir()


def test_a_cluster_has_no_folder_here(made: Path):
    assert spark_files.folder_of(session("spark://host:7077")) is None
    assert list(made.iterdir()) == []
