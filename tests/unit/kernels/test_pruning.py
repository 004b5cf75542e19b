from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.kernels.pruning import RANK_FILTERS, FlagCounts, flag_counts, prune_counts

JOINT = np.array([[[60, 20], [5, 15]]])
SIDES = {"num_absent": np.array([80]), "num_present": np.array([20])}


def counts(joint: np.ndarray = JOINT, **options: Any) -> tuple[int, int]:
    result = flag_counts(joint, **{"filter_by": "prune_by_noise_rate", **SIDES, **options})
    assert result.missing.dtype == result.extraneous.dtype == np.int64
    return int(result.missing[0]), int(result.extraneous[0])


@pytest.mark.parametrize("filter_by", RANK_FILTERS)
def test_a_consistent_joint_gives_every_filter_its_off_diagonal(filter_by: str) -> None:
    assert counts(filter_by=filter_by) == (20, 5)


def test_part_of_the_noise_is_truncated_not_rounded() -> None:
    assert counts(frac_noise=0.5) == (10, 2)
    # The diagonal takes up what the errors lost, also truncated: 20 - int(15 + 2.5).
    assert counts(frac_noise=0.5, filter_by="prune_by_class") == (10, 3)
    assert counts(frac_noise=0.5, filter_by="both") == (10, 2)


@pytest.mark.parametrize("filter_by", RANK_FILTERS)
def test_no_noise_flags_nothing(filter_by: str) -> None:
    assert counts(frac_noise=0.0, filter_by=filter_by) == (0, 0)


@pytest.mark.parametrize("filter_by", RANK_FILTERS)
def test_a_least_number_of_examples_is_kept_as_correct(filter_by: str) -> None:
    assert counts(min_examples_per_class=18, filter_by=filter_by) == (20, 2)


@pytest.mark.parametrize("filter_by", RANK_FILTERS)
@pytest.mark.parametrize("least", [0, 1])
def test_a_side_with_one_example_is_never_flagged(filter_by: str, least: int) -> None:
    joint = np.array([[[60, 20], [1, 0]]])
    sides = {"num_absent": np.array([80]), "num_present": np.array([1])}
    assert counts(joint, filter_by=filter_by, min_examples_per_class=least, **sides) == (20, 0)


def test_a_side_with_as_many_examples_as_the_least_number_is_never_flagged() -> None:
    assert counts(min_examples_per_class=20, frac_noise=1.0)[1] == 0
    assert counts(num_to_remove_per_class=[7], min_examples_per_class=20) == (0, 0)


def test_counts_to_remove_replace_the_estimate_and_add_nothing() -> None:
    assert counts(num_to_remove_per_class=[7]) == (0, 7)
    assert counts(num_to_remove_per_class=[0]) == (0, 0)
    assert counts(num_to_remove_per_class=np.array([999])) == (0, 20)


def test_counts_to_add_are_the_mirror_image() -> None:
    assert counts(num_to_add_per_class=[7]) == (7, 0)
    assert counts(num_to_add_per_class=[999]) == (80, 0)


def test_both_kinds_of_counts_apply_to_their_own_side() -> None:
    assert counts(num_to_remove_per_class=[3], num_to_add_per_class=[4]) == (4, 3)


def test_a_class_without_an_estimated_error_flags_nothing_on_request() -> None:
    clean = np.array([[[80, 0], [0, 20]]])
    assert counts(clean, num_to_remove_per_class=[3], num_to_add_per_class=[4]) == (0, 0)


@pytest.mark.parametrize("filter_by", ["prune_by_class", "both"])
@pytest.mark.parametrize("option", ["num_to_remove_per_class", "num_to_add_per_class"])
def test_requested_counts_need_the_default_filter(filter_by: str, option: str) -> None:
    with pytest.raises(ValueError, match="need filter_by prune_by_noise_rate"):
        counts(filter_by=filter_by, **{option: [1]})


@pytest.mark.parametrize("filter_by", ["confident_learning", "predicted_neq_given", "low_self_confidence"])
def test_filters_without_counts_are_refused(filter_by: str) -> None:
    with pytest.raises(ValueError, match="have counts of cells to flag"):
        counts(filter_by=filter_by)


@pytest.mark.parametrize(
    ("wanted", "message"), [([1, 2], "2 entries, but there are 1"), ([0.5], "whole"), ([-1], "negative")]
)
def test_requested_counts_are_checked(wanted: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        counts(num_to_remove_per_class=wanted)


@st.composite
def prune_cases(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, Any]]:
    num_classes = draw(st.integers(1, 3))
    joint = np.array(
        [[[draw(st.integers(0, 50)) for _ in range(2)] for _ in range(2)] for _ in range(num_classes)]
    )
    sides = joint.sum(axis=2)
    return joint, {
        "num_absent": sides[:, 0],
        "num_present": sides[:, 1],
        "frac_noise": draw(st.floats(0, 1)),
        "min_examples_per_class": draw(st.integers(0, 60)),
    }


@given(prune_cases())
def test_ranks_never_leave_their_side_and_both_is_the_shorter_tail(
    case: tuple[np.ndarray, dict[str, Any]],
) -> None:
    joint, options = case
    by_filter: dict[str, FlagCounts] = {f: flag_counts(joint, filter_by=f, **options) for f in RANK_FILTERS}
    for result in by_filter.values():
        assert (result.missing >= 0).all()
        assert (result.missing <= options["num_absent"]).all()
        assert (result.extraneous >= 0).all()
        assert (result.extraneous <= options["num_present"]).all()
    rate, by_class, both = (by_filter[f] for f in RANK_FILTERS)
    np.testing.assert_array_equal(both.missing, np.minimum(rate.missing, by_class.missing))
    np.testing.assert_array_equal(both.extraneous, np.minimum(rate.extraneous, by_class.extraneous))


@given(prune_cases())
def test_less_noise_never_prunes_more(case: tuple[np.ndarray, dict[str, Any]]) -> None:
    joint, options = case
    some = flag_counts(joint, filter_by="prune_by_noise_rate", **options)
    every = flag_counts(joint, filter_by="prune_by_noise_rate", **{**options, "frac_noise": 1.0})
    assert (some.missing <= every.missing).all()
    assert (some.extraneous <= every.extraneous).all()


@given(prune_cases())
def test_prune_counts_keep_at_least_the_least_number(case: tuple[np.ndarray, dict[str, Any]]) -> None:
    joint, options = case
    least = options["min_examples_per_class"]
    result = prune_counts(joint, frac_noise=options["frac_noise"], min_examples_per_class=least)
    assert (result[:, [0, 1], [0, 1]] >= least).all()
    assert (result >= 0).all()
