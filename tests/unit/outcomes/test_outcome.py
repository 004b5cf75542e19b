"""Outcomes as strict JSON, their status and exit code."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from spark_ml_audit.errors import ExitCode
from spark_ml_audit.outcomes.predict import PredictOutcome, TagOutcome
from spark_ml_audit.outcomes.records import Counts, GateResult
from tests.unit.outcomes.made_up import COUNTS, OUTCOME, PREDICTED, TAGGED


def test_json_has_the_contract_s_keys() -> None:
    data = json.loads(json.dumps(OUTCOME.to_dict(), allow_nan=False))
    contract = {
        "run_id",
        "status",
        "delivered",
        "tables",
        "report",
        "mlflow_run_id",
        "gates",
        "stages",
        "warnings",
    }
    counts = {field.name for field in dataclasses.fields(Counts)}
    assert contract | counts <= set(data)
    assert data["num_label_issues"] == 21040
    gate = {"name": "min_rows", "passed": True, "value": 29786, "limit": 1000}
    assert data["gates"][1] == gate | {"severity": "fail", "detail": ""}
    assert data["worst_classes"][0]["estimated_prevalence"] is None


def test_json_takes_numpy_numbers() -> None:
    counts = dataclasses.replace(
        COUNTS,
        num_rows=np.int64(5),  # type: ignore[arg-type]
        health=np.float64("nan"),
    )
    data = dataclasses.replace(OUTCOME, counts=counts).to_dict()
    assert json.loads(json.dumps(data, allow_nan=False))["health"] is None
    assert type(data["num_rows"]) is int


@pytest.mark.parametrize(
    ("passed", "delivered", "status", "code"),
    [
        (True, True, "ok", 0),
        (False, True, "gate_failed", 3),
        (False, False, "gate_failed", 3),
        (True, False, "not_delivered", 4),
    ],
)
def test_the_exit_code_follows_from_gates_and_delivery(
    passed: bool, delivered: bool, status: str, code: int
) -> None:
    gates = (GateResult("min_rows", passed, 1, 1),)
    outcome = dataclasses.replace(OUTCOME, gates=gates, delivered=delivered)
    assert (outcome.status, outcome.exit_code) == (status, ExitCode(code))
    assert (outcome.to_dict()["status"], outcome.to_dict()["delivered"]) == (status, delivered)


@pytest.mark.parametrize("outcome", [PREDICTED, TAGGED], ids=["predict", "tag"])
def test_json_of_other_commands_has_the_contract_s_keys(outcome: PredictOutcome | TagOutcome) -> None:
    data = json.loads(json.dumps(outcome.to_dict(), allow_nan=False))
    fields = {field.name for field in dataclasses.fields(outcome)} - {"use"}
    learned = {"features", "left_out", "shortcuts", "num_rows_judged"}
    assert set(data) == fields | {"status"} | (learned if isinstance(outcome, PredictOutcome) else set())
    assert (data["report"], data["gates"]) == (None, [])
    assert outcome.exit_code == (ExitCode.OK if outcome.status == "ok" else ExitCode.NOT_DELIVERED)
