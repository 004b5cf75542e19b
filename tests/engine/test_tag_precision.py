"""Tags that can be defended: which classes new rows get, which they do not and why, whatever is asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.command_line import run_here
from tests.conftest import lake_for
from tests.lake import Lake, Outcome, override

SCHEMA = "id string, title string, labels array<string>"
WORDS = {
    "sea": ["wave", "boat", "salt", "harbour"],
    "wood": ["tree", "leaf", "branch", "root"],
    "fire": ["flame", "smoke", "heat", "ember"],
}
FILLER = ["old", "new", "small", "the", "of", "with", "long", "good", "quiet", "day", "rain", "tomorrow"]
CLASSES = ("sea", "wood", "fire", "mood", "type.ableism", "unused")
WEATHER = "will it rain tomorrow"


def topic_rows(num_rows: int, seed: int) -> list[tuple[str, str, list[str]]]:
    """Texts whose words tell three tags; `mood` is on a third of the rows, whatever they say."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(num_rows):
        tags = [tag for tag, share in zip(WORDS, (0.4, 0.3, 0.2), strict=True) if rng.random() < share]
        words = [str(rng.choice(WORDS[tag])) for tag in tags for _ in range(2)]
        words += [str(word) for word in rng.choice(FILLER, size=4)]
        if rng.random() < 0.33:
            tags.append("mood")
        rows.append((f"r{i:04}", " ".join(words), tags))
    return rows


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A registered model of six classes, of which three rows have one that the text says nothing of."""
    folder = tmp_path_factory.mktemp("model")
    lake = lake_for(request, folder, f"sqlite:///{folder}/store/mlflow.db")
    rows = topic_rows(400, seed=0)
    for place in (11, 130, 260):
        rows[place][2].append("type.ableism")
    settings: dict[str, object] = {
        "source.path": lake.write(lake.frame(rows, SCHEMA)),
        "source.features": {"text": ["title"]},
        "source.classes": list(CLASSES),
        "output.path": lake.path("out"),
        "model.kind": "linear",
        "model.folds": 3,
        "model.fit_final": True,
        "model.name": "topics",
    }
    outcome = lake.run("predict", settings)
    assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
    return {**outcome.json, "tracking_uri": lake.tracking_uri, "lake": lake, "settings": settings}


@pytest.fixture
def tag_lake(lake: Lake, model: dict[str, Any]) -> Lake:
    lake.settings = {"tracking.uri": model["tracking_uri"]}
    return lake


def tag(lake: Lake, rows: list[tuple[str, str]], **more: object) -> Outcome:
    path = lake.write(lake.frame(rows, "id string, title string"))
    settings = {"source__path": path, "model__uri": "models:/topics/1", **more}
    return lake.run("tag", None, **settings)


def texts(seed: int, num_rows: int = 200) -> list[tuple[str, str]]:
    return [(key, title) for key, title, _ in topic_rows(num_rows, seed)]


def tags_of(lake: Lake, result: dict[str, Any]) -> dict[str, set[str]]:
    return {row["id"]: set(row["tags"]) for row in lake.records(result["tables"]["tags"], result["run_id"])}


def classes_of(lake: Lake, result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["tag"]: row for row in lake.records(result["tables"]["tag_classes"], result["run_id"])}


def test_predict_says_which_classes_are_given_and_which_not_and_why(model: dict[str, Any]) -> None:
    said = model["tagging"]
    assert model["engine"] == model["lake"].kind
    assert (said["min_precision"], said["confidence"]) == (0.5, 0.95)
    assert (said["num_classes_given"], said["num_classes_not_given"]) == (3, 3)
    reasons = {item["tag"]: (item["reason"], item["num_given"]) for item in said["not_tagged"]}
    assert reasons["type.ableism"] == ("too_few_given", 3)
    assert reasons["unused"] == ("too_few_given", 0)
    assert reasons["mood"][0] == "too_imprecise"
    assert [item["tag"] for item in said["not_tagged"]] == ["mood", "type.ableism", "unused"]
    assert 0.5 < said["expected_tags_per_row"] < 1.5
    lake: Lake = model["lake"]
    (row,) = lake.records(model["tables"]["prediction_runs"])
    assert json.loads(row["tagging"]) == said
    again = lake.run("predict", {**model["settings"], "output.run_id": model["run_id"]}).json
    assert "error" not in again, again["error"]
    assert again["already_finished"]
    assert again["tagging"] == said


def test_the_model_in_mlflow_says_so_too(model: dict[str, Any]) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=model["tracking_uri"])
    folder = str(client.get_model_version("topics", "1").source).removeprefix("file://")
    about = mlflow.pyfunc.load_model(folder).metadata.metadata["spark_ml_audit"]
    assert (about["min_precision"], about["least_rows_with_tag"]) == (0.5, 10)
    assert (about["num_classes_given"], about["num_classes_not_given"]) == (3, 3)
    assert "type.ableism: given to 3 rows, fewer than 10" in about["not_tagged"]
    path = client.download_artifacts(model["mlflow_run_id"], "model_quality.json")
    metrics = client.get_run(model["mlflow_run_id"]).data.metrics
    assert (metrics["num_classes_given"], metrics["num_classes_not_given"]) == (3, 3)
    assert metrics["expected_tags_per_row"] == pytest.approx(model["tagging"]["expected_tags_per_row"])
    table = json.loads(Path(path).read_text(encoding="utf-8"))
    rows = {row[0]: dict(zip(table["columns"], row, strict=True)) for row in table["data"]}
    assert rows["sea"]["precision_bound"] >= 0.5
    assert rows["sea"]["decision_threshold"] >= rows["sea"]["prevalence"]
    assert rows["sea"]["precision"] == rows["sea"]["num_right"] / rows["sea"]["num_tagged"]
    assert rows["sea"]["not_tagged"] is None
    assert rows["type.ableism"]["decision_threshold"] is None
    assert rows["type.ableism"]["not_tagged"] == "given to 3 rows, fewer than 10"


@pytest.mark.matrix
def test_a_question_about_the_weather_gets_no_tag_of_three_rows(tag_lake: Lake) -> None:
    rows = [("weather", WEATHER), *texts(5)]
    for least in (None, 0.0, 0.01, 0.5, 0.99):
        outcome = tag(tag_lake, rows, tag__min_precision=least)
        assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
        found = tags_of(tag_lake, outcome.json)
        assert len(found) == len(rows)
        assert not any("type.ableism" in tags or "unused" in tags for tags in found.values())
        (left_out,) = [
            item for item in outcome.json["tagging"]["not_tagged"] if item["tag"] == "type.ableism"
        ]
        assert left_out["why"] == "given to 3 rows, fewer than 10"
        if least is None:
            assert found["weather"] == set()


def test_every_tag_given_is_of_a_class_whose_bound_will_do(tag_lake: Lake) -> None:
    outcome = tag(tag_lake, texts(6))
    found, classes = tags_of(tag_lake, outcome.json), classes_of(tag_lake, outcome.json)
    given = set().union(*found.values())
    assert given == {"sea", "wood", "fire"}
    assert all(classes[name]["precision_bound"] >= classes[name]["min_precision"] == 0.5 for name in given)
    assert set(classes) == set(CLASSES)
    assert classes["mood"]["decision_threshold"] is None
    assert classes["mood"]["not_tagged"].startswith("too imprecise: ")
    assert classes["sea"]["not_tagged"] is None
    assert outcome.json["engine"] == tag_lake.kind
    # and the rows of these words have them
    truth = {key: set(tags) - {"mood"} for key, _, tags in topic_rows(200, 6)}
    right = sum(len(found[key] & tags) for key, tags in truth.items())
    assert right / sum(len(tags) for tags in found.values()) > 0.9
    assert right / sum(len(tags) for tags in truth.values()) > 0.9


def test_a_stricter_or_looser_precision_is_applied_by_tag_alone(tag_lake: Lake) -> None:
    rows = texts(7)
    found = {}
    for least in (0.0, 0.5, 0.8, 0.93, 1.0):
        outcome = tag(tag_lake, rows, tag__min_precision=least)
        found[least] = (tags_of(tag_lake, outcome.json), outcome.json)
        for name, row in classes_of(tag_lake, outcome.json).items():
            assert row["min_precision"] == least
            if row["not_tagged"] is None:
                assert row["precision_bound"] >= least, name
    for low, high in ((0.0, 0.5), (0.5, 0.8), (0.8, 0.93), (0.93, 1.0)):
        assert all(found[high][0][key] <= tags for key, tags in found[low][0].items())
    assert any("mood" in tags for tags in found[0.0][0].values())
    nothing = found[1.0][1]
    assert nothing["num_tags"] == 0
    assert any("No class can be given" in text for text in nothing["warnings"])
    assert nothing["rates"]["why_not_compared"] == "no class is given"


def test_the_summary_lists_what_is_not_tagged(tag_lake: Lake) -> None:
    path = tag_lake.write(tag_lake.frame(texts(8, 40), "id string, title string"))
    settings = {"source.path": path, "model.uri": "models:/topics/1", "output.path": tag_lake.path("t")}
    arguments = [part for part in tag_lake.arguments("tag", settings) if part != "--json"]
    done = run_here(*arguments)
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert any(
        line.startswith("3 of 6 classes can be given: their precision out of fold is 0.5") for line in lines
    )
    start = lines.index("Not tagged, why")
    assert lines[start + 1].startswith("mood          too imprecise: ")
    assert lines[start + 2] == "type.ableism  given to 3 rows, fewer than 10"
    error = run_here(*arguments, "--set", override("tag.min_precision", 1.2))
    assert error.returncode == 2
    assert "tag.min_precision: found 1.2, which is not a number from 0 to 1, or null." in error.stderr


def test_tags_per_row_are_compared_with_those_of_training(tag_lake: Lake) -> None:
    usual = tag(tag_lake, texts(9)).json
    assert usual["rates"]["is_far_off"] is False
    assert usual["rates"]["num_classes_far_off"] == 0
    assert usual["rates"]["tags_per_row"] == pytest.approx(usual["rates"]["expected_tags_per_row"], rel=0.3)
    assert usual["warnings"] == []
    other = tag(tag_lake, [(f"o{i:03}", WEATHER) for i in range(100)]).json
    assert other["rates"]["is_far_off"] is True
    assert other["rates"]["tags_per_row"] == 0
    assert other["rates"]["num_classes_far_off"] == 3
    assert other["rates"]["classes_far_off"][0]["tag"] == "sea"
    mean, classes = other["warnings"]
    assert mean.startswith("Rows got 0.00 tags on average; ")
    assert classes.startswith("3 classes were given at least 2 times as often, or as seldom, as expected")
    assert "'sea' (0.0% of the rows" in classes
    assert "need not hold here" in mean
    few = tag(tag_lake, [("o1", WEATHER)]).json
    assert (few["rates"]["is_far_off"], few["warnings"]) == (False, [])
    nothing = tag(tag_lake, []).json
    assert nothing["rates"]["why_not_compared"] == "no row was tagged"


def test_a_retry_repeats_nothing(tag_lake: Lake) -> None:
    rows = texts(10, 20)
    path = tag_lake.write(tag_lake.frame(rows, "id string, title string"))
    settings = {"source.path": path, "model.uri": "models:/topics/1", "output.path": tag_lake.path("t")}
    first = tag_lake.run("tag", settings).json
    again = tag_lake.run("tag", {**settings, "output.run_id": first["run_id"]}).json
    assert "error" not in again, again["error"]
    assert again["already_finished"]
    assert len(tag_lake.records(first["tables"]["tag_classes"])) == len(CLASSES)
    assert {**again, "already_finished": False, "stages": {}} == {**first, "stages": {}}
    # killed after the classes: they are not written again, and by no other rule
    shutil.rmtree(first["tables"]["tags"])
    other = {**settings, "output.run_id": first["run_id"], "tag.min_precision": 0.9}
    error = tag_lake.refuse(other, command="tag")
    assert error["key"] == "output.run_id"
    assert "its min_precision is 0.5, now 0.9" in error["message"]
    completed = tag_lake.run("tag", {**settings, "output.run_id": first["run_id"]}).json
    assert not completed["already_finished"]
    assert tags_of(tag_lake, completed).keys() == {key for key, _ in rows}
    assert len(tag_lake.records(first["tables"]["tag_classes"])) == len(CLASSES)


def test_a_model_of_an_older_version_keeps_its_thresholds_and_a_warning(
    tag_lake: Lake, model: dict[str, Any], tmp_path: Path
) -> None:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=model["tracking_uri"])
    source = str(client.get_model_version("topics", "1").source).removeprefix("file://")
    old = tmp_path / "old-model"
    shutil.copytree(source, old)
    stored = next(old.rglob("tags.json"))
    kept = json.loads(stored.read_text(encoding="utf-8"))
    stored.write_text(json.dumps({"shift": kept["shift"]}), encoding="utf-8")
    settings = {"model__uri": str(old), "model__allow_pickle": True}
    outcome = tag(tag_lake, texts(6), **settings)
    assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
    (said,) = outcome.json["warnings"]
    assert "Nothing defends these tags" in said
    assert "best F1" in said
    assert outcome.json["tagging"]["min_precision"] is None
    assert outcome.json["rates"]["why_not_compared"] == "the model does not say how many tags to expect"
    assert tags_of(tag_lake, outcome.json) == tags_of(tag_lake, tag(tag_lake, texts(6)).json)
    assert classes_of(tag_lake, outcome.json)["sea"]["precision_bound"] is None
    refused = tag(tag_lake, texts(6), tag__min_precision=0.7, **settings)
    assert refused.exit_code == 2
    assert refused.error["key"] == "tag.min_precision"
    assert "carries no counts out of fold" in refused.error["message"]
    broken = {**kept, "tagging": {"min_precision": 0.5, "evidence": {}}}
    stored.write_text(json.dumps(broken), encoding="utf-8")
    assert "no counts at thresholds" in tag(tag_lake, texts(6), **settings).error["message"]


def test_nothing_defends_the_tags_of_a_model_of_someone_else(lake: Lake, tmp_path: Path) -> None:
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    class Lengths(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
            share = model_input["title"].str.len().to_numpy() / 20.0
            return pd.DataFrame({"long": share, "short": 1 - share})

    example = pd.DataFrame({"title": ["some text"]})
    signature = infer_signature(example, pd.DataFrame({"long": [0.5], "short": [0.5]}))
    mlflow.pyfunc.save_model(
        str(tmp_path / "foreign"), python_model=Lengths(), signature=signature, pip_requirements=["numpy"]
    )
    settings = {"model__uri": str(tmp_path / "foreign"), "model__allow_pickle": True}
    rows = [("a", "x"), ("b", "x" * 10), ("c", "x" * 19)]
    outcome = tag(lake, rows, **settings)
    assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
    assert tags_of(lake, outcome.json) == {"a": {"short"}, "b": {"long", "short"}, "c": {"long"}}
    assert any("Nothing defends these tags" in text and "0.5" in text for text in outcome.json["warnings"])
    assert outcome.json["tagging"]["num_classes_given"] == 2
    assert tag(lake, rows, tag__min_precision=0.0, **settings).error["key"] == "tag.min_precision"


def test_no_class_at_all_is_a_warning_of_predict(lake: Lake) -> None:
    rows = [(f"r{i}", f"word{i % 7}", ["a"] if i % 5 == 0 else []) for i in range(40)]
    path = lake.write(lake.frame(rows, SCHEMA))
    settings = {"source__path": path, "model__kind": "prior", "model__folds": 2, "model__fit_final": True}
    outcome = lake.run("predict", None, **settings)
    assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
    assert outcome.json["tagging"]["num_classes_given"] == 0
    assert any("No class can be given to new rows" in text for text in outcome.json["warnings"])


def test_runs_that_an_older_version_recorded_are_read_and_followed(lake: Lake) -> None:
    import deltalake

    rows = [(f"r{i}", f"word{i % 7}", ["a"] if i % 5 == 0 else []) for i in range(40)]
    settings: dict[str, object] = {
        "source.path": lake.write(lake.frame(rows, SCHEMA)),
        "output.path": lake.path("out"),
        "model.kind": "prior",
        "model.folds": 2,
    }
    first = lake.run("predict", settings).json
    where = first["tables"]["prediction_runs"]
    older = lake.table(where).drop_columns(["tagging"])
    deltalake.write_deltalake(where, older, mode="overwrite", schema_mode="overwrite")
    again = lake.run("predict", {**settings, "output.run_id": first["run_id"]})
    assert again.exit_code == 0, (again.json, again.stderr)
    assert again.json["already_finished"]
    assert again.json["tagging"] is None
    newer = lake.run("predict", settings).json
    known = {row["run_id"]: row["tagging"] for row in lake.records(where)}
    assert known[first["run_id"]] is None
    assert json.loads(known[newer["run_id"]]) == newer["tagging"] == first["tagging"]
