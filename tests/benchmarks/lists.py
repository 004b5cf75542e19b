"""How many of the first cells of either list are errors, where truth is known, beside other orders.

Errors are put into the tags of real sets (a tenth of the given ones dropped, as many wrong ones), or proved
by evidence (Debian's dependencies and sections). Needs the real data sets in ../shared/data. Example:
python -m tests.benchmarks.lists --keep /tmp/lists
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spark_ml_audit import predict
from spark_ml_audit.kernels.cell_scores import self_confidence
from spark_ml_audit.kernels.label_quality import ema
from spark_ml_audit.kernels.model_quality import model_quality
from spark_ml_audit.kernels.trust import class_trust
from spark_ml_audit.kernels.usefulness import usefulness
from spark_ml_audit.kernels.whole_audit import audit_arrays
from tests.benchmarks.real_sets import Bools, Floats, RealSet, load, with_errors
from tests.paths import SHARED_DATA

CASES = (
    ("movies_wikidata", "random"),
    ("movies_wikidata", "by item"),
    ("goemotions", "random"),
    ("goemotions", "by item"),
    ("debtags", "evidence"),
)
FIRST = (30, 100)
_ALPHA = 0.8
Order = npt.NDArray[np.int64]


def main() -> None:
    """Print a table per set and kind of error."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.lists", description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--keep", type=Path, help="folder for the probabilities, to use them again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name, kind in CASES:
            print(f"\n{name}, errors {kind}", flush=True)
            table = load(options.data, name)
            given = table.given if kind == "evidence" else with_errors(table.given, kind)
            probs = probabilities(table, given, folder / f"{name}-{kind.replace(' ', '_')}.npy")
            for line in measured(table, given, probs, evidence=kind == "evidence"):
                print(line, flush=True)


def probabilities(table: RealSet, given: Bools, file: Path) -> Floats:
    """Out-of-fold probabilities by `predict` with its defaults, from the text alone."""
    if file.exists():
        return np.load(file)
    names = np.array(table.classes, dtype=object)
    tags = [names[row].tolist() for row in given]
    frame = pd.DataFrame({"id": table.ids, "text": table.texts, "labels": tags})
    found = predict(frame, classes=table.classes, features={"text": ["text"]}).to_pandas()
    place = {key: row for row, key in enumerate(table.ids)}
    probs = np.empty(given.shape, dtype=np.float32)
    probs[[place[key] for key in found["id"]]] = np.stack(found["pred_probs"].to_list())
    np.save(file, probs)
    return probs


def measured(table: RealSet, given: Bools, probs: Floats, *, evidence: bool) -> list[str]:
    """Lines of shares of errors among the first cells, by direction and order."""
    audit = audit_arrays(given, probs)
    wrong = table.given ^ given
    if evidence:
        assert table.proved is not None
        wrong = table.proved & ~given
    lines = [f"  {'':10} {'flags':>7}  {'order':28}" + "".join(f"  P@{number:<4}" for number in FIRST)]
    for side, direction in enumerate(("missing", "extraneous")):
        rows, cols = getattr(audit.applied, direction)
        if evidence:  # only some tags can be proved, and only that they are missing
            kept = table.with_rule[cols] & (direction == "missing")
            rows, cols = rows[kept], cols[kept]
        if not len(rows):
            continue
        right = wrong[rows, cols]
        for name, order in orders(given, probs, audit, rows, cols, side).items():
            shares = "".join(f"  {right[order[:number]].mean():.2f}  " for number in FIRST)
            lines.append(f"  {direction:10} {len(rows):7,}  {name:28}{shares}")
        lines.append(
            f"  {direction:10} {len(rows):7,}  {'random':28}" + f"  {right.mean():.2f}  " * len(FIRST)
        )
    return lines


def orders(given: Bools, probs: Floats, audit: Any, rows: Order, cols: Order, side: int) -> dict[str, Order]:
    """Orders of the flagged cells of a direction, by name."""
    quality = model_quality(audit.profile)
    weights = usefulness(quality.auc, quality.average_precision, list(class_trust(quality)))
    values = probs[rows, cols].astype(np.float64)
    doubt = values if side == 0 else 1 - values
    scores = ema(self_confidence(probs.astype(np.float64), *np.nonzero(given)), _ALPHA)[rows]
    return {
        "the list": np.lexsort((-weights.weight[cols, side] * doubt, weights.tier[cols, side])),
        "rows by rank, then cells": np.lexsort((-doubt, scores)),
        "all cells by score": np.argsort(-doubt, kind="stable"),
        "most tags first": np.lexsort((-doubt, -given.sum(axis=1)[rows])),
    }


if __name__ == "__main__":
    main()
