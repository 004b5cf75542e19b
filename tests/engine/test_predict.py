"""`predict`: out-of-sample probabilities from text and columns, the same whatever the partitioning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from spark_ml_audit.arrow.types import type_name
from tests.lake import Lake, records

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Engine

SCHEMA = (
    "id string, title string, price double, kind string, fresh boolean, made date, "
    "vector array<float>, author string, labels array<string>"
)
TAGS = ("sea", "wood", "fire", "rare")
WORDS = {
    "sea": ["wave", "boat", "salt", "harbour"],
    "wood": ["tree", "leaf", "branch", "root"],
    "fire": ["flame", "smoke", "heat", "ember"],
    "rare": ["comet"],
}
FILLER = ["old", "new", "small", "the", "of", "with", "long", "good", "quiet", "day"]


def item_rows(num_rows: int = 160, seed: int = 0) -> list[tuple[Any, ...]]:
    """Rows whose words, price and vector follow from their tags; some values are null or empty."""
    import datetime

    rng = np.random.default_rng(seed)
    rows = []
    for i in range(num_rows):
        tags = [tag for tag, share in zip(TAGS, (0.4, 0.3, 0.2, 0.02), strict=True) if rng.random() < share]
        words = [str(rng.choice(WORDS[tag])) for tag in tags for _ in range(2)]
        words += [str(word) for word in rng.choice(FILLER, size=4)]
        title = [" ".join(words), None, ""][0 if i % 40 else int(rng.integers(0, 3))]
        # of some use: a price that told the tag by itself would be left out as a leak
        price = float(2 * ("wood" in tags) + rng.normal()) if i % 11 else None
        vector = [float("fire" in tags) + float(rng.normal()), float(rng.normal())] if i % 13 else None
        made = datetime.date(2020, 1, 1) + datetime.timedelta(days=int(rng.integers(0, 900)))
        kind = str(rng.choice(["a", "b", "c"]))
        rows.append((f"r{i:04}", title, price, kind, i % 2 == 0, made, vector, f"author-{i % 30}", tags))
    return rows


def probabilities(lake: Lake, where: str) -> dict[Any, tuple[int, bytes]]:
    """Id -> fold and the exact bits of the probabilities."""
    return bits(lake.records(where))


def bits(rows: list[dict[str, Any]]) -> dict[Any, tuple[int, bytes]]:
    return {row["id"]: (row["fold"], np.array(row["pred_probs"], np.float32).tobytes()) for row in rows}


@pytest.fixture
def source(lake: Lake) -> str:
    return lake.write(lake.frame(item_rows(), SCHEMA))


@pytest.mark.matrix
def test_a_table_with_tags_and_features_gets_out_of_sample_probabilities(lake: Lake, source: str) -> None:
    outcome = lake.run("predict", source__path=source, output__path=lake.path("out"), source__group="author")
    assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
    result = outcome.json
    assert (result["num_rows"], result["num_predicted"], result["num_classes"]) == (160, 160, 4)
    assert result["quality"]["macro_auc"] > 0.7
    table = lake.table(result["tables"]["predictions"])
    assert table.column_names == [*lake.table(source).column_names, "pred_probs", "fold"]
    assert type_name(table.schema.field("pred_probs").type) == "array<float>"
    assert type_name(table.schema.field("fold").type) == "int"
    assert json.loads(table.schema.field("pred_probs").metadata[b"classes"]) == sorted(TAGS)
    rows = records(table)
    probs, given_tags = np.array([row["pred_probs"] for row in rows]), [set(row["labels"]) for row in rows]
    losses = -np.log(
        np.where([[tag in tags for tag in sorted(TAGS)] for tags in given_tags], probs, 1 - probs)
    )
    assert result["quality"]["macro_log_loss"] == pytest.approx(losses.mean(), abs=1e-5)
    assert result["quality"]["macro_log_loss"] < result["quality"]["macro_log_loss_of_prior"]
    given = {row[0]: row for row in item_rows()}
    assert {row["id"]: row["labels"] for row in rows} == {key: row[-1] for key, row in given.items()}
    by_author: dict[str, set[int]] = {}
    for row in rows:
        by_author.setdefault(row["author"], set()).add(row["fold"])
    assert all(len(folds) == 1 for folds in by_author.values())
    audit = lake.audit(source__path=result["tables"]["predictions"], output__path=lake.path("audit"))
    assert audit["num_audited"] == 160


def test_probabilities_do_not_depend_on_row_order_or_partitions(lake: Lake) -> None:
    table = lake.frame(item_rows(), SCHEMA)
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    sources = [
        lake.write(table),
        lake.write(shuffled, files=3),
        lake.write(table.sort_by([("title", "descending")]), files=8),
    ]
    found = []
    for position, source in enumerate(sources):
        outcome = lake.run(
            "predict",
            source__path=source,
            output__path=lake.path(f"out-{position}"),
            model__folds=3,
            model__max_train_rows=80,
        )
        assert outcome.exit_code == 0, outcome.json
        found.append(probabilities(lake, outcome.json["tables"]["predictions"]))
    assert found[0] == found[1] == found[2]
    assert {fold for fold, _ in found[0].values()} == {0, 1, 2}


def test_faulty_rows_are_set_aside_and_unlabelled_ones_predicted(lake: Lake) -> None:
    rows = item_rows(80)
    faulty = [
        (None, *rows[0][1:]),
        ("twice", *rows[1][1:]),
        ("twice", *rows[2][1:]),
        ("repeats", *rows[3][1:-1], ["sea", "sea"]),
        ("holds-null", *rows[4][1:-1], ["sea", None]),
    ]
    unlabelled = ("unlabelled", *rows[5][1:-1], None)
    path = lake.write(lake.frame([*rows, *faulty, unlabelled], SCHEMA))
    settings: dict[str, object] = {"source.path": path, "model.folds": 2, "model.kind": "linear"}
    outcome = lake.run("predict", {**settings, "output.path": lake.path("out")})
    assert outcome.exit_code == 0, outcome.json
    result = outcome.json
    assert (result["num_rows"], result["num_predicted"]) == (86, 81)
    assert (result["num_unlabelled"], result["num_quarantined"], result["num_trained"]) == (1, 5, 80)
    assert any("5 of 86 rows are in quarantine" in text for text in result["warnings"])
    reasons = [row["reason"] for row in lake.rows(result, "quarantine")]
    assert sorted(reasons) == [
        "id_duplicate",
        "id_duplicate",
        "id_null",
        "label_repeated",
        "labels_malformed",
    ]
    (row,) = [row for row in lake.records(result["tables"]["predictions"]) if row["id"] == "unlabelled"]
    assert row["labels"] is None
    assert len(row["pred_probs"]) == 4
    # the same rows, predicted and audited in one run: nothing is lost there either
    audit = lake.audit(
        {**settings, "source.pred_probs": None, "output.path": lake.path("both")},
        expect=3,
    )
    assert (audit["num_rows"], audit["num_audited"]) == (86, 80)
    assert (audit["num_unlabelled"], audit["num_quarantined"]) == (1, 5)
    assert [row["reason"] for row in lake.rows(audit, "quarantine")] == reasons
    assert probabilities(lake, audit["tables"]["predictions"]) == probabilities(
        lake, result["tables"]["predictions"]
    )
    separate = lake.audit(source__path=result["tables"]["predictions"], output__path=lake.path("separate"))
    for name in ("examples", "tag_issues", "classes"):
        assert lake.rows(audit, name) == lake.rows(separate, name)
    assert audit["source"] == path


def test_a_retry_changes_nothing_and_completes_what_is_missing(lake: Lake, source: str) -> None:
    import shutil

    settings: dict[str, object] = {
        "source.path": source,
        "output.path": lake.path("out"),
        "model.folds": 2,
        "model.kind": "prior",
    }
    first = lake.run("predict", settings).json
    where = first["tables"]["predictions"]
    before = lake.versions(first)
    again = lake.run("predict", {**settings, "output.run_id": first["run_id"]}).json
    assert again["already_finished"]
    assert {**again, "already_finished": False, "stages": {}} == {**first, "stages": {}}
    assert lake.versions(first) == before
    # killed after the predictions: they are not made again
    shutil.rmtree(first["tables"]["prediction_runs"])
    completed = lake.run("predict", {**settings, "output.run_id": first["run_id"]}).json
    assert not completed["already_finished"]
    assert completed["quality"] == first["quality"]
    assert lake.versions(first)["predictions"] == before["predictions"]
    shutil.rmtree(first["tables"]["prediction_runs"])
    error = lake.refuse({**settings, "output.run_id": first["run_id"], "model.seed": 1}, command="predict")
    assert error["key"] == "output.run_id"
    # another run replaces the table
    other = lake.run("predict", {**settings, "model.folds": 3}).json
    assert other["run_id"] != first["run_id"]
    assert lake.count(where) == 160


@pytest.mark.parametrize(
    ("settings", "key", "said"),
    [
        ({"source.features": {"text": ["body"]}}, "source.features.text", "no column 'body'"),
        ({"source.features": {"embedding": ["title"]}}, "source.features.embedding", "no embedding column"),
        ({"source.group": "writer"}, "source.group", "no column 'writer'"),
        ({"source.id": "key"}, "source.id", "no column 'key'"),
        ({"source.id": "price"}, "source.id", "cannot name a row"),
        ({"source.labels": "price"}, "source.classes", "does not name its tags"),
        ({"model.kind": "no.such.Estimator"}, "model.kind", "cannot be imported"),
        ({"model.uri": "models:/nothing/1"}, "model.uri", "does not load"),
        ({"model.uri": "runs:/0123456789abcdef/model"}, "model.uri", "does not load"),
        ({"model.folds": 1}, "model.folds", "2 to 20"),
    ],
)  # fmt: skip
def test_what_a_source_or_model_lacks_is_said(
    lake: Lake, source: str, settings: dict[str, Any], key: str, said: str
) -> None:
    error = lake.refuse({"source.path": source, **settings}, command="predict")
    assert error["key"] == key, error
    assert said in f"{error['message']} {error['fix']}"


@pytest.mark.parametrize(
    ("rows", "schema", "key", "said"),
    [
        ([("a", ["x"]), ("b", ["y"])], "id string, labels array<string>", "source.features", "feature"),
        ([], "id string, title string, labels array<string>", "source.classes", "holds no tag"),
        ([("a", "t", None)], "id string, title string, labels array<string>", "source.classes", "no tag"),
        ([("a", "t", [0, 1])], "id string, title string, labels array<int>", "source.classes", "name its"),
        ([("a", "t", ["x"])], "id string, title string, labels array<string>", "model.folds", "train"),
        ([(1, "t", ["x"], 1)], "id int, t string, labels array<string>, fold int", "source.fold", "'fold'"),
    ],
)  # fmt: skip
def test_tables_without_anything_to_learn_are_refused(
    lake: Lake, rows: list[Any], schema: str, key: str, said: str
) -> None:
    error = lake.refuse({"source.path": lake.write(lake.frame(rows, schema))}, command="predict")
    assert error["key"] == key, error
    assert said in error["message"]


def test_one_sided_and_rare_tags_are_predicted_and_reported(lake: Lake) -> None:
    rows = [
        (f"r{i:03}", f"word{i % 7} and word{i % 3}", ["always", *(["once"] if i == 5 else [])])
        for i in range(60)
    ]
    path = lake.write(lake.frame(rows, "id string, title string, labels array<string>"))
    outcome = lake.run("predict", source__path=path, source__classes=["never", "always", "once"])
    assert outcome.exit_code == 0, outcome.json
    said = " ".join(outcome.json["warnings"])
    assert "'never' (0), 'once' (1)" in said
    found = lake.records(outcome.json["tables"]["predictions"])
    probs = np.array([row["pred_probs"] for row in found])
    assert probs.shape == (60, 3)
    assert (probs[:, 1] > 0.9).all()
    assert (probs[:, [0, 2]] < 0.1).all()
    assert lake.audit(source__path=outcome.json["tables"]["predictions"])["num_audited"] == 60


def test_a_sample_for_training_keeps_the_positives_of_rare_tags(lake: Lake, engine: Engine) -> None:
    from spark_ml_audit.config import LabelsConfig, PlaceConfig
    from spark_ml_audit.frames.features import find_features
    from spark_ml_audit.lake.source import open_source
    from spark_ml_audit.predicting.folds import FoldPlan, count_labels, plan_sample
    from spark_ml_audit.predicting.labels import inspect_labels
    from spark_ml_audit.predicting.training import FINAL, TrainingSet, training_rows

    rows = [
        (i, "text of row", ["common", *(["rare"] if i % 100 == 0 else [])] if i % 2 == 0 else [])
        for i in range(4000)
    ]
    table = lake.frame(rows, "id bigint, title string, labels array<string>")
    plan = FoldPlan(5, 0, "id")
    counts, chosen = [], []
    for files in (1, 4):
        opened = open_source(engine, PlaceConfig(path=lake.write(table, files=files)))
        ingest = inspect_labels(opened, LabelsConfig())
        source = (engine, ingest.frame, ingest.schema)
        features = find_features(*source, {"text": ("title",)}, "id", {"id", "labels"}, [])
        counts.append(count_labels(ingest, plan))
        sample = plan_sample(4000, counts[-1].present.sum(axis=0), 400)
        training = TrainingSet(ingest, features, plan, counts[-1], sample, "linear")
        found = records(engine.collect(training_rows(training, [FINAL]).select("order_key", "tags")))
        chosen.append(sorted((row["order_key"], tuple(row["tags"])) for row in found))
    assert chosen[0] == chosen[1]
    # 40 rows have the rare tag (class 1), 2,000 the common one
    assert sum(1 in tags for _, tags in chosen[0]) == 40
    assert 250 < len(chosen[0]) < 500
    assert np.array_equal(counts[0].present, counts[1].present)
    assert counts[0].present.sum(axis=0).tolist() == [2000, 40]


def assert_training_takes_the_suggested_tags(result: Any, examples: Any) -> None:
    from spark_ml_audit.predicting.corrected_tags import corrected
    from spark_ml_audit.predicting.predictions import predicted_ingest
    from spark_ml_audit.predicting.training import FINAL, training_rows

    plan = result._plan
    predictions = predicted_ingest(plan.ingest, result._predictions)
    changed = corrected(plan.training, predictions, result._out_of_fold.profile, 1000)
    learned = plan.ingest.engine.collect(training_rows(changed.training, [FINAL]).select("tags"))
    suggested = records(examples)
    assert sorted([result.classes[k] for k in row["tags"]] for row in records(learned)) == sorted(
        row["suggested_tags"] for row in suggested
    )
    added = sum(len(set(row["suggested_tags"]) - set(row["given_tags"])) for row in suggested)
    removed = sum(len(set(row["given_tags"]) - set(row["suggested_tags"])) for row in suggested)
    assert (changed.num_added, changed.num_removed) == (added, removed)
    assert added + removed > 0


def test_python_predicts_a_dataframe_that_audit_takes_as_it_is(lake: Lake) -> None:
    from spark_ml_audit import audit, predict

    frame = lake.native(lake.frame(item_rows(), SCHEMA))
    features = {"text": ["title"], "numeric": ["price"]}
    result = lake.call(predict, frame, features=features, kind="linear", folds=3)
    assert result.classes == tuple(sorted(TAGS))
    assert result.quality["macro_auc"] is not None
    assert result.quality["macro_auc"] > 0.7
    # a DataFrame of Spark has the classes with it
    named = {"classes": result.classes} if lake.kind == "embedded" else {}
    audited = lake.call(audit, result.predictions, **named)
    assert audited.summary.num_audited == 160
    assert_training_takes_the_suggested_tags(result, audited.examples)
    assert set(result.class_quality["tag"]) == set(TAGS)
    where = result.write(lake.path("out"))
    written = probabilities(lake, where["predictions"])
    result.write(lake.path("out"))
    assert probabilities(lake, where["predictions"]) == written
    assert written == bits(records(result.predictions))


def test_check_computes_nothing_and_models_too_large_are_refused(
    lake: Lake, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spark_ml_audit.predicting import training

    settings: dict[str, object] = {"source.path": source, "model.folds": 2, "model.kind": "prior"}
    checked = lake.run("check", {**settings, "source.pred_probs": None, "output.path": lake.path("never")})
    assert checked.exit_code == 0, (checked.json, checked.stderr)
    assert (checked.json["num_rows"], checked.json["classes"]) == (160, sorted(TAGS))
    assert checked.json["tables"]["predictions"] == lake.path("never/predictions")
    assert any("text: title" in note for note in checked.json["notes"])
    assert not Path(lake.path("never")).exists()

    monkeypatch.setattr(training, "MAX_MODELS_BYTES", 2000)
    error = lake.refuse({**settings, "model.kind": "linear"}, command="predict")
    assert error["key"] == "model.kind"
    assert "take a smaller model" in error["message"]


@pytest.mark.spark
def test_predictions_go_into_a_schema(lake: Lake, source: str) -> None:
    settings = {"source.path": source, "model.folds": 2, "model.kind": "prior"}
    result = lake.run("predict", {**settings, "output.schema": "predict_out", "output.prefix": "q_"})
    assert result.exit_code == 0, (result.json, result.stderr)
    assert result.json["tables"]["predictions"] == "predict_out.q_predictions"
    assert lake.count("predict_out.q_predictions") == 160
    runs = lake.records("predict_out.q_prediction_runs")
    assert [row["run_id"] for row in runs] == [result.json["run_id"]]
