"""The leak guard from the command line: what is left out, where that is said, what a config overrides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.arrow.types import type_name
from tests.command_line import run_here
from tests.lake import Lake, override

TAGS = ("sea", "wood", "fire")
WORDS = {
    "sea": ["wave", "boat", "salt"],
    "wood": ["tree", "leaf", "root"],
    "fire": ["flame", "smoke", "heat"],
}
FILLER = ["old", "new", "small", "long", "good", "quiet", "day", "night", "town", "road"]
N = 300


def rows(num_rows: int = N, seed: int = 0) -> pa.Table:
    """Rows with honest features, leaks, an identifier, annotators, and a word in the texts of one tag."""
    rng = np.random.default_rng(seed)
    given = rng.random((num_rows, len(TAGS))) < [0.4, 0.3, 0.2]
    labels = [[TAGS[k] for k in np.flatnonzero(row)] for row in given]
    texts = [
        " ".join(
            [
                *rng.choice(FILLER, 5),
                *(str(rng.choice(WORDS[tag])) for tag in tags if rng.random() < 0.8),
                *(["qzx"] if "fire" in tags else []),
            ]
        )
        for tags in labels
    ]
    return pa.table(
        {
            "id": [f"r{i:04}" for i in range(num_rows)],
            "title.main": texts,
            "price": given[:, 0] + rng.normal(size=num_rows),
            "labels": pa.array(labels, pa.list_(pa.string())),
            "topics": [" | ".join(tags) for tags in labels],
            "Gold": pa.array([str(value) for value in rng.integers(0, 4, num_rows)]),
            "rater": pa.array(rng.integers(0, 5, num_rows), pa.int32()),
            "seen": given[:, 1],
            "key": [f"{value:012x}" for value in rng.integers(0, 1 << 47, num_rows)],
            "facts": pa.array([{"a": 1}] * num_rows, pa.struct([("a", pa.int32())])),
        }
    )


LEFT_OUT = {
    "topics": "holds class names",
    "Gold": "named like labels ('gold')",
    "rater": "named like annotators ('rater')",
    "seen": "tells the tag 'wood'",
    "key": "an identifier: 300 of 300 values differ",
    "facts": "no model reads its type, struct<a:int>",
}
FEATURES = {"text": ["title.main"], "numeric": ["price"]}


def assert_guarded(result: dict[str, Any]) -> None:
    assert result["features"] == FEATURES
    assert set(result["left_out"]) == set(LEFT_OUT)
    for name, said in LEFT_OUT.items():
        assert said in result["left_out"][name], name
    assert [(it["column"], it["value"], it["tag"]) for it in result["shortcuts"]] == [
        ("title.main", "qzx", "fire")
    ]
    assert result["num_rows_judged"] == N


@pytest.fixture
def source(lake: Lake) -> str:
    return lake.write(rows(), files=2)


@pytest.mark.matrix
def test_predict_leaves_leaks_out_and_tells_of_it_everywhere(lake: Lake, source: str) -> None:
    import mlflow

    settings: dict[str, object] = {
        "source.path": source,
        "output.path": lake.path("out"),
        "model.kind": "linear",
        "model.folds": 2,
    }
    result = lake.run("predict", settings).json
    assert_guarded(result)
    assert not any("no model reads" in text for text in result["warnings"])
    (row,) = lake.rows(result, "prediction_runs")
    learned = json.loads(row["features"])
    assert learned == {key: result[key] for key in ("features", "left_out", "shortcuts", "num_rows_judged")}
    client = mlflow.MlflowClient(tracking_uri=lake.tracking_uri)
    tags = client.get_run(result["mlflow_run_id"]).data.tags
    assert tags["spark_ml_audit.features"] == "text: title.main; numeric: price"
    assert "Gold: named like labels ('gold')" in tags["spark_ml_audit.left_out"].splitlines()
    assert tags["spark_ml_audit.shortcuts"] == "title.main 'qzx': fire"
    folder = client.download_artifacts(result["mlflow_run_id"], "features.json", lake.path("."))
    assert json.loads(Path(folder).read_text()) == learned
    again = lake.run("predict", {**settings, "output.run_id": result["run_id"]}).json
    assert again["already_finished"]
    assert_guarded(again)


def test_an_audit_that_predicts_tells_in_runs_and_report(lake: Lake, source: str) -> None:
    settings: dict[str, object] = {
        "source.path": source,
        "source.pred_probs": None,
        "output.path": lake.path("out"),
        "model.kind": "linear",
        "model.folds": 2,
        "report.enabled": True,
    }
    result = lake.audit(settings)
    assert_guarded(result)
    (row,) = lake.rows(result, "runs")
    assert json.loads(row["features"])["left_out"] == result["left_out"]
    page = Path(result["report"]).read_text(encoding="utf-8")
    for part in ("Features", "left out", "named like annotators", "Shortcuts", "qzx"):
        assert part in page
    assert_guarded(lake.audit({**settings, "output.run_id": result["run_id"]}))
    given = lake.audit(source__path=result["tables"]["predictions"], output__path=lake.path("given"))
    assert (given["features"], given["left_out"], given["num_rows_judged"]) == ({}, {}, None)
    assert [row["features"] for row in lake.rows(given, "runs")] == [None]


def test_the_summary_and_check_name_what_is_left_out(lake: Lake, source: str) -> None:
    checked = lake.run(
        "check",
        {
            "source.path": source,
            "source.pred_probs": None,
            "model.kind": "linear",
            "output.path": lake.path("no"),
        },
    ).json
    assert_guarded(checked)
    assert not Path(lake.path("no")).exists()
    arguments = [part for part in lake.arguments("predict", {"source.path": source}) if part != "--json"]
    done = run_here(*arguments, "--set", override("model.kind", "prior"))
    assert done.returncode == 0, done.stderr
    text = done.stdout
    for part in ("text     title.main", "rater   named like annotators", "title.main 'qzx': fire (on 100.0%"):
        assert part in text
    assert text.index("Left out of the features") < text.index("Shortcuts") < text.index("Quality")


def test_a_named_column_is_used_and_warned_of_where_it_tells_tags(lake: Lake, source: str) -> None:
    wanted = {"text": ["title.main", "topics", "key"], "boolean": ["seen"], "categorical": ["rater"]}
    outcome = lake.run(
        "predict", source__path=source, source__features=wanted, model__kind="linear", model__folds=2
    )
    assert outcome.exit_code == 0, outcome.json
    result = outcome.json
    assert (result["features"], result["left_out"]) == (
        {"text": wanted["text"], "categorical": ["rater"], "boolean": ["seen"]},
        {},
    )
    warned = [
        text for text in result["warnings"] if "is learned from because source.features names it" in text
    ]
    assert [text.split("'")[1] for text in warned] == ["topics", "seen"]
    assert result["quality"]["macro_auc"] > 0.99


def test_where_every_column_leaks_the_error_names_them_and_the_way_out(lake: Lake) -> None:
    path = lake.write(rows().select(["id", "labels", "topics", "Gold", "seen"]))
    error = lake.refuse(source__path=path, command="predict")
    assert error["key"] == "source.features"
    for part in ("topics (holds class names", "Gold (named like labels", "seen (tells the tag 'wood'"):
        assert part in error["message"]
    assert "source.features={categorical: [topics]}" in error["fix"]
    outcome = lake.run(
        "predict", source__path=path, source__features={"text": ["topics"]}, model__kind="prior"
    )
    assert outcome.exit_code == 0, outcome.json


def test_what_is_left_out_depends_on_no_order_files_or_rows_without_tags(lake: Lake) -> None:
    table = rows()
    shuffled = table.take(np.random.default_rng(0).permutation(N))
    more = rows(2 * N, seed=1).slice(N)
    blank = more.set_column(more.column_names.index("labels"), "labels", pa.nulls(N, pa.list_(pa.string())))
    sources = [lake.write(table), lake.write(shuffled, files=4), lake.write(pa.concat_tables([table, blank]))]
    found = []
    for path in sources:
        result = lake.run("predict", source__path=path, model__kind="prior", model__folds=2).json
        assert_guarded(result)
        found.append([result[key] for key in ("features", "left_out", "shortcuts")])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("how", ["columns", "delimited", "multi_hot", "indices"])
@pytest.mark.parametrize("kind", ["bigint", "date", "binary"])
def test_tags_of_any_format_beside_ids_of_any_type(lake: Lake, how: str, kind: str) -> None:
    table, names = rows(), {"source.classes": list(TAGS)}
    ids = {
        "bigint": pa.array([7 * i for i in range(N)], pa.int64()),
        "date": pa.array(range(N), pa.int32()).cast(pa.date32()),
        "binary": pa.array([bytes([i % 251, i // 251]) for i in range(N)], pa.binary()),
    }[kind]
    table = table.set_column(0, "id", ids)
    place, lists = table.column_names.index("labels"), table.column("labels").to_pylist()
    flags = [[int(tag in tags) for tag in TAGS] for tags in lists]
    if how == "columns":
        table = table.drop_columns(["labels"])
        for k, tag in enumerate(TAGS):
            table = table.append_column(tag, pa.array([bool(row[k]) for row in flags]))
        names = {"source.labels": list(TAGS)}
    else:
        values: Any = {
            "delimited": [" , ".join(tags) for tags in lists],
            "multi_hot": flags,
            "indices": [[TAGS.index(tag) for tag in tags] for tags in lists],
        }[how]
        table = table.set_column(place, "labels", pa.array(values))
        names["source.labels_format"] = how  # type: ignore[assignment]
    path = lake.write(table)
    assert type_name(table.schema.field("id").type) == kind
    result = lake.run("predict", {"source.path": path, "model.kind": "prior", "model.folds": 2, **names})
    assert result.exit_code == 0, result.json
    assert_guarded(result.json)


def test_few_rows_are_judged_by_names_alone(lake: Lake) -> None:
    result = lake.run("predict", source__path=lake.write(rows(60)), model__kind="prior", model__folds=2).json
    assert set(result["left_out"]) == {"topics", "Gold", "rater", "key", "facts"}
    assert result["num_rows_judged"] == 0


def test_python_tells_what_it_learned_from(lake: Lake) -> None:
    from spark_ml_audit import predict

    result = lake.call(predict, lake.native(rows()), kind="prior", folds=2)
    assert {kind: list(names) for kind, names in result.features.items()} == FEATURES
    assert set(result.left_out) == set(LEFT_OUT)
    assert result.shortcuts[["column", "value", "tag"]].to_numpy().tolist() == [["title.main", "qzx", "fire"]]
    named = lake.call(predict, lake.native(rows()), features={"boolean": ["seen"]}, kind="prior", folds=2)
    assert (named.features, named.left_out, len(named.shortcuts)) == ({"boolean": ("seen",)}, {}, 0)
    assert any("Column 'seen' is learned from" in text for text in named.warnings)


@pytest.mark.spark
def test_both_engines_leave_the_same_columns_out(lake: Lake, spark: Any) -> None:
    del spark  # has started
    path, found = lake.write(rows(), files=3), []
    for kind in ("embedded", "spark"):
        own = Lake(kind, lake.folder / kind, lake.tracking_uri)
        own.folder.mkdir(exist_ok=True)
        result = own.run("predict", source__path=path, model__kind="prior", model__folds=2).json
        assert_guarded(result)
        found.append([result[key] for key in ("features", "left_out", "shortcuts")])
    assert found[0] == found[1]
