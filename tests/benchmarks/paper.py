"""The benchmark of the paper on which the published label quality score rests, repeated.

Twenty synthetic sets (ten small, ten large; `tests.benchmarks.synthetic`), two models, five folds: one
logistic regression or random forest per class by scikit-learn's defaults, folds stratified by whole sets of
tags. Each score ranks the rows; AP@T is the average precision within the T rows that it ranks first, T the
number of rows with an error (or with at least two). Examples:

python -m tests.benchmarks.paper
python -m tests.benchmarks.paper --models forest --sizes large --forest-folds 5 --keep DIR

The forests of a large set (250 of 24,000 rows) cost 25 minutes of one core, so by default only one fold of
two of the ten sets is fitted, and AP@T is taken within the rows of that fold. `--keep` goes on from what is
there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier

from spark_ml_audit.kernels.cell_scores import adjust_pred_probs, cell_scores
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.label_quality import aggregate
from spark_ml_audit.kernels.profile import ClassProfile
from tests.benchmarks.synthetic import RECIPES, SEEDS, Bools, Floats, SyntheticSet, make_set

MODELS = ("logistic", "forest")
FOLDS = 5
# At least so many wrong tags in a row.
DEPTHS = (1, 2)


@dataclass(frozen=True)
class Score:
    """A score of rows, and its published means.

    Attributes:
        cells: Cell score; "adjusted" is self-confidence by corrected probabilities.
        method: How the K cell scores are drawn together; None: most tags first.
        value: Its parameter.
        published: (size, model) -> means of AP@T for any error and for at least two: of the authors' results
            file (data/scores/metrics.csv of their repository).
    """

    cells: str
    method: str | None
    value: float | None = None
    published: tuple[tuple[float, float], ...] = ()


# In the order small logistic, small forest, large logistic, large forest.
GROUPS = tuple((size, model) for size in RECIPES for model in MODELS)
_SELF = "self_confidence"
SCORES = {
    "EMA 0.8 (default)": Score(
        _SELF, "ema", 0.8, ((0.779, 0.620), (0.734, 0.392), (0.858, 0.649), (0.810, 0.507))
    ),
    "EMA 0.5": Score(_SELF, "ema", 0.5, ((0.729, 0.629), (0.666, 0.273), (0.821, 0.558), (0.798, 0.503))),
    "EMA 0.95": Score(_SELF, "ema", 0.95, ((0.793, 0.495), (0.783, 0.449), (0.875, 0.654), (0.812, 0.490))),
    "softmin 0.1": Score(
        _SELF, "softmin", 0.1, ((0.801, 0.237), (0.829, 0.112), (0.893, 0.466), (0.828, 0.426))
    ),
    "softmin 1": Score(
        _SELF, "softmin", 1.0, ((0.709, 0.599), (0.664, 0.275), (0.773, 0.468), (0.779, 0.475))
    ),
    "min": Score(_SELF, "min", None, ((0.796, 0.320), (0.811, 0.207), (0.881, 0.537), (0.808, 0.449))),
    "mean": Score(_SELF, "mean", None, ((0.651, 0.508), (0.605, 0.212), (0.760, 0.451), (0.777, 0.473))),
    "EMA 0.8, adjusted probabilities": Score("adjusted", "ema", 0.8),
    "EMA 0.8, entropy": Score("confidence_weighted_entropy", "ema", 0.8),
    "most tags first": Score(_SELF, None),
}
# EMA 0.8 as the paper itself prints it: its large sets were others than those of the results file.
PAPER = ((0.779, 0.621), (0.734, 0.392), (0.854, 0.638), (0.803, 0.489))


def out_of_fold(
    found: SyntheticSet, model: str, folds: int, jobs: int
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Floats]:
    """Rows of the first `folds` of the five folds, and their probabilities, shape (rows, K)."""
    _, sets = np.unique(found.given, axis=0, return_inverse=True)
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    rows, probs = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # sets of tags with fewer rows than folds
        for number, (train, test) in enumerate(splitter.split(sets, sets.ravel())):
            if number >= folds:
                break
            fitted = OneVsRestClassifier(_MAKE[model](jobs)).fit(found.features[train], found.given[train])
            rows.append(test)
            probs.append(fitted.predict_proba(found.features[test]))
    return np.concatenate(rows), np.concatenate(probs)


_MAKE: dict[str, Callable[[int], Any]] = {
    "logistic": lambda _: LogisticRegression(random_state=0),
    "forest": lambda jobs: RandomForestClassifier(random_state=0, n_jobs=jobs),
}


def row_scores(score: Score, given: Bools, probs: Floats) -> Floats:
    """Label quality of the rows, low for a likely error."""
    if score.method is None:
        return -given.sum(axis=1).astype(float)
    at = np.nonzero(given)
    cells = score.cells
    if cells == "adjusted":
        profile = ClassProfile(ProfileSpec.for_classes(given.shape[1], "float64"))
        profile.add_batch(probs, *at)
        thresholds = profile.thresholds()
        probs, cells = adjust_pred_probs(probs, thresholds.present, thresholds.absent), _SELF
    value = 0.0 if score.value is None else score.value
    return aggregate(cell_scores(probs, *at, cells), score.method, alpha=value, temperature=value)


def ap_at_t(wrong: Bools, quality: Floats) -> float:
    """Average precision within the rows ranked first, as many as are wrong."""
    number = int(wrong.sum())
    first = np.argsort(quality, kind="stable")[:number]
    return float(average_precision_score(wrong[first], -quality[first])) if wrong[first].any() else 0.0


def measure(size: str, seed: int, model: str, folds: int, jobs: int) -> dict[str, Any]:
    """AP@T of every score on one set."""
    started = time.monotonic()
    found = make_set(size, seed)
    rows, probs = out_of_fold(found, model, folds, jobs)
    given, wrong = found.given[rows], (found.truth != found.given)[rows].sum(axis=1)
    results: dict[str, Any] = {"seconds": 0.0}
    for name, score in SCORES.items():
        quality = row_scores(score, given, probs)
        results[name] = [ap_at_t(wrong >= depth, quality) for depth in DEPTHS]
    results["share"] = [float((wrong >= depth).mean()) for depth in DEPTHS]
    results["seconds"] = time.monotonic() - started
    return results


def table(results: dict[tuple[str, str], list[dict[str, Any]]]) -> list[str]:
    """Mean and standard deviation over the sets beside the published means, one line per score."""
    lines = []
    for depth, title in enumerate(("rows with any error", "rows with at least two")):
        lines += [f"AP@T, {title}: mean over the sets (published)", f"  {'':32}" + _titles(results)]
        for name, score in SCORES.items():
            cells = []
            for group, found in results.items():
                published = f"({score.published[GROUPS.index(group)][depth]:.3f})" if score.published else ""
                cells.append(f"{_mean(found, name, depth):.3f} {published:>7}")
            lines.append(f"  {name:32}" + "".join(f"{cell:>22}" for cell in cells))
        for name, text in (("share", "share of such rows"), ("paper", "EMA 0.8 as the paper prints it")):
            values = [
                PAPER[GROUPS.index(group)][depth] if name == "paper" else _mean(found, name, depth)
                for group, found in results.items()
            ]
            lines.append(f"  {text:32}" + "".join(f"{value:14.3f}{'':8}" for value in values))
        spread = [np.std([one["EMA 0.8 (default)"][depth] for one in found]) for found in results.values()]
        lines += [f"  {'deviation of EMA 0.8, sets':32}" + "".join(f"{s:14.3f}{'':8}" for s in spread), ""]
    return lines


def _titles(results: dict[tuple[str, str], list[dict[str, Any]]]) -> str:
    return "".join(
        f"{f'{size} {model} x{len(found)}':>22}" for (size, model), found in results.items() if found
    )


def _mean(found: list[dict[str, Any]], name: str, depth: int) -> float:
    return float(np.mean([one[name][depth] for one in found]))


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", nargs="+", choices=tuple(RECIPES), default=tuple(RECIPES))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS), help="sets of each size")
    parser.add_argument("--forest-sets", type=int, default=2, help="large sets with forests")
    parser.add_argument("--forest-folds", type=int, default=1, help="folds of them that are fitted, 1 to 5")
    parser.add_argument("--jobs", type=int, default=1, help="cores of a forest")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder for results, to go on from them")
    options = parser.parse_args()
    results: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for size, model in GROUPS:
        if size not in options.sizes or model not in options.models:
            continue
        slow = (size, model) == ("large", "forest")
        folds = options.forest_folds if slow else FOLDS
        seeds = options.seeds[: options.forest_sets] if slow else options.seeds
        results[size, model] = [_kept(options, size, seed, model, folds) for seed in seeds]
    print("\n".join(table({group: found for group, found in results.items() if found})))


def _kept(options: argparse.Namespace, size: str, seed: int, model: str, folds: int) -> dict[str, Any]:
    path = options.keep and options.keep / f"{size}-{seed}-{model}-{folds}.json"
    if path and path.exists():
        kept: dict[str, Any] = json.loads(path.read_text())
        return kept
    found = measure(size, seed, model, folds, options.jobs)
    print(f"{size} {seed} {model}: {found['seconds']:.0f} s", file=sys.stderr, flush=True)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))
    return found


if __name__ == "__main__":
    main()
