"""Review samples and what they say: draws that depend on ids alone, intervals that cover the truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from spark_ml_audit.kernels.review_estimates import (
    StratumReview,
    errors_in,
    precision_of,
    rate_interval,
    recall_of,
)
from spark_ml_audit.kernels.review_sampling import STRATA, CellDraw, allocate, cell_hashes, stratum_codes

NAMES = [stratum.name for stratum in STRATA]


def test_every_cell_lies_in_the_stratum_its_doubt_and_flag_say():
    probs = np.array([[0.5, 0.1, 0.01, 0.009], [0.5, 0.9, 0.99, 0.995]])
    rows, cols = np.array([1, 1, 1, 1]), np.arange(4)
    codes = stratum_codes(probs, rows, cols, np.array([0, 5]))
    assert [[NAMES[code] for code in row] for row in codes] == [
        ["flagged missing", "not given, doubt 10-50%", "not given, doubt 1-10%", "not given, doubt below 1%"],
        ["given, doubt over 50%", "flagged extraneous", "given, doubt 1-10%", "given, doubt below 1%"],
    ]
    for code, stratum in enumerate(STRATA):
        assert stratum.direction == ("extraneous" if stratum.given else "missing")
        assert stratum.flagged == (code < 2)


def draw(codes: np.ndarray, hashes: np.ndarray, most: int, parts: list[np.ndarray]) -> set[int]:
    """Cells drawn from rows that come in parts, after the global selection."""
    width = codes.shape[1]
    kept: list[int] = []
    tasks = [CellDraw(most), CellDraw(most)]
    for i, part in enumerate(parts):
        found = tasks[i % 2].select(codes[part], hashes[part])
        kept += (part[found // width] * width + found % width).tolist()
    counts = tasks[0].counts + tasks[1].counts
    assert (counts == np.bincount(codes.ravel(), minlength=len(STRATA))).all()
    flat, values = codes.ravel(), hashes.ravel()
    chosen: set[int] = set()
    for code in range(len(STRATA)):
        own = sorted((cell for cell in kept if flat[cell] == code), key=lambda cell: values[cell])
        chosen.update(own[:most])
    return chosen


def test_draw_does_not_depend_on_order_or_batches():
    rng = np.random.default_rng(1)
    codes = rng.choice(len(STRATA), size=(500, 6), p=[0.01, 0.01, *[0.98 / 8] * 8]).astype(np.int8)
    hashes = cell_hashes(rng.integers(-(2**62), 2**62, 500), 6)
    whole = draw(codes, hashes, 20, [np.arange(500)])
    split = draw(codes, hashes, 20, np.array_split(rng.permutation(500), 37))
    assert whole == split
    sizes = np.bincount(codes.ravel(), minlength=len(STRATA))
    assert len(whole) == np.minimum(sizes, 20).sum()


def test_hashes_are_even_over_cells_and_differ_by_seedling():
    hashes = cell_hashes(np.arange(20_000), 5)
    assert hashes.min() >= 0
    assert len(np.unique(hashes)) == hashes.size
    for column in hashes.T:
        assert stats.kstest(column / 2.0**63, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(hashes[:, 0].astype(float), hashes[:, 1].astype(float))[0, 1]) < 0.03


@pytest.mark.parametrize("total", [1, 7, 50, 1000, 10_000])
def test_allocation_spends_what_is_asked_and_no_stratum_is_overdrawn(total):
    sizes = np.array([40, 3, 20, 900, 10_000, 3_000_000, 0, 17, 400, 90_000])
    drawn = allocate(sizes, total)
    assert (drawn <= sizes).all()
    assert drawn.sum() == total
    if total >= 50:
        assert (drawn >= np.minimum(sizes, 3)).all()
    assert (allocate(sizes, total, 25) == np.minimum(sizes, 25)).all()


def test_a_small_table_is_drawn_whole():
    sizes = np.array([2, 1, 0, 4, 0, 1, 0, 0, 3, 0])
    assert (allocate(sizes, 100) == sizes).all()


def test_intervals_of_one_stratum_are_clopper_pearson():
    found = rate_interval(3, 20)
    low, high = stats.beta.ppf([0.025], 3, 18)[0], stats.beta.ppf([0.975], 4, 17)[0]
    assert (found.estimate, found.low, found.high) == pytest.approx((0.15, low, high))
    assert rate_interval(0, 0).estimate is None
    strata = [StratumReview("missing", False, 1000, 20, 3)]
    total = errors_in(strata, "missing")
    assert (total.low, total.high) == pytest.approx((1000 * low, 1000 * high), rel=0.06)


def test_a_stratum_judged_in_full_is_known_exactly():
    strata = [
        StratumReview("missing", True, 10, 10, 6),
        StratumReview("missing", False, 50, 50, 2),
        StratumReview("extraneous", True, 4, 4, 0),
        StratumReview("extraneous", False, 9, 9, 0),
    ]
    assert precision_of(strata, "missing") == precision_of(strata, "missing", 0.5)
    found = recall_of(strata, "missing")
    assert (found.estimate, found.low, found.high) == pytest.approx((0.75, 0.75, 0.75))
    assert errors_in(strata).low == errors_in(strata).high == 8
    assert recall_of(strata, "extraneous").estimate is None  # there is no error to recall


def test_no_error_seen_is_no_proof_of_none():
    strata = [
        StratumReview("missing", True, 100, 50, 40),
        StratumReview("missing", False, 1_000_000, 300, 0),
    ]
    found = recall_of(strata, "missing")
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert found.low is not None
    assert found.low < 0.02
    # 1 - 0.025 ** (1 / 300) of a million cells
    assert errors_in(strata).high == pytest.approx(12_280, rel=0.05)


def test_what_was_not_judged_is_unknown_and_says_so_only_where_it_matters():
    strata = [
        StratumReview("missing", True, 100, 50, 40),
        StratumReview("missing", False, 100, 0, 0),
        StratumReview("extraneous", True, 10, 5, 1),
        StratumReview("extraneous", False, 10, 5, 1),
    ]
    assert recall_of(strata, "missing").estimate is None
    assert errors_in(strata).estimate is None
    assert precision_of(strata, "missing").estimate == 0.8
    assert errors_in(strata, "extraneous").estimate == 4


@pytest.mark.parametrize("rare", [0.0005, 0.004, 0.03])
def test_intervals_cover_the_truth(rare):
    """95% intervals of recall and of the number of errors over 100 reviews of one known table."""
    sizes, rates = [400, 3_000, 200_000], [0.6, 0.15, rare]
    judged = [60, 60, 150]
    rng = np.random.default_rng(5)
    errors = [round(size * rate) for size, rate in zip(sizes, rates, strict=True)]
    recall, total = errors[0] / sum(errors), sum(errors)
    covered = {"recall": 0, "errors": 0, "precision": 0}
    times = 100
    for _ in range(times):
        hits = [
            int(rng.hypergeometric(wrong, size - wrong, n))
            for wrong, size, n in zip(errors, sizes, judged, strict=True)
        ]
        strata = [StratumReview("missing", k == 0, sizes[k], judged[k], hits[k]) for k in range(len(sizes))]
        for name, found, truth in (
            ("recall", recall_of(strata, "missing"), recall),
            ("errors", errors_in(strata, "missing"), total),
            ("precision", precision_of(strata, "missing"), rates[0]),
        ):
            assert found.low is not None
            assert found.high is not None
            covered[name] += found.low <= truth <= found.high
    for name, times_covered in covered.items():
        assert times_covered / times >= 0.92, (name, times_covered)
