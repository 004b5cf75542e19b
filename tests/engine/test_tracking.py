"""What an audit leaves in MLflow, read back through its client, and what it does without MLflow."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.engine.conftest import Audited
from tests.lake import Lake, tag_names


def client_of(lake: Lake) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=lake.tracking_uri)


def artifact(client: Any, run_id: str, name: str, folder: Any) -> Any:
    return json.loads(open(client.download_artifacts(run_id, name, str(folder)), encoding="utf-8").read())


def test_mlflow_holds_config_counts_source_tables_and_rows(audited: Audited, tmp_path: Any) -> None:
    lake, data, source, result = audited.lake, audited.data, audited.source, audited.result
    client = client_of(lake)
    run = client.get_run(result["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "audits of tests"
    assert run.data.params["audit.frac_noise"] == "1.0"
    assert run.data.params["source.path"] == source
    for name in ("num_rows", "num_audited", "num_label_issues", "num_missing_tags", "health"):
        assert run.data.metrics[name] == result[name]
    assert run.data.metrics["issue_fraction"] == result["num_label_issues"] / result["num_audited"]
    assert run.data.metrics["seconds/profile"] > 0
    tags = run.data.tags
    assert tags["spark_ml_audit.run_id"] == result["run_id"]
    assert tags["spark_ml_audit.status"] == "ok"
    assert {name: tags[f"spark_ml_audit.table.{name}"] for name in result["tables"]} == result["tables"]
    (dataset,) = run.inputs.dataset_inputs
    assert json.loads(dataset.dataset.source) == {"path": source, "delta_table_version": 0}

    worst = artifact(client, run.info.run_id, "worst_rows.json", tmp_path)
    ranked = sorted(lake.rows(result, "issues"), key=lambda row: row["issue_rank"])
    column = worst["columns"].index
    assert [row[column("id")] for row in worst["data"]] == [row["id"] for row in ranked]
    assert [row[column("issue_rank")] for row in worst["data"]] == list(range(1, len(ranked) + 1))
    assert [row[column("missing_tags")] for row in worst["data"]] == [
        ", ".join(row["missing_tags"]) for row in ranked
    ]
    classes = artifact(client, run.info.run_id, "classes.json", tmp_path)
    assert [row[classes["columns"].index("tag")] for row in classes["data"]] == tag_names(
        data.pred_probs.shape[1]
    )
    config = artifact(client, run.info.run_id, "config.json", tmp_path)
    assert config["audit"]["frac_noise"] == 1.0
    by_index = {row["class_index"]: row for row in lake.rows(result, "classes")}
    shown = [name for name in run.data.metrics if name.startswith("class_") and name.endswith("/num_missing")]
    assert shown
    for name in shown:
        index, _, tag = name.removesuffix("/num_missing").removeprefix("class_").partition(" ")
        assert run.data.metrics[name] == by_index[int(index)]["num_missing"]
        assert tag == by_index[int(index)]["tag"]
    note = tags["mlflow.note.content"]
    worst_tag = max(by_index.values(), key=lambda row: row["num_missing"] + row["num_extraneous"])["tag"]
    for said in (f"**{result['num_label_issues']} of ", f"`{source}`", f"| `{worst_tag}` |"):
        assert said in note
    assert all(f"- {name}: `{place}`" in note for name, place in result["tables"].items())


def test_a_failed_audit_is_marked_failed(lake: Lake, audited: Audited) -> None:
    source = audited.source
    experiment = f"failed in {lake.folder.name}"
    lake.refuse(source__path=source, source__classes=["just one"], tracking__experiment=experiment)
    client = client_of(lake)
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert [run.info.status for run in found] == ["FAILED"]
    assert "1 classes" in found[0].data.tags["spark_ml_audit.failure"]


def test_a_dead_tracking_server_costs_seconds_and_exits_4(lake: Lake, audited: Audited) -> None:
    source, expected = audited.source, lake.contents(audited.result)
    started = time.monotonic()
    result = lake.audit(source__path=source, tracking__uri="http://127.0.0.1:9", expect=4)
    took = time.monotonic() - started
    assert result["status"] == "not_delivered"
    assert not result["delivered"]
    assert result["mlflow_run_id"] is None
    assert any("127.0.0.1:9" in warning for warning in result["warnings"])
    assert lake.contents(result) == expected
    (run,) = lake.rows(result, "runs")
    assert run["mlflow_run_id"] is None
    waited = sum(result["stages"][name] for name in ("tracking", "artifacts"))
    assert waited < 20, (waited, took)
    again = lake.audit(
        {"source.path": source, "tracking.uri": "http://127.0.0.1:9", "output.run_id": result["run_id"]}
        | {"output.path": result["tables"]["runs"].rpartition("/")[0]},
        expect=4,
    )
    assert again["already_finished"]
    # 3 beats 4
    failed = lake.audit(
        source__path=source, tracking__uri="http://127.0.0.1:9", gate__min_rows=10_000, expect=3
    )
    assert not failed["delivered"]


def test_without_a_setting_a_store_appears_under_the_output(lake: Lake, audited: Audited) -> None:
    result = lake.audit(source__path=audited.source, output__path=lake.path("out"), tracking__uri=None)
    assert result["mlflow_run_id"]
    assert (lake.folder / "out" / "mlflow.db").is_file()
