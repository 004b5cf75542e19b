"""Outliers and near-duplicates: found as often as injected, neighbours against brute force, time and memory.

python -m tests.benchmarks.detection --only neighbours outliers duplicates --rows 10000
python -m tests.benchmarks.detection --only scale --rows 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score
from sklearn.neighbors import NearestNeighbors

from spark_ml_audit.kernels.ambiguity import AmbiguityOptions, DoubtBands, find_ambiguous
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.models.neighbours import NeighbourIndex
from spark_ml_audit.models.vectors import unit_vectors
from tests.benchmarks.memory import run_measured

WIDTH = 384
NEIGHBOURS = 10
_CLASSES = [f"topic::{k}" for k in range(10)]
_CHUNK = 50_000
_INTRINSIC = 24


def embeddings(rng: np.random.Generator, num_rows: int) -> np.ndarray:
    """Vectors as sentence encoders give them: clusters in a subspace, a little noise in all directions."""
    shared = np.random.default_rng(1)
    basis = shared.normal(size=(_INTRINSIC, WIDTH)) / np.sqrt(_INTRINSIC)
    centres = shared.normal(size=(200, _INTRINSIC))
    inner = centres[rng.integers(0, 200, num_rows)] + 0.5 * rng.normal(size=(num_rows, _INTRINSIC))
    return unit_vectors((inner @ basis + 0.1 * rng.normal(size=(num_rows, WIDTH))).astype(np.float32))


def strangers(rng: np.random.Generator, num_rows: int) -> np.ndarray:
    """Vectors outside that subspace: an outlier keeps half of what an inlier is."""
    return unit_vectors(embeddings(rng, num_rows) + unit_vectors(rng.normal(size=(num_rows, WIDTH))))


def lists(values: np.ndarray) -> pa.Array:
    offsets = np.arange(len(values) + 1, dtype=np.int32) * np.int32(values.shape[1])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))


def write_source(path: Path, num_rows: int, more: Any, same_tags: np.ndarray | None = None) -> None:
    """Rows with tags and probabilities, and the columns that `more(rng, start, stop)` gives them.

    The second of each pair in `same_tags` gets the tags of the first, but for one.
    """
    path.mkdir(parents=True)
    for part, start in enumerate(range(0, num_rows, _CHUNK)):
        stop = min(start + _CHUNK, num_rows)
        rng = np.random.default_rng([7, part])
        probs = rng.beta(0.3, 1.2, size=(stop - start, len(_CLASSES)))
        given = rng.random(probs.shape) < probs
        if same_tags is not None:
            given[same_tags[:, 1]] = given[same_tags[:, 0]]
            flipped = rng.integers(0, len(_CLASSES), len(same_tags))
            given[same_tags[:, 1], flipped] ^= True
        offsets = np.append(0, np.cumsum(given.sum(axis=1))).astype(np.int32)
        names = pa.array(_CLASSES).take(pa.array(np.nonzero(given)[1]))
        columns = {
            "id": pa.array([f"item-{row:09d}" for row in range(start, stop)]),
            "labels": pa.ListArray.from_arrays(pa.array(offsets), names),
            "pred_probs": lists(probs.astype(np.float32)),
            **more(rng, start, stop),
        }
        pq.write_table(pa.table(columns), path / f"part-{part:04d}.parquet")


def settings(source: Path, output: Path) -> list[str]:
    """Config of an audit of a generated table, as `--set` takes it."""
    return [
        f"source.path={source}",
        "source.format=parquet",
        f"source.classes={json.dumps(_CLASSES)}",
        f"output.path={output}",
    ]


def run(source: Path, output: Path, **detect: Any) -> tuple[Any, Any]:
    """Audit through the product; its outcome and a reader of its tables."""
    from spark_ml_audit.auditing.audit import run_audit
    from spark_ml_audit.config import load_config
    from spark_ml_audit.engines.session import session_for
    from spark_ml_audit.progress import Progress

    spark = session_for()
    sets = settings(source, output) + [f"detect.{name}={json.dumps(value)}" for name, value in detect.items()]
    outcome = run_audit(load_config(None, sets), Progress(), spark)
    return outcome, lambda name: spark.read.format("delta").load(outcome.tables[name]).toPandas()


def measure_neighbours() -> dict[str, Any]:
    """Recall at 10 and speed of the index against scikit-learn's brute force, one thread each."""
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(0)
    found: dict[str, Any] = {}
    kinds = {"clustered": embeddings, "isotropic": lambda rng, n: unit_vectors(rng.normal(size=(n, WIDTH)))}
    for name, make in kinds.items():
        reference, queries = make(rng, 20_000), make(rng, 600)
        with threadpool_limits(1):
            started = time.process_time()
            index = NeighbourIndex.build(reference, np.arange(len(reference)), NEIGHBOURS)
            built = time.process_time()
            mine, _ = index.search(queries, None, NEIGHBOURS)
            searched = time.process_time()
            brute = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(reference)
            truth = brute.kneighbors(queries, return_distance=False)
            ended = time.process_time()
        found[name] = {
            "recall@10": float(np.mean([np.isin(a, b).mean() for a, b in zip(mine, truth, strict=True)])),
            "clusters": index.num_lists,
            "build, CPU s": built - started,
            "rows per CPU s": len(queries) / (searched - built),
            "brute force, rows per CPU s": len(queries) / (ended - searched),
        }
    return found


def measure_outliers(rows: int, folder: Path) -> dict[str, Any]:
    """Average precision on 1% injected outliers."""
    odd = np.random.default_rng(3).random(rows) < 0.01

    def more(rng: np.random.Generator, start: int, stop: int) -> dict[str, Any]:
        vectors = embeddings(rng, stop - start)
        here = odd[start:stop]
        vectors[here] = strangers(rng, int(here.sum()))
        return {"vector": lists(vectors)}

    write_source(folder / "outliers", rows, more)
    outcome, read = run(folder / "outliers", folder / "outliers-out", outliers=True)
    examples = read("examples").sort_values("id")
    flagged = examples["is_outlier"].to_numpy(dtype=bool)
    return {
        "average precision": float(average_precision_score(odd, examples["outlier_score"])),
        "flagged": int(flagged.sum()),
        "flagged and injected": int((flagged & odd).sum()),
        "injected": int(odd.sum()),
        "stages": outcome.stages,
    }


def measure_duplicates(rows: int, folder: Path) -> dict[str, Any]:
    """Average precision on 1% injected near-duplicates with a changed tag, by text and by embedding.

    A row is scored by its similarity to its group; rows in no group with differing tags score 0. Other rows
    of those groups, the originals, count as injected too.
    """
    rng = np.random.default_rng(5)
    words = np.array(["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 7)) for _ in range(20_000)])
    texts = [" ".join(words[rng.zipf(1.3, 40) % 20_000]) for _ in range(rows)]
    vectors = embeddings(rng, rows)
    chosen = rng.permutation(rows)[: 2 * (rows // 100)].reshape(-1, 2)
    for original, copy in chosen:
        parts = texts[original].split()
        parts[rng.integers(0, len(parts))] = "altered"
        texts[copy] = " ".join(parts)
        vectors[copy] = unit_vectors(vectors[original : original + 1] + 0.005 * rng.normal(size=(1, WIDTH)))[
            0
        ]
    truth = np.zeros(rows, dtype=bool)
    truth[chosen.ravel()] = True
    write_source(
        folder / "duplicates",
        rows,
        lambda _, start, stop: {"text": pa.array(texts[start:stop]), "vector": lists(vectors[start:stop])},
        # copies get the original's tags, but for one
        same_tags=chosen,
    )
    result = {}
    for kind, name in (("text", "text"), ("embedding", "vector")):
        output = folder / f"duplicates-{kind}"
        outcome, read = run(folder / "duplicates", output, duplicates={kind: name})
        table = read("duplicates")
        score = np.zeros(rows)
        score[table["id"].str.slice(5).astype(int)] = table["similarity"]
        result[kind] = {
            "average precision": float(average_precision_score(truth, score)),
            "groups": outcome.counts.num_duplicate_groups,
            "injected": len(chosen),
            "seconds": outcome.stages["duplicates"],
            "warnings": outcome.warnings,
        }
    return result


def measure_scale(rows: int, folder: Path) -> dict[str, Any]:
    """Time and memory of an audit of many embeddings, and scikit-learn's brute force on a sample."""
    from threadpoolctl import threadpool_limits

    write_source(
        folder / "scale", rows, lambda rng, start, stop: {"vector": lists(embeddings(rng, stop - start))}
    )
    measured = {}
    for name, asked in (("without", "null"), ("with", '{"features": {"embedding": "vector"}}')):
        sets = [*settings(folder / "scale", folder / f"scale-{name}"), f"detect.outliers={asked}"]
        command = [sys.executable, "-m", "spark_ml_audit", "audit", "--json"]
        command += [part for value in sets for part in ("--set", value)]
        measured[name] = run_measured(command, env=os.environ, log=folder / f"{name}.log")
        print((folder / f"{name}.log").read_text(errors="replace")[-2000:], file=sys.stderr)
    result = json.loads(measured["with"].stdout)
    rng = np.random.default_rng(0)
    reference, queries = embeddings(rng, 20_000), embeddings(rng, 5000)
    with threadpool_limits(2):
        started = time.monotonic()
        NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(reference).kneighbors(queries)
        brute = time.monotonic() - started
    return {
        "rows": rows,
        "stages": result["stages"],
        "num_outliers": result["num_outliers"],
        **{f"{name} outliers": found.to_json() for name, found in measured.items()},
        "scikit-learn brute force, 5,000 rows s": brute,
        "the same for all rows s": brute / 5000 * rows,
    }


def measure_ambiguity(data: Path) -> dict[str, Any]:
    """Shares of ambiguous cells and rows of real data, and how often predictions disagree with tags there."""
    found = {}
    for name in ("debtags", "goemotions", "movies_wikidata"):
        file = data / f"{name}_oof.parquet"
        table = pq.read_table(file, columns=["labels", "pred_probs"])
        classes = pa.array(json.loads(pq.read_schema(file).metadata[b"classes"]))
        tags = table.column("labels").combine_chunks()
        probs = table.column("pred_probs").combine_chunks().flatten().to_numpy().reshape(-1, len(classes))
        given = np.zeros(probs.shape, dtype=bool)
        rows = np.repeat(np.arange(len(tags)), tags.value_lengths().to_numpy())
        given[rows, pc.index_in(tags.flatten(), value_set=classes).to_numpy()] = True
        profile = ClassProfile(ProfileSpec.for_classes(len(classes), probs.dtype))
        profile.add_batch(probs, *np.nonzero(given))
        thresholds = profile.thresholds()
        bands = DoubtBands.of(thresholds, probs.dtype, AmbiguityOptions())
        doubted = find_ambiguous(probs, bands)
        low, high = 1 - thresholds.absent + 1e-6, thresholds.present - 1e-6
        neither = (probs > low) & (probs < high)
        wrong = ((probs > bands.centre) != given).sum(axis=1)
        ambiguous = doubted.is_ambiguous
        found[name] = {
            "confident neither way": float(neither.mean()),
            "rows with such a cell": float(neither.any(axis=1).mean()),
            "ambiguous cells": len(doubted.cells[0]) / probs.size,
            "ambiguous rows": float(ambiguous.mean()),
            "disagreements per ambiguous row": float(wrong[ambiguous].mean()),
            "per other row": float(wrong[~ambiguous].mean()),
        }
    return found


_MEASURES = {"outliers": measure_outliers, "scale": measure_scale, "duplicates": measure_duplicates}


def main() -> None:
    """Run the parts asked for and print one JSON object each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="real data sets")
    parser.add_argument("--only", nargs="+", default=["neighbours", "outliers", "duplicates"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in options.only:
            if part == "neighbours":
                found = measure_neighbours()
            elif part == "ambiguity":
                found = measure_ambiguity(options.data)
            else:
                found = _MEASURES[part](options.rows, folder)
            print(part, json.dumps(found, indent=1), flush=True)


if __name__ == "__main__":
    main()
