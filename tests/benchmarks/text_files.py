"""Audits of the same rows as Parquet, CSV and JSON Lines through the command line: time, and memory.

python -m tests.benchmarks.text_files --rows 1000000 --classes 20
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.memory import mib, run_measured

_ROOT = Path(__file__).parents[2]
_STEP = 100_000


def write_sources(folder: Path, num_rows: int, num_classes: int) -> dict[str, dict[str, object]]:
    """The same rows in every format: file name -> what the config says of it beside its path."""
    rng = np.random.default_rng(0)
    classes = [f"class {k}" for k in range(num_classes)]
    columns = [f"p_{k}" for k in range(num_classes)]
    sources: dict[str, dict[str, object]] = {
        "rows.parquet": {"classes": classes},
        "lists.csv": {"classes": classes},  # lists as pandas writes them
        "columns.csv": {"classes": classes, "pred_probs": columns},
        "lists.jsonl": {"classes": classes},
        "objects.jsonl": {},  # {tag: p}
    }
    if all((folder / name).exists() for name in sources):
        return sources
    writer = None
    for name in sources:
        (folder / name).unlink(missing_ok=True)
    for begin in range(0, num_rows, _STEP):
        n = min(_STEP, num_rows - begin)
        probs = rng.beta(0.4, 2.0, (n, num_classes)).round(4)
        given = rng.random((n, num_classes)) < probs
        lists = pd.DataFrame(
            {
                "id": [f"row-{begin + i:09}" for i in range(n)],
                "labels": [[classes[k] for k in np.flatnonzero(row)] for row in given],
                "pred_probs": list(probs.tolist()),
            }
        )
        table = pa.Table.from_pandas(lists, preserve_index=False)
        writer = writer or pq.ParquetWriter(folder / "rows.parquet", table.schema)
        writer.write_table(table)
        plain = pd.DataFrame(probs, columns=columns)
        plain.insert(0, "labels", [",".join(row) for row in lists["labels"]])
        plain.insert(0, "id", lists["id"])
        objects = lists.assign(
            pred_probs=[dict(zip(classes, row, strict=True)) for row in lists["pred_probs"]]
        )
        lists.to_csv(folder / "lists.csv", index=False, mode="a", header=not begin)
        plain.to_csv(folder / "columns.csv", index=False, mode="a", header=not begin)
        lists.to_json(folder / "lists.jsonl", orient="records", lines=True, mode="a")
        objects.to_json(folder / "objects.jsonl", orient="records", lines=True, mode="a")
    if writer is not None:
        writer.close()
    return sources


def measure(folder: Path, name: str, settings: dict[str, object]) -> str:
    """Audit one file in a process of its own; a line to print."""
    with tempfile.TemporaryDirectory(dir=folder) as output:
        values = {f"source.{key}": value for key, value in settings.items()}
        values |= {"source.path": str(folder / name), "output.path": output, "report.enabled": False}
        command = [sys.executable, "-m", "spark_ml_audit", "audit", "--json", "--engine", "embedded"]
        for key, value in values.items():
            command += ["--set", f"{key}={json.dumps(value)}"]
        env = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        measured = run_measured(command, env=env | {"PYTHONPATH": str(_ROOT)}, log=folder / f"{name}.log")
        if measured.exit_code:
            raise SystemExit((folder / f"{name}.log").read_text())
        told: dict[str, Any] = json.loads(measured.stdout)
    size = (folder / name).stat().st_size
    return (
        f"{name:14} {mib(size):5,} MiB: {measured.seconds:5.1f} s in all, {told['stages']['source']:5.1f} s "
        f"to read and understand it, {measured.cpu:5.1f} s CPU, peak {mib(measured.peak):,} MiB; "
        f"{told['num_label_issues']:,} issues"
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "text-files")
    options = parser.parse_args()
    folder = options.work / f"{options.rows}x{options.classes}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, settings in write_sources(folder, options.rows, options.classes).items():
        print(measure(folder, name, settings), flush=True)


if __name__ == "__main__":
    main()
