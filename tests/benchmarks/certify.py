"""Does certified acceptance keep its promise? Planted errors, blind random decisions, a look after every few.

Example: python -m tests.benchmarks.certify --repeats 1000

Flagged cells have confidences and are right or wrong by a planted share that rises or falls with them. Cells
are drawn at random one after the other; after every few of them the largest proved set is asked for, as a
page does that shows progress. A promise is broken if at any look, of the proved set or of the cells in it
that were not judged, fewer than the bound are right.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass

import numpy as np

from spark_ml_audit.kernels.certify import NUM_BINS, Evidence, certify


@dataclass(frozen=True)
class Planted:
    """Share of right flags among the surest cells and among the least sure ones; straight between."""

    surest: float
    least_sure: float


@dataclass(frozen=True)
class Kept:
    """What came of the promises.

    Attributes:
        broken: Share of the repeats in which any look broke its promise.
        accepted: Mean share of all flagged cells that is proved after the last decision.
    """

    broken: float
    accepted: float


SCENARIOS = (
    Planted(0.899, 0.899),
    Planted(0.89, 0.89),
    Planted(0.95, 0.85),
    Planted(0.99, 0.8),
    Planted(1.0, 0.7),
    Planted(0.85, 0.93),
    Planted(0.95, 0.95),
    Planted(0.97, 0.97),
    Planted(0.99, 0.99),
)


def simulate(planted: Planted, *, size: int, judged: int, looks: int, repeats: int, bound: float) -> Kept:
    """Plant errors and look, over and over.

    Args:
        planted: Shares of right flags.
        size: Flagged cells.
        judged: Decisions in the end.
        looks: Decisions between two looks.
        repeats: How often.
        bound: Precision to prove.
    """
    rng = np.random.default_rng(11)
    found = [_once(rng, planted, size, judged, looks, bound) for _ in range(repeats)]
    return Kept(
        float(np.mean([broken for broken, _ in found])), float(np.mean([share for _, share in found]))
    )


def _once(
    rng: np.random.Generator, planted: Planted, size: int, judged: int, looks: int, bound: float
) -> tuple[bool, float]:
    confidence = np.sort(rng.beta(5, 2, size))
    bins = np.minimum((confidence * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    right = rng.random(size) < np.linspace(planted.least_sure, planted.surest, size)
    counts, order = np.bincount(bins, minlength=NUM_BINS), rng.permutation(size)
    broken, share = False, 0.0
    for number in range(looks, judged + 1, looks):
        drawn = order[:number]
        proved = certify(counts, Evidence(bins[drawn], right[drawn]), bound)
        share = proved.num_cells / size
        if proved.least_bin is None:
            continue
        inside = bins >= proved.least_bin
        is_open = inside.copy()
        is_open[drawn] = False
        sets = [right[inside], right[is_open]]
        broken |= any(bool(len(cells)) and bool(cells.mean() < bound) for cells in sets)
    return broken, share


def main() -> int:
    """Run all scenarios and print one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--size", type=int, default=3000)
    parser.add_argument("--judged", type=int, default=200)
    parser.add_argument("--looks", type=int, default=10)
    parser.add_argument("--bound", type=float, default=0.9)
    options = parser.parse_args()
    begun, rows = time.perf_counter(), []
    for planted in SCENARIOS:
        kept = simulate(planted, **vars(options))
        rows.append({**asdict(planted), **asdict(kept)})
        print(rows[-1], file=sys.stderr)
    print(json.dumps({**vars(options), "seconds": time.perf_counter() - begun, "scenarios": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
