"""Fits and predictions to be measured: the product's and plain scikit-learn's; run in a process of its own.

Every request is one JSON object; a line of JSON with its time is printed for each.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from tests.benchmarks.memory import CpuMeter
from tests.benchmarks.real_sets import Bools, Floats, RealSet, load, macro, with_errors

_CPU = CpuMeter(os.getpid())


def by_product(spark: Any, table: RealSet, given: Bools, kind: str, work: Path) -> tuple[Floats, Any]:
    """Out-of-fold probabilities by `predict` with its defaults, and what it took."""
    from spark_ml_audit import predict

    names = np.array(table.classes, dtype=object)
    frame = pd.DataFrame(
        {"id": table.ids, "text": table.texts, "labels": [names[row].tolist() for row in given]}
    )
    source = work / "source.parquet"
    frame.to_parquet(source, row_group_size=2000)
    started, used = time.monotonic(), _CPU.look()
    result = predict(
        spark.read.parquet(str(source)).repartition(8, "id"),
        classes=table.classes,
        features={"text": ["text"]},
        kind=kind,
    )
    found = result.predictions.select("id", "pred_probs").toPandas()
    took = {"seconds": time.monotonic() - started, "cpu": _CPU.look() - used}
    place = {key: row for row, key in enumerate(table.ids)}
    probs = np.empty(given.shape, dtype=np.float32)
    probs[[place[key] for key in found["id"]]] = np.stack(found["pred_probs"].to_list())
    return probs, took


def by_scikit_learn(table: RealSet, given: Bools, folds: list[int]) -> tuple[Floats, Any]:
    """The same by TF-IDF 1-2-grams and one logistic regression per class, on one core."""
    probs = np.full(given.shape, np.nan)
    started = time.process_time()
    with threadpool_limits(limits=1):
        for fold in folds:
            train, test = np.flatnonzero(table.fold != fold), np.flatnonzero(table.fold == fold)
            seen, unseen = plain_features([table.texts[i] for i in train], [table.texts[i] for i in test])
            for k in range(given.shape[1]):
                model = plain_classifier().fit(seen, given[train, k])
                probs[test, k] = model.predict_proba(unseen)[:, 1]
    return probs, {"cpu": time.process_time() - started, "folds": len(folds)}


def plain_features(seen: list[str], unseen: list[str]) -> tuple[Any, Any]:
    """TF-IDF of word 1-2-grams."""
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    return vectorizer.fit_transform(seen), vectorizer.transform(unseen)


def plain_classifier() -> LogisticRegression:
    """The solver that is quickest here: several times quicker than scikit-learn's default one."""
    return LogisticRegression(C=5.0, solver="liblinear", dual=True, tol=1e-3, max_iter=1000, random_state=0)


def main() -> None:
    """Entry point of the child process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for the probabilities")
    parser.add_argument("requests", nargs="+", help="JSON: set, noise, kind, folds")
    options = parser.parse_args()
    spark = None
    for request in map(json.loads, options.requests):
        table = load(options.data, request["set"])
        given = table.given if request["noise"] is None else with_errors(table.given, request["noise"])
        if request["kind"] == "plain":
            folds = request["folds"]
            probs, took = by_scikit_learn(table, given, folds)
            rows = np.isin(table.fold, folds)
            took["quality"] = macro(given[rows], probs[rows])
            took["quality of the reference"] = macro(given[rows], table.reference[rows])
        else:
            if spark is None:
                from spark_ml_audit.engines.session import session_for

                _CPU.start()
                spark = session_for()
                spark.range(10).count()
            probs, took = by_product(spark, table, given, request["kind"], options.work)
        np.save(options.work / f"{request['name']}.npy", probs.astype(np.float32))
        (options.work / f"{request['name']}.json").write_text(json.dumps(took))
        print(json.dumps({**request, **took}), flush=True)
    if spark is not None:
        spark.stop()


if __name__ == "__main__":
    main()
