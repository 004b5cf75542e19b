"""How good out-of-fold probabilities are, in numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from spark_ml_audit.predicting.quality import rank_correlation


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, 200), rng.normal(size=200)
    assert rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_correlation(a, np.ones(200)) is None
    assert rank_correlation(a[:1], b[:1]) is None
