"""Bulk acceptance: the promised precision holds however one looks; exact where all is judged; edges."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from spark_ml_audit.kernels.certify import NUM_BINS, Evidence, cells_to_certify, certify, log_evidence
from tests.benchmarks.certify import Planted, simulate


def one_bin(size: int, place: int = 900) -> np.ndarray:
    counts = np.zeros(NUM_BINS, dtype=np.int64)
    counts[place] = size
    return counts


def evidence(judged: int, right: int, place: int = 900) -> Evidence:
    return Evidence(np.full(judged, place), np.arange(judged) < right)


def exact_evidence(size: int, judged: int, right: int, bound: Fraction) -> float:
    """The same as plain fractions: a mean of likelihoods over the greatest likelihood below."""

    def likelihood(num_right: int) -> Fraction:
        found = Fraction(1)
        for k in range(right):
            found *= num_right - k
        for k in range(judged - right):
            found *= size - num_right - k
        return found

    least = math.ceil(bound * size)
    open_least = math.ceil(bound * (size - judged))
    worst = max(least - 1, right + open_least - 1)
    good = [likelihood(k) for k in range(least, size + 1)]
    return float(sum(good) / len(good) / max(likelihood(k) for k in range(worst + 1)))


@pytest.mark.parametrize(
    ("size", "judged", "right"), [(40, 20, 19), (200, 30, 30), (60, 40, 39), (90, 25, 24)]
)
def test_the_evidence_is_what_plain_fractions_give(size: int, judged: int, right: int) -> None:
    wanted = exact_evidence(size, judged, right, Fraction(9, 10))
    assert math.exp(log_evidence(size, judged, right, 0.9)) == pytest.approx(wanted, rel=1e-9)


def test_the_evidence_is_no_more_than_one_on_average_where_the_flags_are_not_good_enough() -> None:
    # the law of all orders of a set with the most right cells that is not good enough: an e-value
    size, right, judged, bound = 60, 53, 30, 0.9
    total = 0.0
    for found in range(max(0, judged - (size - right)), min(judged, right) + 1):
        chance = math.comb(right, found) * math.comb(size - right, judged - found) / math.comb(size, judged)
        total += chance * math.exp(log_evidence(size, judged, found, bound))
    assert total <= 1


def test_all_judged_is_a_proof_or_none() -> None:
    assert certify(one_bin(20), evidence(20, 18)).num_cells == 20
    assert certify(one_bin(20), evidence(20, 17)).num_cells == 0


def test_too_little_evidence_proves_nothing() -> None:
    counts, least = np.full(NUM_BINS, 5), cells_to_certify(5000)
    spread = np.arange(least) * NUM_BINS // least
    assert certify(counts, Evidence(spread, spread >= 0)).num_cells == 5000
    assert certify(counts, Evidence(spread[1:], spread[1:] >= 0)).num_cells == 0
    assert certify(one_bin(5000), evidence(0, 0)).num_cells == 0
    assert certify(one_bin(0), evidence(0, 0)).num_cells == 0
    assert certify(one_bin(5000), evidence(100, 85)).num_cells == 0


def test_only_the_sure_part_is_accepted_where_the_rest_is_bad() -> None:
    counts = one_bin(1000, 600) + one_bin(1000, 900)
    judged = np.repeat([600, 900], 120)
    found = certify(counts, Evidence(judged, (judged == 900) | (np.arange(240) % 3 == 0)))
    assert (found.accept_above, found.num_cells, found.num_judged, found.num_right) == (0.9, 1000, 120, 120)


def test_cells_drawn_from_the_top_tell_nothing_of_larger_sets() -> None:
    counts = one_bin(1000, 600) + one_bin(1000, 900)
    judged = np.full(150, 900)
    right = np.ones(150, dtype=bool)
    from_all = certify(counts, Evidence(judged, right))
    from_the_top = certify(counts, Evidence(judged, right, floors=np.full(150, 900)))
    assert from_all.num_cells == 2000
    assert from_the_top.num_cells == 1000


def test_cells_judged_for_other_reasons_prove_nothing_and_leave_more_to_prove() -> None:
    known = one_bin(300), one_bin(300)
    assert certify(one_bin(1000), evidence(0, 0), known=known).num_cells == 0
    assert certify(one_bin(1000), evidence(100, 100), known=known).num_cells == 1000
    # with many right ones known, the others have to be good enough by themselves
    counts, some = one_bin(1000), evidence(150, 148)
    assert certify(counts, some).num_cells == 1000
    assert certify(counts, some, known=(one_bin(800), one_bin(800))).num_cells == 0


@pytest.mark.parametrize("planted", [Planted(0.899, 0.899), Planted(0.99, 0.8), Planted(0.85, 0.93)])
def test_the_promised_precision_holds_whenever_one_looks(planted: Planted) -> None:
    found = simulate(planted, size=1500, judged=150, looks=10, repeats=120, bound=0.9)
    assert found.broken <= 0.05
