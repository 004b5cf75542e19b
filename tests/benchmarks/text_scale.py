"""Many short texts through the command `predict`, beside scikit-learn alone on the same training sample."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from tests.benchmarks.memory import mib, run_measured
from tests.benchmarks.table import class_names, prevalence_of, row_id, tag_lists

_ROOT = Path(__file__).parents[2]
_FILES = 8
_WORDS = 50_000
_WORDS_PER_ROW = 12
_WORDS_PER_TAG = 40
# Rows of the training sample, folds and rows predicted that scikit-learn is timed on.
_SAMPLE_ROWS, _PREDICTED_ROWS = 160_000, 50_000


def measure(work: Path, num_rows: int, num_classes: int) -> list[str]:
    """Run the command on a generated table, and scikit-learn on a sample of it.

    Returns:
        Lines to print.
    """
    source, output = work / f"texts-{num_rows}x{num_classes}", work / "scale-output"
    if not source.exists():
        write_texts(source, num_rows, num_classes)
    shutil.rmtree(output, ignore_errors=True)
    settings = {
        "source.path": str(source),
        "source.format": "parquet",
        "source.classes": class_names(num_classes),
        "output.path": str(output),
    }
    command = [sys.executable, "-m", "spark_ml_audit", "predict", "--json"]
    for key, value in settings.items():
        command += ["--set", f"{key}={json.dumps(value)}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    kept["PYTHONPATH"] = str(_ROOT)
    measured = run_measured(command, env=kept, log=work / "scale.log")
    if measured.exit_code:
        raise SystemExit(measured.exit_code)
    told: dict[str, Any] = json.loads(measured.stdout)
    stages = ", ".join(f"{name} {value:.0f}" for name, value in told["stages"].items() if value >= 1)
    plain = [sys.executable, "-m", "tests.benchmarks.text_scale", str(source), str(num_classes)]
    alone = run_measured(plain, env=kept, log=work / "scale-plain.log")
    if alone.exit_code:
        raise SystemExit(alone.exit_code)
    sklearn = json.loads(alone.stdout)
    whole = 5 * sklearn["fit"] + sklearn["predict"] * num_rows / sklearn["predicted rows"]
    return [
        f"{num_rows:,} texts of {_WORDS_PER_ROW} words x {num_classes} tags, 5 folds, "
        f"{told['num_trained']:,} rows trained on",
        f"  command predict, cold: {measured.seconds:.0f} s wall, {measured.cpu:.0f} s CPU, peak "
        f"{mib(measured.peak):,} MiB (JVM {mib(measured.at_peak['jvm']):,}, driver "
        f"{mib(measured.at_peak['driver']):,}, workers {mib(measured.at_peak['workers']):,}); "
        f"macro AUC {told['quality']['macro_auc']:.3f}, AP {told['quality']['macro_average_precision']:.3f}",
        f"  stages: {stages}",
        f"  scikit-learn, one core: {sklearn['fit']:.0f} s to fit {sklearn['rows']:,} rows once and "
        f"{sklearn['predict']:.1f} s for {sklearn['predicted rows']:,} predictions, so "
        f"{whole:.0f} s for 5 folds and all rows (scaled up); peak {mib(alone.peak):,} MiB",
    ]


def write_texts(folder: Path, num_rows: int, num_classes: int) -> None:
    """Write short texts as Parquet: words by Zipf's law, a few of which speak for the row's tags."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    prevalence, names = prevalence_of(num_classes), pa.array(class_names(num_classes))
    bounds = np.linspace(0, num_rows, _FILES + 1).astype(int)
    weights = 1 / np.arange(5.0, _WORDS + 5)
    cumulated = np.cumsum(weights / weights.sum())
    speaking = np.random.default_rng(1).integers(100, _WORDS, size=(num_classes, _WORDS_PER_TAG))
    vocabulary = np.array([f"w{i:x}" for i in range(_WORDS)], dtype=object)
    for number in range(_FILES):
        rng = np.random.default_rng([2, number])
        first, end = bounds[number], bounds[number + 1]
        given = rng.random((end - first, num_classes)) < prevalence
        words = np.searchsorted(cumulated, rng.random((end - first, _WORDS_PER_ROW))).clip(0, _WORDS - 1)
        rows, tags = np.nonzero(given)
        told = rng.random(len(rows)) < 0.7  # three tags in ten leave no trace in the text
        places = rng.integers(0, _WORDS_PER_ROW, size=len(rows))
        chosen = speaking[tags, rng.integers(0, _WORDS_PER_TAG, size=len(rows))]
        words[rows[told], places[told]] = chosen[told]
        texts = [" ".join(row) for row in vocabulary[words]]
        ids = pa.array([row_id(row) for row in range(first, end)])
        table = pa.table({"id": ids, "title": pa.array(texts), "labels": tag_lists(given, names)})
        pq.write_table(table, partial / f"part-{number:05d}.parquet", row_group_size=50_000)
    partial.rename(folder)


def main() -> None:
    """scikit-learn alone: one fold of the plain model on as many rows as the command trains on."""
    from tests.benchmarks.model_side import plain_classifier, plain_features

    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("classes", type=int)
    options = parser.parse_args()
    table = pq.read_table(options.source)
    rng = np.random.default_rng(0)
    order = rng.permutation(table.num_rows)
    train = table.take(order[: min(_SAMPLE_ROWS, table.num_rows * 4 // 5)])
    test = table.take(order[len(train) : len(train) + _PREDICTED_ROWS])
    column = {name: index for index, name in enumerate(class_names(options.classes))}
    given = np.zeros((len(train), options.classes), dtype=bool)
    for row, tags in enumerate(train["labels"].to_pylist()):
        given[row, [column[tag] for tag in tags]] = True
    spent = {"fit": 0.0, "predict": 0.0}
    with threadpool_limits(limits=1):
        started = time.process_time()
        seen, unseen = plain_features(train["title"].to_pylist(), test["title"].to_pylist())
        spent["fit"] += time.process_time() - started
        for k in range(options.classes):
            started = time.process_time()
            model = plain_classifier().fit(seen, given[:, k])
            fitted = time.process_time()
            model.predict_proba(unseen)
            spent["fit"] += fitted - started
            spent["predict"] += time.process_time() - fitted
    print(json.dumps({**spent, "rows": len(train), "predicted rows": len(test)}))


if __name__ == "__main__":
    main()
