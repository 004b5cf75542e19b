"""Quality gates: limits, missing limits and empty sources."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.config import GateConfig
from spark_ml_audit.gates import evaluate
from spark_ml_audit.results import Counts, GateResult, status_of


def counts(rows: int = 100, audited: int = 90, quarantined: int = 0, issues: int = 0) -> Counts:
    return Counts(
        num_rows=rows,
        num_audited=audited,
        num_unlabelled=rows - audited - quarantined,
        num_quarantined=quarantined,
        num_label_issues=issues,
        num_missing_tags=0,
        num_extraneous_tags=0,
        health=1 - issues / audited if audited else None,
    )


def gates(found: Counts, **limits: Any) -> dict[str, GateResult]:
    return {gate.name: gate for gate in evaluate(found, GateConfig.parse(limits, "gate"))}


def test_by_default_one_quarantined_row_fails_and_issues_do_not() -> None:
    found = gates(counts(quarantined=1, issues=90))
    assert set(found) == {"max_quarantined_fraction", "min_rows"}
    assert found["max_quarantined_fraction"] == GateResult("max_quarantined_fraction", False, 0.01, 0.0)
    assert found["min_rows"] == GateResult("min_rows", True, 100, 0)
    assert all(gate.passed for gate in gates(counts()).values())


def test_issue_share_is_over_audited_rows_and_may_equal_its_limit() -> None:
    assert gates(counts(issues=45), max_issue_fraction=0.5)["max_issue_fraction"].value == 0.5
    assert gates(counts(issues=45), max_issue_fraction=0.5)["max_issue_fraction"].passed
    assert not gates(counts(issues=46), max_issue_fraction=0.5)["max_issue_fraction"].passed


def test_no_limit_means_no_gate() -> None:
    assert gates(counts(), max_quarantined_fraction=None, min_rows=None) == {}


def test_empty_source_passes_shares_and_min_rows_decides() -> None:
    empty = counts(rows=0, audited=0)
    assert all(gate.passed for gate in gates(empty, max_issue_fraction=0.0).values())
    assert not gates(empty, min_rows=1)["min_rows"].passed


@pytest.mark.parametrize(("rows", "passed"), [(9, False), (10, True), (11, True)])
def test_min_rows_is_the_least_allowed(rows: int, passed: bool) -> None:
    assert gates(counts(rows=rows, audited=rows), min_rows=10)["min_rows"].passed is passed


def test_failed_gate_outweighs_failed_delivery() -> None:
    failed = evaluate(counts(quarantined=1), GateConfig())
    assert status_of(failed, delivered=False) == "gate_failed"
    assert status_of((), delivered=False) == "not_delivered"
    assert status_of(evaluate(counts(), GateConfig()), delivered=True) == "ok"


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.floats(0, 1))
def test_higher_limits_pass_whatever_lower_ones_pass(a: int, q: int, i: int, limit: float) -> None:
    found = counts(rows=a + q, audited=a, quarantined=q, issues=min(i, a))
    strict = gates(found, max_issue_fraction=limit, max_quarantined_fraction=limit)
    loose = gates(found, max_issue_fraction=1.0, max_quarantined_fraction=1.0)
    assert all(loose[name].passed for name in loose)
    assert all(0 <= strict[name].value <= 1 for name in strict if name != "min_rows")  # type: ignore[operator]
