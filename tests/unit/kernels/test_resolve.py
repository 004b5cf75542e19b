from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_ml_audit.kernels import resolve as resolve_module
from spark_ml_audit.kernels.cutoffs import flagged_cells
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.pruning import RANK_FILTERS
from spark_ml_audit.kernels.resolve import PruneOptions, Resolution, Resolver
from spark_ml_audit.kernels.resolve_counts import Records, ResolveRequest, count_batch, sum_records
from tests.datasets import KINDS, Dataset, from_arrays, make_dataset
from tests.oracle import CELL_FILTERS, oracle_audit

DTYPES = ("float32", "float64")
datasets = st.builds(make_dataset, st.integers(0, 500), st.sampled_from(KINDS), st.sampled_from(DTYPES))


def profile_of(data: Dataset) -> ClassProfile:
    profile = ClassProfile(ProfileSpec.for_classes(data.pred_probs.shape[1], data.pred_probs.dtype))
    profile.add_batch(data.pred_probs, *np.nonzero(data.given))
    return profile


def added_up(parts: Sequence[Records]) -> Records:
    return sum_records({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


def counted(request: ResolveRequest, data: Dataset, parts: Sequence[np.ndarray] | None = None) -> Records:
    """Answer to a request, row sets of the data set being counted one by one."""
    if parts is None:
        parts = [np.arange(len(data.pred_probs))]
    given = data.given
    return added_up(
        [
            records
            for part in parts
            for records in count_batch(request, data.pred_probs[part], *np.nonzero(given[part]))
        ]
    )


def resolve(data: Dataset, options: PruneOptions) -> tuple[Resolution, int]:
    """The resolution and the number of passes it took."""
    resolver, passes = Resolver(profile_of(data), options), 0
    while (request := resolver.request) is not None:
        resolver.update(counted(request, data))
        passes += 1
        assert passes < 30
    return resolver.resolution, passes


def assert_agrees(data: Dataset, **options: Any) -> int:
    result, passes = resolve(data, PruneOptions(**options))
    expected = oracle_audit(data.labels, data.pred_probs, **options)
    # the slow method rounds its sums once more, which may change the last place of a float64 mean
    for name in ("present", "absent"):
        expected_threshold = getattr(expected, f"threshold_{name}").astype(np.float64)
        np.testing.assert_allclose(getattr(result.thresholds, name), expected_threshold, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(result.num_given, data.given.sum(axis=0))
    np.testing.assert_array_equal(result.joint, expected.joint)
    # cut-offs from thresholds may differ by the rounding of a mean, order statistics may not
    slack = 0 if options.get("filter_by", "prune_by_noise_rate") in RANK_FILTERS else 1e-12
    for name in ("cutoff_missing", "cutoff_extraneous"):
        np.testing.assert_allclose(getattr(result, name), getattr(expected, name), rtol=0, atol=slack)
    missing, extraneous = np.zeros_like(data.given), np.zeros_like(data.given)
    cells = flagged_cells(data.pred_probs, *np.nonzero(data.given), result.cutoffs)
    missing[cells[:2]], extraneous[cells[2:]] = True, True
    np.testing.assert_array_equal(missing, expected.missing)
    np.testing.assert_array_equal(extraneous, expected.extraneous)
    np.testing.assert_array_equal(result.num_missing, expected.missing.sum(axis=0))
    np.testing.assert_array_equal(result.num_extraneous, expected.extraneous.sum(axis=0))
    return passes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("filter_by", CELL_FILTERS)
@pytest.mark.parametrize("kind", KINDS)
def test_cutoffs_joints_and_flags_are_those_of_the_slow_method(kind: str, filter_by: str, dtype: str) -> None:
    for seed in (0, 24, 61):
        # few cells cannot crowd a window, so one pass is enough unless a guess was wrong
        assert assert_agrees(make_dataset(seed, kind, dtype), filter_by=filter_by) <= 2


@given(
    data=datasets,
    filter_by=st.sampled_from(CELL_FILTERS),
    frac_noise=st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]),
    min_examples=st.sampled_from([0, 1, 2, 5, 40]),
)
@settings(max_examples=80, deadline=None)
def test_options_of_the_counts_are_followed(
    data: Dataset, filter_by: str, frac_noise: float, min_examples: int
) -> None:
    assert_agrees(data, filter_by=filter_by, frac_noise=frac_noise, min_examples_per_class=min_examples)


@given(data=datasets, draw=st.data())
@settings(max_examples=50, deadline=None)
def test_wanted_counts_are_followed(data: Dataset, draw: st.DataObject) -> None:
    size = data.pred_probs.shape[1]
    counts = st.lists(st.integers(0, 200), min_size=size, max_size=size).map(tuple)
    options = {
        "num_to_remove_per_class": draw.draw(st.none() | counts),
        "num_to_add_per_class": draw.draw(st.none() | counts),
    }
    assert_agrees(data, **options)


def smooth_dataset(num_rows: int, dtype: str, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    truth = rng.random((num_rows, 4)) < [0.02, 0.1, 0.3, 0.6]
    given = truth ^ (rng.random(truth.shape) < 0.05)
    logits = np.where(truth, 2, -2) + 1.5 * rng.normal(size=truth.shape)
    return from_arrays("smooth", given, (1 / (1 + np.exp(-logits))).astype(dtype))


def assert_cutoffs_by_sorting(data: Dataset, result: Resolution) -> None:
    """Order statistics of the default filter, from sorted columns and the joint."""
    given, p = data.given, data.pred_probs
    for k in range(p.shape[1]):
        absent, present = np.sort(p[~given[:, k], k]), np.sort(p[given[:, k], k])
        assert result.cutoff_missing[k] == absent[-result.joint[k, 0, 1]]
        assert result.cutoff_extraneous[k] == present[result.joint[k, 1, 0] - 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_smooth_probabilities_take_one_pass(dtype: str) -> None:
    data = smooth_dataset(60_000, dtype)
    result, passes = resolve(data, PruneOptions())
    assert passes == 1
    assert_cutoffs_by_sorting(data, result)


@pytest.mark.parametrize("kind", ["forest", "saturated", "near_saturated", "constant"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_crowded_probabilities_take_as_many_passes_as_their_bits_need(
    kind: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve_module, "_TOTAL_GROUPS", 1)
    for seed in range(4):
        data = make_dataset(seed, kind, dtype)
        repeated = Dataset(data.name, data.labels * 6, np.concatenate([data.pred_probs] * 6))
        # with 64 groups a pass settles 6 bits of at most 30 or 62
        assert assert_agrees(repeated) <= (1 + 5 if dtype == "float32" else 1 + 11)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("budget", [2, 5, 64])
def test_windows_too_crowded_to_list_are_narrowed_by_further_passes(
    dtype: str, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve_module, "_TOTAL_GROUPS", 1)
    monkeypatch.setattr(resolve_module, "_MIN_GROUPS", budget)
    rng = np.random.default_rng(5)
    data = smooth_dataset(4000, dtype)
    # nearly all cells share a bin of the histogram, all values in it differ
    crowd = rng.random(data.pred_probs.shape) < 0.9
    inside = 0.625 + rng.integers(0, 1 << 14, size=crowd.shape) * 2.0**-24
    data = Dataset("crowd", data.labels, np.where(crowd, inside, data.pred_probs).astype(dtype))
    result, passes = resolve(data, PruneOptions())
    assert 1 < passes < 30
    assert_cutoffs_by_sorting(data, result)


def test_what_a_pass_reports_is_bounded_by_the_budget_not_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve_module, "_TOTAL_GROUPS", 1)
    data = smooth_dataset(50_000, "float64")
    data = Dataset("crowd", data.labels, 0.5 + data.pred_probs * 2.0**-9)
    resolver = Resolver(profile_of(data), PruneOptions())
    while (request := resolver.request) is not None:
        records = counted(request, data)
        assert np.count_nonzero(records["slot"] >= 0) <= 2 * 4 * resolve_module._MIN_GROUPS
        resolver.update(records)
    assert_cutoffs_by_sorting(data, resolver.resolution)


@given(data=datasets, seed=st.integers(0, 99), filter_by=st.sampled_from(CELL_FILTERS))
@settings(max_examples=50, deadline=None)
def test_counts_do_not_depend_on_how_rows_are_split(data: Dataset, seed: int, filter_by: str) -> None:
    rng = np.random.default_rng(seed)
    request = Resolver(profile_of(data), PruneOptions(filter_by)).request
    assert request is not None
    whole = counted(request, data)
    order = rng.permutation(len(data.pred_probs))
    parts = np.split(order, np.sort(rng.integers(0, len(order) + 1, size=rng.integers(0, 6))))
    split = counted(request, data, parts)
    for name, column in whole.items():
        np.testing.assert_array_equal(split[name], column, err_msg=name)


@pytest.mark.parametrize("num_classes", [1, 3, 130, 1100])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_pass_counts_what_it_was_asked(num_classes: int, dtype: str) -> None:
    rng = np.random.default_rng(num_classes)
    data = from_arrays(
        "random", rng.random((700, num_classes)) < 0.1, rng.random((700, num_classes)).astype(dtype)
    )
    p, given = data.pred_probs, data.given
    request = Resolver(profile_of(data), PruneOptions()).request
    assert request is not None
    batch = np.asfortranarray(p)
    records = added_up(list(count_batch(request, batch, *np.nonzero(given))))
    keys = p.view(f"u{p.itemsize}").astype(np.int64)
    found = {
        (index, slot): (a, b)
        for index, slot, a, b in zip(
            *(records[name].tolist() for name in ("class_index", "slot", "a", "b")), strict=True
        )
    }
    for j, cut in enumerate([*request.cuts, *request.given_cuts]):
        below = keys < cut
        for k in range(num_classes):
            absent = int((below & ~given)[:, k].sum()) if j < len(request.cuts) else 0
            assert found.pop((k, -1 - j)) == (absent, int((below & given)[:, k].sum()))
    for side, members in enumerate((~given, given)):
        inside = members & (keys >= request.low[side]) & (keys < request.high[side])
        for k in range(num_classes):
            groups = (keys[inside[:, k], k] - request.low[side, k]) >> request.shift[side, k]
            for slot, count in zip(*np.unique(groups, return_counts=True), strict=True):
                assert found.pop((side * num_classes + k, int(slot))) == (int(count), 0)
    assert not found


@pytest.mark.parametrize("filter_by", CELL_FILTERS)
def test_no_rows_flag_nothing(filter_by: str) -> None:
    data = from_arrays("empty", np.zeros((0, 3), dtype=bool), np.zeros((0, 3), dtype=np.float32))
    result, _ = resolve(data, PruneOptions(filter_by))
    assert not result.joint.any()
    assert not result.num_missing.any()
    assert not result.num_extraneous.any()


def test_the_result_is_withheld_until_rows_are_counted() -> None:
    data = make_dataset(0, "plain", "float32")
    resolver = Resolver(profile_of(data), PruneOptions())
    with pytest.raises(ValueError, match="still have to be counted"):
        _ = resolver.resolution
    while (request := resolver.request) is not None:
        answer = counted(request, data)
        resolver.update(answer)
    with pytest.raises(ValueError, match="nothing was asked"):
        resolver.update(answer)
