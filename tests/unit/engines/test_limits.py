"""What the embedded engine takes of a machine, and what it leaves behind."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from spark_ml_audit.engines.limits import Limits


def test_the_default_is_a_share_of_what_is_free(tmp_path: Path):
    limits = Limits.of_machine(spill=str(tmp_path))
    assert limits.threads >= 1
    assert limits.memory_bytes >= 512 << 20


def test_memory_given_bounds_duckdb_below_it(tmp_path: Path):
    settings = Limits.of_machine(2 << 30, str(tmp_path)).settings()
    assert settings["memory_limit"] == "1228MiB"
    assert str(settings["temp_directory"]).startswith(str(tmp_path))


def test_what_a_dead_process_left_is_removed_and_what_lives_stays(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True, text=True
    )
    dead = tmp_path / f"spark_ml_audit-spill-{int(done.stdout)}-ab@{platform.node()}"
    alive = tmp_path / f"spark_ml_audit-spill-1-ab@{platform.node()}"
    for folder in (dead, alive):
        (folder / "inside").mkdir(parents=True)
    Limits.of_machine(spill=str(tmp_path))
    assert not dead.exists()
    assert alive.exists()


def test_a_spill_folder_goes_with_its_use(tmp_path: Path):
    limits = Limits(1, 1 << 30, str(tmp_path))
    with limits.spill_folder("groups") as folder:
        (Path(folder) / "file").touch()
    assert list(tmp_path.iterdir()) == []
