"""Display histograms count every row in the bin it belongs to."""

from __future__ import annotations

import numpy as np
import pytest

from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.report.page import display_histograms
from spark_ml_audit.report.page.histograms import num_display_bins


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("num_bins", [16, 32, 64])
def test_equal_to_a_count_by_hand(dtype: str, num_bins: int) -> None:
    rng = np.random.default_rng(num_bins)
    probs = rng.beta(0.3, 0.6, size=(3000, 3)).astype(dtype)
    # edges, their neighbours, and both ends
    edges = (np.arange(num_bins + 1) / num_bins).astype(dtype)
    ends = np.array([0, 1], dtype=dtype)
    edge_cases = np.concatenate([edges, np.nextafter(edges[1:], ends[0]), np.nextafter(edges[:-1], ends[1])])
    probs[: len(edge_cases), 0] = edge_cases
    given = rng.random(probs.shape) < 0.4
    profile = ClassProfile(ProfileSpec.for_classes(3, dtype))
    rows, cols = np.nonzero(given)
    profile.add_batch(probs, rows, cols)
    shown = display_histograms(profile, num_bins)
    bins = np.minimum((probs.astype(np.float64) * num_bins).astype(int), num_bins - 1)
    for k in range(3):
        assert shown.present[k].tolist() == np.bincount(bins[given[:, k], k], minlength=num_bins).tolist()
        assert shown.absent[k].tolist() == np.bincount(bins[~given[:, k], k], minlength=num_bins).tolist()


def test_more_classes_get_fewer_bins() -> None:
    assert [num_display_bins(k) for k in (1, 100, 1562, 1563, 5000, 100_000)] == [64, 64, 64, 32, 16, 16]


def test_a_coarse_profile_gives_its_own_resolution() -> None:
    profile = ClassProfile(ProfileSpec(2, "float32", 2))
    profile.add_batch(np.array([[0.1, 0.9]], dtype=np.float32), np.array([0]), np.array([1]))
    shown = display_histograms(profile)
    assert shown.num_bins == 8
    assert shown.present[1].tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert shown.absent[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
