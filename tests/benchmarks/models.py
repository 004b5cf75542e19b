"""How good and how quick the models of `predict` are, and the audits by them where truth is known.

Needs the real data sets in ../shared/data. Examples (each part of a table; --keep goes on where one stopped):
python -m tests.benchmarks.models --only quality --keep /tmp/models
python -m tests.benchmarks.models --only errors --sets movies_wikidata --keep /tmp/models
python -m tests.benchmarks.models --only scale --rows 1000000
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

from tests.benchmarks import text_scale
from tests.benchmarks.memory import run_measured
from tests.benchmarks.real_sets import (
    NOISES,
    SETS,
    RealSet,
    errors_found,
    evidence,
    load,
    macro,
    with_errors,
)

PARTS = ("quality", "errors", "scale")
# One fold of the plain model is timed and multiplied: all five cost minutes.
_TIMED_FOLDS = [0]
_ROOT = Path(__file__).parents[2]


class Models:
    """Requests to the child process, answered once and kept."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options = options
        self.work = work

    def answers(self, requests: list[dict[str, Any]]) -> None:
        """Make the probabilities that are not there yet."""
        missing = [item for item in requests if not (self.work / f"{item['name']}.json").exists()]
        if not missing:
            return
        _say(", ".join(item["name"] for item in missing))
        command = [sys.executable, "-m", "tests.benchmarks.model_side"]
        command += ["--data", str(self.options.data), "--work", str(self.work), *map(json.dumps, missing)]
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        measured = run_measured(command, env=environment, log=self.work / "model_side.log")
        if measured.exit_code:
            raise SystemExit(measured.exit_code)

    def probs(self, name: str) -> Any:
        """Probabilities of a request."""
        return np.load(self.work / f"{name}.npy")

    def took(self, name: str) -> dict[str, Any]:
        """Its times."""
        found: dict[str, Any] = json.loads((self.work / f"{name}.json").read_text())
        return found


def quality(models: Models, table: RealSet, kinds: list[str]) -> list[str]:
    """Out-of-fold quality and time of each kind beside the plain model, and its evidence ranking."""
    requests = [_request(table.name, kind, None) for kind in kinds]
    models.answers([*requests, _request(table.name, "plain", None, _TIMED_FOLDS)])
    plain = models.took(f"{table.name}-plain")
    times = 5 / plain["folds"]
    ours, theirs = plain["quality"], plain["quality of the reference"]
    lines = [
        f"{table.name}: {len(table.ids):,} rows x {len(table.classes)} classes",
        f"  {'':30}{'macro AUC':>10}{'macro AP':>10}{'CPU s':>8}{'wall s':>8}",
        _row("reference file", macro(table.given, table.reference), plain["cpu"] * times, None),
    ]
    ranked = {"reference file": table.reference}
    for kind in kinds:
        name = f"{table.name}-{kind}"
        probs, took = models.probs(name), models.took(name)
        lines.append(_row(f"predict, kind {kind}", macro(table.given, probs), took["cpu"], took["seconds"]))
        ranked[f"predict, kind {kind}"] = probs
    lines += [
        f"  the plain model's time: one core, {plain['folds']} of 5 folds timed, x {times:g}; there it",
        f"  has {ours['auc']:.3f} / {ours['ap']:.3f}, the reference {theirs['auc']:.3f} / {theirs['ap']:.3f}",
    ]
    if table.proved is not None:
        counts = np.broadcast_to(table.given.sum(axis=1, keepdims=True), table.given.shape)
        ranked["most tags first"] = counts.astype(float)
        lines.append(f"  {'missing tags proved':30}{'P@100':>10}{'P@1000':>10}{'AP':>8}{'base':>8}")
        for title, scores in ranked.items():
            found = evidence(table, scores)
            lines.append(
                f"  {title:30}{found['P@100']:10.2f}{found['P@1000']:10.3f}{found['AP']:8.3f}"
                f"{found['base rate']:8.4f}"
            )
    return lines


def _row(title: str, found: dict[str, float], cpu: float, wall: float | None) -> str:
    shown = f"{'':8}" if wall is None else f"{wall:8.0f}"
    return f"  {title:30}{found['auc']:10.4f}{found['ap']:10.4f}{cpu:8.0f}{shown}"


def errors(models: Models, table: RealSet, kinds: list[str]) -> list[str]:
    """Average precision in finding errors that were put in, models trained on the table with them."""
    requests = [_request(table.name, kind, noise, list(range(5))) for noise in NOISES for kind in kinds]
    models.answers(requests)
    lines = [f"{table.name}: average precision of the audit's rankings, a tenth of the tags wrong"]
    lines.append(
        f"  {'':30}" + "".join(f"{f'{n}: {what}':>18}" for n in NOISES for what in ("cells", "rows"))
    )
    titles = [*kinds, None]
    truths = {noise: with_errors(table.given, noise) for noise in NOISES}
    shares = {noise: errors_found(table.given, truths[noise], None) for noise in NOISES}
    for kind in titles:
        cells = []
        for noise in NOISES:
            probs = None if kind is None else models.probs(_request(table.name, kind, noise)["name"])
            found = errors_found(table.given, truths[noise], probs) if probs is not None else shares[noise]
            cells += [found["cells"], found["rows"]]
        title = "most tags first" if kind is None else "plain model" if kind == "plain" else f"kind {kind}"
        lines.append(f"  {title:30}" + "".join(f"{value:18.3f}" for value in cells))
    wrong = [shares[noise][f"{what}, share"] for noise in NOISES for what in ("cells", "rows")]
    lines.append(f"  {'share that is wrong':30}" + "".join(f"{value:18.3f}" for value in wrong))
    return lines


def _request(name: str, kind: str, noise: str | None, folds: list[int] | None = None) -> dict[str, Any]:
    suffix = "" if noise is None else f"-{noise.replace(' ', '-')}"
    return {"name": f"{name}-{kind}{suffix}", "set": name, "kind": kind, "noise": noise, "folds": folds}


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text} ...", file=sys.stderr, flush=True)


def main() -> int:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--kinds", nargs="+", default=["auto", "linear"], help="kinds of predict")
    parser.add_argument("--data", type=Path, default=_ROOT.parent / "shared" / "data")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the part scale")
    parser.add_argument("--classes", type=int, default=50, help="tags of the part scale")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder for results, to go on from them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="model-benchmark-") as own:
        work = (options.keep or Path(own)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        models = Models(options, work)
        for name in options.sets if {"quality", "errors"} & set(options.only) else ():
            table = load(options.data, name)
            if "quality" in options.only:
                print("\n".join(quality(models, table, options.kinds)), "\n", flush=True)
            if "errors" in options.only and name != "debtags":
                print("\n".join(errors(models, table, [*options.kinds, "plain"])), "\n", flush=True)
        if "scale" in options.only:
            print("\n".join(text_scale.measure(work, options.rows, options.classes)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
