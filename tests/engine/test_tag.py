"""The final model: kept in MLflow, loaded with consent, applied to new rows of a table or a stream."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spark_ml_audit.lake.schemas import class_rows
from spark_ml_audit.outcomes.calibrators import calibrators_of
from tests.conftest import lake_for
from tests.engine.test_predict import SCHEMA, TAGS, item_rows
from tests.lake import Lake, records

NEW_SCHEMA = SCHEMA.rpartition(",")[0]


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A predict run with a registered final model, in a store of its own."""
    folder = tmp_path_factory.mktemp("model")
    lake = lake_for(request, folder, f"sqlite:///{folder}/store/mlflow.db")
    source = lake.write(lake.frame(item_rows(), SCHEMA))
    outcome = lake.run(
        "predict",
        source__path=source,
        output__path=lake.path("out"),
        model__kind="linear",
        model__folds=2,
        model__fit_final=True,
        model__final_labels="corrected",
        model__name="item_tags",
    )
    assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
    return {**outcome.json, "tracking_uri": lake.tracking_uri, "lake": lake}


@pytest.fixture
def tag_lake(lake: Lake, model: dict[str, Any]) -> Lake:
    lake.settings = {"tracking.uri": model["tracking_uri"]}
    return lake


def new_rows(seed: int, num_rows: int = 30) -> list[tuple[Any, ...]]:
    return [(f"n{seed}-{row[0]}", *row[1:-1]) for row in item_rows(num_rows, seed)]


def test_the_final_model_is_logged_with_signature_and_example_and_registered(model: dict[str, Any]) -> None:
    import mlflow

    assert model["model_uri"] == "models:/item_tags/1"
    client = mlflow.MlflowClient(tracking_uri=model["tracking_uri"])
    version = client.get_model_version("item_tags", "1")
    assert version.run_id == model["mlflow_run_id"]
    run = client.get_run(version.run_id)
    assert run.data.metrics["macro_auc"] == pytest.approx(model["quality"]["macro_auc"])
    assert run.data.params["model.kind"] == "linear"
    assert any("The final model learned corrected tags" in text for text in model["warnings"])
    folder = Path(str(version.source).removeprefix("file://"))
    served = mlflow.pyfunc.load_model(str(folder))
    assert served.metadata.get_input_schema().input_names() == [
        "title",
        "price",
        "kind",
        "author",
        "fresh",
        "made",
        "vector",
    ]
    example = served.metadata.load_input_example(str(folder))
    assert served.predict(example).shape == (5, len(TAGS))
    assert served.predict(example.assign(title=None)).shape == (5, len(TAGS))


@pytest.mark.matrix
def test_a_batch_is_tagged_by_thresholds_once(tag_lake: Lake, model: dict[str, Any]) -> None:
    rows = [*new_rows(7), (None, *new_rows(8)[0][1:])]
    path = tag_lake.write(tag_lake.frame(rows, NEW_SCHEMA))
    settings = {"source.path": path, "model.uri": "models:/item_tags/1", "output.path": tag_lake.path("tags")}
    outcome = tag_lake.run("tag", settings)
    assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
    result = outcome.json
    assert (result["num_rows"], result["num_tagged"], result["num_quarantined"]) == (31, 30, 1)
    table = tag_lake.table(result["tables"]["tags"])
    assert table.column_names == ["run_id", "id", "tags", "pred_probs", "model_uri"]
    found = {row["id"]: row for row in records(table)}
    assert set(found) == {row[0] for row in rows} - {None}
    assert {row["model_uri"] for row in found.values()} == {"models:/item_tags/1"}
    truth = {f"n7-{row[0]}": set(row[-1]) for row in item_rows(30, 7)}
    right = sum(bool(truth[key] & set(row["tags"])) == bool(truth[key]) for key, row in found.items())
    assert right >= 20
    again = tag_lake.run("tag", {**settings, "output.run_id": result["run_id"]}).json
    assert again["already_finished"]
    assert table.num_rows == tag_lake.count(result["tables"]["tags"]) == 30


@pytest.mark.spark
def test_a_stream_tags_each_row_once_whatever_restarts(tag_lake: Lake) -> None:
    path = tag_lake.write(tag_lake.frame(new_rows(7), NEW_SCHEMA))
    settings = {
        "source.path": path,
        "source.stream": True,
        "model.uri": "models:/item_tags@newest",
        "output.path": tag_lake.path("tags"),
        "stream.checkpoint": tag_lake.path("checkpoint"),
    }
    error = tag_lake.refuse(settings, command="tag")
    assert error["key"] == "model.uri"
    settings["model.uri"] = "models:/item_tags/latest"
    first = tag_lake.run("tag", settings)
    assert first.exit_code == 0, (first.json, first.stderr)
    assert first.json["num_tagged"] == 30
    assert first.json["rates"]["is_far_off"] is None
    assert first.json["rates"]["why_not_compared"].startswith("a run of a stream")
    assert tag_lake.count(first.json["tables"]["tag_classes"]) == len(TAGS)
    nothing = tag_lake.run("tag", settings).json
    assert (nothing["num_rows"], nothing["num_tagged"]) == (0, 0)
    tag_lake.write(tag_lake.frame(new_rows(8), NEW_SCHEMA), to=path, mode="append")
    # as a kill between the commit of the table and that of the checkpoint leaves it
    assert tag_lake.run("tag", settings).json["num_tagged"] == 30
    commits = sorted(
        Path(tag_lake.path("checkpoint"), "tags", "commits").glob("[0-9]*"), key=lambda p: int(p.name)
    )
    commits[-1].unlink()
    Path(commits[-1].parent, f".{commits[-1].name}.crc").unlink(missing_ok=True)
    again = tag_lake.run("tag", settings)
    assert again.exit_code == 0, (again.json, again.stderr)
    ids = [row["id"] for row in tag_lake.records(first.json["tables"]["tags"])]
    assert len(ids) == len(set(ids)) == 60


def test_loading_what_the_own_registry_did_not_log_needs_consent(
    tag_lake: Lake, model: dict[str, Any], tmp_path: Path
) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=model["tracking_uri"])
    source = str(client.get_model_version("item_tags", "1").source).removeprefix("file://")
    copy = tmp_path / "copied-model"
    shutil.copytree(source, copy)
    path = tag_lake.write(tag_lake.frame(new_rows(7), NEW_SCHEMA))
    settings = {"source.path": path, "model.uri": str(copy), "output.path": tag_lake.path("tags")}
    error = tag_lake.refuse(settings, command="tag")
    assert error["key"] == "model.allow_pickle"
    assert "runs the code in it" in error["message"]
    trusted = tag_lake.run("tag", {**settings, "model.allow_pickle": True})
    assert trusted.exit_code == 0, (trusted.json, trusted.stderr)
    # files exchanged behind the registry's back are noticed
    stored = next(Path(source).rglob("tags.json"))
    kept = stored.read_bytes()
    stored.write_bytes(kept + b" ")
    try:
        error = tag_lake.refuse({**settings, "model.uri": "models:/item_tags/1"}, command="tag")
    finally:
        stored.write_bytes(kept)
    assert error["key"] == "model.allow_pickle"
    assert "not those that were logged" in error["message"]
    lacking = tag_lake.write(tag_lake.frame([("a", "text")], "id string, title string"))
    error = tag_lake.refuse(
        {**settings, "source.path": lacking, "model.uri": "models:/item_tags/1"}, command="tag"
    )
    assert error["key"] == "price"


def test_a_model_of_someone_else_predicts_with_consent_if_its_width_fits(lake: Lake, tmp_path: Path) -> None:
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    class Lengths(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
            share = model_input["title"].fillna("").str.len().to_numpy() / 1000.0
            return np.stack([share, 1 - share], axis=1)

    example = pd.DataFrame({"title": ["some text"]})
    signature = infer_signature(example, np.zeros((1, 2)))
    mlflow.pyfunc.save_model(
        str(tmp_path / "foreign"), python_model=Lengths(), signature=signature, pip_requirements=["numpy"]
    )
    rows = [(f"r{i}", "word " * i, ["x"] if i % 2 else ["y"]) for i in range(20)]
    path = lake.write(lake.frame(rows, "id string, title string, labels array<string>"))
    settings = {"source.path": path, "model.uri": str(tmp_path / "foreign"), "output.path": lake.path("out")}
    assert lake.refuse(settings, command="predict")["key"] == "model.allow_pickle"
    outcome = lake.run("predict", {**settings, "model.allow_pickle": True})
    assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
    found = {row["id"]: row for row in lake.records(outcome.json["tables"]["predictions"])}
    assert found["r4"]["pred_probs"] == pytest.approx([0.02, 0.98])
    assert found["r4"]["fold"] is None
    assert outcome.json["folds"] is None
    assert any("never saw them" in text for text in outcome.json["warnings"])
    error = lake.refuse(
        {**settings, "model.allow_pickle": True, "source.classes": ["x", "y", "z"]}, command="predict"
    )
    assert error["key"] == "model.uri"
    assert "returns 2 values per row, but there are 3 classes" in error["message"]
    error = lake.refuse({**settings, "model.allow_pickle": True}, command="tag")
    assert "does not name the tags" in error["message"]


def test_probabilities_go_through_the_calibrators_of_an_audit_and_tags_stay(
    tag_lake: Lake, model: dict[str, Any]
) -> None:
    own: Lake = model["lake"]
    audited = own.audit(source__path=model["tables"]["predictions"], audit__calibrate="on", expect=0)
    output = audited["tables"]["runs"].rpartition("/")[0]
    calibrators = calibrators_of(class_rows(own.rows(audited, "classes")))
    assert calibrators is not None
    path = tag_lake.write(tag_lake.frame(new_rows(7), NEW_SCHEMA))
    settings = {"source.path": path, "model.uri": "models:/item_tags/1"}
    plain = tag_lake.run("tag", settings).json
    done = tag_lake.run("tag", {**settings, "tag.calibrate_by": output})
    assert done.exit_code == 0, (done.json, done.stderr)
    before, after = (
        {row["id"]: row for row in tag_lake.records(found["tables"]["tags"])} for found in (plain, done.json)
    )
    for row_id, row in after.items():
        assert row["tags"] == before[row_id]["tags"]
        given = np.array([before[row_id]["pred_probs"]], dtype=np.float32)
        expected = calibrators.apply(given).astype(np.float32)[0]
        assert row["pred_probs"] == expected.tolist()
    assert any(row["pred_probs"] != before[row_id]["pred_probs"] for row_id, row in after.items())

    error = tag_lake.refuse({**settings, "tag.calibrate_by": tag_lake.path("none")}, command="tag")
    assert "does not exist" in error["message"]
    error = tag_lake.refuse({**settings, "tag.calibrate_run": audited["run_id"]}, command="tag")
    assert error["key"] == "tag.calibrate_run"
    as_given = own.audit(source__path=model["tables"]["predictions"])
    output = as_given["tables"]["runs"].rpartition("/")[0]
    told = tag_lake.run("tag", {**settings, "tag.calibrate_by": output}).json
    assert any("calibrated nothing" in text for text in told["warnings"])
