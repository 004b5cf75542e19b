"""The shared real data sets, errors put into their tags, and figures for predictions and rankings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score, roc_auc_score

from spark_ml_audit.kernels.cell_scores import self_confidence
from spark_ml_audit.kernels.label_quality import ema

SETS = ("goemotions", "debtags", "movies_wikidata")
NOISES = ("random", "by item")
# Share of the given tags that are dropped; as many wrong ones come in.
_NOISE = 0.1
# Share of the rows that all errors fall on when they come by item.
_CARELESS = 0.2
_EMA_ALPHA = 0.8

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class RealSet:
    """A data set and the reference's out-of-fold probabilities for it.

    Attributes:
        name: One of `SETS`.
        ids: N ids.
        texts: N texts.
        given: Given tags restricted to the classes, shape (N, K).
        classes: The K tags.
        reference: Probabilities of TF-IDF and logistic regression, shape (N, K).
        fold: The reference's folds, shape (N,).
        proved: Tags that evidence proves, shape (N, K); None where there is none.
        with_rule: Classes that a rule can prove, shape (K,).
    """

    name: str
    ids: list[str]
    texts: list[str]
    given: Bools
    classes: list[str]
    reference: Floats
    fold: npt.NDArray[np.int64]
    proved: Bools | None
    with_rule: Bools


def load(folder: Path, name: str) -> RealSet:
    """Read a set and the reference's probabilities for the same rows."""
    raw, oof = pq.read_table(folder / f"{name}.parquet"), pq.read_table(folder / f"{name}_oof.parquet")
    classes = json.loads(oof.schema.metadata[b"classes"])
    ids = raw["id"].to_pylist()
    if ids != oof["id"].to_pylist():
        raise ValueError(f"the rows of {name} and {name}_oof differ")
    probs = oof["pred_probs"].combine_chunks().flatten().to_numpy().reshape(len(ids), -1)
    proved = None
    if "evidence_labels" in raw.column_names:
        proved = _matrix(raw["evidence_labels"].to_pylist(), classes)
    return RealSet(
        name=name,
        ids=ids,
        texts=raw["text"].to_pylist(),
        given=_matrix(oof["labels"].to_pylist(), classes),
        classes=classes,
        reference=probs,
        fold=oof["fold"].to_numpy().astype(np.int64),
        proved=proved,
        with_rule=np.zeros(len(classes), bool) if proved is None else proved.any(axis=0),
    )


def _matrix(tags: list[list[str]], classes: list[str]) -> Bools:
    column = {name: index for index, name in enumerate(classes)}
    found = np.zeros((len(tags), len(classes)), dtype=bool)
    for row, names in enumerate(tags):
        found[row, [column[name] for name in names if name in column]] = True
    return found


def with_errors(given: Bools, noise: str) -> Bools:
    """Tags with errors whose places are known: a tenth dropped, as many wrong ones, by class.

    Args:
        given: Tags taken for the truth, shape (N, K).
        noise: "random": over all rows alike. "by item": all on a fifth of the rows, so that errors come
            in runs within a row.
    """
    rng = np.random.default_rng(20220611)
    wrong = given.copy()
    rate = _NOISE if noise == "random" else _NOISE / _CARELESS
    rows = np.ones(len(given), bool) if noise == "random" else rng.random(len(given)) < _CARELESS
    share = given.mean(axis=0)
    flips = rng.random(given.shape) < np.where(given, rate, rate * share / (1 - share))
    flips &= rows[:, None]
    wrong ^= flips
    return wrong


def macro(given: Bools, probs: Floats) -> dict[str, float]:
    """Macro AUC and macro average precision of out-of-fold probabilities."""
    classes = range(given.shape[1])
    return {
        "auc": float(np.mean([roc_auc_score(given[:, k], probs[:, k]) for k in classes])),
        "ap": float(np.mean([average_precision_score(given[:, k], probs[:, k]) for k in classes])),
    }


def evidence(table: RealSet, scores: Floats) -> dict[str, float]:
    """How high the proved ones rank among the tags that are not given, over the classes with a rule.

    Args:
        table: A set with evidence.
        scores: Highest first, shape (N, K).
    """
    assert table.proved is not None
    absent = ~table.given[:, table.with_rule]
    truth, ranked = table.proved[:, table.with_rule][absent], scores[:, table.with_rule][absent]
    order = np.argsort(-ranked, kind="stable")
    return {
        "base rate": float(truth.mean()),
        "P@100": float(truth[order[:100]].mean()),
        "P@1000": float(truth[order[:1000]].mean()),
        "AP": float(average_precision_score(truth, ranked)),
    }


def errors_found(truth: Bools, given: Bools, probs: Floats | None) -> dict[str, float]:
    """Average precision of the audit's rankings in finding errors that were put in.

    Args:
        truth: Tags before the errors.
        given: Tags with them.
        probs: Out-of-fold probabilities; None ranks by "most tags first" instead.

    Returns:
        Average precision over cells (least plausible first) and over rows (lowest quality score first),
        and the share of cells and rows with an error.
    """
    wrong = truth ^ given
    if probs is None:
        rows: Any = given.sum(axis=1)
        cells: Any = np.broadcast_to(rows[:, None], given.shape)
    else:
        confidence = self_confidence(probs, *np.nonzero(given))
        cells, rows = -confidence, -ema(confidence, _EMA_ALPHA)
    return {
        "cells": float(average_precision_score(wrong.ravel(), cells.ravel())),
        "rows": float(average_precision_score(wrong.any(axis=1), rows)),
        "cells, share": float(wrong.mean()),
        "rows, share": float(wrong.any(axis=1).mean()),
    }
