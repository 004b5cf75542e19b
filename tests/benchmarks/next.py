"""What to label next against random rows: the same model, trained on a start set and on what was chosen.

Example: python -m tests.benchmarks.next --data DIR

`DIR` holds movies_wikidata.parquet and goemotions.parquet. 30% of the rows (by a hash of their ids) test; of
the others some are labelled at the start, and every step labels more: the rows that a strategy chooses among
those without tags, all tags of each. Strategies see out-of-sample probabilities of the model trained on what
is labelled so far, its counts and the trust of its classes (3 folds); what is printed is the macro average
precision on the test rows of a model trained on what is labelled then. Nothing needs Spark.

- random: rows by the hash of their ids.
- doubt: the rows of the greatest mean doubt, min(p, 1 - p).
- next, by tags: `sample.how: next` where no column can be compared: doubt and need of classes.
- next: `sample.how: next`: doubt, need of classes, and novelty by hashed texts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from spark_ml_audit.arrow.hashes import hash_values
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.label_next import (
    batch_budget,
    cell_doubt,
    choose_next,
    class_need,
    nominate,
    nominations,
)
from spark_ml_audit.kernels.model_quality import model_quality
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.trust import GOOD, class_trust
from spark_ml_audit.models.bundle import TagModel
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.vectors import VectorEncoder
from tests.benchmarks.correction import Table, load, macro

STRATEGIES = ("random", "doubt", "next, by tags", "next")
SETS = {"movies_wikidata": None, "goemotions": 15_000}
_FOLDS = 3
_TEXTS = FeatureSpec(text=("text",))
# Labelled rows that novelty is measured by, as in the product.
_REFERENCE = 2000


class Simulation:
    """One set and one start."""

    def __init__(self, table: Table, seed: int, start: int, step: int) -> None:
        self.table, self.step = table, step
        self.hashes = hash_values(_ids(table), seed)
        rows = np.flatnonzero(table.train)
        self.pool = rows[np.argsort(self.hashes[rows], kind="stable")]
        self.start = self.pool[:start]
        self.test = np.flatnonzero(~table.train)

    def run(self, strategy: str, steps: int) -> list[float]:
        """Macro average precision at the start and after every step."""
        labelled, found = self.start, []
        for _ in range(steps):
            model = self.fit(labelled)
            found.append(self.score(model))
            left = np.setdiff1d(self.pool, labelled, assume_unique=True)
            left = left[np.argsort(self.hashes[left], kind="stable")]
            labelled = np.concatenate([labelled, left[self.choose(strategy, model, labelled, left)]])
        return [*found, self.score(self.fit(labelled))]

    def fit(self, rows: np.ndarray) -> TagModel:
        at, cols = np.nonzero(self.table.given[rows])
        names = [str(k) for k in range(self.table.given.shape[1])]
        frame = self.table.frame.iloc[rows].reset_index(drop=True)
        keys = self.table.keys[rows]
        return TagModel.fit(frame, at, cols, names, self.table.spec, "auto", order_keys=keys)

    def predict(self, model: TagModel, rows: np.ndarray) -> np.ndarray:
        return model.predict_proba(self.table.frame.iloc[rows].reset_index(drop=True))

    def score(self, model: TagModel) -> float:
        return macro(self.table.given[self.test], self.predict(model, self.test), self.table.scored)

    def choose(self, strategy: str, model: TagModel, labelled: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Positions of the chosen rows in `left`, which lies in the order of the hashes."""
        if strategy == "random":
            return np.arange(self.step)
        probs = self.predict(model, left)
        if strategy == "doubt":
            return np.argsort(-cell_doubt(probs).mean(axis=1), kind="stable")[: self.step]
        budget = batch_budget(class_need(*self.counts(labelled)), self.step)
        named = nominate(cell_doubt(probs), self.hashes[left], nominations(budget))
        candidates = np.unique(np.concatenate([rows for _, rows in named]))
        near = self.vectors(labelled, left[candidates]) if strategy == "next" else (None, None)
        chosen = choose_next(probs[candidates], self.hashes[left[candidates]], budget, *near)
        return candidates[[one.row for one in chosen]]

    def counts(self, labelled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Given tags of every class, and whether an audit of the labelled rows would trust it."""
        given = self.table.given[labelled]
        profile = ClassProfile(ProfileSpec.for_classes(given.shape[1], "float32"))
        fold = np.arange(len(labelled)) % _FOLDS
        for k in range(_FOLDS):
            model, own = self.fit(labelled[fold != k]), np.flatnonzero(fold == k)
            profile.add_batch(self.predict(model, labelled[own]), *np.nonzero(given[own]))
        trust = class_trust(model_quality(profile))
        return given.sum(axis=0), np.array([one == GOOD for one in trust])

    def vectors(self, labelled: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors of the candidates and of labelled rows, fitted on the latter."""
        known = self.table.frame.iloc[labelled[:_REFERENCE]][["text"]].reset_index(drop=True)
        others = self.table.frame.iloc[candidates][["text"]].reset_index(drop=True)
        with threadpool_limits(limits=1):
            encoder = VectorEncoder.fit(known, _TEXTS, {})
        return encoder.transform(others, {})[0], encoder.transform(known, {})[0]


def _ids(table: Table) -> Any:
    import pyarrow as pa

    return pa.array(table.frame["id"].tolist())


def simulate(table: Table, seeds: Sequence[int], options: argparse.Namespace) -> list[dict[str, Any]]:
    """All strategies from the same starts."""
    rows = []
    for seed in seeds:
        simulation = Simulation(table, seed, options.start, options.step)
        for strategy in options.strategies:
            started = time.monotonic()
            found = simulation.run(strategy, options.steps)
            row = {"set": table.name, "seed": seed, "strategy": strategy, "found": found}
            print(f"{json.dumps(row)} {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def lines(rows: list[dict[str, Any]], options: argparse.Namespace) -> list[str]:
    """Means over the seeds, and by how much each strategy is ahead of random, with its standard error."""
    said = []
    sizes = [options.start + k * options.step for k in range(options.steps + 1)]
    for name in dict.fromkeys(row["set"] for row in rows):
        said.append(f"{name}: macro average precision, {len(options.seeds)} starts")
        said.append(f"  {'rows labelled':16}" + "".join(f"{size:>9,}" for size in sizes) + f"{'ahead':>18}")
        found = {
            strategy: np.array([r["found"] for r in rows if r["set"] == name and r["strategy"] == strategy])
            for strategy in options.strategies
        }
        for strategy, values in found.items():
            means = "".join(f"{value:9.4f}" for value in values.mean(axis=0))
            ahead = ""
            if strategy != "random" and "random" in found:
                apart = (values - found["random"])[:, 1:].mean(axis=1)
                ahead = f"{apart.mean():+.4f} +- {apart.std(ddof=1) / len(apart) ** 0.5:.4f}"
            said.append(f"  {strategy:16}{means}{ahead:>18}")
        said.append("")
    return said


def main() -> None:
    """Command line of the simulation."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.next",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=tuple(SETS))
    parser.add_argument("--strategies", nargs="+", choices=STRATEGIES, default=STRATEGIES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--start", type=int, default=500, help="rows labelled at the start")
    parser.add_argument("--step", type=int, default=250, help="rows labelled in every step")
    parser.add_argument("--steps", type=int, default=6)
    options = parser.parse_args()
    rows = []
    for name in options.sets:
        rows += simulate(load(options.data, name, rows=SETS[name]), options.seeds, options)
    print("\n".join(lines(rows, options)))


if __name__ == "__main__":
    main()
