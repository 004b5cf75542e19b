"""The published means of the score that the paper recommends, on the sets made by its recipe."""

from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.paper import SCORES, measure
from tests.benchmarks.synthetic import SEEDS, make_set


def test_recipe_leaves_rows_with_three_errors_alone():
    found = make_set("small", 3)
    wrong = (found.truth != found.given).sum(axis=1)
    assert found.features.shape == (5000, 3)
    assert wrong.max() == 3
    assert wrong.astype(bool).mean() == pytest.approx(0.352)


def test_default_score_reaches_the_published_means():
    found = [measure("small", seed, "logistic", folds=5, jobs=1) for seed in SEEDS]
    for name in ("EMA 0.8 (default)", "EMA 0.5", "EMA 0.95", "softmin 1", "mean"):
        means = np.mean([one[name] for one in found], axis=0)
        published = SCORES[name].published[0]
        assert means == pytest.approx(published, abs=0.0025), name
