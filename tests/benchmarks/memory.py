"""Running a command while watching the memory of all its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_PERIOD = 0.25
_KINDS = ("jvm", "driver", "workers")


@dataclass
class Measured:
    """What a command took.

    Attributes:
        seconds: From start to exit.
        cpu: Processor time of all its processes, in seconds: what other programs' load hardly changes.
        exit_code: Of the process.
        stdout: All it printed.
        peak: Largest sum over the process tree at one moment, bytes of PSS.
        at_peak: Split of that sum: JVM, Python driver (the process itself), Python workers (the rest).
        peaks: Largest of each part, at whatever moment.
        most_workers: Largest number of processes that are neither JVM nor driver.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    exit_code: int = 0
    stdout: str = ""
    peak: int = 0
    at_peak: dict[str, int] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    most_workers: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return everything but the output, memory in MiB."""
        plain = asdict(self)
        del plain["stdout"]
        plain["peak"] = mib(self.peak)
        for name in ("at_peak", "peaks"):
            plain[name] = {kind: mib(size) for kind, size in plain[name].items()}
        plain["seconds"], plain["cpu"] = round(self.seconds, 2), round(self.cpu, 2)
        return plain


def mib(size: int) -> int:
    """Bytes as whole MiB."""
    return round(size / 2**20)


def run_measured(command: Sequence[str], *, env: Mapping[str, str], log: Path) -> Measured:
    """Run a command to its end; its stderr goes to `log`, a copy of its last lines to ours if it fails."""
    measured = Measured()
    with log.open("wb") as errors:
        started = time.monotonic()
        process = subprocess.Popen(list(command), stdout=subprocess.PIPE, stderr=errors, env=dict(env))
        stop = threading.Event()
        sampler = threading.Thread(target=_sample, args=(process.pid, measured, stop), daemon=True)
        sampler.start()
        try:
            output, _ = process.communicate()
        finally:
            stop.set()
            if process.poll() is None:
                process.terminate()
                process.wait(30)
        measured.seconds = time.monotonic() - started
        sampler.join()
    measured.exit_code = process.returncode
    measured.stdout = output.decode()
    if measured.exit_code:
        tail = log.read_text(errors="replace").splitlines()[-25:]
        print(
            "\n".join([f"{' '.join(command[:5])} ... exited {measured.exit_code}:", *tail]), file=sys.stderr
        )
    return measured


def _sample(root: int, measured: Measured, stop: threading.Event) -> None:
    meter = CpuMeter(root)
    while not stop.is_set():
        parts = dict.fromkeys(_KINDS, 0)
        workers = 0
        looked = time.monotonic()
        tree = process_tree(root)
        for pid, name in tree:
            kind = "driver" if pid == root else "jvm" if name == "java" else "workers"
            size = pss_of(pid)
            parts[kind] += size
            workers += kind == "workers" and size > 0
        measured.cpu = meter.look(tree)
        total = sum(parts.values())
        if total > measured.peak:
            measured.peak, measured.at_peak = total, parts
        measured.peaks = {kind: max(size, measured.peaks.get(kind, 0)) for kind, size in parts.items()}
        measured.most_workers = max(measured.most_workers, workers)
        # the kernel walks every page for this: never more than a tenth of one core
        stop.wait(max(_PERIOD, 9 * (time.monotonic() - looked)))


def process_tree(root: int) -> list[tuple[int, str]]:
    """Process ids and names of a process and all its descendants."""
    children: dict[int, list[tuple[int, str]]] = {}
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))):
            name, fields = stat
            children.setdefault(int(fields[1]), []).append((int(entry), name))
            if int(entry) == root:
                found.append((root, name))
    for pid, _ in found:
        found += children.get(pid, [])
    return found


class CpuMeter:
    """Processor time of a process and all its descendants, those included that have ended since.

    A parent learns the time only of children it waits for, and Spark's worker daemon and Popen's JVM are
    not always waited for; so the tree is looked at regularly and the last sight of each process counts.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._ticks: dict[tuple[int, str], int] = {}

    def look(self, tree: list[tuple[int, str]] | None = None) -> float:
        """Look at the tree now; returns the seconds so far (user and system)."""
        for pid, _ in process_tree(self._root) if tree is None else tree:
            stat = _stat(pid)
            if stat:
                fields = stat[1]
                self._ticks[pid, fields[19]] = int(fields[11]) + int(fields[12])
        return sum(tuple(self._ticks.values())) / os.sysconf("SC_CLK_TCK")

    def start(self) -> CpuMeter:
        """Look regularly from now on, in a thread that ends with the program."""

        def run() -> None:
            while True:
                self.look()
                time.sleep(_PERIOD)

        threading.Thread(target=run, daemon=True).start()
        return self


def _stat(pid: int) -> tuple[str, list[str]] | None:
    """Name of a process and the fields of its `stat` file from the state on."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:  # it has just ended
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    return name, rest.split()


def pss_of(pid: int) -> int:
    """Proportional set size in bytes: shared pages are divided among those who share them."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            line = next(line for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):  # it has just ended
        return 0
    return int(line.split()[1]) * 1024
