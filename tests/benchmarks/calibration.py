"""Does calibration help an audit? Average precision of its rankings, errors put into real tags.

Probabilities out of fold from overfitted networks and random forests, learned from the tags with the errors,
and the shared sets' own (TF-IDF and logistic regression, learned from the tags without); each audited by the
product's own `audit` with `audit.calibrate` off, auto and on, and on with one temperature. Needs the real
data sets in ../shared/data.

Example: python -m tests.benchmarks.calibration --rows 6000 --keep /tmp/calibration
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

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, f1_score

from spark_ml_audit import audit
from spark_ml_audit.kernels.cell_scores import self_confidence
from spark_ml_audit.outcomes.calibrators import calibrators_of
from tests.benchmarks.calibration_side import KINDS, rows_of
from tests.benchmarks.memory import run_measured
from tests.benchmarks.real_sets import NOISES, SETS, Bools, Floats, RealSet, load, with_errors

_ROOT = Path(__file__).parents[2]
_MODES = {
    "off": {"calibrate": "off"},
    "auto": {"calibrate": "auto"},
    "on": {"calibrate": "on"},
    "temperature": {"calibrate": "on", "calibrate_with": "temperature"},
}
_SHARED = "shared"
_DRAWS = 200


def audited(ids: list[str], given: Bools, probs: Floats, classes: list[str], mode: str) -> dict[str, Any]:
    """One audit: its rows' scores, its cells' scores, its flags, what it said of calibration."""
    table = pd.DataFrame({"id": ids})
    result = audit(table, probs, id="id", labels=given.astype(np.int8), classes=classes, **_MODES[mode])
    used = probs
    calibrators = calibrators_of(result.fit.classes)
    if calibrators is not None:
        folds = _folds(ids, calibrators.num_folds) if calibrators.num_folds else None
        used = calibrators.apply(probs, folds)
    examples = result.to_pandas("examples").set_index("id").loc[ids]
    cells, flags = result.to_pandas("tag_issues"), np.zeros_like(given)
    place, column = ({value: i for i, value in enumerate(values)} for values in (ids, classes))
    flags[[place[one] for one in cells["id"]], [column[tag] for tag in cells["tag"]]] = True
    return {
        "flags": flags,
        "rows": -examples["label_quality_score"].to_numpy(),
        "cells": -self_confidence(used, *np.nonzero(given)),
        "said": result.calibration,
    }


def _folds(ids: list[str], num_folds: int) -> Any:
    import pyarrow as pa

    from spark_ml_audit.arrow.decode import CALIBRATION_SEED
    from spark_ml_audit.arrow.hashes import hash_values

    hashed = hash_values(pa.array(ids), CALIBRATION_SEED).view(np.uint64)
    return (hashed % np.uint64(num_folds)).astype(np.int64)


def found(wrong: Bools, given: Bools, scores: dict[str, Any]) -> tuple[float, ...]:
    """Average precision of missing tags, of extraneous ones, of all cells, of rows; F1 of the flags."""
    cells = scores["cells"]
    return (
        float(average_precision_score(wrong[~given], cells[~given])),
        float(average_precision_score(wrong[given], cells[given])),
        float(average_precision_score(wrong.ravel(), cells.ravel())),
        float(average_precision_score(wrong.any(axis=1), scores["rows"])),
        float(f1_score(wrong.ravel(), scores["flags"].ravel())),
    )


def interval(wrong: Bools, one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float]:
    """95% interval of the difference of the rows' average precision, rows drawn with replacement."""
    rng, is_wrong = np.random.default_rng(0), wrong.any(axis=1)
    differences = []
    for _ in range(_DRAWS):
        drawn = rng.integers(0, len(is_wrong), len(is_wrong))
        first, second = (average_precision_score(is_wrong[drawn], s["rows"][drawn]) for s in (one, other))
        differences.append(second - first)
    low, high = np.quantile(differences, [0.025, 0.975])
    return float(low), float(high)


def compare(table: RealSet, rows: Any, kind: str, noise: str, probs: Floats) -> dict[str, Any]:
    """One line of the result."""
    given = with_errors(table.given, noise)[rows]
    wrong = given ^ table.given[rows]
    ids = [table.ids[i] for i in rows]
    runs = {mode: audited(ids, given, probs, table.classes, mode) for mode in _MODES}
    return {
        "set": table.name,
        "kind": kind,
        "noise": noise,
        "expected": runs["off"]["said"].to_dict(),
        "measured": runs["on"]["said"].to_dict(),
        "fired": runs["auto"]["said"].is_applied,
        **{mode: found(wrong, given, run) for mode, run in runs.items()},
        "rows, on - off, 95%": interval(wrong, runs["off"], runs["on"]),
        "rows, temperature - off, 95%": interval(wrong, runs["off"], runs["temperature"]),
    }


def proved(table: RealSet, rows: Any, kind: str, probs: Floats) -> str:
    """Average precision of the missing tags that evidence proves: errors that annotators made."""
    assert table.proved is not None
    given, ids = table.given[rows], [table.ids[i] for i in rows]
    cells = []
    for mode in _MODES:
        run = audited(ids, given, probs, table.classes, mode)
        absent = ~given[:, table.with_rule]
        truth = table.proved[rows][:, table.with_rule][absent]
        found_first = run["cells"][:, table.with_rule][absent]
        cells.append(f"{average_precision_score(truth, found_first):.3f}")
        if mode == "auto":
            cells[-1] += " (applied)" if run["said"].is_applied else " (not applied)"
    return f"| {table.name} | {kind} | proved missing tags | {' | '.join(cells)} |"


def line(result: dict[str, Any]) -> str:
    """A row of the Markdown table; auto gives what one of the two others gives."""
    losses, is_applied = result["expected"], result["fired"]
    assert result["auto"] == result["on" if is_applied else "off"]
    arms = (result["off"], result["on"], result["temperature"])
    cells = [" ".join(f"{value:.3f}" for value in values) for values in zip(*arms, strict=True)]
    apart = [result[f"rows, {arm} - off, 95%"] for arm in ("on", "temperature")]
    intervals = " | ".join(f"{low:+.3f} to {high:+.3f}" for low, high in apart)
    return (
        f"| {result['set']} | {result['kind']} | {result['noise']} | {losses['log_loss']:.4f} | "
        f"{losses['log_loss_calibrated']:.4f} | {result['measured']['log_loss_calibrated']:.4f} | "
        f"{'yes' if is_applied else 'no'} | {' | '.join(cells)} | {intervals} |"
    )


HEAD = (
    "| set | model | errors | log loss | expected | measured | auto applies | missing: off, on, one "
    "temperature | extraneous | cells | rows | flags | rows, on - off | rows, temperature - off |\n"
    + "|---" * 14
    + "|"
)


def main() -> int:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.calibration",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--kinds", nargs="+", choices=(*KINDS, _SHARED), default=(*KINDS, _SHARED))
    parser.add_argument("--rows", type=int, default=6000, help="rows of a set, drawn once")
    parser.add_argument("--data", type=Path, default=_ROOT.parent / "shared" / "data")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder for results, to go on from them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calibration-benchmark-") as own:
        work = (options.keep or Path(own)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        print(HEAD)
        for name in options.sets:
            made = [kind for kind in options.kinds if kind != _SHARED]
            _make(options, work, name, made)
            table = load(options.data, name)
            rows = rows_of(table, options.rows)
            for kind in options.kinds:
                for noise in NOISES:
                    probs = (
                        table.reference[rows] if kind == _SHARED else np.load(_file(work, name, kind, noise))
                    )
                    print(line(compare(table, rows, kind, noise, probs.astype(np.float64))), flush=True)
            for kind in options.kinds if table.proved is not None else ():
                probs = table.reference[rows] if kind == _SHARED else np.load(_file(work, name, kind, None))
                print(proved(table, rows, kind, probs.astype(np.float64)), flush=True)
    return 0


def _make(options: argparse.Namespace, work: Path, name: str, kinds: list[str]) -> None:
    """Have the probabilities made that are not there yet."""
    requests = [
        {"name": _file(work, name, kind, noise).stem, "set": name, "kind": kind, "noise": noise}
        for kind in kinds
        for noise in (*NOISES, *([None] if name == "debtags" else []))
    ]
    missing = [
        json.dumps({**item, "rows": options.rows})
        for item in requests
        if not (work / f"{item['name']}.npy").exists()
    ]
    if missing:
        print(f"[{time.strftime('%H:%M:%S')}] {name}: {len(missing)} models ...", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "tests.benchmarks.calibration_side"]
        command += ["--data", str(options.data), "--work", str(work), *missing]
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        measured = run_measured(command, env=environment, log=work / "calibration_side.log")
        if measured.exit_code:
            raise SystemExit(measured.exit_code)


def _file(work: Path, name: str, kind: str, noise: str | None) -> Path:
    words = f"{name} {kind} {noise or 'as given'}".replace(",", "").split()
    return work / f"{'-'.join(words)}.npy"


if __name__ == "__main__":
    raise SystemExit(main())
