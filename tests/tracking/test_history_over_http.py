"""Audits, gates, `compare` and `trend` through the command line, tracked by a real MLflow server."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spark_ml_audit.outcomes.records import ClassRow
from spark_ml_audit.tracking.keys import class_key
from tests.conftest import lake_for
from tests.documents import DOCS, blocks_of
from tests.lake import records
from tests.tracking.three_runs import TAGS, History, Row, expected_changes, three_runs, written

NO_TAG = {"limit": 0.1, "classes": ["role::progam"]}


@pytest.fixture(scope="module")
def history(request: pytest.FixtureRequest, server: str, tmp_path_factory: pytest.TempPathFactory) -> History:
    return three_runs(lake_for(request, tmp_path_factory.mktemp("history"), server))


def test_compare_says_what_was_flagged_fixed_and_left(history: History, tmp_path: Path) -> None:
    outcome = history.command("compare", compare__run=history.second["run_id"])
    assert outcome.exit_code == 0, outcome.json
    found = outcome.json
    assert (found["run_id"], found["against_run_id"]) == (history.second["run_id"], history.first["run_id"])
    rows, cells = expected_changes(history)
    assert {
        row["id"]: (row["change"], row["reason"]) for row in written(history, found, "comparison_rows")
    } == rows
    assert {
        (row["id"], row["tag"], row["issue"]): (row["change"], row["reason"])
        for row in written(history, found, "comparison")
    } == cells
    for what, expected in (("row", rows), ("cell", cells)):
        counts = Counter(expected.values())
        assert len({reason for _, reason in counts}) >= 4, "the data show too few reasons"
        for change in ("newly_flagged", "fixed", "still_open"):
            assert found[f"{what}s"][change] == sum(n for (of, _), n in counts.items() if of == change) > 0
        for change, reasons in found[f"{what}_reasons"].items():
            assert {name: n for name, n in reasons.items() if n} == {
                name: n for (of, name), n in counts.items() if of == change
            }
    assert (found["rows_came"], found["rows_went"]) == (1, 2)
    assert found["run"]["source_version"] == "1"
    assert found["against"]["source_version"] == "0"
    assert any("audit.alpha (0.8, now 0.7)" in note for note in found["notes"])

    # every class, before and now, in its table; the most changed in the result
    old, new = (
        {row["tag"]: row for row in history.lake.rows(run, "classes")}
        for run in (history.first, history.second)
    )
    by_class = {row["tag"]: row for row in written(history, found, "comparison_classes")}
    assert set(by_class) == set(TAGS)
    for tag, row in by_class.items():
        assert row["label_noise_before"] == old[tag]["label_noise"]
        assert row["threshold_absent"] == new[tag]["threshold_absent"]
        assert (row["num_missing"], row["num_given_before"]) == (
            new[tag]["num_missing"],
            old[tag]["num_given"],
        )
        assert row["fixed"] == sum(key[1] == tag and what == "fixed" for key, (what, _) in cells.items())
    assert {row["tag"] for row in found["classes"]} <= set(TAGS)

    run = history.mlflow(found["mlflow_run_id"])
    assert (run.info.status, run.info.run_name) == ("FINISHED", f"compare {history.second['run_id']}")
    assert run.data.tags["spark_ml_audit.against_run_id"] == history.first["run_id"]
    assert run.data.metrics["compare/cells_fixed"] == found["cells"]["fixed"]
    assert run.data.metrics["compare/rows_came"] == 1
    sent = json.loads(history.artifact(run.info.run_id, "class_changes.json", tmp_path))
    assert {row[sent["columns"].index("tag")] for row in sent["data"]} == set(TAGS)
    assert (
        json.loads(history.artifact(run.info.run_id, "comparison.json", tmp_path))["cells"] == found["cells"]
    )

    # the same two runs again: nothing is written, the same is said
    again = history.command("compare", compare__run=history.second["run_id"]).json
    assert again["already_finished"]
    assert {**again, "stages": 0, "already_finished": 0} == {**found, "stages": 0, "already_finished": 0}
    assert history.lake.versions(again) == history.lake.versions(found)


def test_python_compares_without_writing(history: History) -> None:
    from spark_ml_audit import compare

    runs = {"run": history.first["run_id"], "against": history.second["run_id"]}
    backwards = history.lake.call(compare, history.output, **runs)
    rows, cells = expected_changes(history)
    mirrored = {"newly_flagged": "fixed", "fixed": "newly_flagged", "still_open": "still_open"}
    assert Counter(row["change"] for row in records(backwards.rows)) == Counter(
        mirrored[w] for w, _ in rows.values()
    )
    assert Counter(row["change"] for row in records(backwards.cells)) == Counter(
        mirrored[what] for what, _ in cells.values()
    )
    assert len(records(backwards.classes)) == len(TAGS)


def test_an_audit_says_what_changed_since_the_last_run(history: History, tmp_path: Path) -> None:
    since = history.second["since_last_run"]
    rows, cells = expected_changes(history)
    assert since["rows"] == {name: sum(what == name for what, _ in rows.values()) for name in since["rows"]}
    assert since["cells"] == {
        name: sum(what == name for what, _ in cells.values()) for name in since["cells"]
    }
    assert since["against"]["run_id"] == history.first["run_id"]
    assert history.first["since_last_run"] is None
    assert history.other["since_last_run"] is None
    run = history.mlflow(history.second["mlflow_run_id"])
    assert run.data.metrics["since_last_run/cells_newly_flagged"] == since["cells"]["newly_flagged"]
    assert run.data.metrics["since_last_run/health_change"] == pytest.approx(since["health_change"])
    assert json.loads(history.artifact(run.info.run_id, "since_last_run.json", tmp_path)) == since


def test_gates_are_reported_with_their_numbers(history: History, tmp_path: Path) -> None:
    first, second = ({gate["name"]: gate for gate in run["gates"]} for run in (history.first, history.second))
    worst = max(
        row["label_noise"] + row["inverse_label_noise"] for row in history.lake.rows(history.first, "classes")
    )
    assert first["max_class_noise"] | {"detail": ""} == {
        "name": "max_class_noise",
        "passed": False,
        "value": worst,
        "limit": 0.0,
        "severity": "warn",
        "detail": "",
    }
    assert first["max_class_noise_2"]["passed"]
    assert first["max_issue_increase"]["value"] is None  # nothing before it
    assert first["min_macro_auc"]["value"] > 0.9
    assert history.first["status"] == "ok"
    assert any("max_class_noise is broken" in warning for warning in history.first["warnings"])

    shares = [run["num_label_issues"] / run["num_audited"] for run in (history.first, history.second)]
    assert second["max_issue_increase"]["value"] == pytest.approx(shares[1] - shares[0])
    assert {name for name, gate in second.items() if not gate["passed"]} == {
        "max_issue_increase",
        "min_macro_auc",
    }
    assert second["min_lift"]["value"] > 1.5
    assert history.second["status"] == "gate_failed"

    (row,) = history.lake.rows(history.second, "runs")
    assert json.loads(row["gates"]) == history.second["gates"]
    run = history.mlflow(history.second["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["spark_ml_audit.gates_failed"] == "max_issue_increase"
    assert run.data.tags["spark_ml_audit.gates_warned"] == "min_macro_auc"
    assert run.data.metrics["gate/max_issue_increase/passed"] == 0
    assert run.data.metrics["gate/max_issue_increase/value"] == pytest.approx(shares[1] - shares[0])
    assert run.data.metrics["model/macro_auc"] == second["min_macro_auc"]["value"]
    sent = json.loads(history.artifact(run.info.run_id, "gates.json", tmp_path))
    for sent_row, gate in zip(sent["data"], history.second["gates"], strict=True):
        found = dict(zip(sent["columns"], sent_row, strict=True))
        # MLflow keeps ten decimals of a table's numbers
        assert found == {**gate, "value": pytest.approx(gate["value"], abs=1e-9)}


def test_mlflow_holds_what_a_person_needs(history: History, tmp_path: Path) -> None:
    """What else an audit sends, over HTTP: aggregates, class metrics by index, tables, config, source."""
    result = history.second
    run = history.mlflow(result["mlflow_run_id"])
    classes = history.lake.rows(result, "classes")
    assert run.info.run_name == f"audit {result['run_id']}"
    assert run.data.tags["spark_ml_audit.activity"] == "audit"
    assert run.data.metrics["classes/num"] == len(TAGS)
    assert run.data.metrics["classes/mean_label_noise"] == pytest.approx(
        np.mean([row["label_noise"] for row in classes])
    )
    for row in classes:
        assert run.data.metrics[f"{class_key(ClassRow.from_mapping(row))}/num_missing"] == row["num_missing"]
    (dataset,) = run.inputs.dataset_inputs
    assert json.loads(dataset.dataset.source) == {"path": history.source, "delta_table_version": 1}
    tables = {item["path"] for item in json.loads(run.data.tags["mlflow.loggedArtifacts"])}
    assert tables >= {"worst_rows.json", "classes.json", "gates.json", "class_changes.json"}
    config = json.loads(history.artifact(run.info.run_id, "config.json", tmp_path))
    assert config["gate"]["min_macro_auc"] == {"severity": "warn", "limit": 1.0}
    assert config["gate"]["max_issue_increase"] == 0.01
    assert run.data.params["gate.max_issue_increase"] == "0.01"


@pytest.fixture(scope="module")
def trend(history: History) -> Row:
    outcome = history.command("trend", trend__source=history.source, trend__log=True)
    assert outcome.exit_code == 0, outcome.json
    return dict(outcome.json)


def test_trend_page_and_numbers(history: History, trend: Row, tmp_path: Path) -> None:
    found = trend
    assert [run["run_id"] for run in found["runs"]] == [history.first["run_id"], history.second["run_id"]]
    assert [run["health"] for run in found["runs"]] == [history.first["health"], history.second["health"]]
    tables = [
        {row["tag"]: row for row in history.lake.rows(run, "classes")}
        for run in (history.first, history.second)
    ]
    noisiest = sorted(
        TAGS,
        key=lambda tag: -max(rows[tag]["label_noise"] + rows[tag]["inverse_label_noise"] for rows in tables),
    )
    assert [row["tag"] for row in found["classes"]] == noisiest
    for row in found["classes"]:
        assert row["label_noise"] == [rows[row["tag"]]["label_noise"] for rows in tables]
    page = Path(found["report"]).read_text(encoding="utf-8")
    assert found["report"] == f"{history.output}/reports/trend.html"
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in page
    assert page.count("<svg") == 2 + len(TAGS)
    for run in found["runs"]:
        assert run["run_id"] in page

    run = history.mlflow(found["mlflow_run_id"])
    assert (run.info.status, run.data.tags["spark_ml_audit.activity"]) == ("FINISHED", "trend")
    assert history.artifact(run.info.run_id, "trend.html", tmp_path) == page
    sent = json.loads(history.artifact(run.info.run_id, "trend.json", tmp_path))
    assert len(sent["data"]) == 2 * len(TAGS)

    # one run, named classes, another place
    one = history.command(
        "trend",
        trend__source=history.source,
        trend__last=1,
        trend__classes=[TAGS[3]],
        trend__file=f"{tmp_path}/t.html",
    ).json
    assert ([run["run_id"] for run in one["runs"]], one["num_runs"]) == ([history.second["run_id"]], 2)
    assert [row["tag"] for row in one["classes"]] == [TAGS[3]]
    assert one["mlflow_run_id"] is None
    assert (tmp_path / "t.html").is_file()


@pytest.mark.spark
def test_the_documented_query_gives_the_same_numbers(history: History, trend: Row, spark: Any) -> None:
    (text,) = [block.text for block in blocks_of(DOCS / "compare_and_trend.md") if block.kind == "sql"]
    query = text.replace("/lake/audits/tags", history.output)
    rows = spark.sql(query).collect()
    by_run = {(row["run_id"], row["tag"]): row for row in rows}
    assert len(by_run) == len(rows) == 3 * len(TAGS)
    for place, run in enumerate(trend["runs"]):
        for item in trend["classes"]:
            row = by_run[run["run_id"], item["tag"]]
            assert (row["health"], row["label_noise"]) == (run["health"], item["label_noise"][place])


@pytest.mark.parametrize(
    ("command", "keys", "key", "said"),
    [
        ("compare", {"compare__run": "20200101t000000z-0a1b2c3d"}, "compare.run", "no finished run"),
        ("compare", {"compare__run": "near"}, "compare.run", "Did you mean"),
        ("compare", {"compare__run": "first"}, "compare.against", "first one of"),
        ("compare", {"compare__run": "second", "compare__against": "other"}, "compare.against", "one source"),
        ("compare", {"output__path": "/nowhere/at-all"}, "output", "does not exist"),
        ("trend", {"trend__source": "data/other"}, "trend.source", "Sources there"),
        ("trend", {"trend__classes": ["role::progam"]}, "trend.classes", "Did you mean 'role::program'?"),
        ("trend", {"output__path": "/nowhere/at-all"}, "output", "does not exist"),
        ("audit", {"gate__max_class_noise": NO_TAG}, "gate.max_class_noise.classes", "mean role::program?"),
        ("check", {"gate__max_class_noise": NO_TAG}, "gate.max_class_noise.classes", "among its 4"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(history: History, command: str, keys: Row, key: str, said: str) -> None:
    ids = {name: getattr(history, name)["run_id"] for name in ("first", "second", "other")}
    ids["near"] = ids["first"][:-1] + ("0" if ids["first"][-1] != "0" else "1")
    given = {name: ids.get(value, value) if isinstance(value, str) else value for name, value in keys.items()}
    if command in ("audit", "check"):
        given["source__path"] = history.source
    outcome = history.command(command, **given)
    assert outcome.exit_code == 2, outcome.json
    assert outcome.error["key"] == key
    assert said in outcome.error["message"] + outcome.error["fix"]


def test_a_refused_audit_is_marked_failed_with_its_reason(history: History) -> None:
    outcome = history.command(
        "audit",
        source__path=history.source,
        gate__max_class_noise={"limit": 0.1, "classes": ["no such tag"]},
        tracking__experiment="refused",
    )
    assert outcome.exit_code == 2
    experiment = history.client.get_experiment_by_name("refused")
    (run,) = history.client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert "no such tag" in run.data.tags["spark_ml_audit.failure"]
