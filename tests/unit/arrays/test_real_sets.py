"""The shared real sets against cleanlab, cell for cell."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from spark_ml_audit.arrays import (
    find_label_issues,
    find_multilabel_issues_per_class,
    get_label_quality_scores,
    multilabel_health_summary,
)
from tests.paths import SHARED_DATA
from tests.unit.arrays.ties import assert_cells_equal_but_for_ties, assert_same_order

cleanlab = pytest.importorskip("cleanlab.multilabel_classification")

ISSUES = {"goemotions": 21_040, "debtags": 7_978, "movies_wikidata": None}


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the shared real sets are not there")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ISSUES)
def test_flags_and_scores_equal_cleanlabs(name: str, dtype: str) -> None:
    table = pq.read_table(SHARED_DATA / f"{name}_oof.parquet")
    classes = json.loads(table.schema.metadata[b"classes"])
    place = {tag: k for k, tag in enumerate(classes)}
    labels = [[place[tag] for tag in row] for row in table["labels"].to_pylist()]
    probs = pc.list_flatten(table["pred_probs"]).to_numpy().reshape(-1, len(classes)).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = cleanlab.filter.find_multilabel_issues_per_class(labels, probs, n_jobs=1)
        ranked = cleanlab.filter.find_label_issues(labels, probs, "self_confidence", n_jobs=1)
        scores = cleanlab.get_label_quality_scores(labels, probs)

    cells = find_multilabel_issues_per_class(labels, probs)
    given = np.zeros(probs.shape, dtype=bool)
    for row, indices in enumerate(labels):
        given[row, indices] = True
    ties = assert_cells_equal_but_for_ties(cells, theirs, given, probs)
    assert ties < 50
    np.testing.assert_allclose(get_label_quality_scores(labels, probs), scores, rtol=0, atol=1e-12)
    mask = find_label_issues(given, probs)
    if ISSUES[name] is not None:
        assert theirs.any(axis=1).sum() == ISSUES[name]
    summary = multilabel_health_summary(labels, probs, class_names=classes, verbose=False)
    assert summary["overall_multilabel_health_score"] == pytest.approx(1 - mask.mean(), abs=1e-12)
    if not ties:
        np.testing.assert_array_equal(mask, theirs.any(axis=1))
        ours = find_label_issues(labels, probs, "self_confidence")
        assert_same_order(ours, ranked, get_label_quality_scores(labels, probs), 1e-12)
