"""The leak guard on real sets: every trap that is planted is left out or listed, and nothing else is."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_ml_audit.config import LabelsConfig, PlaceConfig
from spark_ml_audit.engines.base import Engine
from spark_ml_audit.lake.source import open_source
from spark_ml_audit.outcomes.features import FeatureUse
from spark_ml_audit.predicting.labels import inspect_labels
from spark_ml_audit.predicting.leaks.guard import found_features
from tests.lake import Lake
from tests.paths import SHARED_DATA

pytestmark = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the folder ../shared/data is not there")

ROWS = 2500
WORD = "zqxmark"
# debtags' own column of tags that dependencies and sections prove
LEAKS_OF_ITS_OWN = {"debtags": {"evidence_labels"}, "goemotions": set(), "movies_wikidata": set()}
FEATURES = {
    "debtags": {"text": ("text", "depends", "source"), "categorical": ("section",)},
    "goemotions": {"text": ("text",), "categorical": ("split",)},
    "movies_wikidata": {"text": ("text",), "numeric": ("runtime", "year")},
}


def clean_rows(name: str) -> pa.Table:
    table = pq.read_table(SHARED_DATA / f"{name}.parquet").replace_schema_metadata(None)
    return table.take(np.sort(np.random.default_rng(0).permutation(table.num_rows)[:ROWS]))


def traps(table: pa.Table) -> tuple[dict[str, list[Any]], list[str], str]:
    """Columns that must not be learned from; texts in which a word betrays a tag; that tag."""
    rng = np.random.default_rng(1)
    labels, ids = table.column("labels").to_pylist(), table.column("id").to_pylist()
    tag = Counter(name for tags in labels for name in tags).most_common(3)[-1][0]
    columns = {
        "keywords": labels,
        "notes": ["; ".join(tags) for tags in labels],
        "main_topic": [tags[0] if tags else None for tags in labels],
        "true_topics": [sorted(tags, reverse=True) for tags in labels],
        "labels_backup": [f"v{rng.integers(5)}" for _ in labels],
        "annotator_id": [f"w{rng.integers(20)}" for _ in labels],
        "row_name": ids,
        "token": [str(uuid.UUID(int=int(high) << 64)) for high in rng.integers(0, 1 << 62, len(ids))],
        "position": rng.permutation(len(ids)).tolist(),
    }
    texts = [
        f"{text} {WORD}" if tag in tags else text
        for text, tags in zip(table.column("text").to_pylist(), labels, strict=True)
    ]
    return columns, texts, tag


def guarded(lake: Lake, engine: Engine, table: pa.Table) -> FeatureUse:
    opened = open_source(engine, PlaceConfig(path=lake.write(table)))
    return found_features(inspect_labels(opened, LabelsConfig()), {"id", "labels"}).use


@pytest.mark.parametrize("name", FEATURES)
def test_every_trap_is_left_out_or_listed_and_nothing_else(lake: Lake, engine: Engine, name: str) -> None:
    table = clean_rows(name)
    clean = guarded(lake, engine, table)
    assert set(clean.left_out) == LEAKS_OF_ITS_OWN[name]
    assert clean.features == FEATURES[name]
    columns, texts, tag = traps(table)
    for column, values in columns.items():
        table = table.append_column(column, pa.array(values))
    table = table.set_column(table.column_names.index("text"), "text", pa.array(texts))
    found = guarded(lake, engine, table)
    assert set(found.left_out) == LEAKS_OF_ITS_OWN[name] | set(columns)
    assert found.features == FEATURES[name]
    assert found.num_rows_judged == ROWS
    listed = {(it.column, it.value, it.tag) for it in found.shortcuts}
    assert listed - {(it.column, it.value, it.tag) for it in clean.shortcuts} == {("text", WORD, tag)}


@pytest.mark.parametrize("name", FEATURES)
def test_shortcuts_of_clean_sets_are_those_that_packages_have(lake: Lake, engine: Engine, name: str) -> None:
    """Sections, languages and toolkits of packages name their tags; emotions and genres have no such word."""
    clean = guarded(lake, engine, clean_rows(name))
    told = {it.tag for it in clean.shortcuts}
    if name != "debtags":
        assert told == set()
        return
    assert {"devel::lang:perl", "role::documentation", "role::debug-symbols"} <= told
    assert len(told) <= 12
    assert all(2 * it.precision * it.recall >= 0.9 * (it.precision + it.recall) for it in clean.shortcuts)
