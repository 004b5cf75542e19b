from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_ml_audit.kernels import profile as profile_module
from spark_ml_audit.kernels.float_keys import one_key, to_keys
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.profile import ClassProfile, split_fixed_point
from tests.datasets import KINDS, Dataset, make_dataset

DTYPES = ("float32", "float64")
PARTS = ("num_present", "present_sum", "absent_sum", "absent_histogram", "present_histogram")


def profile_of(
    data: Dataset, keep: np.ndarray | slice = slice(None), spec: ProfileSpec | None = None
) -> ClassProfile:
    """Profile of some rows of a data set, in the order in which they are named."""
    pred_probs, tags = data.pred_probs[keep], data.given[keep]
    profile = ClassProfile(spec or ProfileSpec.for_classes(pred_probs.shape[1], pred_probs.dtype))
    profile.add_batch(pred_probs, *np.nonzero(tags))
    return profile


def assert_same(first: ClassProfile, second: ClassProfile) -> None:
    assert first.spec == second.spec
    assert first.num_rows == second.num_rows
    for name in PARTS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def sum_of_records(parts: list[dict[str, np.ndarray]], order: np.random.Generator) -> dict[str, np.ndarray]:
    """What a group-by of the records returns: sums in no particular order."""
    totals: dict[tuple[int, int], list[int]] = {}
    for part in parts:
        columns = (part[name].tolist() for name in ("class_index", "slot", "a", "b"))
        for index, slot, a, b in zip(*columns, strict=True):
            total = totals.setdefault((index, slot), [0, 0])
            total[0] += a
            total[1] += b
    rows = [(*key, *totals[key]) for key in totals]
    order.shuffle(rows)
    summed = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return dict(zip(("class_index", "slot", "a", "b"), summed, strict=True))


datasets = st.builds(make_dataset, st.integers(0, 500), st.sampled_from(KINDS), st.sampled_from(DTYPES))


@given(data=datasets, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_row_order_and_splitting_and_grouping_leave_every_bit_as_it_is(data: Dataset, seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = profile_of(data)
    order = rng.permutation(len(data.pred_probs))
    assert_same(profile_of(data, order), whole)

    cuts = np.sort(rng.integers(0, len(order) + 1, size=rng.integers(0, 5)))
    parts = [profile_of(data, part) for part in np.split(order, cuts)]
    rng.shuffle(parts)
    left = ClassProfile(whole.spec)
    for part in parts:
        left = left.merge(part)
    right = ClassProfile(whole.spec)
    for part in parts:
        right = part.merge(right)
    assert_same(left, whole)
    assert_same(right, whole)

    batch_by_batch = ClassProfile(whole.spec)
    for part in np.split(order, cuts):
        batch_by_batch.add_batch(data.pred_probs[part], *np.nonzero(data.given[part]))
    assert_same(batch_by_batch, whole)

    summed = sum_of_records([part.to_records() for part in parts], rng)
    assert_same(ClassProfile.from_records(whole.spec, summed), whole)


@given(data=datasets)
@settings(max_examples=40, deadline=None)
def test_counts_sums_and_histograms_are_exact(data: Dataset) -> None:
    p, tags = data.pred_probs, data.given
    profile = profile_of(data)
    q = 1 - p
    edges = profile.spec.bin_edges()
    assert profile.num_rows == len(p)
    for k in range(p.shape[1]):
        y = tags[:, k]
        assert (profile.num_present[k], profile.num_absent[k]) == (y.sum(), (~y).sum())
        for side, values, sums in ((y, p, profile.present_sum), (~y, q, profile.absent_sum)):
            exact = sum((_rounded(v) for v in values[side, k]), Fraction(0))
            assert Fraction(int(sums[0, k]), 2**30) + Fraction(int(sums[1, k]), 2**60) == exact
        for side, histogram in ((y, profile.present_histogram), (~y, profile.absent_histogram)):
            bins = np.searchsorted(edges, to_keys(p[side, k]), side="right") - 1
            expected = np.bincount(bins, minlength=profile.spec.num_bins)
            np.testing.assert_array_equal(histogram[k], expected)


def _rounded(value: Any) -> Fraction:
    """The value at the profile's resolution of 2**-60 (a half to even, as floats round)."""
    return Fraction(round(Fraction(float(value)) * 2**60), 2**60)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_parts_of_a_value_are_whole_units_and_lose_less_than_one(values: list[float]) -> None:
    high, low = split_fixed_point(np.abs(values))
    for value, part, rest in zip(np.abs(values), high, low, strict=True):
        assert (Fraction(part) * 2**30).denominator == 1
        assert (Fraction(rest) * 2**60).denominator == 1
        assert abs(Fraction(part) + Fraction(rest) - Fraction(value)) <= Fraction(1, 2**61)


@given(data=datasets)
@settings(max_examples=40, deadline=None)
def test_thresholds_are_the_exact_means_rounded_once(data: Dataset) -> None:
    p, tags = data.pred_probs, data.given
    thresholds = profile_of(data).thresholds()
    for values, sides, found in ((p, tags, thresholds.present), (1 - p, ~tags, thresholds.absent)):
        for k in range(p.shape[1]):
            side = values[sides[:, k], k]
            if not len(side):
                assert found[k] == 2
                continue
            mean = sum((_rounded(v) for v in side), Fraction(0)) / len(side)
            expected = max(p.dtype.type(float(mean)), p.dtype.type(2e-6))
            assert found[k] == float(expected)


def test_many_rows_are_summed_without_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    pred_probs = np.full((5000, 3), [1 / 3, 1e-9, 0.7]).astype(np.float64)
    tags = np.zeros(pred_probs.shape, dtype=bool)
    tags[::7] = True
    data = Dataset("constant", [], pred_probs)
    profile = ClassProfile(ProfileSpec.for_classes(3, "float64"))
    profile.add_batch(pred_probs, *np.nonzero(tags))
    for k in range(3):
        units = int(profile.present_sum[0, k]) * 2**30 + int(profile.present_sum[1, k])
        assert units == round(Fraction(pred_probs[0, k]) * 2**60) * int(tags[:, k].sum())
    # the same when a batch is longer than float64 can add exactly
    monkeypatch.setattr(profile_module, "_MAX_ADDENDS", 999)
    in_parts = ClassProfile(profile.spec)
    in_parts.add_batch(data.pred_probs, *np.nonzero(tags))
    assert_same(in_parts, profile)


@pytest.mark.parametrize("num_classes", [1, 3, 50, 130, 1100, 3000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_width_of_the_table_counts_every_cell_once(num_classes: int, dtype: str) -> None:
    rng = np.random.default_rng(num_classes)
    pred_probs = rng.random((301, num_classes)).astype(dtype)
    tags = rng.random(pred_probs.shape) < 0.05
    profile = profile_of(Dataset("random", [], pred_probs), slice(0))
    profile.add_batch(pred_probs, *np.nonzero(tags))
    strided = ClassProfile(profile.spec)
    strided.add_batch(np.asfortranarray(pred_probs), *np.nonzero(tags))
    assert_same(strided, profile)
    np.testing.assert_array_equal(profile.absent_histogram.sum(axis=1), (~tags).sum(axis=0))
    np.testing.assert_array_equal(profile.present_histogram.sum(axis=1), tags.sum(axis=0))
    total = profile.absent_sum[0] / 2**30 + profile.absent_sum[1] / 2**60
    np.testing.assert_allclose(total, np.where(tags, 0, 1 - pred_probs).sum(axis=0, dtype=np.float64))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("octave_bits", range(9))
def test_bins_cover_all_keys_and_zero_and_one_have_their_own(dtype: str, octave_bits: int) -> None:
    spec = ProfileSpec(2, dtype, octave_bits)
    edges = spec.bin_edges()
    assert len(edges) == spec.num_bins + 1
    assert (np.diff(edges) > 0).all()
    assert (edges[0], edges[1]) == (0, 1)
    assert (edges[-2], edges[-1]) == (one_key(dtype), one_key(dtype) + 1)
    keys = np.unique(
        np.concatenate([edges[:-1], edges[1:] - 1, to_keys(np.linspace(0, 1, 999, dtype=dtype))])
    )
    expected = np.searchsorted(edges, keys, side="right") - 1
    np.testing.assert_array_equal(spec.bins_of(keys), expected)
    unsigned = keys.astype(np.uint32 if dtype == "float32" else np.uint64)
    np.testing.assert_array_equal(spec.bins_of(unsigned), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bins_of_a_coarser_profile_are_unions_of_those_of_a_finer(dtype: str) -> None:
    for bits in range(8):
        coarse, fine = ProfileSpec(2, dtype, bits), ProfileSpec(2, dtype, bits + 1)
        assert np.isin(coarse.bin_edges(), fine.bin_edges()).all()


@pytest.mark.parametrize(("num_classes", "octave_bits"), [(1, 8), (50, 8), (512, 8), (513, 7), (10_000, 3)])
def test_resolution_falls_with_the_classes_so_that_memory_stays_bounded(
    num_classes: int, octave_bits: int
) -> None:
    spec = ProfileSpec.for_classes(num_classes, np.float32)
    assert spec == ProfileSpec(num_classes, "float32", octave_bits)
    assert spec.num_classes * spec.num_bins * 8 < 17 << 20


def test_profiles_of_several_days_add_up_to_the_profile_of_all() -> None:
    data = make_dataset(3, "forest", "float32")
    day_of_row = np.random.default_rng(0).integers(0, 3, size=len(data.pred_probs))
    stored = {
        date(2026, 3, day + 1): profile_of(data, np.flatnonzero(day_of_row == day)).to_records()
        for day in range(3)
    }
    spec = ProfileSpec.for_classes(data.pred_probs.shape[1], np.float32)
    total = ClassProfile(spec)
    for day in sorted(stored, reverse=True):
        total = total.merge(ClassProfile.from_records(spec, stored[day]))
    assert_same(total, profile_of(data))


@pytest.mark.parametrize(
    "other", [ProfileSpec(3, "float32", 8), ProfileSpec(4, "float64", 8), ProfileSpec(4, "float32", 7)]
)
def test_profiles_of_different_kind_are_refused(other: ProfileSpec) -> None:
    with pytest.raises(ValueError, match="different kind"):
        ClassProfile(ProfileSpec(4, "float32", 8)).merge(ClassProfile(other))


def test_a_profile_without_rows_is_the_neutral_element() -> None:
    data = make_dataset(1, "plain", "float64")
    whole = profile_of(data)
    empty = profile_of(data, slice(0))
    assert_same(empty, ClassProfile(whole.spec))
    assert_same(empty.merge(whole), whole)
    assert_same(ClassProfile.from_records(whole.spec, empty.to_records()), empty)
    assert empty.thresholds().present.tolist() == [2.0] * whole.spec.num_classes
    nothing = {name: np.zeros(0, np.int64) for name in ("class_index", "slot", "a", "b")}
    assert_same(ClassProfile.from_records(whole.spec, nothing), empty)


def test_merging_leaves_both_profiles_as_they_were() -> None:
    data = make_dataset(2, "plain", "float32")
    first, second = profile_of(data, slice(10)), profile_of(data, slice(10, None))
    first.merge(second)
    assert_same(first, profile_of(data, slice(10)))
    assert_same(second, profile_of(data, slice(10, None)))
