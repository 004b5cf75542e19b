"""What an audit leaves in MLflow, read back through MLflow's client."""

from __future__ import annotations

import json
import posixpath
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run

from spark_ml_audit.outcomes.records import ClassRow, Counts, GateResult
from spark_ml_audit.tracking import AuditTracker, RunDelivery, RunOpening, SourceRef
from tests.tracking.conftest import both_trackers

MakeTracker = Callable[..., AuditTracker]

HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "a/b:c=d;e\n\tf",
    "",
    "naïve 日本 \u202e",
    "k" * 3000,
    "a\x00b\ud800c",
]
COUNTS = Counts(100, 90, 4, 6, 9, 7, 5, 0.9)
GATES = (
    GateResult("max_issue_fraction", True, 0.1, None),
    GateResult("max_quarantined_fraction", False, 0.06, 0.0),
)
TABLES = {"examples": "/out/examples", "tag_issues": "/out/tag_issues", "runs": "/out/runs"}


def class_row(index: int, tag: str) -> ClassRow:
    return ClassRow(tag, index, 10, 0.9, 0.95, 80, 3, 2, 5, 0.91, None, 3, 2, 0.02, 0.03, 0.98)


def opening(**changes: object) -> RunOpening:
    settings = {
        "counts": COUNTS,
        "gates": GATES,
        "stages": {"profile": 1.5},
        "tables": TABLES,
        "warnings": ("Look.",),
    }
    return RunOpening(**{**settings, **changes})  # type: ignore[arg-type]


def delivery() -> RunDelivery:
    worst = pd.DataFrame(
        {
            "id": [bytes([0, 255]), b"\x01"],
            "label_quality_score": np.array([0.1, np.nan]),
            "given_tags": [np.array(HOSTILE, dtype=object), []],
        }
    )
    classes = pd.DataFrame(
        {"tag": HOSTILE, "class_index": range(len(HOSTILE)), "cutoff_missing": [None] * len(HOSTILE)}
    )
    return RunDelivery(
        status="ok",
        stages={"profile": 1.5, "apply": 2.5},
        warnings=("Look.", "Again."),
        tables={"worst_examples": worst, "classes": classes},
        artifacts={
            "config.json": {"audit": {"alpha": 0.8}},
            "config/effective.yaml": "audit:\n  alpha: 0.8\n",
            "figures/health.png": b"\x89PNG\x00",
        },
        classes=[class_row(7, HOSTILE[0]), class_row(9999, HOSTILE[1])],
        note="**9** of 90 rows. https://ann:s3cret@host",
    )


def test_every_tag_gives_keys_that_a_server_takes(store: str, make_tracker: MakeTracker) -> None:
    tags = [*HOSTILE, "..", "./x", "-", " a ", "日本", "role::program", "A" * 61 + " b"]
    tracker = make_tracker(store)
    tracker.open(opening())
    rows = [class_row(place, tag) for place, tag in enumerate(tags)]
    assert tracker.deliver(RunDelivery("ok", classes=rows)), tracker.problems
    metrics = read_run(store, tracker).data.metrics
    kept = [name for name in metrics if name.startswith("class_") and name.endswith("/num_missing")]
    assert len(kept) == len(tags)
    assert "class_11 role_program/num_missing" in metrics
    # 2 stands for a threshold that nothing reaches
    never = replace(class_row(0, "rare"), threshold_present=2.0)
    other = make_tracker(store)
    other.open(opening())
    assert other.deliver(RunDelivery("ok", classes=[never])), other.problems
    found = read_run(store, other).data.metrics
    assert "class_0 rare/threshold_absent" in found
    assert "class_0 rare/threshold_present" not in found


def read_run(uri: str, tracker: AuditTracker) -> Run:
    assert tracker.mlflow_run_id is not None
    return mlflow.MlflowClient(tracking_uri=uri).get_run(tracker.mlflow_run_id)


def read_artifact(uri: str, tracker: AuditTracker, path: str, folder: Path) -> bytes:
    client = mlflow.MlflowClient(tracking_uri=uri)
    folder.mkdir(exist_ok=True)
    return Path(client.download_artifacts(tracker.mlflow_run_id, path, str(folder))).read_bytes()


@both_trackers
def test_an_audit_is_one_finished_run_with_all_it_found(
    store: str, make_tracker: MakeTracker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tracker = make_tracker(store)
    run_id = tracker.open(opening())
    assert read_run(store, tracker).info.status == "RUNNING"
    assert tracker.deliver(delivery()), tracker.problems
    assert tracker.problems == []
    assert capfd.readouterr() == ("", "")

    run = read_run(store, tracker)
    assert run.info.run_id == run_id
    assert run.info.status == "FINISHED"
    assert run.info.end_time is not None
    assert run.info.run_name == "audit 20260101t000000z-0a1b2c3d"
    assert run.data.params == {"audit.filter_by": "prune_by_noise_rate", "audit.alpha": "0.8"}

    assert run.data.metrics["num_rows"] == 100
    assert run.data.metrics["health"] == 0.9
    assert run.data.metrics["issue_fraction"] == 0.1
    assert run.data.metrics["quarantined_fraction"] == 0.06
    assert run.data.metrics["gate/max_quarantined_fraction/passed"] == 0
    assert run.data.metrics["gate/max_quarantined_fraction/limit"] == 0
    assert "gate/max_issue_fraction/limit" not in run.data.metrics
    assert run.data.metrics["seconds/profile"] == 1.5
    assert run.data.metrics["seconds/apply"] == 2.5
    assert run.data.metrics["class_9999 a_b_c_d_e_f/num_missing"] == 3
    assert run.data.metrics["class_7 script_img src_x onerror_alert_1/label_quality"] == 0.98

    tags = run.data.tags
    assert tags["mlflow.note.content"] == "**9** of 90 rows. https://ann:***@host"
    assert tags["spark_ml_audit.run_id"] == "20260101t000000z-0a1b2c3d"
    assert tags["spark_ml_audit.package_version"] == "0.1.0"
    assert tags["spark_ml_audit.source"] == "/data/tags"
    assert tags["spark_ml_audit.source_version"] == "0"
    assert tags["spark_ml_audit.status"] == "ok"
    assert tags["spark_ml_audit.warnings"] == "Look.\nAgain."
    assert {name: tags[f"spark_ml_audit.table.{name}"] for name in TABLES} == TABLES
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [
        {"path": "worst_examples.json", "type": "table"},
        {"path": "classes.json", "type": "table"},
    ]

    classes = json.loads(read_artifact(store, tracker, "classes.json", tmp_path / "c"))
    assert classes["columns"] == ["tag", "class_index", "cutoff_missing"]
    read_tags = [row[0] for row in classes["data"]]
    assert read_tags[:5] == HOSTILE[:5]
    assert read_tags[5] == "ab?c"
    worst = json.loads(read_artifact(store, tracker, "worst_examples.json", tmp_path / "w"))["data"]
    assert worst[0][:2] == ["00ff", 0.1]
    assert worst[0][2][:5] == HOSTILE[:5]
    assert worst[1] == ["01", None, []]
    assert json.loads(read_artifact(store, tracker, "config.json", tmp_path / "j")) == {
        "audit": {"alpha": 0.8}
    }
    assert read_artifact(store, tracker, "config/effective.yaml", tmp_path / "y") == b"audit:\n  alpha: 0.8\n"
    assert read_artifact(store, tracker, "figures/health.png", tmp_path / "p") == b"\x89PNG\x00"


def test_keys_hold_no_more_of_a_tag_name_than_every_server_takes(
    store: str, make_tracker: MakeTracker
) -> None:
    tracker = make_tracker(store)
    tracker.open(opening())
    tracker.deliver(delivery())
    run = read_run(store, tracker)
    for key in [*run.data.metrics, *run.data.params, *run.data.tags]:
        assert re.fullmatch(r"[A-Za-z0-9_\-. /]{1,250}", key), key
        assert posixpath.normpath(key) == key  # a server refuses others as paths
        assert "k" * 61 not in key
    # in parameters and MLflow tags, which are looked up by their key, nothing of it
    assert not [key for key in [*run.data.params, *run.data.tags] if "script" in key or "kkk" in key]


@pytest.mark.parametrize(
    ("source", "kind", "where"),
    [
        (SourceRef("/d/tags", True, "0"), "delta_table", {"path": "/d/tags", "delta_table_version": 0}),
        (
            SourceRef("main.gold.tags", False, "12"),
            "delta_table",
            {"delta_table_name": "main.gold.tags", "delta_table_version": 12},
        ),
        (SourceRef("s3a://b/tags", True, None, "parquet"), "spark", {"path": "s3a://b/tags"}),
    ],
)
def test_the_dataset_input_names_table_and_version(
    store: str, make_tracker: MakeTracker, source: SourceRef, kind: str, where: dict[str, object]
) -> None:
    tracker = make_tracker(store, source=source)
    tracker.open(RunOpening())
    assert tracker.problems == []
    (found,) = read_run(store, tracker).inputs.dataset_inputs
    assert found.dataset.source_type == kind
    assert json.loads(found.dataset.source) == where
    assert found.dataset.name == ("main.gold.tags" if source.name == "main.gold.tags" else "tags")
    assert {tag.key: tag.value for tag in found.tags} == {"mlflow.data.context": "audit"}


def test_versions_of_a_source_have_different_digests(tmp_path: Path, make_tracker: MakeTracker) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    digests = set()
    for version in ("1", "2", "2"):
        tracker = make_tracker(uri, source=SourceRef("/d/tags", True, version))
        tracker.open(RunOpening())
        digests.add(read_run(uri, tracker).inputs.dataset_inputs[0].dataset.digest)
    assert len(digests) == 2


def test_long_hostile_and_many_values_are_recorded(store: str, make_tracker: MakeTracker) -> None:
    params = {f"source.classes.{index}": text for index, text in enumerate(HOSTILE * 40)}
    source = SourceRef("/data/" + "x" * 9000, True, "1")
    tracker = make_tracker(store, params=params, source=source)
    tracker.open(opening(warnings=HOSTILE, tables={"a<b>\n": "where"}))
    tracker.deliver(RunDelivery("gate_failed", classes=[class_row(i, "t") for i in range(150)]))
    assert tracker.problems == []
    run = read_run(store, tracker)
    assert len(run.data.params) == 240
    assert run.data.params["source.classes.3"] == HOSTILE[3]
    assert run.data.params["source.classes.4"] == "k" * 497 + "…"
    assert len(run.data.tags["spark_ml_audit.source"].encode()) == 5000
    assert run.data.tags["spark_ml_audit.table.a_b__"] == "where"
    assert run.data.tags["spark_ml_audit.status"] == "gate_failed"
    assert sum(key.startswith("class_") for key in run.data.metrics) == 150 * 8


def test_nothing_audited_leaves_out_health_and_shares(store: str, make_tracker: MakeTracker) -> None:
    tracker = make_tracker(store)
    tracker.open(RunOpening(counts=Counts(0, 0, 0, 0, 0, 0, 0, None)))
    assert tracker.deliver(RunDelivery("ok"))
    metrics = read_run(store, tracker).data.metrics
    assert metrics["num_rows"] == 0
    assert not {"health", "issue_fraction", "quarantined_fraction"} & set(metrics)


@both_trackers
def test_failed_audit_marks_its_open_run(store: str, make_tracker: MakeTracker) -> None:
    tracker = make_tracker(store)
    tracker.open(opening())
    tracker.fail("Table /out/runs cannot be written: http://u:hunter2pw@host refused\n" + "x" * 9000)
    run = read_run(store, tracker)
    assert run.info.status == "FAILED"
    assert run.data.tags["spark_ml_audit.status"] == "failed"
    assert run.data.tags["spark_ml_audit.failure"].startswith("Table /out/runs cannot be written")
    assert "hunter2pw" not in run.data.tags["spark_ml_audit.failure"]


@both_trackers
def test_audit_that_fails_early_still_leaves_a_failed_run(store: str, make_tracker: MakeTracker) -> None:
    tracker = make_tracker(store, source=None)
    tracker.fail("source.labels: no column 'tags'.")
    assert tracker.problems == []
    run = read_run(store, tracker)
    assert run.info.status == "FAILED"
    assert run.data.tags["spark_ml_audit.failure"] == "source.labels: no column 'tags'."
    assert run.data.params["audit.alpha"] == "0.8"
    assert run.inputs.dataset_inputs == []


def test_audits_that_create_the_store_and_experiment_at_once_all_land(
    store: str, make_tracker: MakeTracker
) -> None:
    trackers = [make_tracker(store, run_id=f"20260101t000000z-0000000{i}") for i in range(4)]
    start = threading.Barrier(len(trackers))

    def audit(tracker: AuditTracker) -> None:
        start.wait()
        tracker.open(opening())
        tracker.deliver(RunDelivery("ok"))

    threads = [threading.Thread(target=audit, args=(tracker,)) for tracker in trackers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [tracker.problems for tracker in trackers] == [[]] * 4
    runs = [read_run(store, tracker) for tracker in trackers]
    assert len({run.info.experiment_id for run in runs}) == 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len({run.info.run_id for run in runs}) == 4


def test_deleted_experiment_is_restored_and_said(store: str, make_tracker: MakeTracker) -> None:
    first = make_tracker(store)
    first.open(RunOpening())
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment_id = read_run(store, first).info.experiment_id
    client.delete_experiment(experiment_id)
    second = make_tracker(store)
    second.open(RunOpening())
    assert second.problems == []
    assert "restored" in second.notes[0]
    assert read_run(store, second).info.experiment_id == experiment_id
    assert client.get_experiment(experiment_id).lifecycle_stage == "active"


def test_active_run_of_the_user_is_not_disturbed(store: str, make_tracker: MakeTracker, server: str) -> None:
    mlflow.set_tracking_uri(server)
    try:
        mlflow.set_experiment("theirs")
        with mlflow.start_run() as active:
            tracker = make_tracker(store)
            tracker.open(opening())
            tracker.deliver(delivery())
            assert mlflow.active_run().info.run_id == active.info.run_id
            assert mlflow.get_tracking_uri() == server
            mlflow.log_metric("mine", 1)
        found = mlflow.get_run(active.info.run_id)
    finally:
        mlflow.set_tracking_uri(None)
    assert found.data.metrics == {"mine": 1}
    assert found.info.status == "FINISHED"
    assert tracker.mlflow_run_id not in {None, active.info.run_id}


def test_own_setting_of_mlflow_is_used(
    server: str, make_tracker: MakeTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    tracker = make_tracker(None)
    tracker.open(RunOpening())
    assert read_run(server, tracker).info.status == "RUNNING"
    tracker.deliver(RunDelivery("ok"))


@both_trackers
def test_local_store_and_artifacts_lie_under_the_output(make_tracker: MakeTracker, tmp_path: Path) -> None:
    output = tmp_path / "my audits é % #1"
    tracker = make_tracker(None, output_path=str(output))
    tracker.prefetch()
    tracker.open(opening())
    assert tracker.deliver(delivery()), tracker.problems
    assert {path.name for path in output.iterdir()} == {"mlflow.db", "mlartifacts"}
    assert list((output / "mlartifacts").rglob("classes.json"))
