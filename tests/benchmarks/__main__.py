"""Time and memory of an audit by each engine and by cleanlab, and whether they agree; one table of results.

Example: python -m tests.benchmarks --rows 1000000 --classes 50
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from deltalake import convert_to_deltalake

from tests.benchmarks.equality import differing_rows
from tests.benchmarks.memory import Measured, mib, run_measured
from tests.benchmarks.table import class_names, parquet_files, write_table

ENGINES = ("embedded", "spark")
PARTS = (*ENGINES, "warm", "floor", "cleanlab", "agreement")
_USUAL = (*ENGINES, "cleanlab", "agreement")
_TINY_ROWS = 2000
_ROOT = Path(__file__).parents[2]


class Benchmark:
    """One generated table and what is measured on it."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options = options
        self.work = work
        name = f"{options.rows}x{options.classes}-{options.dtype}"
        self.source = work / f"source-{name}"
        self.tiny = work / f"tiny-{options.classes}-{options.dtype}"
        self.scratch = work / f"scratch-{os.getpid()}"
        self.scratch.mkdir()
        self.result: dict[str, Any] = {
            "rows": options.rows,
            "classes": options.classes,
            "dtype": options.dtype,
            "machine": _machine(),
        }

    def run(self) -> dict[str, Any]:
        """Measure the parts asked for."""
        only = self.options.only
        self._generate()
        for engine in ENGINES:
            if engine in only:
                self._cold(engine)
        if "warm" in only or "floor" in only:
            self._warm(floor="floor" in only)
        if "cleanlab" in only:
            self._say("cleanlab")
            measured = self._child("cleanlab_side")
            self.result["cleanlab"] = {**measured.to_json(), **_printed(measured)}
        if "agreement" in only:
            self._agreement()
        self.result["ratios"] = _ratios(self.result)
        shutil.rmtree(self.scratch)
        return self.result

    def _say(self, text: str) -> None:
        print(f"[{time.strftime('%H:%M:%S')}] {text} ...", file=sys.stderr, flush=True)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        if self.options.heap:
            kept["SPARK_ML_AUDIT_DRIVER_MEMORY"] = self.options.heap
        return {**kept, "PYTHONPATH": str(_ROOT)}

    def _child(self, module: str, *arguments: str) -> Measured:
        command = [
            sys.executable, "-m", f"tests.benchmarks.{module}",
            "--source", str(self.source), "--classes", str(self.options.classes), *arguments,
        ]  # fmt: skip
        return run_measured(command, env=self._environment(), log=self.work / f"{module}.log")

    def _generate(self) -> None:
        """Write both tables; one that an earlier invocation finished is used again."""
        sizes = {self.source: self.options.rows, self.tiny: min(_TINY_ROWS, self.options.rows)}
        missing = {folder: rows for folder, rows in sizes.items() if not (folder / "_delta_log").exists()}
        if not missing:
            return
        self._say(f"generating {self.options.rows} x {self.options.classes}")
        for folder, rows in missing.items():
            shutil.rmtree(folder, ignore_errors=True)
            write_table(folder, rows, self.options.classes, self.options.dtype)
            convert_to_deltalake(str(folder))

    def _cold(self, engine: str) -> None:
        """A whole audit from the command line: report and MLflow included, in a process of its own."""
        self._say(f"audit by {engine}, cold")
        # read once, so that the first program to be timed does not alone pay for the disk
        for path in parquet_files(self.source):
            with open(path, "rb") as file:
                while file.read(1 << 24):
                    pass
        config = self.scratch / f"{engine}.yaml"
        sections = {
            "source": {"path": str(self.source), "classes": class_names(self.options.classes)},
            "output": {"path": str(self.scratch / engine)},
            "engine": {"kind": engine},
        }
        if self.options.memory:
            sections["engine"] |= {"memory": self.options.memory}
        config.write_text(json.dumps(sections))  # JSON is YAML
        command = [sys.executable, "-m", "spark_ml_audit", "audit", "--config", str(config), "--json"]
        runs = []
        for _ in range(self.options.cold_repeats):
            shutil.rmtree(self.scratch / engine, ignore_errors=True)
            runs.append(run_measured(command, env=self._environment(), log=self.work / f"{engine}.log"))
        measured = min(runs, key=lambda run: run.seconds)
        told = _printed(measured)
        self.result[engine] = {
            **measured.to_json(),
            "stages": told["stages"],
            "warnings": told["warnings"],
            "counts": {name: value for name, value in told.items() if name.startswith("num_")},
        }

    def _warm(self, *, floor: bool) -> None:
        self._say("audit and floor, warm" if floor else "audit, warm")
        arguments = ["--tiny", str(self.tiny), "--work", str(self.scratch)]
        arguments += ["--repeats", str(self.options.repeats)] + ["--floor"] * floor
        measured = self._child("spark_side", *arguments)
        told = _printed(measured)
        memory = {name: value for name, value in measured.to_json().items() if name not in ("seconds", "cpu")}
        self.result["heap"] = told["heap"]
        for name, runs in (("warm", told["audits"]), ("floor", told["floors"])):
            if runs:
                # the first of each still warms up
                best = min(runs[1:] or runs, key=lambda run: run["seconds"])
                every = [round(run["seconds"], 2) for run in runs]
                stages = {stage: round(value, 2) for stage, value in best["stages"].items()}
                times = {"seconds": round(best["seconds"], 2), "cpu": round(best["cpu"], 2)}
                self.result[name] = {**times, "all": every, "stages": stages}
                if "report" in best:
                    self.result["report"] = {
                        **best["report"],
                        "all": [run["report"]["seconds"] for run in runs],
                    }
        self.result["warm"] |= memory

    def _agreement(self) -> None:
        done = [engine for engine in ENGINES if engine in self.result]
        if len(done) == len(ENGINES):
            self._say("comparing every cell of the engines' tables")
            self.result["engines"] = differing_rows(*(self.scratch / engine for engine in ENGINES))
        if not done or "cleanlab" not in self.result:
            return
        self._say("comparing every flag with cleanlab")
        told = _printed(self._child("cleanlab_side", "--compare", str(self.scratch / done[0])))
        told["agree"] = not (
            told["cells_differing"] - told["of_them_ties"]
            or told["cells_of_wrong_kind"]
            or told["rows_missing"]
            or (told["rows_differing"] and not told["of_them_ties"])
        )
        self.result["agreement"] = told


def _succeed(measured: Measured) -> Measured:
    if measured.exit_code:
        raise SystemExit(measured.exit_code)
    return measured


def _printed(measured: Measured) -> dict[str, Any]:
    """The JSON object in the last line that a child printed."""
    found: dict[str, Any] = json.loads(_succeed(measured).stdout.splitlines()[-1])
    return found


def _machine() -> dict[str, Any]:
    packages = ("duckdb", "deltalake", "pyspark", "delta-spark", "cleanlab", "numpy", "pyarrow")
    return {
        "cores": os.cpu_count(),
        "memory_mib": mib(psutil.virtual_memory().total),
        "load": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
    }


def _ratios(result: dict[str, Any]) -> dict[str, float]:
    wanted = {
        "warm / floor, time": ("warm", "floor", "seconds"),
        "warm / floor, CPU": ("warm", "floor", "cpu"),
        "report / warm, time": ("report", "warm", "seconds"),
        "embedded / cleanlab, time": ("embedded", "cleanlab", "seconds"),
        "embedded / cleanlab, memory": ("embedded", "cleanlab", "peak"),
        "spark / cleanlab, time": ("spark", "cleanlab", "seconds"),
    }
    return {
        name: round(result[above][key] / result[below][key], 3)
        for name, (above, below, key) in wanted.items()
        if above in result and below in result
    }


def render(result: dict[str, Any]) -> str:
    """The results as text."""
    machine = result["machine"]
    lines = [
        f"{result['rows']:,} rows x {result['classes']} classes, {result['dtype']}; "
        f"{machine['cores']} cores, {machine['memory_mib']:,} MiB, load at start {machine['load'][0]}",
        "",
        f"{'':26}{'seconds':>9}{'CPU s':>8}{'peak MiB':>10}{'JVM':>8}{'driver':>8}{'workers':>9}",
    ]
    titles = {
        "embedded": "audit, embedded, cold",
        "spark": "audit, Spark, cold",
        "warm": "audit, warm Spark session",
        "cleanlab": f"cleanlab {machine['cleanlab']}, process",
        "floor": "floor, warm session",
        "report": "report of the warm audit",
    }
    for name, title in titles.items():
        if name not in result:
            continue
        row = result[name]
        line = f"{title:26}{row['seconds']:9.1f}{row['cpu']:8.1f}"
        if "peak" in row:
            line += f"{row['peak']:10,}"
            line += "".join(f"{row['at_peak'][kind]:{width},}" for kind, width in _WIDTHS.items())
        lines += [line]
    lines += ["", *(f"{name:26}{value:9.2f}" for name, value in result["ratios"].items()), ""]
    for name, title in titles.items():
        if "stages" in result.get(name, {}):
            stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in result[name]["stages"].items())
            lines.append(f"{title}: {stages}")
    if "engines" in result:
        told = ", ".join(f"{name} {rows}" for name, rows in result["engines"].items())
        lines += ["", f"rows that the engines' tables do not share: {told}"]
    if "agreement" in result:
        found = result["agreement"]
        lines += [
            "",
            f"flags {'agree' if found['agree'] else 'DIFFER'}: "
            f"{found['cells_differing']} of {found['cells']:,} cells differ "
            f"({found['of_them_ties']} by ties; "
            f"{found['cells_flagged']:,} flagged), {found['rows_differing']} of {found['rows']:,} rows; "
            f"largest difference of a score {found['largest_score_difference']:.1e}",
        ]
    return "\n".join(lines)


_WIDTHS = {"jvm": 8, "driver": 8, "workers": 9}


def main() -> int:
    """Command line of the benchmark; 1 if the flags differ from cleanlab's."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=_USUAL, metavar="PART", help=f"of {PARTS}"
    )
    parser.add_argument(
        "--cold-repeats", type=int, default=1, help="cold runs of each engine; the best counts"
    )
    parser.add_argument("--memory", default="", help="engine.memory (default: the audit's own)")
    parser.add_argument(
        "--repeats", type=int, default=2, help="timed warm runs, after one that is not counted"
    )
    parser.add_argument("--heap", default="", help="heap of the JVM, such as 2g (default: the audit's own)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder for the table, to use it again")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    options = parser.parse_args()
    work = options.keep or Path(tempfile.mkdtemp(prefix="audit-benchmark-"))
    work.mkdir(parents=True, exist_ok=True)
    benchmark = Benchmark(options, work.resolve())
    try:
        result = benchmark.run()
    finally:
        shutil.rmtree(benchmark.scratch, ignore_errors=True)
        if options.keep is None:
            shutil.rmtree(work, ignore_errors=True)
    # cold runs have no session to ask
    print(render(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    agree = result.get("agreement", {"agree": True})["agree"] and not any(result.get("engines", {}).values())
    return 0 if agree else 1


if __name__ == "__main__":
    raise SystemExit(main())
