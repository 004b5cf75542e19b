"""Model quality from histograms, against scikit-learn on the cells themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from spark_ml_audit.kernels.float_keys import from_keys
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.model_quality import (
    ModelQuality,
    model_quality,
    most_tags_first,
    weakness,
)
from spark_ml_audit.kernels.profile import ClassProfile
from tests.datasets import KINDS, make_dataset

CLASSES = ("news", "sport", "film", "music", "food", "art")


def profile_of(p: np.ndarray, y: np.ndarray) -> ClassProfile:
    profile = ClassProfile(ProfileSpec.for_classes(p.shape[1], p.dtype))
    profile.add_batch(p, *np.nonzero(y))
    return profile


def simulated(n: int, num_classes: int, dtype: str = "float32", noise: float = 1.0, seed: int = 0):
    """Calibrated-like probabilities of tags of very different prevalence."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 1.5, (n, num_classes)) + np.linspace(-4, 0.5, num_classes)
    y = rng.random((n, num_classes)) < 1 / (1 + np.exp(-logit))
    p = 1 / (1 + np.exp(-(logit + noise * rng.normal(size=logit.shape))))
    return p.astype(dtype), y


def binned(p: np.ndarray) -> np.ndarray:
    """The same probabilities moved to the lower edges of their bins."""
    spec = ProfileSpec.for_classes(p.shape[1], p.dtype)
    profile = profile_of(p, np.zeros(p.shape, bool))
    edges = from_keys(spec.bin_edges()[:-1], p.dtype)
    assert profile.absent_histogram.sum() == p.size
    return edges[np.searchsorted(edges, p, side="right") - 1]


def calibration_error(p: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    index = np.minimum((p.astype(np.float64) * bins).astype(int), bins - 1)
    return sum(abs(p[index == b].sum(dtype=np.float64) - y[index == b].sum()) for b in range(bins)) / len(p)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_figures_agree_with_scikit_learn(dtype: str) -> None:
    p, y = simulated(20_000, 6, dtype)
    quality = model_quality(profile_of(p, y))
    expected = {
        "auc": [roc_auc_score(y[:, k], p[:, k]) for k in range(6)],
        "average_precision": [average_precision_score(y[:, k], p[:, k]) for k in range(6)],
        "brier": [brier_score_loss(y[:, k], p[:, k]) for k in range(6)],
        "ece": [calibration_error(p[:, k], y[:, k]) for k in range(6)],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(quality, name), values, atol=2e-3, err_msg=name)
    assert quality.macro_auc == pytest.approx(roc_auc_score(y, p, average="macro"), abs=2e-3)
    assert quality.micro_auc == pytest.approx(roc_auc_score(y, p, average="micro"), abs=2e-3)
    for how in ("macro", "micro"):
        found = getattr(quality, f"{how}_average_precision")
        assert found == pytest.approx(average_precision_score(y, p, average=how), abs=2e-3)
    np.testing.assert_allclose(quality.prevalence, y.mean(axis=0))
    np.testing.assert_allclose(quality.brier_of_prior, y.mean(axis=0) * (1 - y.mean(axis=0)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [3, 4])
def test_ranking_figures_are_those_of_probabilities_tied_within_bins(kind: str, seed: int) -> None:
    data = make_dataset(seed, kind)
    p, y = data.pred_probs, data.given
    quality = model_quality(profile_of(p, y))
    tied = binned(p)
    for k in range(p.shape[1]):
        if 0 < y[:, k].sum() < len(y):
            assert quality.auc[k] == pytest.approx(roc_auc_score(y[:, k], tied[:, k]), abs=1e-12)
        else:
            assert math.isnan(quality.auc[k])
        if y[:, k].any():
            exact = average_precision_score(y[:, k], tied[:, k])
            assert quality.average_precision[k] == pytest.approx(exact, abs=1e-12)
        else:
            assert math.isnan(quality.average_precision[k])
        assert quality.brier[k] == pytest.approx(((p[:, k] - y[:, k]) ** 2).mean(), abs=2.0**-8)


def test_quality_of_parts_added_up_is_that_of_the_whole() -> None:
    p, y = simulated(600, 5)
    parts = profile_of(p[:250], y[:250]).merge(profile_of(p[250:], y[250:]))
    whole, added = model_quality(profile_of(p, y)), model_quality(parts)
    assert whole.summary() == added.summary()
    assert whole.class_rows(CLASSES[:5]) == added.class_rows(CLASSES[:5])


def test_undefined_figures_are_none_in_records() -> None:
    p = np.full((4, 2), 0.5, np.float32)
    y = np.array([[False, True]] * 4)
    quality = model_quality(profile_of(p, y))
    assert quality.summary()["macro_auc"] is None
    assert quality.summary()["brier_skill"] is None
    assert quality.summary()["brier"] == pytest.approx(0.25, abs=1e-3)
    none, every = quality.class_rows(["none", "every"])
    assert (none["auc"], none["average_precision"], none["num_given"]) == (None, None, 0)
    assert (every["auc"], every["average_precision"], every["prevalence"]) == (None, 1.0, 1.0)
    empty = model_quality(ClassProfile(ProfileSpec.for_classes(3, np.float32)))
    assert set(empty.summary().values()) == {None}


def test_stand_in_counts_the_other_tags_of_a_row() -> None:
    y = np.array([[True, True, False], [False, False, True], [False, False, False]])
    shares = most_tags_first(*np.nonzero(y), *y.shape)
    assert shares.dtype == np.float32
    assert shares.tolist() == [[0.5, 0.5, 1.0], [0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    assert most_tags_first(*np.nonzero(y[:, :1]), 3, 1).tolist() == [[0.0]] * 3


def quality_of(p: np.ndarray, y: np.ndarray) -> ModelQuality:
    return model_quality(profile_of(p, y))


def test_a_good_model_is_not_warned_about() -> None:
    p, y = simulated(5000, 6, noise=0.3)
    baseline = quality_of(most_tags_first(*np.nonzero(y), *y.shape), y)
    assert weakness(quality_of(p, y), CLASSES, baseline) == []


def test_a_model_of_chance_is_warned_about() -> None:
    p, y = simulated(5000, 6)
    shuffled = np.random.default_rng(1).permutation(p)
    said = " ".join(weakness(quality_of(shuffled, y), CLASSES))
    for part in ("too weak", "chance is 0.5", "prevalence", "Brier", "6 classes were hardly ranked"):
        assert part in said
    prior = np.broadcast_to(y.mean(axis=0).astype(np.float32), y.shape)
    said = " ".join(weakness(quality_of(np.ascontiguousarray(prior), y), CLASSES))
    assert "mean AUC out of fold is 0.500" in said


def test_a_model_no_better_than_the_number_of_tags_is_warned_about() -> None:
    rng = np.random.default_rng(2)
    y = rng.random((3000, 6)) < np.clip(rng.exponential(0.3, (3000, 1)), 0, 0.95)
    shares = most_tags_first(*np.nonzero(y), *y.shape)
    quality = quality_of(shares, y)
    assert any("number of other tags" in sentence for sentence in weakness(quality, CLASSES, quality))


def test_common_tags_do_not_make_a_perfect_model_weak() -> None:
    y = np.random.default_rng(3).random((500, 6)) < 0.9
    assert weakness(quality_of(y.astype(np.float32), y), CLASSES) == []


def test_useless_and_one_sided_classes_are_named_and_bounded() -> None:
    p, y = simulated(2000, 40, noise=0.2)
    y[:, :12], y[:, 12] = False, True
    p[:, 13] = 0.5
    said = weakness(quality_of(p, y), [f"tag{k}" for k in range(40)])
    assert any("12 classes were given to no row" in s and "'tag9' and 2 more" in s for s in said)
    assert any("1 class was given to every row" in s and "'tag12'" in s for s in said)
    assert any("1 class was hardly ranked" in s and "'tag13' (0.50)" in s for s in said)


def test_models_that_cannot_be_judged_are_said_to_be() -> None:
    empty = model_quality(ClassProfile(ProfileSpec.for_classes(6, np.float32)))
    assert "No row" in weakness(empty, CLASSES)[0]
    p, y = np.full((3, 6), 0.5, np.float32), np.zeros((3, 6), bool)
    assert "cannot be judged" in weakness(quality_of(p, y), CLASSES)[0]
