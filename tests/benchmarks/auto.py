"""What `model.kind: auto` goes by: what the kinds cost, and the constants of `models/costs.py` that follow.

Needs the real data sets in ../shared/data. Example:
python -m tests.benchmarks.auto
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from threadpoolctl import threadpool_limits

from spark_ml_audit.models import costs
from spark_ml_audit.models.bundle import TagModel
from spark_ml_audit.models.features import FeatureSpec
from tests.benchmarks.real_sets import SETS, RealSet, load

_ROWS = (2000, 6000, 18_000)
_TABLES = ((4000, 5, 10), (16_000, 5, 10), (4000, 20, 10), (4000, 5, 40))


def text_costs(table: RealSet, sizes: tuple[int, ...]) -> list[dict[str, Any]]:
    """CPU seconds of fits and predictions on the first rows of a set, in an order by hash."""
    order = np.random.default_rng(0).permutation(len(table.ids))
    found = []
    for n in sizes:
        rows = order[: min(n, len(order))]
        frame = pd.DataFrame({"text": [table.texts[i] for i in rows]})
        given = table.given[rows]
        spec, chars = FeatureSpec(text=("text",)), int(frame["text"].str.len().sum())
        for kind in ("linear", "joint"):
            fit, predict = _timed(frame, given, spec, kind)
            told = {"set": table.name, "kind": kind, "rows": len(rows), "classes": given.shape[1]}
            found.append({**told, "chars": chars, "fit": fit, "predict": predict})
            print(json.dumps(found[-1]), flush=True)
        if n >= len(order):
            break
    return found


def table_costs() -> list[dict[str, Any]]:
    """The same of boosted trees on made-up numbers."""
    rng, found = np.random.default_rng(0), []
    for n, classes, columns in _TABLES:
        values = rng.normal(size=(n, columns))
        given = values @ rng.normal(size=(columns, classes)) + rng.normal(size=(n, classes)) > 1
        frame = pd.DataFrame({f"c{i}": values[:, i] for i in range(columns)})
        spec = FeatureSpec(numeric=tuple(frame.columns))
        fit, predict = _timed(frame, given, spec, "tabular")
        found.append({"rows": n, "classes": classes, "columns": columns, "fit": fit, "predict": predict})
        print(json.dumps(found[-1]), flush=True)
    return found


def _timed(frame: pd.DataFrame, given: Any, spec: FeatureSpec, kind: str) -> tuple[float, float]:
    keys = np.arange(len(frame))
    names = [str(k) for k in range(given.shape[1])]
    fit, model = _cpu(lambda: TagModel.fit(frame, *np.nonzero(given), names, spec, kind, order_keys=keys))
    predict, _ = _cpu(lambda: model.predict_proba(frame))
    return round(fit, 3), round(predict, 3)


def _cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    with threadpool_limits(limits=1):
        started = time.process_time()
        found = work()
        return time.process_time() - started, found


def constants(texts: list[dict[str, Any]], tables: list[dict[str, Any]]) -> dict[str, float]:
    """Constants of `models/costs.py` that fit the times best, none below zero.

    Errors are weighed in relation to the time: a small fit counts as much as a large one.
    """
    linear, joint = ([row for row in texts if row["kind"] == kind] for kind in ("linear", "joint"))
    terms = [costs.text_terms(row["chars"], row["rows"], row["classes"]) for row in linear]
    found = dict(
        zip(costs.TEXT, _solve(terms, [row["fit"] + row["predict"] / 4 for row in linear]), strict=True)
    )
    extra = [
        max(b["fit"] + b["predict"] / 4 - a["fit"] - a["predict"] / 4, 0.01)
        for a, b in zip(linear, joint, strict=True)
    ]
    network = [costs.network_terms(row["rows"], row["classes"]) for row in joint]
    found |= dict(zip(costs.NETWORK, _solve(network, extra), strict=True))
    trees = [costs.tree_terms(row["rows"], row["classes"], row["columns"]) for row in tables]
    return found | dict(
        zip(costs.TREES, _solve(trees, [row["fit"] + row["predict"] / 4 for row in tables]), strict=True)
    )


def _solve(terms: list[tuple[float, ...]], seconds: list[float]) -> list[float]:
    weight = 1 / np.array(seconds)
    found: list[float] = nnls(np.array(terms) * weight[:, None], np.ones(len(seconds)))[0].tolist()
    return found


def _compare(texts: list[dict[str, Any]], tables: list[dict[str, Any]]) -> None:
    """The estimates of `models/costs.py` as it is beside the times."""
    text, off = FeatureSpec(text=("text",)), []
    for row in [*texts, *({**row, "kind": "tabular"} for row in tables)]:
        spec = text if "chars" in row else FeatureSpec(numeric=tuple(map(str, range(row["columns"]))))
        mean = row.get("chars", 0) / row["rows"]
        found = costs.fit_seconds(row["kind"], spec, mean, row["rows"], row["classes"]) - costs.START_SECONDS
        off.append(found / (row["fit"] + row["predict"] / 4))
    print(f"estimates over times: {min(off):.2f} to {max(off):.2f}, median {np.median(off):.2f}")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--rows", nargs="+", type=int, default=_ROWS)
    options = parser.parse_args()
    texts = [
        row for name in options.sets for row in text_costs(load(options.data, name), tuple(options.rows))
    ]
    tables = table_costs()
    for name, value in constants(texts, tables).items():
        print(f"{name}: {value:.3g}")
    _compare(texts, tables)


if __name__ == "__main__":
    main()
