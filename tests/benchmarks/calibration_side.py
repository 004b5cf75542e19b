"""The child process of the calibration benchmark: badly calibrated probabilities out of fold."""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neural_network import MLPClassifier

from tests.benchmarks.real_sets import RealSet, load, with_errors

KINDS = {
    "network": "hidden layer of 256, 60 epochs at 0.005",
    "network, longer": "the same, 150 epochs",
    "forest of 10": "10 whole trees",
    "forest of 100": "100 whole trees",
}
"""Models, by what they are."""

_EPOCHS = {"network": 60, "network, longer": 150}
_TREES = {"forest of 10": 10, "forest of 100": 100}
_DIMENSIONS = 300
_SEED = 20221117


def rows_of(table: RealSet, most: int) -> npt.NDArray[np.int64]:
    """Rows that are used: all, or so many drawn once."""
    if len(table.ids) <= most:
        return np.arange(len(table.ids))
    drawn = np.random.default_rng(_SEED).choice(len(table.ids), most, replace=False)
    return np.sort(drawn)


def model_of(kind: str, seed: int) -> Any:
    """A network trained until it knows its rows by heart, or a forest of whole trees."""
    if kind in _EPOCHS:
        return MLPClassifier(
            (256,),
            alpha=0.0,
            learning_rate_init=0.005,
            batch_size=200,
            max_iter=_EPOCHS[kind],
            n_iter_no_change=_EPOCHS[kind],
            random_state=seed,
        )
    return RandomForestClassifier(_TREES[kind], n_jobs=1, random_state=seed)


def out_of_fold(
    features: npt.NDArray[np.float32], given: npt.NDArray[np.bool_], fold: npt.NDArray[np.int64], kind: str
) -> npt.NDArray[np.float64]:
    """Probabilities of each row by a model that has not seen it, shape (n, K)."""
    probs = np.zeros(given.shape)
    for number in np.unique(fold).tolist():
        own = fold == number
        model = model_of(kind, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is stopped when it has overfitted
            model.fit(features[~own], given[~own])
        found = model.predict_proba(features[own])
        if isinstance(found, list):  # a forest: two columns per class, one where all rows are alike
            found = np.column_stack(
                [part[:, -1] if part.shape[1] > 1 else np.zeros(len(part)) for part in found]
            )
        probs[own] = found
    return probs


def main() -> None:
    """Entry point of the child process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for the probabilities")
    parser.add_argument("requests", nargs="+", help="JSON: name, set, kind, noise, rows")
    options = parser.parse_args()
    seen: tuple[str, RealSet, Any, Any] | None = None
    for request in map(json.loads, options.requests):
        if seen is None or seen[0] != request["set"]:
            table = load(options.data, request["set"])
            rows = rows_of(table, request["rows"])
            words = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2), max_features=50_000)
            sparse = words.fit_transform([table.texts[i] for i in rows])
            dense = TruncatedSVD(_DIMENSIONS, random_state=0).fit_transform(sparse)
            dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-9)
            seen = request["set"], table, rows, dense.astype(np.float32)
        _, table, rows, features = seen
        noise = request["noise"]
        given = (table.given if noise is None else with_errors(table.given, noise))[rows]
        start = time.perf_counter()
        probs = out_of_fold(features, given, table.fold[rows], request["kind"])
        np.save(options.work / f"{request['name']}.npy", probs)
        took = {"seconds": round(time.perf_counter() - start, 1)}
        (options.work / f"{request['name']}.json").write_text(json.dumps(took))
        print(json.dumps({**request, **took}), flush=True)


if __name__ == "__main__":
    main()
