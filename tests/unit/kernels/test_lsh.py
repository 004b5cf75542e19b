from __future__ import annotations

import numpy as np
import pytest

from spark_ml_audit.kernels.lsh import (
    LEAST_DETECTION,
    MAX_GRAMS,
    Banding,
    cosine,
    grams_of,
    jaccard,
    normalise,
    text_keys,
    vector_keys,
)


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95, 1.0])
def test_bands_detect_what_they_promise(threshold: float) -> None:
    assert Banding.for_texts(threshold).detection(threshold) >= LEAST_DETECTION
    agree = 1 - np.arccos(threshold) / np.pi
    assert Banding.for_vectors(threshold).detection(agree) >= LEAST_DETECTION


def test_case_width_and_white_space_make_no_difference() -> None:
    assert normalise("  Ｆull\tWIDTH \n straße") == normalise("full width STRASSE") == "full width strasse"
    assert normalise(" \n") == ""


def test_similarity_of_sets_of_grams() -> None:
    assert jaccard(grams_of("abcdef"), grams_of("abcdef")) == 1
    assert jaccard(grams_of("abcdef"), grams_of("bcdefg")) == pytest.approx(1 / 3)
    assert jaccard(grams_of("abcdef"), grams_of("uvwxyz")) == 0
    assert len(grams_of("a")) == 1
    assert jaccard(grams_of("ab"), grams_of("abc")) == 0


def test_long_texts_are_compared_by_a_sample_that_both_have() -> None:
    rng = np.random.default_rng(0)
    union = np.sort(rng.integers(-(2**63), 2**63, 12_000))
    first, second = union[rng.random(12_000) < 0.9], union[rng.random(12_000) < 0.9]
    exact = len(np.intersect1d(first, second)) / len(np.union1d(first, second))
    assert jaccard(first[:MAX_GRAMS], second[:MAX_GRAMS]) == pytest.approx(exact, abs=0.05)
    assert jaccard(first[:MAX_GRAMS], first[:MAX_GRAMS]) == 1
    # a short text within a long one
    assert jaccard(first[:MAX_GRAMS], first[:: len(first) // 100]) < 0.05


def test_near_texts_share_a_key_and_others_do_not() -> None:
    rng = np.random.default_rng(0)
    words = np.array(["".join(rng.choice(list("abcdefghij"), 6)) for _ in range(500)])
    banding = Banding.for_texts(0.8)
    met = strangers = 0
    for _ in range(60):
        text = rng.choice(words, 60)
        near = text.copy()
        near[rng.integers(0, 60)] = "altered"
        other = rng.choice(words, 60)
        keys = [set(text_keys(grams_of(" ".join(each)), banding).tolist()) for each in (text, near, other)]
        met += bool(keys[0] & keys[1])
        strangers += bool(keys[0] & keys[2])
    assert met >= 58
    assert strangers <= 1


def test_near_vectors_share_a_key_and_others_do_not() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 64)).astype(np.float32)
    near = (vectors + 0.2 * rng.normal(size=vectors.shape)).astype(np.float32)
    assert cosine(vectors, near).min() > 0.9
    banding = Banding.for_vectors(0.95)
    keys, near_keys = vector_keys(vectors, banding), vector_keys(near, banding)
    assert (keys == near_keys).any(axis=1).mean() >= 0.95
    assert not (keys[:100] == keys[100:]).any()
    np.testing.assert_array_equal(vector_keys(vectors[3:4], banding), keys[3:4])
    assert cosine(np.zeros((1, 3)), np.ones((1, 3))).tolist() == [0.0]
