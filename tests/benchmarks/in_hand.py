"""`audit` of arrays in Python beside cleanlab's functions: time to flags, issues and scores, and peak memory.

Each side runs in a process of its own, after one that only reads the arrays.
Example: python -m tests.benchmarks.in_hand --rows 1000000 --classes 50
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.arrays import read_inputs, write_inputs
from tests.benchmarks.memory import mib, run_measured

_SIDES = ("inputs", "audit", "cleanlab")
_ROOT = Path(__file__).parents[2]


def run_side(side: str, folder: Path) -> dict[str, Any]:
    """What a user calls, step by step, with the seconds from the first call on."""
    labels, probs = read_inputs(folder)
    steps: dict[str, float] = {}
    started = time.monotonic()

    def done(step: str) -> None:
        steps[step] = round(time.monotonic() - started, 2)

    flagged = 0
    if side == "audit":
        from spark_ml_audit import audit

        result = audit(labels, probs)
        done("audit")
        flagged = len(result.issues)
        done("issues")
        assert len(result.examples) == len(labels)
        done("examples")
    elif side == "cleanlab":
        from cleanlab.multilabel_classification.filter import find_label_issues
        from cleanlab.multilabel_classification.rank import get_label_quality_scores

        flagged = len(find_label_issues(labels, probs, return_indices_ranked_by="self_confidence"))
        done("find_label_issues, ranked")
        get_label_quality_scores(labels, probs)
        done("get_label_quality_scores")
    return {"steps": steps, "flagged": flagged}


def main() -> None:
    """Measure both sides and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "benchmark-in-hand"))
    parser.add_argument("--side", choices=_SIDES, help="run one side in this process")
    options = parser.parse_args()
    folder = options.work / f"{options.rows}x{options.classes}-{options.dtype}"
    if options.side:
        print(json.dumps(run_side(options.side, folder)))
        return
    write_inputs(folder, options.rows, options.classes, options.dtype)
    arguments = [f"--{name}={getattr(options, name)}" for name in ("rows", "classes", "dtype", "work")]
    base = 0
    for side in _SIDES:
        command = [sys.executable, "-m", "tests.benchmarks.in_hand", *arguments, f"--side={side}"]
        env = {**os.environ, "PYTHONPATH": str(_ROOT)}
        measured = run_measured(command, env=env, log=folder / f"{side}.log")
        base = base or measured.peak
        told = json.loads(measured.stdout) if measured.exit_code == 0 else {}
        print(
            f"{side:9} {told.get('steps')} {told.get('flagged', 0):,} rows flagged; {measured.cpu:.1f} s CPU "
            f"peak {mib(measured.peak):,} MiB, {mib(measured.peak - base):,} beyond what is given",
            flush=True,
        )


if __name__ == "__main__":
    main()
