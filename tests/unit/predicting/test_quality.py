"""How good out-of-fold probabilities are, in numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from spark_ml_audit.arrow.decode import decode
from spark_ml_audit.arrow.layout import InputLayout
from spark_ml_audit.kernels.cell_scores import self_confidence
from spark_ml_audit.kernels.label_quality import ema
from spark_ml_audit.kernels.records import join_records, sum_records
from spark_ml_audit.predicting.quality import _rank_correlation_of, _ranked_records, rank_correlation


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 200), rng.normal(size=200)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(a, np.ones(200)) is None
    assert rank_correlation(a[:1], b[:1]) is None


def test_the_ranking_is_added_up_from_records_of_any_batches() -> None:
    rng = np.random.default_rng(1)
    probs = rng.random((300, 4)).astype(np.float32)
    given = rng.random((300, 4)) < 0.4
    layout = InputLayout("id", ("t",), "multi_hot", ",", ("p",), "array", "float32", ("a", "b", "c", "d"))
    columns = {
        "id": [f"r{i}" for i in range(300)],
        "fault": [3 if i % 7 == 0 else 0 for i in range(300)],
        "labels_0": given.astype(int).tolist(),
        "probs_0": pa.array(probs.tolist(), pa.list_(pa.float32())),
    }
    rows = pa.RecordBatch.from_pydict(columns)
    found = []
    for size in (300, 11):
        pieces = [decode(rows.slice(start, size), layout) for start in range(0, 300, size)]
        records = sum_records(join_records([_ranked_records(piece, 1.0) for piece in pieces]))
        found.append(_rank_correlation_of(records))
    good = np.arange(300) % 7 != 0
    pairs = np.nonzero(given[good])
    scores = ema(self_confidence(probs[good], *pairs), 0.8)
    assert found[0] == found[1]
    assert found[0] == pytest.approx(spearmanr(-scores, given[good].sum(axis=1)).statistic)
    drawn = _ranked_records(decode(rows, layout), 0.5)
    assert 80 < drawn["a"].sum() < 180
