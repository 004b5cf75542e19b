from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_ml_audit.kernels.float_keys import from_keys, one_key, to_keys
from spark_ml_audit.kernels.histogram import ProfileSpec
from spark_ml_audit.kernels.profile import ClassProfile
from spark_ml_audit.kernels.resolve import PruneOptions, Resolver
from spark_ml_audit.kernels.resolve_counts import count_batch, sum_records
from spark_ml_audit.kernels.rules import (
    AppliedBatch,
    AuditRules,
    Scoring,
    apply_rules,
    issue_rows,
    low_score_measure,
)
from tests.datasets import KINDS, Dataset, make_dataset
from tests.oracle import CELL_FILTERS, oracle_audit

DTYPES = ("float32", "float64")
SCORINGS = (
    {},
    {"score": "normalized_margin", "aggregate": "min"},
    {"score": "confidence_weighted_entropy", "aggregate": "mean"},
    {"adjust_pred_probs": True, "aggregate": "softmin", "temperature": 0.3},
    {"adjust_pred_probs": True, "alpha": None},
)
datasets = st.builds(make_dataset, st.integers(0, 500), st.sampled_from(KINDS), st.sampled_from(DTYPES))


def rules_of(data: Dataset, filter_by: str = "prune_by_noise_rate", **scoring: Any) -> AuditRules:
    batch = (data.pred_probs, *np.nonzero(data.given))
    profile = ClassProfile(ProfileSpec.for_classes(data.pred_probs.shape[1], data.pred_probs.dtype))
    profile.add_batch(*batch)
    resolver = Resolver(profile, PruneOptions(filter_by))
    while (request := resolver.request) is not None:
        parts = list(count_batch(request, *batch))
        resolver.update(
            sum_records({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
        )
    result = resolver.resolution
    return AuditRules(result.thresholds, result.cutoffs, Scoring(**scoring))


def applied(data: Dataset, rules: AuditRules, part: slice | np.ndarray = slice(None)) -> AppliedBatch:
    return apply_rules(data.pred_probs[part], *np.nonzero(data.given[part]), rules)


def tags_of(pairs: tuple[np.ndarray, np.ndarray], row: int) -> list[int]:
    return pairs[1][pairs[0] == row].tolist()


@pytest.mark.parametrize("scoring", SCORINGS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_scores_flags_and_tags_are_those_of_the_slow_method(
    kind: str, dtype: str, scoring: dict[str, Any]
) -> None:
    data = make_dataset(KINDS.index(kind) + 13, kind, dtype)
    tolerance = 1e-6 if dtype == "float32" else 1e-12
    for filter_by in CELL_FILTERS:
        expected = oracle_audit(data.labels, data.pred_probs, filter_by=filter_by, **scoring)
        result = applied(data, rules_of(data, filter_by, **scoring))
        np.testing.assert_array_equal(result.is_issue, expected.is_label_issue)
        np.testing.assert_allclose(result.label_quality, expected.label_quality_score, atol=tolerance)
        for pairs, scores, flags in (
            (result.missing, result.missing_scores, expected.missing),
            (result.extraneous, result.extraneous_scores, expected.extraneous),
        ):
            assert (np.diff(pairs[0]) >= 0).all()
            assert sorted(zip(*pairs, strict=True)) == sorted(zip(*np.nonzero(flags), strict=True))
            np.testing.assert_allclose(scores, expected.cell_scores[pairs], atol=tolerance)
        for row in range(len(data.labels)):
            assert tags_of(result.suggested, row) == expected.suggested_tags(row)


@given(data=datasets, filter_by=st.sampled_from(CELL_FILTERS), scoring=st.sampled_from(SCORINGS))
@settings(max_examples=50, deadline=None)
def test_flagged_tags_of_a_row_come_surest_first_then_in_class_order(
    data: Dataset, filter_by: str, scoring: dict[str, Any]
) -> None:
    result = applied(data, rules_of(data, filter_by, **scoring))
    for (rows, cols), scores in (
        (result.missing, result.missing_scores),
        (result.extraneous, result.extraneous_scores),
    ):
        keys = list(zip(rows.tolist(), scores.tolist(), cols.tolist(), strict=True))
        assert keys == sorted(keys)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_order_of_tags_is_that_of_the_slow_method(dtype: str) -> None:
    # the default score is p or q itself, so that the order does not hang on rounding
    for seed, kind in enumerate(KINDS):
        data = make_dataset(seed, kind, dtype)
        result = applied(data, rules_of(data, "predicted_neq_given"))
        expected = oracle_audit(data.labels, data.pred_probs, filter_by="predicted_neq_given")
        for row in range(len(data.labels)):
            assert tags_of(result.missing, row) == expected.missing_tags(row)
            assert tags_of(result.extraneous, row) == expected.extraneous_tags(row)


@given(
    data=datasets,
    seed=st.integers(0, 99),
    filter_by=st.sampled_from(CELL_FILTERS),
    scoring=st.sampled_from(SCORINGS),
)
@settings(max_examples=60, deadline=None)
def test_a_row_gets_the_same_result_bit_for_bit_in_any_batch(
    data: Dataset, seed: int, filter_by: str, scoring: dict[str, Any]
) -> None:
    rng = np.random.default_rng(seed)
    rules = rules_of(data, filter_by, **scoring)
    whole = applied(data, rules)
    order = rng.permutation(len(data.pred_probs))
    for part in np.split(order, np.sort(rng.integers(0, len(order) + 1, size=3))):
        result = applied(data, rules, part)
        np.testing.assert_array_equal(result.label_quality, whole.label_quality[part])
        np.testing.assert_array_equal(result.is_issue, whole.is_issue[part])
        for position, row in enumerate(part):
            assert tags_of(result.suggested, position) == tags_of(whole.suggested, row)
            for name in ("missing", "extraneous"):
                here, there = getattr(result, name), getattr(whole, name)
                assert tags_of(here, position) == tags_of(there, row)
                np.testing.assert_array_equal(
                    getattr(result, f"{name}_scores")[here[0] == position],
                    getattr(whole, f"{name}_scores")[there[0] == row],
                )


@pytest.mark.parametrize("filter_by", ["low_self_confidence", "low_normalized_margin"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_with_a_score_limit_flags_stay_within_the_lowest_rows(kind: str, dtype: str, filter_by: str) -> None:
    data = make_dataset(KINDS.index(kind) + 2, kind, dtype)
    batch = (data.pred_probs, *np.nonzero(data.given))
    rules = rules_of(data, "confident_learning", aggregate="mean")
    num_lowest = int(np.count_nonzero(issue_rows(*batch, rules)))
    measure = low_score_measure(*batch)
    limit = float(np.sort(measure)[num_lowest - 1]) if num_lowest else -1.0
    limited = AuditRules(
        rules.thresholds,
        type(rules.cutoffs)(
            rules.cutoffs.dtype, rules.cutoffs.missing, rules.cutoffs.extraneous, score_at_most=limit
        ),
        rules.scoring,
    )
    expected = oracle_audit(data.labels, data.pred_probs, filter_by=filter_by, aggregate="mean")
    result = applied(data, limited)
    np.testing.assert_array_equal(issue_rows(*batch, limited), result.is_issue)
    # rows that tie in exact arithmetic may differ in the last place of their score
    clear = np.abs(measure - limit) > 1e-9
    np.testing.assert_array_equal(result.is_issue[clear], expected.is_label_issue[clear])
    for row in np.flatnonzero(clear):
        assert sorted(tags_of(result.missing, row)) == np.flatnonzero(expected.missing[row]).tolist()
        assert sorted(tags_of(result.extraneous, row)) == np.flatnonzero(expected.extraneous[row]).tolist()
        assert tags_of(result.suggested, row) == expected.suggested_tags(row)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_cutoffs_flag_at_and_beyond_their_value_only(dtype: str) -> None:
    data = make_dataset(5, "plain", dtype)
    rules = rules_of(data)
    flags = rules.cutoffs.missing <= 1
    assert flags.any()
    at = np.where(flags, to_keys(rules.cutoffs.missing), one_key(dtype))
    batch = from_keys(np.stack([at - 1, at, np.minimum(at + 1, one_key(dtype))]), dtype)
    none = np.zeros(0, dtype=np.int64)
    rows, cols = apply_rules(batch, none, none, rules).missing
    assert np.bincount(rows, minlength=3).tolist() == [0, flags.sum(), flags.sum()]
    assert flags[cols].all()


@pytest.mark.parametrize("num_classes", [1, 40, 700, 2000])
def test_wide_and_empty_and_strided_batches_are_audited(num_classes: int) -> None:
    rng = np.random.default_rng(0)
    pred_probs = rng.random((60, num_classes)).astype(np.float32)
    data = Dataset("wide", [np.flatnonzero(row).tolist() for row in pred_probs > 0.4], pred_probs)
    rules = rules_of(data)
    whole = applied(data, rules)
    strided = apply_rules(np.asfortranarray(pred_probs), *np.nonzero(data.given), rules)
    np.testing.assert_array_equal(strided.label_quality, whole.label_quality)
    np.testing.assert_array_equal(strided.suggested, whole.suggested)
    nothing = applied(data, rules, slice(0))
    assert len(nothing.label_quality) == len(nothing.is_issue) == len(nothing.suggested[0]) == 0
