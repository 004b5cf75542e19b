"""Quality gates: limits, missing limits and empty sources."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.auditing.gates import check_classes, evaluate, sentences
from spark_ml_audit.config import GateConfig
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.outcomes.outcome import status_of
from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult
from spark_ml_audit.outcomes.runs import FinishedRun, RunRef


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


def row(tag: str, extraneous: float | None, missing: float | None) -> ClassRow:
    quality = None if extraneous is None else 1 - extraneous
    return ClassRow(tag, 0, 10, 0.9, 0.9, 1, 1, 1, 1, None, None, 1, 1, extraneous, missing, quality)


CLASSES = (row("a", 0.01, 0.02), row("b", 0.05, 0.0), row("c", 0.0, 0.04))


def run(
    run_id: str, *, audited: int = 100, issues: int = 0, classes: tuple[ClassRow, ...] = ()
) -> FinishedRun:
    ref = RunRef(run_id, "2026-01-01T00:00:00+00:00", "s", "0", "0", audited, audited, 0, issues, 0, 0, None)
    return FinishedRun(ref, {}, classes=classes)


def judged(limits: dict[str, Any], **found: Any) -> dict[str, GateResult]:
    settings: dict[str, Any] = {"classes": CLASSES, **found}
    return {gate.name: gate for gate in evaluate(counts(), GateConfig.parse(limits, "gate"), **settings)}


@pytest.mark.parametrize(
    ("limit", "value", "passed"),
    [
        (0.05, 0.05, True),
        (0.04, 0.05, False),
        ({"limit": 0.04, "kind": "missing"}, 0.04, True),
        ({"limit": 0.03, "kind": "missing"}, 0.04, False),
        ({"limit": 0.02, "kind": "extraneous", "classes": ["a", "c"]}, 0.01, True),
        ({"limit": 0.02, "classes": ["a"]}, 0.03, False),
    ],
)
def test_class_noise_is_judged_by_the_worst_class_meant(limit: object, value: float, passed: bool) -> None:
    gate = judged({"max_class_noise": limit})["max_class_noise"]
    assert (gate.value, gate.passed) == (pytest.approx(value), passed)


def test_class_noise_names_the_classes_above_it() -> None:
    found = judged({"max_class_noise": [0.035, {"limit": 0.5, "severity": "warn"}]})
    assert found["max_class_noise"].detail == "2 of 3 classes above it: 'b' (0.05), 'c' (0.04)."
    assert found["max_class_noise_2"].detail == "Largest of 3 classes: 'b'."
    many = [row(f"t{k}", 0.5, 0.0) for k in range(5000)]
    detail = judged({"max_class_noise": 0.0}, classes=many)["max_class_noise"].detail
    assert detail.endswith("and 4995 more.")
    assert len(detail) < 200


def test_class_noise_of_no_rows_passes() -> None:
    gate = judged({"max_class_noise": 0.0}, classes=[row("a", None, None)])["max_class_noise"]
    assert (gate.passed, gate.value) == (True, None)


def test_increases_are_against_the_earlier_run() -> None:
    previous = run("before", issues=5, classes=(row("a", 0.01, 0.0), row("gone", 0.0, 0.0)))
    limits = {"max_issue_increase": 0.1, "max_class_noise_increase": {"limit": 0.01, "severity": "warn"}}
    found = {
        gate.name: gate
        for gate in evaluate(
            counts(issues=18), GateConfig.parse(limits, "gate"), classes=CLASSES, previous=previous
        )
    }
    assert not found["max_issue_increase"].passed  # 0.2 - 0.05
    assert found["max_issue_increase"].detail == "From 0.05 to 0.2 since run before."
    noise = found["max_class_noise_increase"]
    assert (noise.passed, noise.value, noise.severity) == (False, pytest.approx(0.02), "warn")
    assert "'a'" in noise.detail  # the only class that both runs have
    # 0.8 - 0.7 is above 0.1 in floating point
    exact = evaluate(
        counts(audited=100, issues=80),
        GateConfig.parse({"max_issue_increase": 0.1}, "gate"),
        previous=run("b", issues=70),
    )
    assert all(gate.passed for gate in exact)


@pytest.mark.parametrize("previous", [None, run("before", audited=0)])
def test_without_anything_before_nothing_increased(previous: FinishedRun | None) -> None:
    found = judged({"max_issue_increase": 0.0, "max_class_noise_increase": 0.0}, previous=previous)
    assert all(found[name].passed and found[name].value is None for name in LAST_RUN_GATES)


LAST_RUN_GATES = ("max_issue_increase", "max_class_noise_increase")


def test_model_quality_must_be_known_to_pass() -> None:
    limits = {"min_macro_auc": 0.8, "min_macro_average_precision": 0.5, "min_lift": 1.5}
    quality = {"macro_auc": 0.8, "macro_average_precision": 0.4, "lift": 2.0}
    found = judged(limits, quality=quality)
    assert [found[f"min_{name}"].passed for name in quality] == [True, False, True]
    undefined = judged(limits, quality=dict.fromkeys(quality))
    assert not any(undefined[f"min_{name}"].passed for name in quality)
    empty = evaluate(counts(rows=0, audited=0), GateConfig.parse(limits, "gate"), quality={})
    assert all(gate.passed for gate in empty)


def test_warnings_do_not_fail_a_run_and_are_said() -> None:
    warned = evaluate(
        counts(quarantined=1),
        GateConfig.parse({"max_quarantined_fraction": {"limit": 0, "severity": "warn"}}, "gate"),
    )
    assert status_of(warned, delivered=True) == "ok"
    assert sentences(warned) == ["Gate max_quarantined_fraction is broken: found 0.01, limit 0.0."]
    assert sentences(evaluate(counts(quarantined=1), GateConfig())) == []


def test_gates_on_unknown_classes_are_refused() -> None:
    config = GateConfig.parse({"max_class_noise": [0.1, {"limit": 0.1, "classes": ["role::progam"]}]}, "gate")
    check_classes(config, ["a", "role::progam"])
    with pytest.raises(ConfigError) as caught:
        check_classes(config, ["a", "role::program"])
    assert caught.value.key == "gate.max_class_noise.classes"
    assert "Did you mean role::program?" in caught.value.fix


def test_results_written_by_older_versions_are_read() -> None:
    old = {"name": "min_rows", "passed": False, "value": 1, "limit": 2}
    assert status_of((GateResult(**old),), delivered=True) == "gate_failed"
