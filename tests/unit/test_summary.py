"""Texts and JSON of outcomes."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.cli.render import render_check, render_outcome, render_predict, render_tag
from spark_ml_audit.errors import ExitCode
from spark_ml_audit.outcomes.audit import AuditOutcome, CheckOutcome
from spark_ml_audit.outcomes.predict import PredictOutcome, TagOutcome
from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult
from spark_ml_audit.text import for_terminal

COUNTS = Counts(
    num_rows=29786,
    num_audited=29700,
    num_unlabelled=80,
    num_quarantined=6,
    num_label_issues=21040,
    num_missing_tags=3000,
    num_extraneous_tags=1200,
    health=1 - 21040 / 29700,
)


def class_row(tag: str) -> ClassRow:
    return ClassRow.from_mapping(
        {
            "run_id": "left out",
            "tag": tag,
            "class_index": 3,
            "num_given": 1234,
            "threshold_present": 0.5,
            "threshold_absent": 0.9,
            "joint_00": 1,
            "joint_01": 2,
            "joint_10": 3,
            "joint_11": 4,
            "cutoff_missing": None,
            "cutoff_extraneous": 0.25,
            "num_missing": 17,
            "num_extraneous": 5,
            "label_noise": 0.0123,
            "inverse_label_noise": 0.1,
            "label_quality": 0.9877,
            "estimated_prevalence": math.nan,
        }
    )


OUTCOME = AuditOutcome(
    run_id="20260131t180000z-0a1b2c3d",
    delivered=True,
    counts=COUNTS,
    tables={"examples": "out/examples", "runs": "out/runs"},
    report="out/report.html",
    mlflow_run_id="abc",
    gates=(
        GateResult("max_quarantined_fraction", False, 6 / 29786, 0.0),
        GateResult("min_rows", True, 29786, 1000),
    ),
    stages={"profile": 1.25, "apply": 2.5},
    warnings=("The table has 3 small files.",),
    source="data/tags",
    source_version="7",
    worst_classes=(class_row("role::program"), class_row("Übersicht")),
)


def test_summary_tells_what_a_reader_needs() -> None:
    text = render_outcome(OUTCOME)
    for part in (
        "Audit 20260131t180000z-0a1b2c3d: done, but a quality gate failed",
        "Source: data/tags, version 7",
        "Health: 29.16%; 21,040 of 29,700 audited rows have a label issue",
        "29,786 read, 29,700 audited, 80 unlabelled, 6 quarantined",
        "3,000 missing, 1,200 extraneous",
        "FAILED  max_quarantined_fraction: 0.000201437, allowed at most 0",
        "passed  min_rows: 29,786, allowed at least 1,000",
        "- The table has 3 small files.",
        "examples    out/examples",
        "report      out/report.html",
        "MLflow run  abc",
        "Time: 3.8 s (profile 1.2, apply 2.5)",
    ):
        assert part in text
    lines = text.splitlines()
    start = lines.index("Most affected classes")
    assert lines[start + 1].split() == ["tag", "given", "missing", "extraneous", "noise"]
    assert lines[start + 2].split() == ["role::program", "1,234", "17", "5", "1.23%"]
    assert len({len(line) for line in lines[start + 1 : start + 4]}) == 1


def test_summary_of_an_empty_source_and_a_repeated_run() -> None:
    nothing = Counts(0, 0, 0, 0, 0, 0, 0, health=None)
    outcome = dataclasses.replace(
        OUTCOME, counts=nothing, worst_classes=(), mlflow_run_id=None, gates=(), delivered=False, report=None
    )
    text = render_outcome(dataclasses.replace(outcome, already_finished=True))
    assert "no row was audited" in text
    assert "Most affected" not in text
    assert "MLflow run  none" in text
    assert "nothing was changed" in text
    assert "not everything was delivered" in text


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


def test_check_report_lists_columns_classes_and_tables() -> None:
    report = CheckOutcome(
        source="main.db.tags",
        source_version=None,
        schema=(("id", "string"), ("labels", "array<string>")),
        labels_format="names",
        pred_probs_format="array",
        dtype="float",
        num_rows=1000,
        classes=tuple(f"tag{number}" for number in range(12)),
        tables={"examples": "out/examples"},
        notes=("The labels are arrays of strings, so names.",),
    )
    text = render_check(report)
    assert "labels  array<string>" in text
    assert "12: tag0, tag1" in text
    assert "and 2 more" in text
    assert "array of float" in text
    assert report.to_dict()["num_classes"] == 12


def test_tags_cannot_move_the_cursor_or_the_columns() -> None:
    nasty = "\x1b[2J\r\nred\u202e\u2028" + "x" * 100
    text = render_outcome(dataclasses.replace(OUTCOME, worst_classes=(class_row(nasty), class_row("标签"))))
    assert "\\x1b[2J\\r\\nred\\u202e" in text
    assert "\x1b" not in text
    assert "…" in text
    assert max(len(line) for line in text.splitlines()) < 120


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_cleaned_text_is_one_printable_line(text: str, width: int) -> None:
    shown = for_terminal(text, width)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)
    shown.encode()
    assert len(for_terminal("a" * 100, width)) == width


PREDICTED = PredictOutcome(
    run_id="20260131t180000z-0a1b2c3d",
    delivered=False,
    num_rows=17027,
    num_predicted=17020,
    num_unlabelled=20,
    num_quarantined=7,
    num_trained=17000,
    num_classes=21,
    folds=5,
    kind="joint",
    quality={"macro_auc": 0.8336, "macro_average_precision": None},
    tables={"predictions": "out/predictions"},
    model_uri="models:/film_tags/3",
    mlflow_run_id="abc",
    stages={"train": 60.0, "predict": 5.5},
    warnings=("1 class was given to no row.",),
    source="data/films",
    source_version="7",
)
TAGGED = TagOutcome(
    run_id="20260131t180000z-0a1b2c3d",
    delivered=True,
    num_rows=1000,
    num_tagged=990,
    num_quarantined=10,
    num_tags=1980,
    num_classes=21,
    tables={"tags": "out/tags"},
    model_uri="models:/film_tags/3",
    mlflow_run_id=None,
    stages={},
    warnings=(),
    source="data/new_films",
    source_version=None,
)


def test_summary_of_predictions_tells_rows_model_and_quality() -> None:
    text = render_predict(PREDICTED)
    for part in (
        "Predictions 20260131t180000z-0a1b2c3d: done, but not everything was delivered",
        "Source: data/films, version 7",
        "17,027 read, 17,020 predicted (20 of them unlabelled), 7 quarantined",
        "Model:  joint, 5 folds, 17,000 rows trained on, 21 classes",
        "Quality out of fold",
        "macro auc                0.8336",
        "macro average precision  –",
        "- 1 class was given to no row.",
        "predictions  out/predictions",
        "model        models:/film_tags/3",
        "Time: 65.5 s (train 60.0, predict 5.5)",
    ):
        assert part in text
    given_model = render_predict(dataclasses.replace(PREDICTED, folds=None, model_uri=None, quality={}))
    assert "no training, a given model" in given_model
    assert "Quality" not in given_model
    assert "models:" not in given_model


def test_summary_of_tags_tells_rows_tags_and_model() -> None:
    text = render_tag(TAGGED)
    for part in (
        "Tags 20260131t180000z-0a1b2c3d: done",
        "Source: data/new_films",
        "Model:  models:/film_tags/3, 21 classes",
        "1,000 read, 990 tagged, 10 quarantined",
        "1,980 (2.00 per row)",
        "tags        out/tags",
    ):
        assert part in text
    assert "per row" not in render_tag(dataclasses.replace(TAGGED, num_rows=0, num_tagged=0, num_tags=0))


@pytest.mark.parametrize("outcome", [PREDICTED, TAGGED], ids=["predict", "tag"])
def test_json_of_other_commands_has_the_contract_s_keys(outcome: PredictOutcome | TagOutcome) -> None:
    data = json.loads(json.dumps(outcome.to_dict(), allow_nan=False))
    fields = {field.name for field in dataclasses.fields(outcome)}
    assert set(data) == fields | {"status"}
    assert (data["report"], data["gates"]) == (None, [])
    assert outcome.exit_code == (ExitCode.OK if outcome.status == "ok" else ExitCode.NOT_DELIVERED)


def test_other_findings_are_named_only_where_they_were_looked_for() -> None:
    nothing = render_outcome(dataclasses.replace(OUTCOME, counts=COUNTS))
    assert "Also:" not in nothing
    some = dataclasses.replace(COUNTS, num_ambiguous=5380, num_outliers=0)
    assert "Also:   5,380 ambiguous rows, 0 outliers\n" in render_outcome(
        dataclasses.replace(OUTCOME, counts=some)
    )
