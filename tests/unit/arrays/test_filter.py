"""Flags of arrays against cleanlab's, for every filter and argument."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from spark_ml_audit.arrays import (
    find_label_issues,
    find_multilabel_issues_per_class,
    get_label_quality_scores,
    get_label_quality_scores_per_class,
)
from tests.datasets import KINDS, Dataset, make_dataset
from tests.oracle import CELL_FILTERS, EXAMPLE_FILTERS, FILTERS, oracle_audit
from tests.reference import reference_flags, taken_by_reference
from tests.unit.arrays.ties import assert_cells_equal_but_for_ties, assert_same_order

cleanlab = pytest.importorskip("cleanlab.multilabel_classification.filter")
from cleanlab import count  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of the reference

SEEDS = range(4 * len(KINDS))
RANK_FILTERS = ("prune_by_noise_rate", "prune_by_class", "both")
SCORES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def datasets(filter_by: str, seeds=SEEDS) -> list[Dataset]:
    """Those that cleanlab can audit, with the classes it can audit."""
    found = [taken_by_reference(make_dataset(seed), filter_by) for seed in seeds]
    kept = [data for data in found if data is not None]
    assert len(kept) > 0.6 * len(seeds)
    return kept


def is_rough(data: Dataset) -> bool:
    """Whether float32 thresholds of cleanlab may differ, which matters where they take part in a score."""
    return data.pred_probs.dtype == np.float32


@pytest.mark.parametrize("filter_by", FILTERS)
def test_cells_equal_cleanlabs_but_for_ties(filter_by: str) -> None:
    flagged = 0
    for data in datasets(filter_by):
        ours = find_multilabel_issues_per_class(data.labels, data.pred_probs, filter_by=filter_by)
        theirs = reference_flags(data, filter_by)
        assert isinstance(ours, np.ndarray)
        assert ours.dtype == theirs.dtype == np.bool_
        assert_cells_equal_but_for_ties(
            ours, theirs, data.given, data.pred_probs, both_sides=filter_by in EXAMPLE_FILTERS
        )
        flagged += int(theirs.sum())
    assert flagged > 50


@pytest.mark.parametrize("filter_by", FILTERS)
def test_rows_equal_cleanlabs_but_for_ties(filter_by: str) -> None:
    for data in datasets(filter_by):
        ours = find_label_issues(data.labels, data.pred_probs, filter_by=filter_by)
        theirs = cleanlab.find_label_issues(data.labels, data.pred_probs, filter_by=filter_by, n_jobs=1)
        assert ours.dtype == theirs.dtype == np.bool_
        different = np.flatnonzero(ours != theirs)
        if filter_by in EXAMPLE_FILTERS:
            last = get_label_quality_scores(data.labels, data.pred_probs)[ours].max(initial=0)
            scores = get_label_quality_scores(data.labels, data.pred_probs)[different]
            np.testing.assert_allclose(scores, last, rtol=0, atol=1e-12)
        elif len(different):
            cells = find_multilabel_issues_per_class(data.labels, data.pred_probs, filter_by=filter_by)
            assert (cells != reference_flags(data, filter_by))[different].any(axis=1).all()


@pytest.mark.parametrize("filter_by", RANK_FILTERS)
@pytest.mark.parametrize(
    "options",
    [
        {"frac_noise": 0.0},
        {"frac_noise": 0.37, "min_examples_per_class": 3},
        {"min_examples_per_class": 0},
        {"min_examples_per_class": np.int64(12), "frac_noise": np.float32(0.5)},
    ],
    ids=str,
)
def test_options_of_the_rank_filters(filter_by: str, options: dict) -> None:
    for data in datasets(filter_by, SEEDS[::2]):
        ours = find_multilabel_issues_per_class(data.labels, data.pred_probs, filter_by=filter_by, **options)
        assert_cells_equal_but_for_ties(
            ours, reference_flags(data, filter_by, **options), data.given, data.pred_probs
        )


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_counts_to_remove(kind: type) -> None:
    flagged = 0
    for seed, data in enumerate(datasets("prune_by_noise_rate", SEEDS[::2])):
        wanted = kind(np.random.default_rng(seed).choice([0, 1, 2, 500], size=data.pred_probs.shape[1]))
        ours = find_multilabel_issues_per_class(data.labels, data.pred_probs, num_to_remove_per_class=wanted)
        theirs = reference_flags(data, "prune_by_noise_rate", num_to_remove_per_class=wanted)
        assert_cells_equal_but_for_ties(ours, theirs, data.given, data.pred_probs)
        flagged += int(theirs.sum())
    assert flagged > 10


@pytest.mark.parametrize("filter_by", RANK_FILTERS)
@pytest.mark.parametrize("calibrate", [True, False])
def test_confident_joint_in_place_of_the_estimated_one(filter_by: str, calibrate: bool) -> None:
    moved = 0
    for seed, data in enumerate(datasets(filter_by, SEEDS[::2])):
        joint = count.compute_confident_joint(
            data.labels, data.pred_probs, multi_label=True, calibrate=calibrate
        )
        joint = joint + np.random.default_rng(seed).integers(0, 5, size=joint.shape)
        options = {"confident_joint": joint, "frac_noise": 0.8}
        ours = find_multilabel_issues_per_class(data.labels, data.pred_probs, filter_by=filter_by, **options)
        theirs = reference_flags(data, filter_by, **options)
        assert_cells_equal_but_for_ties(ours, theirs, data.given, data.pred_probs)
        moved += int((theirs != reference_flags(data, filter_by)).sum())
    assert moved > 10


def test_confident_joint_and_counts_to_remove() -> None:
    for data in datasets("prune_by_noise_rate", SEEDS[:12]):
        size = data.pred_probs.shape[1]
        joint = np.random.default_rng(size).integers(0, 9, size=(size, 2, 2))
        options = {"confident_joint": joint, "num_to_remove_per_class": [2] * size}
        ours = find_multilabel_issues_per_class(data.labels, data.pred_probs, **options)
        theirs = reference_flags(data, "prune_by_noise_rate", **options)
        assert_cells_equal_but_for_ties(ours, theirs, data.given, data.pred_probs)


def _without_tied_flags(data: Dataset, filter_by: str) -> bool:
    ours = find_multilabel_issues_per_class(data.labels, data.pred_probs, filter_by=filter_by)
    return bool((ours == reference_flags(data, filter_by)).all())


@pytest.mark.parametrize("method", SCORES)
@pytest.mark.parametrize("adjust", [False, True])
@pytest.mark.parametrize("filter_by", ["prune_by_noise_rate", "both", "confident_learning"])
def test_ranked_rows_and_cells(filter_by: str, method: str, adjust: bool) -> None:
    if adjust and method == "confidence_weighted_entropy":
        return
    kwargs = {"rank_by_kwargs": {"adjust_pred_probs": True}} if adjust else {}
    compared = 0
    for data in datasets("predicted_neq_given", SEEDS[::2]):  # without classes of one side: they cannot rank
        given = data.given
        if given.shape[1] < 2 or not _without_tied_flags(data, filter_by):
            continue
        args = (data.labels, data.pred_probs, method)
        ours = find_label_issues(*args, filter_by=filter_by, **kwargs)
        theirs = cleanlab.find_label_issues(*args, filter_by=filter_by, n_jobs=1, **kwargs)
        assert ours.dtype == np.int64
        scores = get_label_quality_scores(*args[:2], method=method, adjust_pred_probs=adjust)
        slack = 1e-6 if is_rough(data) else 1e-12
        assert_same_order(ours, theirs, scores, slack)

        issues, labels, pairs = find_multilabel_issues_per_class(*args, filter_by=filter_by, **kwargs)
        wanted = cleanlab.find_multilabel_issues_per_class(*args, filter_by=filter_by, n_jobs=1, **kwargs)
        cells = get_label_quality_scores_per_class(*args[:2], method=method, adjust_pred_probs=adjust)
        for k in range(given.shape[1]):
            assert_same_order(issues[k], wanted[0][k], cells[:, k], max(slack, 1e-9))
            np.testing.assert_array_equal(labels[k], wanted[1][k])
            np.testing.assert_array_equal(pairs[k], wanted[2][k])
            assert (labels[k].dtype, pairs[k].dtype) == (wanted[1][k].dtype, wanted[2][k].dtype)
        assert list(map(len, (issues, labels, pairs))) == list(map(len, wanted))
        compared += 1
    assert compared > 5


@pytest.mark.parametrize("filter_by", EXAMPLE_FILTERS)
def test_rows_of_an_example_filter_are_ranked_by_their_scores(filter_by: str) -> None:
    """cleanlab gives the same rows, but mixes up two orders."""
    mixed_up = 0
    for seed in range(8):
        data = make_dataset(seed, kind="plain")
        args = (data.labels, data.pred_probs, "self_confidence")
        ours = find_label_issues(*args, filter_by=filter_by)
        theirs = cleanlab.find_label_issues(*args, filter_by=filter_by, n_jobs=1)
        scores = get_label_quality_scores(*args[:2])
        assert (np.diff(scores[ours]) >= 0).all()
        assert set(ours) == set(theirs)
        mixed_up += bool((np.diff(scores[theirs]) < -1e-9).any())
    assert mixed_up > 0


@pytest.mark.parametrize("function", ["find_label_issues", "find_multilabel_issues_per_class"])
def test_parameters_are_cleanlabs(function: str) -> None:
    ours, theirs = (
        inspect.signature(function).parameters
        for function in (globals()[function], getattr(cleanlab, function))
    )
    assert list(ours) == list(theirs)
    for name in ours:
        assert ours[name].kind == theirs[name].kind
        assert ours[name].default == theirs[name].default or name == "rank_by_kwargs"  # None for {}


@pytest.mark.parametrize("filter_by", CELL_FILTERS)
def test_what_cleanlab_cannot_audit_equals_the_oracle(filter_by: str) -> None:
    for seed in range(2 * len(KINDS)):
        data = make_dataset(seed)
        wanted = oracle_audit(data.labels, data.pred_probs, filter_by=filter_by)
        cells = find_multilabel_issues_per_class(data.labels, data.pred_probs, filter_by=filter_by)
        np.testing.assert_array_equal(cells, wanted.missing | wanted.extraneous, err_msg=data.name)
        rows = find_label_issues(data.labels, data.pred_probs, filter_by=filter_by)
        np.testing.assert_array_equal(rows, wanted.is_label_issue, err_msg=data.name)


@pytest.mark.parametrize("filter_by", EXAMPLE_FILTERS)
def test_example_filters_equal_the_oracle(filter_by: str) -> None:
    for seed in range(2 * len(KINDS)):
        data = make_dataset(seed)
        wanted = oracle_audit(data.labels, data.pred_probs, filter_by=filter_by)
        rows = find_label_issues(data.labels, data.pred_probs, filter_by=filter_by)
        np.testing.assert_array_equal(rows, wanted.is_label_issue, err_msg=data.name)


def test_how_many_were_found_is_told_if_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    data = make_dataset(0, kind="plain")
    mask = find_label_issues(data.labels, data.pred_probs)
    assert capsys.readouterr().out == ""
    find_label_issues(data.labels, data.pred_probs, verbose=True)
    assert capsys.readouterr().out == f"{mask.sum()} of {len(mask)} examples have a label issue.\n"
    cells = find_multilabel_issues_per_class(data.labels, data.pred_probs)
    find_multilabel_issues_per_class(data.labels, data.pred_probs, verbose=True)
    told = capsys.readouterr().out.splitlines()
    assert told == [f"Class {k}: {number} label issues." for k, number in enumerate(cells.sum(axis=0))]
