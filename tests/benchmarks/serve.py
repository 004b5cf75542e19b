"""The review page over many audited rows: start, first page, next rows, and the memory of its process.

Example: python -m tests.benchmarks.serve --rows 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import convert_to_deltalake

from tests.benchmarks.memory import mib, pss_of, run_measured
from tests.benchmarks.table import class_names, parquet_files, write_table

_ROOT = Path(__file__).parents[2]
_TOKEN = "token-of-the-benchmark"
_WORDS = 3_000
_WORDS_PER_ROW = 14
_PERIOD = 0.1


class Served:
    """The command serve in a process of its own, and what it took so far.

    Attributes:
        seconds: What was asked -> how long each answer took.
        memory: Part of the session -> (PSS after it, greatest PSS and greatest RSS so far), bytes.
    """

    def __init__(self, output: Path, log: Path) -> None:
        words = [sys.executable, "-m", "spark_ml_audit", "serve"]
        for key, value in {
            "output.path": str(output), "serve.port": 0, "serve.token": _TOKEN, "serve.who": "ann",
        }.items():  # fmt: skip
            words += ["--set", f"{key}={json.dumps(value)}"]
        self.seconds: dict[str, list[float]] = {}
        self.memory: dict[str, tuple[int, int, int]] = {}
        self._most = 0
        began = time.monotonic()
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                words, stdout=subprocess.PIPE, stderr=errors, text=True, env=_environment()
            )
        threading.Thread(target=self._sample, daemon=True).start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise SystemExit(log.read_text())
        self.seconds["start"] = [time.monotonic() - began]
        self._base = line.partition("?")[0].rstrip("/")

    def _sample(self) -> None:
        while self._process.poll() is None:
            self._most = max(self._most, pss_of(self._process.pid))
            time.sleep(_PERIOD)

    def ask(self, path: str, body: object = None, *, of: str = "others") -> Any:
        """The answer of an address, timed."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"})
        request.add_header("Authorization", f"Bearer {_TOKEN}")
        began = time.monotonic()
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
            is_json = answer.headers["content-type"].startswith("application/json")
        self.seconds.setdefault(of, []).append(time.monotonic() - began)
        return json.loads(text) if is_json else text

    def part(self, name: str, work: Callable[[Served], None]) -> None:
        """A part of the session, and the memory after it."""
        work(self)
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        self.memory[name] = pss_of(self._process.pid), self._most, int(peak) * 1024

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(20)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return kept | {"PYTHONPATH": str(_ROOT)}


def measure(work: Path, num_rows: int, num_classes: int, num_decided: int) -> list[str]:
    """Audit a generated table, serve it, and go through a session.

    Returns:
        Lines to print.
    """
    output = _audited(work, num_rows, num_classes)
    page = Served(output, work / "serve.log")
    try:
        page.part("started", lambda _: None)
        page.part("first page", _first_page)
        page.part("plain review", lambda page: _review(page, "", num_decided, "next row"))
        page.part("random queue", lambda page: _review(page, "order=random", num_decided, "random row"))
        page.part("blind queue", lambda page: _review(page, "blind=1", num_decided, "blind cell"))
        page.part(
            "cell queue", lambda page: _review(page, "view=cell&order=surest", num_decided, "surest cell")
        )
        page.part("bulk", _bulk)
        page.part("finish", lambda page: page.ask("/api/changes", of="changes"))
        page.part("plain again", lambda page: _review(page, "", num_decided, "next row"))
    finally:
        page.close()
    lines = [f"{num_rows:,} rows x {num_classes}"]
    for name, taken in page.seconds.items():
        median, most, greatest = np.quantile(taken, [0.5, 0.95, 1.0]) * 1000
        told = f"median {median:5.0f} ms, p95 {most:5.0f}, max {greatest:5.0f}"
        lines.append(f"  {name:16} {len(taken):4} times: {told}")
    for name, (now, most, peak) in page.memory.items():
        lines.append(f"  {name:16} PSS {mib(now)} MiB, greatest so far {mib(most)}, of RSS {mib(peak)}")
    return lines


def _first_page(page: Served) -> None:
    began = time.monotonic()
    page.ask("/review", of="page")
    page.ask("/api/classes", of="classes")
    page.ask("/api/progress", of="progress")
    page.ask("/api/item", of="first item")
    page.seconds["first page"] = [time.monotonic() - began]
    page.ask("/", of="overview")


def _review(page: Served, queue: str, times: int, of: str) -> None:
    """Decide the items of a queue one after the other, as somebody at the keyboard would."""
    found = page.ask(f"/api/item?{queue}", of=f"{of}, 1st")
    for _ in range(times):
        card = found["card"]
        tags = [tag["tag"] for tag in card["tags"] if tag["flag"]] or [card["question"]]
        cells = [[tag, "present"] for tag in tags]
        body = {"decision_id": os.urandom(8).hex(), "id": card["id"], "cells": cells}
        page.ask("/api/decisions", body, of="decision")
        time.sleep(0.3)  # nobody reads faster, and rows are read ahead meanwhile
        found = page.ask(f"/api/item?{queue}&after={card['at']}", of=of)


def _bulk(page: Served) -> None:
    drawing = {"how": "certify", "tag": class_names(1)[0], "direction": "missing", "size": 100}
    drawn = page.ask("/api/draw", drawing, of="draw")
    _review(page, drawn["address"].partition("?")[2], 10, "drawn cell")
    page.ask("/bulk", of="page")
    page.ask("/api/bulk", of="bulk")


def _audited(work: Path, num_rows: int, num_classes: int) -> Path:
    """The output of an audit of a generated table with texts; one that was made before is copied."""
    source, made = work / f"served-{num_rows}x{num_classes}", work / f"served-{num_rows}x{num_classes}-out"
    if not (made / "runs").exists():
        shutil.rmtree(source, ignore_errors=True)
        write_table(source, num_rows, num_classes, "float32")
        _add_texts(source)
        convert_to_deltalake(str(source))
        words = [sys.executable, "-m", "spark_ml_audit", "audit", "--json"]
        for key, value in {
            "source.path": str(source), "source.classes": class_names(num_classes),
            "source.show": "text", "output.path": str(made), "report.enabled": False, "tracking.uri": f"sqlite:///{work}/mlflow.db",
        }.items():  # fmt: skip
            words += ["--set", f"{key}={json.dumps(value)}"]
        if run_measured(words, env=_environment(), log=work / "audit.log").exit_code:
            raise SystemExit(1)
    output = work / "served-now"
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(made, output)
    return output


def _add_texts(folder: Path) -> None:
    rng = np.random.default_rng(7)
    words = np.array([f"w{i:x}" for i in range(_WORDS)], dtype=object)
    for file in parquet_files(folder):
        table = pq.read_table(file)
        drawn = words[rng.integers(0, _WORDS, (table.num_rows, _WORDS_PER_ROW))]
        texts = pa.array([" ".join(row) for row in drawn])
        pq.write_table(table.append_column("text", texts), file, row_group_size=50_000)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--decided", type=int, default=100, help="items decided in each queue")
    parser.add_argument("--work", type=Path, help="folder that is kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serve-") as made:
        work = options.work or Path(made)
        work.mkdir(parents=True, exist_ok=True)
        print("\n".join(measure(work, options.rows, options.classes, options.decided)))


if __name__ == "__main__":
    main()
