"""Does correcting help? The same model, trained on original and on corrected tags, scored on trusted ones.

Example: python -m tests.benchmarks.correction --data DIR

`DIR` holds movies_wikidata.parquet and debtags.parquet (id, text, labels; evidence_labels). A table is split
by a hash of its ids; noise, audit and correction happen in the training part, trusted tags of the other part
decide. The audit is the product's own kernels on out-of-fold predictions, as `predict` and `audit` compute
them; the corrections follow the rules of `correct`: automatic acceptance above a confidence, or verdicts (of
a simulated reviewer who knows the trusted tags) on the flagged cells of the worst rows. Nothing needs Spark.

- noisy: tags of films and debtags are taken to be right; 30% of the given ones are dropped and wrong ones
  added (a tenth of their number, tags drawn by how common they are).
- evidence: debtags as they are; of 18 tags, dependencies and archive section prove cells that volunteers
  forgot. Trusted: given or proved. "Forgotten": average precision of proved cells among those not given.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.resolve import PruneOptions, Resolver
from spark_ml_audit.kernels.resolve_counts import count_batch
from spark_ml_audit.kernels.rules import AppliedBatch, AuditRules, Scoring, apply_rules
from spark_ml_audit.models.bundle import TagModel
from spark_ml_audit.models.features import FeatureSpec

FOLDS = 3
TEST_SHARE = 0.3
DROPPED, ADDED = 0.3, 0.1
ACCEPT = (0.5, 0.7, 0.9)
REVIEWED = (500, 2000)


@dataclass(frozen=True)
class Table:
    """A table with trusted tags, split into training and test rows."""

    name: str
    frame: pd.DataFrame
    given: np.ndarray
    trusted: np.ndarray
    train: np.ndarray
    spec: FeatureSpec
    keys: np.ndarray
    scored: np.ndarray  # classes that count


def load(folder: Path, name: str, *, rows: int | None = None) -> Table:
    """Read a table; classes with at least 100 uses."""
    data = pd.read_parquet(folder / f"{name}.parquet").head(rows)
    uses = data["labels"].explode().value_counts()
    classes = sorted(uses.index[uses >= 100])
    given = multi_hot(data["labels"], classes)
    keys = np.array([zlib.crc32(text.encode()) for text in data["id"]], dtype=np.int64)
    train = keys % 1000 >= 1000 * TEST_SHARE
    trusted, scored = given, np.arange(len(classes))
    if "evidence_labels" in data:
        proved = multi_hot(data["evidence_labels"], classes)
        trusted = given | proved
        scored = np.flatnonzero(proved.any(axis=0))
    numeric = tuple(column for column in ("runtime", "year") if column in data)
    return Table(
        name, data, given, trusted, train, FeatureSpec(text=("text",), numeric=numeric), keys, scored
    )


def multi_hot(lists: pd.Series, classes: list[str]) -> np.ndarray:
    """Lists of names as a bool matrix."""
    position = {name: k for k, name in enumerate(classes)}
    found = np.zeros((len(lists), len(classes)), dtype=bool)
    for i, tags in enumerate(lists):
        found[i, [position[tag] for tag in tags if tag in position]] = True
    return found


def add_noise(tags: np.ndarray, seed: int) -> np.ndarray:
    """Drop given tags and add wrong ones."""
    rng = np.random.default_rng(seed)
    noisy = tags & (rng.random(tags.shape) >= DROPPED)
    share = tags.mean(axis=0)
    chance = ADDED * tags.sum() / max(1.0, ((~tags) * share).sum())
    return noisy | (~tags & (rng.random(tags.shape) < chance * share))


class Experiment:
    """One table, one model, several versions of its training tags."""

    def __init__(self, table: Table, original: np.ndarray, kind: str) -> None:
        self.table, self.original, self.kind = table, original, kind
        self.frame = table.frame[table.train].reset_index(drop=True)
        self.test = table.frame[~table.train].reset_index(drop=True)
        self.keys = table.keys[table.train]

    def fit(self, rows: np.ndarray, tags: np.ndarray) -> TagModel:
        at, cols = np.nonzero(tags)
        return TagModel.fit(
            self.frame.iloc[rows].reset_index(drop=True),
            at,
            cols,
            [str(k) for k in range(tags.shape[1])],
            self.table.spec,
            self.kind,
            order_keys=self.keys[rows],
        )

    def audit(self) -> tuple[np.ndarray, AppliedBatch]:
        """Out-of-fold probabilities of the original training tags, and what an audit flags."""
        probs = np.zeros(self.original.shape, dtype=np.float32)
        fold = (self.keys // 1000) % FOLDS
        for k in range(FOLDS):
            others = np.flatnonzero(fold != k)
            model = self.fit(others, self.original[others])
            own = np.flatnonzero(fold == k)
            probs[own] = model.predict_proba(self.frame.iloc[own])
        rows, cols = np.nonzero(self.original)
        profile = ClassProfile(ProfileSpec.for_classes(probs.shape[1], "float32"))
        profile.add_batch(probs, rows, cols)
        resolver = Resolver(profile, PruneOptions())
        while (request := resolver.request) is not None:
            parts = list(count_batch(request, probs, rows, cols))
            resolver.update({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
        found = resolver.resolution
        rules = AuditRules(found.thresholds, found.cutoffs, Scoring())
        return probs, apply_rules(probs, rows, cols, rules)

    def score(self, tags: np.ndarray) -> dict[str, float]:
        """Macro average precision on trusted tags of the test rows, of a model trained on these tags."""
        probs = self.fit(np.arange(len(tags)), tags).predict_proba(self.test)
        trusted = self.table.trusted[~self.table.train]
        given = self.table.given[~self.table.train]
        found = {"macro AP": macro(trusted, probs, self.table.scored)}
        if (trusted != given).any():
            keep = ~given
            parts = [
                average_precision_score(trusted[keep[:, k], k], probs[keep[:, k], k])
                for k in self.table.scored
                if trusted[keep[:, k], k].any()
            ]
            found["forgotten"] = float(np.mean(parts))
        return found


def macro(truth: np.ndarray, probs: np.ndarray, classes: np.ndarray) -> float:
    """Mean average precision over classes with a positive."""
    return float(
        np.mean([average_precision_score(truth[:, k], probs[:, k]) for k in classes if truth[:, k].any()])
    )


def accept(original: np.ndarray, probs: np.ndarray, found: AppliedBatch, limit: float) -> np.ndarray:
    """What `correct.accept_above` makes of the tags."""
    tags = original.copy()
    for (rows, cols), value in ((found.missing, True), (found.extraneous, False)):
        sure = probs[rows, cols] >= limit if value else 1 - probs[rows, cols] >= limit
        tags[rows[sure], cols[sure]] = value
    return tags


def judge(
    original: np.ndarray, truth: np.ndarray, found: AppliedBatch, number: int
) -> tuple[np.ndarray, int]:
    """Tags after verdicts on the flagged cells of the worst rows, and how many cells were judged."""
    issues = np.flatnonzero(found.is_issue)
    worst = issues[np.argsort(found.label_quality[issues], kind="stable")[:number]]
    tags, judged = original.copy(), 0
    for rows, cols in (found.missing, found.extraneous):
        own = np.isin(rows, worst)
        judged += int(own.sum())
        tags[rows[own], cols[own]] = truth[rows[own], cols[own]]
    return tags, judged


def judge_at_random(original: np.ndarray, truth: np.ndarray, cells: int, seed: int) -> np.ndarray:
    """Tags after verdicts on as many cells, drawn at random."""
    tags = original.copy().ravel()
    drawn = np.random.default_rng(seed).choice(tags.size, cells, replace=False)
    tags[drawn] = truth.ravel()[drawn]
    return tags.reshape(original.shape)


def run(table: Table, kind: str, *, noisy: bool, seed: int) -> list[dict[str, Any]]:
    """All versions of one table's training tags, scored."""
    truth = table.trusted[table.train]
    if noisy:
        truth = table.given[table.train]
        table = Table(**{**table.__dict__, "trusted": table.given, "scored": np.arange(truth.shape[1])})
    original = add_noise(truth, seed) if noisy else table.given[table.train]
    experiment = Experiment(table, original, kind)
    probs, found = experiment.audit()
    versions: list[tuple[str, Callable[[], np.ndarray]]] = [("as found", lambda: original)]
    versions += [
        (f"accept above {limit}", lambda limit=limit: accept(original, probs, found, limit))
        for limit in ACCEPT
    ]
    for number in REVIEWED:
        tags, judged = judge(original, truth, found, number)
        versions.append((f"worst {number} rows judged ({judged} cells)", lambda tags=tags: tags))
    blind = judge_at_random(original, truth, judged, seed)
    versions.append((f"random cells judged ({judged})", lambda: blind))
    versions.append(("trusted tags", lambda: truth))
    result = []
    for name, make in versions:
        started, tags = time.monotonic(), make()
        scores = experiment.score(tags)
        changed = int((tags != original).sum())
        right = int(((tags != original) & (tags == truth)).sum())
        row = {
            "table": f"{table.name}, {'noisy' if noisy else 'evidence'}",
            "training tags": name,
            "wrong cells": int((tags != truth).sum()),
            "changed": changed,
            "rightly": right,
            **scores,
        }
        print(f"{json.dumps(row)} {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        result.append(row)
    return result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the Parquet files")
    parser.add_argument("--model", default="linear", help="kind of model, as in model.kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("films", "debtags", "evidence"), nargs="*")
    parser.add_argument("--rows", type=int, help="first rows of each table only")
    options = parser.parse_args()
    only = options.only or ("films", "debtags", "evidence")
    rows: list[dict[str, Any]] = []
    for part, name, noisy in (
        ("films", "movies_wikidata", True),
        ("debtags", "debtags", True),
        ("evidence", "debtags", False),
    ):
        if part in only:
            table = load(options.data, name, rows=options.rows)
            rows += run(table, options.model, noisy=noisy, seed=options.seed)
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.4f}", na_rep=""))


if __name__ == "__main__":
    main()
