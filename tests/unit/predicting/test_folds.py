"""Which fold a row is in, and which rows train: the same whatever the batch, rare tags favoured."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.predicting.folds import FoldPlan, plan_sample


def keys_of(ids: list[object], groups: list[object] | None = None) -> pa.StructArray:
    arrays = [pa.array(ids)] + ([] if groups is None else [pa.array(groups)])
    return pa.StructArray.from_arrays(arrays, ["id", "group"][: len(arrays)])


def test_a_row_keeps_its_fold_whatever_the_batch_and_the_width_of_its_id() -> None:
    plan = FoldPlan(5, 3, "id")
    ids = list(range(-50, 1000))
    keys = keys_of(ids)
    folds = plan.folds(keys)
    assert sorted(set(folds.tolist())) == [0, 1, 2, 3, 4]
    assert np.bincount(folds).min() > 150
    assert np.array_equal(plan.folds(keys[100:200]), folds[100:200])
    short = pa.StructArray.from_arrays([pa.array(ids, pa.int16())], ["id"])
    assert np.array_equal(plan.folds(short), folds)
    assert np.array_equal(pickle.loads(pickle.dumps(plan)).folds(keys), folds)
    # hashes for different ends, and with different seeds, do not follow each other
    others = [FoldPlan(5, 4, "id").folds(keys), plan.order_keys(keys) % 5, plan.sample_keys(keys) * 5 // 1]
    for other in others:
        assert abs(float((folds == other).mean()) - 0.2) < 0.05


def test_rows_of_a_group_share_a_fold_and_rows_without_one_go_their_own_ways() -> None:
    plan = FoldPlan(7, 0, "id", "author")
    ids = [f"r{i}" for i in range(300)]
    authors = [None if i % 3 == 0 else f"author-{i % 20}" for i in range(300)]
    keys = keys_of(ids, authors)
    folds, groups = plan.folds(keys), plan.group_keys(keys)
    for author in {*authors} - {None}:
        own = [i for i, found in enumerate(authors) if found == author]
        assert len(set(folds[own])) == len(set(groups[own])) == 1
    alone = [i for i, found in enumerate(authors) if found is None]
    assert len(set(folds[alone])) == 7
    assert np.array_equal(folds[alone], FoldPlan(7, 0, "id").folds(keys_of([ids[i] for i in alone])))
    assert len(set(groups[alone])) == len(alone)


def test_keys_are_those_of_the_source_under_any_name() -> None:
    from spark_ml_audit.engines.columns import in_frame

    plan = FoldPlan(3, 0, "row.id", "`who`")
    ids, who = pa.array(["a", "b", None]), pa.array([1, None, 1])
    rows = pa.StructArray.from_arrays([who, ids], [in_frame("`who`"), in_frame("row.id")])
    assert plan.keys_of(rows[1:]).to_pylist() == [{"id": "b", "group": None}, {"id": None, "group": 1}]
    assert plan.folds(plan.keys_of(rows)).tolist()[0] == plan.folds(plan.keys_of(rows)).tolist()[2]


@given(
    st.lists(st.integers(0, 5000), min_size=1, max_size=40),
    st.integers(100, 4000),
)
def test_a_sample_stays_within_its_budget_and_favours_rare_tags(present: list[int], budget: int) -> None:
    counts = np.array(present)
    plan = plan_sample(5000, counts, budget)
    # expected rows: those drawn whatever their tags, and at most one per kept positive
    assert 5000 * plan.plain_rate + (counts * plan.tag_rates).sum() <= budget + len(present)
    assert (np.diff(plan.tag_rates[np.argsort(counts, kind="stable")]) <= 0).all()
    assert ((plan.tag_rates > 0) & (plan.tag_rates <= 1)).all()


def test_a_table_within_the_budget_is_taken_whole() -> None:
    plan = plan_sample(100, np.array([3, 0]), 100)
    assert plan.takes_all
    assert plan.chosen(np.array([0.0, 0.999]), np.array([], int), np.array([], int)).all()


def test_a_row_is_taken_at_the_rate_of_its_rarest_tag() -> None:
    plan = plan_sample(10_000, np.array([9000, 10]), 1000)
    keys = np.array([0.04, 0.06, 0.99, 0.99])
    rows, cols = np.array([1, 2, 3]), np.array([0, 0, 1])
    assert plan.tag_rates[1] == 1
    assert plan.chosen(keys, rows, cols).tolist() == [True, bool(plan.tag_rates[0] > 0.06), False, True]
