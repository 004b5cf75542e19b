"""Functions of `spark_ml_audit.arrays` beside cleanlab's of the same names: time, memory, and every flag.

Each side runs in processes of its own, in turn; the best of the repeats counts, wall and processor time each.
Example: python -m tests.benchmarks.arrays --rows 1000000 --classes 50
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.memory import Measured, mib, run_measured
from tests.benchmarks.table import draw_rows, prevalence_of

SIDES = ("inputs", "arrays", "cleanlab")
_SEED = 20220611
_ROOT = Path(__file__).parents[2]


def write_inputs(folder: Path, rows: int, classes: int, dtype: str) -> None:
    """Probabilities and given labels as files; those that are there are used again."""
    if (folder / "given.npy").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([_SEED, classes])
    given = np.empty((rows, classes), dtype=np.bool_)
    probs = np.empty((rows, classes), dtype=dtype)
    for start in range(0, rows, 100_000):
        part = slice(start, min(start + 100_000, rows))
        given[part], probs[part] = draw_rows(rng, prevalence_of(classes), part.stop - part.start)
    np.save(folder / "probs.npy", probs)
    np.save(folder / "given.npy", given)


def read_inputs(folder: Path) -> tuple[list[list[int]], np.ndarray]:
    """Labels as cleanlab takes them, lists of class indices, and probabilities."""
    given = np.load(folder / "given.npy")
    ends = np.cumsum(np.count_nonzero(given, axis=1)).tolist()
    flat = np.nonzero(given)[1].tolist()
    labels = [flat[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return labels, np.load(folder / "probs.npy")


# ---- one side, in a process of its own -------------------------------------------------------------


def run_side(side: str, folder: Path) -> dict[str, Any]:
    """Time what a user calls, one call after the other, and keep what the comparison needs."""
    labels, probs = read_inputs(folder)
    if side == "inputs":
        return {"calls": {}, "peak": _peak()}
    if side == "arrays":
        from spark_ml_audit import arrays as module
    else:
        from cleanlab import multilabel_classification as module
    calls: dict[str, Callable[[], Any]] = {
        "find_label_issues": lambda: module.filter.find_label_issues(labels, probs),
        "get_label_quality_scores": lambda: module.rank.get_label_quality_scores(labels, probs),
    }
    found, times = {}, {}
    for name, call in calls.items():
        found[name], times[name] = _timed(call)
    # before the calls whose results are as large as the input
    peak = _peak()
    more: dict[str, Callable[[], Any]] = {
        "find_label_issues, ranked": lambda: module.filter.find_label_issues(
            labels, probs, return_indices_ranked_by="self_confidence"
        ),
        "find_multilabel_issues_per_class": lambda: module.filter.find_multilabel_issues_per_class(
            labels, probs
        ),
    }
    for name, call in more.items():
        found[name], times[name] = _timed(call)
    if side == "arrays":
        given = np.load(folder / "given.npy")
        _, times["find_label_issues, multi-hot"] = _timed(
            lambda: module.filter.find_label_issues(given, probs)
        )
    np.savez(
        folder / f"{side}.npz",
        mask=found["find_label_issues"],
        ranked=found["find_label_issues, ranked"],
        cells=found["find_multilabel_issues_per_class"],
        scores=found["get_label_quality_scores"],
    )
    return {"calls": times, "peak": peak}


def _timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    started, cpu = time.monotonic(), _cpu()
    found = call()
    return found, {"seconds": round(time.monotonic() - started, 3), "cpu": round(_cpu() - cpu, 3)}


def _cpu() -> float:
    """Processor time of this process and of those it forked and waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _peak() -> int:
    """Most memory this process itself has held, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return mib(int(line.split()[1]) * 1024)


# ---- both sides ------------------------------------------------------------------------------------


def compare(folder: Path) -> dict[str, Any]:
    """Every cell's flag, every row's score, the order of the ranked rows."""
    ours, theirs = (np.load(folder / f"{side}.npz") for side in ("arrays", "cleanlab"))
    cells, wanted = ours["cells"], theirs["cells"]
    probs, given = np.load(folder / "probs.npy", mmap_mode="r"), np.load(folder / "given.npy")
    differing = np.argwhere(cells != wanted)
    ties = 0
    for row, k in differing[:1000]:
        side = cells[:, k] & (given[:, k] == given[row, k])
        margin = (1 - probs[:, k]) - probs[:, k]
        last = margin[side].max() if not given[row, k] else margin[side].min()
        ties += bool(margin[row] == last)
    scores = ours["scores"]
    same_rows = np.array_equal(ours["mask"], theirs["mask"])
    return {
        "cells": cells.size,
        "cells_flagged": int(wanted.sum()),
        "cells_differing": len(differing),
        "of_them_ties": ties,
        "rows_flagged": int(theirs["mask"].sum()),
        "rows_differing": int((ours["mask"] != theirs["mask"]).sum()),
        "largest_score_difference": float(np.abs(scores - theirs["scores"]).max(initial=0)),
        "ranked_alike": bool(
            same_rows and np.abs(scores[ours["ranked"]] - scores[theirs["ranked"]]).max(initial=0) < 1e-12
        ),
    }


def child(side: str, folder: Path) -> tuple[Measured, dict[str, Any]]:
    """Run one side in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.arrays", "--side", side, "--keep", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    measured = run_measured(command, env=environment, log=folder / f"{side}.log")
    if measured.exit_code:
        raise SystemExit(measured.exit_code)
    return measured, json.loads(measured.stdout.splitlines()[-1])


def best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Least time of each call, least wall and least processor time apart; least peak."""
    calls = {
        name: {kind: min(run["calls"][name][kind] for run in runs) for kind in ("seconds", "cpu")}
        for name in runs[0]["calls"]
    }
    return {
        "calls": calls,
        "peak": min(run["peak"] for run in runs),
        "tree": min(run["tree"] for run in runs),
    }


def measure(folder: Path, repeats: int) -> dict[str, Any]:
    """Both sides in turn."""
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    loads = []
    for _ in range(repeats):
        for side in SIDES:
            loads.append(round(os.getloadavg()[0], 1))
            print(f"[{time.strftime('%H:%M:%S')}] {side}, load {loads[-1]} ...", file=sys.stderr, flush=True)
            measured, told = child(side, folder)
            runs[side].append({**told, "tree": mib(measured.peak)})
    return {side: best(found) for side, found in runs.items()} | {"loads": loads}


def render(result: dict[str, Any]) -> str:
    """The results as text."""
    ours, theirs, inputs = result["arrays"], result["cleanlab"], result["inputs"]
    lines = [
        f"{os.cpu_count()} cores, load {min(result['loads'])} to {max(result['loads'])}",
        "",
        f"{'':34}{'arrays':>9}{'CPU s':>8}{'cleanlab':>10}{'CPU s':>8}{'time':>8}{'CPU':>7}",
    ]
    for name, one in ours["calls"].items():
        line = f"{name:34}{one['seconds']:9.2f}{one['cpu']:8.2f}"
        if (other := theirs["calls"].get(name)) is not None:
            line += f"{other['seconds']:10.2f}{other['cpu']:8.2f}"
            line += f"{one['seconds'] / other['seconds']:8.3f}{one['cpu'] / other['cpu']:7.3f}"
        lines.append(line)
    lines += [
        "",
        "peak MiB of the first two calls, inputs included (inputs alone "
        f"{inputs['peak']:,}): arrays {ours['peak']:,}, cleanlab {theirs['peak']:,}, "
        f"ratio {ours['peak'] / theirs['peak']:.2f}; beside the inputs "
        f"{(ours['peak'] - inputs['peak']) / (theirs['peak'] - inputs['peak']):.2f}",
    ]
    found = result["agreement"]
    lines += [
        "",
        f"{found['cells_differing']} of {found['cells']:,} cells differ ({found['of_them_ties']} by ties; "
        f"{found['cells_flagged']:,} flagged), {found['rows_differing']} rows ({found['rows_flagged']:,} "
        f"flagged); largest difference of a score {found['largest_score_difference']:.1e}; "
        f"ranked {'alike' if found['ranked_alike'] else 'DIFFERENTLY'}",
    ]
    return "\n".join(lines)


def main() -> int:
    """Command line; 1 if the flags differ from cleanlab's by more than ties."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.arrays", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="folder for the arrays, to use them again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(run_side(options.side, options.keep)))
        return 0
    with tempfile.TemporaryDirectory(prefix="arrays-benchmark-") as scratch:
        folder = options.keep or Path(scratch)
        write_inputs(folder, options.rows, options.classes, options.dtype)
        result = measure(folder, options.repeats)
        result["agreement"] = compare(folder)
    print(f"{options.rows:,} rows x {options.classes} classes, {options.dtype}; {render(result)}")
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    agreement = result["agreement"]
    return 0 if agreement["cells_differing"] == agreement["of_them_ties"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
