"""What thresholds with a least precision give and cost, on the shared sets; how often bounds hold.

Example: python -m tests.benchmarks.tagging --data ../shared/data

By the product's own kernels on the sets' out-of-fold probabilities, against the best F1 of every class (what
`predict --fit-final` chose before). "Halves": thresholds and bounds from half of the rows, precision on the
other half, ten times. "Simulated": the classes of `tests/unit/kernels/test_tagging.py`, whose true precision
is known.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from spark_ml_audit.kernels.float_keys import from_keys
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.tagging import choose_thresholds, tagging_evidence
from tests.benchmarks.real_sets import SETS, Bools, Floats, load
from tests.unit.kernels.test_tagging import REPEATS, SCENARIOS, held, uncorrected

_REPEATS = 10
_SEEDS = 4
_LEAST = (0.5, 0.8)


def profile_of(probs: Floats, given: Bools) -> ClassProfile:
    """The profile that thresholds are chosen from."""
    profile = ClassProfile(ProfileSpec.for_classes(probs.shape[1], np.float32))
    profile.add_batch(np.ascontiguousarray(probs, dtype=np.float32), *np.nonzero(given))
    return profile


def best_f1(profile: ClassProfile) -> Floats:
    """Per class the threshold of the best F1, whatever its precision."""
    present, absent = (
        np.cumsum(side[:, ::-1], axis=1) for side in (profile.present_histogram, profile.absent_histogram)
    )
    best = np.argmax(2 * present / (present + absent + profile.num_present[:, None]), axis=1)
    edges = from_keys(profile.spec.bin_edges()[:-1], profile.spec.dtype).astype(np.float64)
    return np.asarray(edges[::-1][best])


def costs(name: str, probs: Floats, given: Bools) -> list[str]:
    """Rows of a table: what each choice of thresholds tags."""
    profile = profile_of(probs, given)
    evidence = tagging_evidence(profile)
    choices = {"best F1, as before": best_f1(profile)}
    choices |= {f"`min_precision` {least}": choose_thresholds(evidence, least).threshold for least in _LEAST}
    lines = []
    for said, thresholds in choices.items():
        tagged = probs >= thresholds
        right, number = int((tagged & given).sum()), int(tagged.sum())
        figures = (right / number, right / given.sum(), 2 * right / (number + given.sum()))
        classes = f"{(thresholds <= 1).sum()} of {len(thresholds)}"
        shown = " | ".join(f"{figure:.3f}" for figure in figures)
        lines.append(f"| {name} | {said} | {classes} | {number / len(given):.2f} | {shown} |")
    return lines


def halves(probs: Floats, given: Bools) -> tuple[int, int, int]:
    """Classes given; those below their bound, and below the least precision, on rows not chosen from."""
    counts = np.zeros(3, dtype=np.int64)
    for seed in range(_REPEATS):
        order = np.random.default_rng(seed).permutation(len(given))
        one, other = order[: len(order) // 2], order[len(order) // 2 :]
        choice = choose_thresholds(tagging_evidence(profile_of(probs[one], given[one])), _LEAST[0])
        tagged = probs[other] >= choice.threshold
        seen = choice.is_tagged & tagged.any(axis=0)
        precision = (tagged & given[other]).sum(axis=0)[seen] / tagged.sum(axis=0)[seen]
        counts += [seen.sum(), (precision < choice.bound[seen]).sum(), (precision < _LEAST[0]).sum()]
    number, below_bound, below_least = counts.tolist()
    return number, below_bound, below_least


def main() -> None:
    """Print all parts."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tagging", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    tables = [load(options.data, name) for name in SETS]
    print("| set | thresholds | classes given | tags per row | precision | recall | F1 |")
    for table in tables:
        print("\n".join(costs(table.name, table.reference, table.given)))
    for table in tables:
        number, below_bound, below_least = halves(table.reference, table.given)
        print(f"halves, {table.name}: {number} given, {below_bound} below the bound, {below_least} below .5")
    for name in SCENARIOS:
        runs = [(held(name, seed)[0], held(name, seed, uncorrected)[0]) for seed in range(_SEEDS)]
        together, alone = np.mean(runs, axis=0)
        print(f"simulated, {name}: {together:.4f} of {_SEEDS * REPEATS} held, uncorrected {alone:.4f}")


if __name__ == "__main__":
    main()
