"""How much of the machine the embedded engine may use."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from spark_ml_audit.errors import ConfigError

# Of what is free, if nobody says: sorting in files costs a few percent of an audit's time, and others run on
# the machine too.
_SHARE = 1 / 8
_LEAST_SHARE = 1 << 30
# Of the whole, what DuckDB may hold; the rest is for batches, NumPy and the interpreter.
_DUCKDB_SHARE = 0.6
_LEAST_BYTES = 512 << 20
_UNKNOWN_BYTES = 4 << 30
_PREFIX = "spark_ml_audit-spill-"


@dataclass(frozen=True)
class Limits:
    """What the embedded engine may use.

    Attributes:
        threads: Threads at work.
        memory_bytes: Memory of the process; what DuckDB needs beyond its share of it goes to files.
        spill: Folder for these files: one of this process alone is made in it.
    """

    threads: int
    memory_bytes: int
    spill: str
    _own: str = field(
        default_factory=lambda: f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}@{platform.node()}"
    )

    @classmethod
    def of_machine(cls, memory_bytes: int | None = None, spill: str | None = None) -> Limits:
        """All cores and an eighth of the free memory (1 GiB at least), unless told otherwise.

        Raises:
            ConfigError: The folder to spill to cannot be made.
        """
        memory = memory_bytes or max(int(_free_bytes() * _SHARE), _LEAST_SHARE)
        folder = spill or tempfile.gettempdir()
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the folder '{folder}' cannot be made: {error.strerror or error}.",
                key="engine.spill",
                fix="Give a folder that can be written to, or leave it out.",
            ) from error
        _sweep(Path(folder))
        return cls(cores(), max(memory, _LEAST_BYTES), folder)

    def settings(self) -> dict[str, str | bool | int | float | list[str]]:
        """Settings of a DuckDB connection."""
        return {
            "threads": str(self.threads),
            "memory_limit": f"{int(self.memory_bytes * _DUCKDB_SHARE) >> 20}MiB",
            "temp_directory": str(Path(self.spill, self._own)),
            # no order is owed between rows, and keeping one costs memory
            "preserve_insertion_order": "false",
            # files are read once or twice; keeping them would look like a leak
            "enable_external_file_cache": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }

    @contextmanager
    def spill_folder(self, name: str) -> Iterator[str]:
        """A folder for intermediate files, gone afterwards."""
        folder = self.own_folder(name)
        try:
            yield str(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):  # DuckDB may have files in it still
                folder.parent.rmdir()

    def own_folder(self, name: str) -> Path:
        """A new folder for files that last as long as the process's others."""
        folder = Path(self.spill, self._own, f"{name}-{secrets.token_hex(8)}")
        folder.mkdir(parents=True)
        return folder

    def remove(self) -> None:
        """Remove what is left of this process's files."""
        shutil.rmtree(Path(self.spill, self._own), ignore_errors=True)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _free_bytes() -> int:
    """Memory that is free on the machine, or in its container."""
    found = [_free_of_machine(), _free_of_container()]
    known = [size for size in found if size is not None]
    return min(known) if known else _UNKNOWN_BYTES


def _free_of_machine() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(r"MemAvailable:\s+(\d+) kB", text)
    return int(found[1]) << 10 if found else None


def _free_of_container() -> int | None:
    folder = Path("/sys/fs/cgroup")
    try:
        most = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = (folder / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(most) - int(used) if most.isdigit() and used.isdigit() else None


def _sweep(folder: Path) -> None:
    """Remove what processes of this machine that are gone, killed ones, left behind."""
    for left in folder.glob(f"{_PREFIX}*@{platform.node()}"):
        owner = left.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists() and Path("/proc/self").exists():
            shutil.rmtree(left, ignore_errors=True)
