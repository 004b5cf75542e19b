"""Does an order that learns from decisions find errors sooner among the undecided flags?

Errors whose places are known are put into the tags of real sets, out-of-fold probabilities are trained on
these tags by `predict` with its defaults, and a reviewer who knows the truth decides 200 flagged cells: 40
drawn at random from all flags, 80 from the top of either list. The flags that are left are put in order
without and with what was learned, and compared by average precision: how soon the errors among them come.
Needs the real data sets in ../shared/data. Example:

python -m tests.benchmarks.decisions --keep /tmp/lists
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score

from spark_ml_audit.kernels.learned_order import DecidedCells, FloatArray, IntArray, averaged, fit_order
from spark_ml_audit.kernels.trust import class_trust
from spark_ml_audit.kernels.usefulness import usefulness
from spark_ml_audit.kernels.whole_audit import audit_arrays
from tests.benchmarks.lists import probabilities
from tests.benchmarks.real_sets import SETS, Bools, Floats, RealSet, load, with_errors
from tests.paths import SHARED_DATA

KINDS = ("random", "by item", "by class")
DECISIONS, RANDOM_SHARE = 200, 0.2
_BY_CLASS = (0.5, 4.5)
"""Beta distribution of a class's share of dropped, and of wrongly given tags: a tenth on average."""

COLUMNS = ("additions", "removals", "all flags")


def main() -> None:
    """Print a table per set and kind of error."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.decisions", description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument(
        "--probs",
        default="trained",
        choices=("trained", "shared"),
        help="trained on the tags with errors, or the shared data's own, which never saw them",
    )
    parser.add_argument("--keep", type=Path, help="folder for the probabilities, to use them again")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.sets:
            table = load(options.data, name)
            for kind in options.kinds:
                given = by_class(table.given) if kind == "by class" else with_errors(table.given, kind)
                probs = table.reference
                if options.probs == "trained":
                    probs = probabilities(table, given, folder / f"{name}-{kind.replace(' ', '_')}.npy")
                flags = Flags.of(table, given, probs)
                many = f"{len(flags.rows):,} flags, {flags.wrong.mean():.0%} right"
                print(f"\n{name}, errors {kind}, {options.probs}: {many}")
                for line in report([flags.simulated(seed) for seed in range(options.seeds)]):
                    print(line, flush=True)


def by_class(truth: Bools) -> Bools:
    """Tags of which every class has lost and gained a share of its own."""
    rng = np.random.default_rng(20220611)
    dropped, added = rng.beta(*_BY_CLASS, size=(2, truth.shape[1]))
    share = truth.mean(axis=0)
    flips = rng.random(truth.shape) < np.where(truth, dropped, added * share / (1 - share))
    wrong: Bools = truth ^ flips
    return wrong


@dataclass(frozen=True, eq=False)
class Flags:
    """The flagged cells of an audit; side 0 for missing, 1 for extraneous."""

    rows: IntArray
    classes: IntArray
    sides: IntArray
    probs: FloatArray
    wrong: Bools
    auc: FloatArray
    average_precision: FloatArray
    trust: list[str | None]

    @classmethod
    def of(cls, table: RealSet, given: Bools, probs: Floats) -> Flags:
        audit = audit_arrays(given, probs)
        pairs = (audit.applied.missing, audit.applied.extraneous)
        rows, classes = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
        sides = np.repeat([0, 1], [len(pair[0]) for pair in pairs])
        wrong = (table.given ^ given)[rows, classes]
        quality = audit.quality
        trust: list[str | None] = [*class_trust(quality)]
        values = probs[rows, classes].astype(np.float64)
        return cls(rows, classes, sides, values, wrong, quality.auc, quality.average_precision, trust)

    @property
    def confidence(self) -> FloatArray:
        """Of the model that the given value is wrong."""
        found: FloatArray = np.where(self.sides == 0, self.probs, 1 - self.probs)
        return found

    def listed(self, decided: Bools | None, wrong: FloatArray | None = None) -> FloatArray:
        """Keys of the lists as the product has them, greatest first; with what was learned, if anything."""
        counts = None
        if decided is not None:
            counts = np.zeros((2, len(self.auc), 2), dtype=np.int64)
            at = self.classes[decided], self.sides[decided]
            np.add.at(counts[0], at, 1)
            np.add.at(counts[1], at, self.wrong[decided].astype(np.int64))
        known = (None, None) if counts is None else counts
        order = usefulness(self.auc, self.average_precision, self.trust, *known)
        score = order.weight[self.classes, self.sides] * self.confidence
        score = score if wrong is None else averaged(score, wrong)
        keys = np.empty(len(score))
        keys[np.lexsort((-score, order.tier[self.classes, self.sides]))] = np.arange(len(score), 0, -1)
        return keys

    def decided(self, seed: int, random_share: float) -> tuple[Bools, Bools]:
        """Which cells are decided, and which of them were drawn at random."""
        rng, number = np.random.default_rng(seed), int(DECISIONS * random_share)
        drawn = np.zeros(len(self.rows), dtype=bool)
        drawn[rng.choice(len(drawn), number, replace=False)] = True
        found, keys = drawn.copy(), self.listed(None)
        for side in (0, 1):
            open_ = np.flatnonzero((self.sides == side) & ~drawn)
            found[open_[np.argsort(-keys[open_])][: (DECISIONS - number) // 2]] = True
        return found, drawn

    def learned(self, decided: Bools, drawn: Bools) -> FloatArray:
        """The chance that each cell is wrong, learned from the decided ones."""
        present = self.wrong ^ (self.sides == 1)
        cells = DecidedCells(
            self.probs[decided],
            self.sides[decided] == 1,
            self.classes[decided],
            present[decided],
            drawn[decided],
        )
        return fit_order(cells).wrong(self.probs, self.sides == 1, self.classes)

    def simulated(self, seed: int) -> dict[str, list[float]]:
        """Average precision of the undecided cells of either list, and of all by their score alone."""
        decided, drawn = self.decided(seed, RANDOM_SHARE)
        wrong = self.learned(decided, drawn)
        top, none = self.decided(seed, 0.0)
        by_top = self.learned(top, none)
        confidence = self.confidence
        return {
            "without decisions": self._scored(~decided, self.listed(None), confidence),
            "before: shares of right flags": self._scored(~decided, self.listed(decided), confidence),
            "learned": self._scored(~decided, self.listed(decided, wrong), averaged(confidence, wrong)),
            "learned, none random": self._scored(
                ~top, self.listed(top, by_top), averaged(confidence, by_top)
            ),
            "  before that": self._scored(~top, self.listed(top), confidence),
        }

    def _scored(self, rest: Bools, keys: FloatArray, scores: FloatArray) -> list[float]:
        lists = [rest & (self.sides == side) for side in (0, 1)]
        found = [average_precision_score(self.wrong[own], keys[own]) for own in lists]
        return [*map(float, found), float(average_precision_score(self.wrong[rest], scores[rest]))]


def report(runs: list[dict[str, list[float]]]) -> Iterator[str]:
    """Means over the seeds; of what was learned also the difference, with its least and greatest."""
    yield f"  {'':32}" + "".join(f"{name:>28}" for name in COLUMNS)
    values = {name: np.array([run[name] for run in runs]) for name in runs[0]}
    for name, found in values.items():
        yield f"  {name:32}" + "".join(f"{value:28.3f}" for value in found.mean(axis=0))
    pairs = {"learned": "before: shares of right flags", "learned, none random": "  before that"}
    for name, earlier in pairs.items():
        gain = values[name] - values[earlier]
        cells = zip(gain.mean(axis=0), gain.min(axis=0), gain.max(axis=0), strict=True)
        text = "".join(f"{f'{mean:+.3f} ({low:+.3f} to {high:+.3f})':>28}" for mean, low, high in cells)
        yield f"  {'gain, ' + name:32}{text}"


if __name__ == "__main__":
    main()
