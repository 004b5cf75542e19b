"""Small tables with tags that depend on every kind of column."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any

import numpy as np
import pandas as pd

from spark_ml_audit.models import FeatureSpec, TagModel

CLASSES = ("animal", "plant", "stone", "old")
WORDS = {
    "animal": ["cat", "dog", "horse", "fox", "goat"],
    "plant": ["oak", "fern", "moss", "reed", "rose"],
    "stone": ["quartz", "slate", "marble", "flint", "opal"],
}
FILLER = ["found", "near", "the", "river", "today", "again", "small", "large"]
MIXED = FeatureSpec(
    text=("title", "tokens"),
    numeric=("weight",),
    categorical=("place",),
    boolean=("wild",),
    date=("seen",),
    embedding=("vector",),
)
TABULAR = FeatureSpec(numeric=("weight",), categorical=("place",), boolean=("wild",), date=("seen",))
TEXT = FeatureSpec(text=("title",))
EMBEDDING = FeatureSpec(embedding=("vector",))


def order_keys(n: int) -> np.ndarray:
    digests = [hashlib.sha256(str(i).encode()).digest()[:8] for i in range(n)]
    return np.array([int.from_bytes(digest, "little", signed=True) for digest in digests], dtype=np.int64)


def make_table(n: int = 300, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Frame of n rows and given tags, bool (n, 4); about a tenth of all values is null or unusable."""
    rng = np.random.default_rng(seed)
    given = rng.random((n, 4)) < [0.4, 0.3, 0.2, 0.4]
    columns: dict[str, list[Any]] = {
        name: [] for name in ("title", "tokens", "weight", "place", "wild", "seen", "vector")
    }
    for tags in given:
        words = [str(rng.choice(FILLER)) for _ in range(5)]
        words += [str(rng.choice(WORDS[name])) for name, on in zip(WORDS, tags[:3], strict=True) if on]
        rng.shuffle(words)
        columns["title"].append(" ".join(words))
        columns["tokens"].append(np.array(words[:2], dtype=object))
        columns["weight"].append(float(rng.normal() + 3 * tags[2]))
        columns["place"].append(
            str(rng.choice(["wood", "field"]) if tags[1] else rng.choice(["barn", "field"]))
        )
        columns["wild"].append(bool(tags[0]) if rng.random() < 0.8 else None)
        columns["seen"].append(datetime.date(1950 if tags[3] else 2010, int(rng.integers(1, 13)), 3))
        columns["vector"].append((rng.normal(size=6) + np.repeat(tags[:3], 2) * 1.5).astype(np.float32))
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    for name in columns:
        frame.loc[rng.random(n) < 0.1, name] = None
    return frame, given


def fit(
    frame: pd.DataFrame, given: np.ndarray, spec: FeatureSpec, kind: str = "auto", **more: Any
) -> TagModel:
    rows, cols = np.nonzero(given)
    classes = CLASSES if given.shape[1] == 4 else [f"tag{k}" for k in range(given.shape[1])]
    more.setdefault("order_keys", order_keys(len(frame)))
    return TagModel.fit(frame, rows, cols, classes, spec, kind, **more)
