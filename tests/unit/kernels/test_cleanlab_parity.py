"""The slow oracle and the kernels against the reference implementation, cleanlab 2.9.

The one difference allowed: cells that tie with the cut-off cell in q - p, in the column's dtype. Where
the reference raises (a tag on every row, one class only), the other classes are still compared.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest

from spark_ml_audit.kernels.cell_scores import adjust_pred_probs, cell_scores
from spark_ml_audit.kernels.confident_joint import calibrate_joint, class_quality
from spark_ml_audit.kernels.label_quality import aggregate
from spark_ml_audit.kernels.pruning import RANK_FILTERS, flag_counts, prune_counts
from tests.datasets import KINDS, Dataset, from_arrays, make_dataset
from tests.oracle import CELL_FILTERS, EXAMPLE_FILTERS, OracleResult, oracle_audit
from tests.reference import reference_flags, taken_by_reference, thresholds_agree

cleanlab_filter = pytest.importorskip("cleanlab.filter")
import cleanlab.count  # noqa: E402
import cleanlab.internal.util  # noqa: E402
import cleanlab.multilabel_classification.dataset as cleanlab_dataset  # noqa: E402
from cleanlab.multilabel_classification.filter import find_label_issues  # noqa: E402
from cleanlab.multilabel_classification.rank import (  # noqa: E402
    get_label_quality_scores,
    get_label_quality_scores_per_class,
)

pytestmark = pytest.mark.filterwarnings("ignore")  # of the reference

ROUNDS = 8
SEEDS = range(ROUNDS * len(KINDS))
SCORES = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def assert_equal_but_for_ties(data: Dataset, ours: OracleResult, theirs: np.ndarray) -> None:
    flags = ours.missing | ours.extraneous
    p = data.pred_probs
    margin = (1 - p) - p
    for i, k in zip(*np.nonzero(flags != theirs), strict=True):
        cutoff = (ours.cutoff_extraneous if ours.given[i, k] else ours.cutoff_missing)[k]
        cutoff = p.dtype.type(cutoff)
        assert margin[i, k] == (1 - cutoff) - cutoff, (data.name, i, k, p[i, k], cutoff)


def tolerance(data: Dataset) -> float:
    return 1e-6 if data.pred_probs.dtype == np.float32 else 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_joint_and_thresholds_equal_the_reference(kind: str) -> None:
    for seed in range(30):
        data = make_dataset(seed * len(KINDS), kind=kind, dtype=("float32", "float64")[seed % 2])
        if not any(data.labels):
            continue
        ours = oracle_audit(data.labels, data.pred_probs)
        theirs = cleanlab.count.compute_confident_joint(data.labels, data.pred_probs, multi_label=True)
        same = thresholds_agree(data)
        np.testing.assert_array_equal(ours.joint[same], theirs[same], err_msg=data.name)
        thresholds = cleanlab.count.get_confident_thresholds(data.labels, data.pred_probs, multi_label=True)
        ours_thresholds = np.stack([ours.threshold_absent, ours.threshold_present], axis=1)
        np.testing.assert_allclose(
            ours_thresholds, thresholds, rtol=0, atol=tolerance(data), err_msg=data.name
        )


def test_calibration_equals_the_reference_on_small_counts_with_exact_halves() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 7, size=(4000, 2, 2))
    given = counts.sum(axis=2) + rng.integers(0, 9, size=(4000, 2))
    ours = calibrate_joint(counts, given[:, 0], given[:, 1])
    for raw, sizes, joint in zip(counts, given, ours, strict=True):
        if not sizes.all():
            continue
        reference = np.asfortranarray(raw.copy())  # the layout in which the reference adds up
        np.fill_diagonal(reference, reference.diagonal().clip(min=1))
        labels = np.repeat([0, 1], sizes)
        theirs = cleanlab.count.calibrate_confident_joint(reference, labels)
        np.testing.assert_array_equal(joint, theirs, err_msg=f"{raw.tolist()} {sizes.tolist()}")


def test_prune_counts_equal_the_reference() -> None:
    rng = np.random.default_rng(1)
    joint = rng.integers(0, 12, size=(1500, 2, 2))
    for frac_noise in (0.0, 0.1, 0.3, 0.5, 0.7, 0.99, 1.0):
        for least in (0, 1, 3, 20):
            ours = prune_counts(joint, frac_noise=frac_noise, min_examples_per_class=least)
            for k in rng.choice(len(joint), 60, replace=False):
                theirs = cleanlab_filter._keep_at_least_n_per_class(joint[k].T, least, frac_noise=frac_noise)
                np.testing.assert_array_equal(ours[k], theirs)


@pytest.mark.parametrize("filter_by", CELL_FILTERS)
def test_flags_equal_the_reference_cell_for_cell(filter_by: str) -> None:
    compared = flagged = 0
    for seed in SEEDS:
        data = taken_by_reference(make_dataset(seed), filter_by)
        if data is None:
            continue
        ours = oracle_audit(data.labels, data.pred_probs, filter_by=filter_by)
        theirs = reference_flags(data, filter_by)
        assert_equal_but_for_ties(data, ours, theirs)
        compared += 1
        flagged += int(theirs.sum())
    assert compared > 0.8 * len(SEEDS)
    assert flagged > 100


@pytest.mark.parametrize("filter_by", RANK_FILTERS)
@pytest.mark.parametrize(
    "options",
    [
        {"frac_noise": 0.0},
        {"frac_noise": 0.37},
        {"frac_noise": 0.5, "min_examples_per_class": 4},
        {"min_examples_per_class": 0},
        {"min_examples_per_class": 12},
    ],
    ids=str,
)
def test_prune_options_equal_the_reference(filter_by: str, options: dict[str, float]) -> None:
    for seed in range(0, len(SEEDS), 3):
        data = taken_by_reference(make_dataset(seed), filter_by)
        if data is None:
            continue
        ours = oracle_audit(data.labels, data.pred_probs, filter_by=filter_by, **options)
        assert_equal_but_for_ties(data, ours, reference_flags(data, filter_by, **options))


@pytest.mark.parametrize("frac_noise", [1.0, 0.3])
def test_counts_to_remove_equal_the_reference(frac_noise: float) -> None:
    for seed in range(0, len(SEEDS), 2):
        data = taken_by_reference(make_dataset(seed), "prune_by_noise_rate")
        if data is None:
            continue
        rng = np.random.default_rng(seed)
        wanted = [int(x) for x in rng.choice([0, 1, 2, 5, 500], size=data.pred_probs.shape[1])]
        options = {"num_to_remove_per_class": wanted, "frac_noise": frac_noise}
        ours = oracle_audit(data.labels, data.pred_probs, **options)
        assert not ours.missing.any()
        assert_equal_but_for_ties(data, ours, reference_flags(data, "prune_by_noise_rate", **options))


def test_counts_to_add_mirror_counts_to_remove() -> None:
    # Exchanging present and absent exchanges the two options, but for how a tie of p and q is
    # guessed and for exact equality with the margin; continuous probabilities have neither.
    for seed in range(12):
        data = make_dataset(seed, kind="plain", dtype="float64")
        mirrored = from_arrays(data.name, ~data.given, 1 - data.pred_probs)
        wanted = [3] * data.pred_probs.shape[1]
        removed = oracle_audit(data.labels, data.pred_probs, num_to_remove_per_class=wanted)
        added = oracle_audit(mirrored.labels, mirrored.pred_probs, num_to_add_per_class=wanted)
        np.testing.assert_array_equal(removed.extraneous, added.missing)


@pytest.mark.parametrize("filter_by", CELL_FILTERS)
def test_rows_with_an_issue_equal_the_reference_on_untied_data(filter_by: str) -> None:
    for seed in range(20):
        data = make_dataset(seed, kind="plain", dtype="float64")
        ours = oracle_audit(data.labels, data.pred_probs, filter_by=filter_by)
        theirs = find_label_issues(data.labels, data.pred_probs, filter_by=filter_by, n_jobs=1)
        np.testing.assert_array_equal(ours.is_label_issue, theirs)


@pytest.mark.parametrize("filter_by", EXAMPLE_FILTERS)
def test_example_filters_equal_the_reference_but_for_rows_tied_with_the_last(filter_by: str) -> None:
    compared = 0
    for seed in SEEDS:
        data = taken_by_reference(make_dataset(seed), filter_by)
        if data is None:
            continue
        ours = oracle_audit(data.labels, data.pred_probs, filter_by=filter_by)
        theirs = find_label_issues(data.labels, data.pred_probs, filter_by=filter_by, n_jobs=1)
        assert ours.is_label_issue.sum() >= theirs.sum()
        different = ours.is_label_issue != theirs
        if different.any():
            last = ours.label_quality_score[ours.is_label_issue].max()
            np.testing.assert_allclose(ours.label_quality_score[different], last, rtol=0, atol=1e-12)
        compared += 1
    assert compared > 0.6 * len(SEEDS)


@pytest.mark.parametrize(
    ("case", "filter_by"), [("every row", f) for f in CELL_FILTERS] + [("no row", "predicted_neq_given")]
)
def test_where_the_reference_raises_the_other_classes_are_unmoved(case: str, filter_by: str) -> None:
    data = make_dataset(5, kind="plain", dtype="float64")
    given = data.given
    given[:, 0] = case == "every row"
    data = from_arrays(data.name, given, data.pred_probs)
    with pytest.raises(ValueError, match="at least 2 classes"):
        reference_flags(data, filter_by)
    ours = oracle_audit(data.labels, data.pred_probs, filter_by=filter_by)
    rest = oracle_audit(*_labels_and_probs(data.columns(np.arange(given.shape[1]) > 0)), filter_by=filter_by)
    np.testing.assert_array_equal(ours.missing[:, 1:], rest.missing)
    np.testing.assert_array_equal(ours.extraneous[:, 1:], rest.extraneous)
    if case == "every row":
        assert not ours.missing[:, 0].any()


def _labels_and_probs(data: Dataset) -> tuple[list[list[int]], np.ndarray]:
    return data.labels, data.pred_probs


def entropy_slack(data: Dataset, ours: OracleResult) -> np.ndarray:
    """What one unit in the last place of e + 1 is worth in ln(e + 1) / e, for small e."""
    p = data.pred_probs.astype(np.float64)
    safe = np.clip(p, 1e-300, 1 - 1e-16)
    entropy = -(safe * np.log2(safe) + (1 - safe) * np.log2(1 - safe))
    return 3e-16 / np.maximum(entropy / np.maximum(np.where(ours.given, p, 1 - p), 1e-6), 1e-6)


@pytest.mark.parametrize(
    ("score", "adjust"),
    [(score, False) for score in SCORES] + [("self_confidence", True), ("normalized_margin", True)],
)
def test_cell_scores_equal_the_reference(score: str, adjust: bool) -> None:
    for seed in SEEDS:
        data = make_dataset(seed)
        given = data.given
        if given.shape[1] < 2 or given.all() or not given.any():
            continue
        ours = oracle_audit(data.labels, data.pred_probs, score=score, adjust_pred_probs=adjust)
        theirs = get_label_quality_scores_per_class(
            data.labels, data.pred_probs, method=score, adjust_pred_probs=adjust
        )
        slack = tolerance(data)
        if score == "confidence_weighted_entropy":
            slack = slack + entropy_slack(data, ours)
        p = data.pred_probs
        if adjust:
            p = adjust_pred_probs(p, ours.threshold_present, ours.threshold_absent)
        kernel = cell_scores(p, *np.nonzero(given), score)
        assert (np.abs(ours.cell_scores - theirs) <= slack).all(), data.name
        assert (np.abs(kernel - theirs) <= slack).all(), data.name


@pytest.mark.parametrize(
    ("method", "options", "reference"),
    [
        ("ema", {}, {"method": "exponential_moving_average", "alpha": 0.8}),
        ("ema", {"alpha": None}, {"method": "exponential_moving_average"}),
        ("ema", {"alpha": 0.0}, {"method": "exponential_moving_average", "alpha": 0}),
        ("ema", {"alpha": 0.05}, {"method": "exponential_moving_average", "alpha": 0.05}),
        ("ema", {"alpha": 1.0}, {"method": "exponential_moving_average", "alpha": 1}),
        ("softmin", {}, {"method": "softmin", "temperature": 0.1}),
        ("softmin", {"temperature": 2.5}, {"method": "softmin", "temperature": 2.5}),
        ("mean", {}, {"method": np.mean}),
        ("min", {}, {"method": np.min}),
    ],
    ids=["ema", "ema K", "ema 0", "ema .05", "ema 1", "softmin", "softmin 2.5", "mean", "min"],
)
def test_example_scores_equal_the_reference(method: str, options: dict, reference: dict) -> None:
    for seed in range(0, len(SEEDS), 2):
        data = make_dataset(seed)
        given = data.given
        if given.shape[1] < 2 or given.all() or not given.any():
            continue
        theirs = get_label_quality_scores(data.labels, data.pred_probs, aggregator_kwargs=reference)
        ours = oracle_audit(data.labels, data.pred_probs, aggregate=method, **options)
        kernel = aggregate(cell_scores(data.pred_probs, *np.nonzero(given)), method, **options)
        for scores in (ours.label_quality_score, kernel):
            np.testing.assert_allclose(scores, theirs, rtol=0, atol=tolerance(data), err_msg=data.name)


def test_wide_rows_score_like_the_reference() -> None:
    rng = np.random.default_rng(3)
    for dtype in (np.float32, np.float64):
        p = rng.random((40, 700)).astype(dtype)
        data = from_arrays("wide", rng.random(p.shape) < 0.1, p)
        theirs = get_label_quality_scores(data.labels, p)
        kernel = aggregate(cell_scores(p, *np.nonzero(data.given)))
        np.testing.assert_allclose(kernel, theirs, rtol=0, atol=tolerance(data))


def test_class_summary_equals_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("find_multilabel_issues_per_class", "find_label_issues"):
        monkeypatch.setattr(
            cleanlab_dataset, name, functools.partial(getattr(cleanlab_dataset, name), n_jobs=1)
        )
    for seed in range(12):
        data = make_dataset(seed, kind="plain", dtype=("float32", "float64")[seed % 2])
        ours = oracle_audit(data.labels, data.pred_probs)
        if ours.given.all(axis=0).any():
            continue
        theirs = cleanlab_dataset.rank_classes_by_multilabel_quality(data.labels, data.pred_probs)
        theirs = theirs.set_index("Class Index").sort_index()
        quality = class_quality(ours.missing.sum(axis=0), ours.extraneous.sum(axis=0), len(data.labels))
        for column, kernel, key in (
            ("Label Noise", quality.label_noise, "label_noise"),
            ("Inverse Label Noise", quality.inverse_label_noise, "inverse_label_noise"),
            ("Label Quality Score", quality.label_quality, "label_quality"),
        ):
            np.testing.assert_array_equal(theirs[column], [row[key] for row in ours.classes])
            np.testing.assert_array_equal(theirs[column], kernel)
        assert ours.health == cleanlab_dataset.overall_multilabel_health_score(data.labels, data.pred_probs)


def test_exact_equality_with_the_margin_is_decided_like_the_reference() -> None:
    # In float32 this p lies exactly 1e-6, rounded, below its q.
    edge = np.float32(0.5 - 17 * 2.0**-25)
    p = np.array([0.1, 0.2, 1 - edge, 0.9, 0.8, edge], dtype=np.float32)[:, None]
    assert 1 - edge == edge + np.float32(1e-6)
    data = from_arrays("edge", np.array([0, 0, 0, 1, 1, 1], dtype=bool)[:, None], p)
    ours = oracle_audit(data.labels, data.pred_probs, filter_by="predicted_neq_given")
    theirs = reference_flags(data, "predicted_neq_given")
    np.testing.assert_array_equal(ours.missing | ours.extraneous, theirs)
    assert ours.extraneous[5, 0]


@pytest.mark.parametrize("filter_by", RANK_FILTERS)
def test_kernels_agree_with_the_oracle_on_every_data_set(filter_by: str) -> None:
    for seed in SEEDS:
        data = make_dataset(seed)
        rng = np.random.default_rng(seed)
        options: dict = {
            "filter_by": filter_by,
            "frac_noise": float(rng.choice([1.0, 1.0, 0.6, 0.25])),
            "min_examples_per_class": int(rng.choice([0, 1, 1, 5])),
        }
        if filter_by == "prune_by_noise_rate":
            for name in ("num_to_remove_per_class", "num_to_add_per_class"):
                if rng.random() < 0.3:
                    options[name] = [int(x) for x in rng.integers(0, 30, size=data.pred_probs.shape[1])]
        ours = oracle_audit(data.labels, data.pred_probs, **options)
        present = ours.given.sum(axis=0)
        absent = len(data.labels) - present
        joint = calibrate_joint(ours.raw_joint, absent, present)
        np.testing.assert_array_equal(joint, ours.joint, err_msg=data.name)
        counts = flag_counts(joint, num_absent=absent, num_present=present, **options)
        np.testing.assert_array_equal(counts.missing, ours.rank_missing, err_msg=f"{data.name} {options}")
        np.testing.assert_array_equal(
            counts.extraneous, ours.rank_extraneous, err_msg=f"{data.name} {options}"
        )
