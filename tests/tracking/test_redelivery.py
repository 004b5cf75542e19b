"""Runs whose tracking failed, from the start or half way: they land, exit 4, and a retry sends the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.datasets import make_dataset
from tests.lake import Lake
from tests.mlflow_server import Door

pytestmark = pytest.mark.faults


def client_of(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def artifacts_of(client: Any, run_id: str) -> set[str]:
    return {item.path for item in client.list_artifacts(run_id)}


def test_what_a_dying_server_did_not_get_is_sent_by_a_retry(
    lake: Lake, door: Door, server: str, tmp_path: Path
) -> None:
    from mlflow.tracking._tracking_service import utils

    source = lake.write(lake.dataset_frame(make_dataset(3, "plain")))
    settings: dict[str, object] = {"source.path": source, "output.path": lake.path("out")}
    settings |= {"tracking.experiment": "dying", "report.enabled": True}
    door.fatal = b"classes.json"  # opened, metrics and the first table sent
    first = lake.audit({**settings, "tracking.uri": door.url}, expect=4)
    assert first["status"] == "not_delivered"
    assert first["mlflow_run_id"]
    client = client_of(server)
    assert client.get_run(first["mlflow_run_id"]).info.status == "RUNNING"
    before = lake.versions(first)
    settings["output.run_id"] = first["run_id"]

    # a retry while the server is away is no success
    again = lake.audit({**settings, "tracking.uri": door.url}, expect=4)
    assert again["already_finished"]
    assert not again["delivered"]

    # a retry is another process; in this one MLflow keeps a run's artifact store, dead address and all
    utils._artifact_repos_cache.clear()
    sent = lake.audit({**settings, "tracking.uri": server})
    assert sent["already_finished"]
    assert sent["delivered"]
    assert sent["mlflow_run_id"] == first["mlflow_run_id"]
    assert not [text for text in sent["warnings"] if "MLflow" in text]
    assert lake.versions(sent) == before
    run = client.get_run(sent["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["spark_ml_audit.status"] == "ok"
    assert "spark_ml_audit.not_recorded" not in run.data.tags
    wanted = {"worst_rows.json", "classes.json", "config.json", "report.html"}
    assert wanted <= artifacts_of(client, run.info.run_id)
    tables = [table["path"] for table in json.loads(run.data.tags["mlflow.loggedArtifacts"])]
    assert len(tables) == len(set(tables))
    assert {"classes.json", "worst_rows.json"} <= set(tables)
    for name, count in (
        ("worst_rows.json", first["num_label_issues"]),
        ("classes.json", len(lake.rows(first, "classes"))),
    ):
        found = Path(client.download_artifacts(run.info.run_id, name, str(tmp_path)))
        assert len(json.loads(found.read_text())["data"]) == count

    # and once it has everything, nothing is sent again
    lake.audit({**settings, "tracking.uri": server})
    assert client.get_run(run.info.run_id).info.end_time == run.info.end_time


def test_a_run_that_tracking_never_saw_is_recorded_once(lake: Lake, server: str) -> None:
    source = lake.write(lake.dataset_frame(make_dataset(3, "plain")))
    settings = {"source.path": source, "output.path": lake.path("out"), "tracking.experiment": "late"}
    dead = lake.run("audit", {**settings, "tracking.uri": "http://someone:hunter2secret@127.0.0.1:9"})
    first = dead.json
    assert dead.exit_code == 4
    assert first["mlflow_run_id"] is None
    # the password is nowhere: not in what is printed, not in the tables
    (row,) = lake.rows(first, "runs")
    assert "hunter2secret" not in f"{json.dumps(first)} {dead.stderr} {row}"
    settings |= {"output.run_id": first["run_id"], "tracking.uri": server}
    sent = lake.audit(settings)
    assert sent["delivered"]
    again = lake.audit(settings)
    assert again["mlflow_run_id"] == sent["mlflow_run_id"]
    client = client_of(server)
    run = client.get_run(sent["mlflow_run_id"])
    assert len(client.search_runs([run.info.experiment_id])) == 1
    assert run.data.metrics["num_label_issues"] == first["num_label_issues"]
    assert run.data.params["source.path"] == source
    (dataset,) = run.inputs.dataset_inputs
    assert json.loads(dataset.dataset.source) == {"path": source, "delta_table_version": 0}
    assert "worst_rows.json" in artifacts_of(client, run.info.run_id)


def test_the_quality_of_predictions_is_sent_late_too(lake: Lake, tmp_path: Path) -> None:
    table = lake.dataset_frame(make_dataset(3, "plain"))
    source = lake.write(table.rename_columns(["id", "labels", "vector"]))
    settings = {
        "source.path": source,
        "source.pred_probs": None,
        "source.features": {"embedding": "vector"},
        "model.kind": "linear",
        "model.folds": 2,
        "output.path": lake.path("out"),
        "tracking.uri": "http://127.0.0.1:9",
    }
    first = lake.audit(settings, expect=4)
    uri = f"sqlite:///{tmp_path}/late.db"
    sent = lake.audit({**settings, "output.run_id": first["run_id"], "tracking.uri": uri})
    assert sent["delivered"]
    client = client_of(uri)
    run = client.get_run(sent["mlflow_run_id"])
    assert "model_quality.json" in artifacts_of(client, run.info.run_id)
    assert [name for name in run.data.metrics if name.startswith("predict/")]
