"""Probabilities in another file, rows without an id, and sources that are files in later commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.engine.test_source_files import (
    CLASSES,
    COLUMNS,
    DATA,
    IDS,
    PLAIN,
    TAGS,
    csv_of,
    jsonl_of,
    lists,
    one_column_each,
    parquet_of,
)
from tests.lake import Lake

REVIEWED: dict[str, object] = {"sample.how": "worst", "sample.size": 5}


def tags() -> pd.DataFrame:
    return lists()[["id", "labels"]]


def probs() -> pd.DataFrame:
    return lists()[["id", "pred_probs"]].iloc[::-1]


@pytest.fixture(scope="module")
def expected(house: Lake) -> dict[str, Any]:
    """What the same rows give as one Delta table."""
    return house.contents(house.audit(source__path=house.write(house.dataset_frame(DATA)), **_plain()))


def _plain() -> dict[str, object]:
    return {name.replace(".", "__"): value for name, value in PLAIN.items()}


def halves(lake: Lake, first: str = "csv", second: str = "parquet") -> dict[str, object]:
    """Tags in one place, probabilities in another."""
    writers = {"csv": csv_of, "jsonl": jsonl_of, "parquet": parquet_of}
    places = {}
    for name, table, kind in (("tags", tags(), first), ("probs", probs(), second)):
        places[name] = lake.path(f"{name}.{kind}")
        writers[kind](table, Path(places[name]))  # type: ignore[operator]
    return {"source.path": places["tags"], "source.pred_probs_from": places["probs"], **PLAIN}


@pytest.mark.parametrize(("first", "second"), [("csv", "parquet"), ("parquet", "csv"), ("jsonl", "jsonl")])
def test_probabilities_of_another_file_are_joined_by_id(
    lake: Lake, expected: dict[str, Any], first: str, second: str
) -> None:
    settings = halves(lake, first, second)
    found = lake.audit(settings)
    assert lake.contents(found) == expected
    assert found["source_version"].count("files-") == 2
    assert "every row has a match" in " ".join(lake.run("check", settings).json["notes"])


def test_probabilities_of_a_delta_table_are_joined_at_its_version(
    lake: Lake, expected: dict[str, Any]
) -> None:
    settings = halves(lake)
    settings["source.pred_probs_from"] = lake.write(lake.dataset_frame(DATA).drop_columns(["labels"]))
    del settings["source.classes"]  # metadata of the other table's column
    found = lake.audit(settings)
    assert lake.contents(found) == expected
    assert found["source_version"].endswith(" + 0")


@pytest.mark.spark
def test_spark_joins_and_numbers_alike(lake: Lake, expected: dict[str, Any]) -> None:
    test_probabilities_of_another_file_are_joined_by_id(lake, expected, "jsonl", "parquet")
    test_rows_without_an_id_are_numbered_in_every_format(lake)


def test_what_has_no_match_is_counted_and_said(lake: Lake) -> None:
    settings = halves(lake)
    other = pd.concat([probs().iloc[7:], probs().iloc[:2].assign(id=["x1", "x2"])])
    parquet_of(other, Path(str(settings["source.pred_probs_from"])))
    notes = " ".join(lake.run("check", settings).json["notes"])
    assert "7 rows of the source have none there and will be in quarantine (probs_null)" in notes
    assert "2 rows there belong to no row of the source" in notes
    found = lake.audit({**settings, "gate.max_quarantined_fraction": 1})
    assert found["num_rows"] == len(IDS)
    assert {row["reason"] for row in lake.rows(found, "quarantine")} == {"probs_null"}
    assert found["num_quarantined"] == 7


def test_ids_of_another_file_must_compare_and_be_there_once(lake: Lake) -> None:
    settings = halves(lake)
    other = Path(str(settings["source.pred_probs_from"]))
    parquet_of(pd.concat([probs(), probs().iloc[:1]]), other)
    error = lake.refuse(settings)
    assert (error["key"], f"'{IDS[-1]}' occurs 2 times" in error["message"]) == (
        "source.pred_probs_from",
        True,
    )
    parquet_of(probs().rename(columns={"id": "key"}), other)
    assert "has no column 'id'" in lake.refuse(settings)["message"]
    parquet_of(probs().assign(id=pd.date_range("2020-01-01", periods=len(IDS)).date), other)
    assert "is date in" in lake.refuse(settings)["message"]
    assert (
        lake.refuse(settings, source__pred_probs_from=lake.path("none.csv"))["key"]
        == "source.pred_probs_from"
    )
    assert lake.refuse(settings, source__pred_probs=None, model={})["key"] == "source.pred_probs_from"


def test_numbers_and_texts_meet_where_they_are_written_alike(lake: Lake) -> None:
    settings = halves(lake, "csv", "parquet")
    numbers = [*range(len(IDS) - 1), 7000]
    csv_of(tags().assign(id=numbers), Path(str(settings["source.path"])))
    texts = [str(number) for number in numbers]
    texts[0] = "00"
    parquet_of(probs().iloc[::-1].assign(id=texts), Path(str(settings["source.pred_probs_from"])))
    notes = " ".join(lake.run("check", settings).json["notes"])
    assert "compared as text" in notes
    assert "1 rows of the source have none" in notes


# ---- rows without an id ----------------------------------------------------------------------------


def test_rows_without_an_id_are_numbered_in_every_format(lake: Lake) -> None:
    found = []
    for kind, write in (("csv", csv_of), ("jsonl", jsonl_of), ("parquet", parquet_of)):
        folder = lake.folder / f"numbered {kind}"
        folder.mkdir()
        for part, begin in enumerate(range(0, len(IDS), 37)):
            write(lists().drop(columns="id").iloc[begin : begin + 37], folder / f"part-{part:02}.{kind}")
        settings = {"source.path": str(folder), **PLAIN}
        error = lake.refuse(settings)
        assert error["key"] == "source.id"
        assert "--set source.row_numbers=true" in error["fix"]
        result = lake.audit({**settings, "source.row_numbers": True})
        rows = sorted(lake.rows(result, "examples"), key=lambda row: row["row_number"])
        assert [row["row_number"] for row in rows] == list(range(len(IDS)))
        assert [sorted(row["given_tags"]) for row in rows] == [sorted(given) for given in TAGS]
        notes = " ".join(lake.run("check", {**settings, "source.row_numbers": True}).json["notes"])
        assert "decisions are not carried over" in notes
        found.append(lake.contents(result))
    assert found[0] == found[1] == found[2]


def test_both_files_without_an_id_are_joined_by_their_order(lake: Lake) -> None:
    csv_of(tags().drop(columns="id"), lake.folder / "tags.csv")
    csv_of(one_column_each()[COLUMNS], lake.folder / "probs.csv")
    found = lake.audit(
        {
            **PLAIN,
            "source.path": lake.path("tags.csv"),
            "source.pred_probs_from": lake.path("probs.csv"),
            "source.pred_probs": COLUMNS,
            "source.row_numbers": True,
        }
    )
    assert (found["num_audited"], found["num_rows"]) == (len(IDS), len(IDS))


def test_numbers_hold_for_their_files_alone(lake: Lake) -> None:
    path = lake.folder / "x.csv"
    csv_of(lists().drop(columns="id"), path)
    out: dict[str, object] = {"output.path": lake.path("out")}
    settings = {**out, **PLAIN, "source.path": str(path), "source.row_numbers": True}
    lake.audit(settings)
    lake.audit(settings)
    # the same files: the same rows
    assert lake.run("compare", out).exit_code == 0
    assert lake.run("sample", out | REVIEWED).exit_code == 0
    assert lake.run("correct", out, correct__accept_above=0.9).exit_code == 0
    csv_of(lists().drop(columns="id").iloc[1:], path)
    changed = lake.audit(settings)
    assert any("numbers" in warning for warning in changed["warnings"])
    assert changed["since_last_run"] is None
    assert lake.refuse(out, command="compare")["key"] == "compare.against"
    for command, more in (("sample", REVIEWED), ("correct", {"correct.accept_above": 0.9})):
        error = lake.refuse(out | more, command=command)
        assert error["key"] == f"{command}.run"
        assert "output of their own" in error["fix"]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"source.id": "key"}, "source.row_numbers"),
        ({"source.format": "delta"}, "source.row_numbers"),
        ({"source.decisions": "./decisions"}, "source.decisions"),
        ({"source.path": None, "source.table": "a.b"}, "source.row_numbers"),
    ],
)
def test_numbers_go_with_files_alone(lake: Lake, settings: dict[str, object], key: str) -> None:
    path = lake.folder / "x.csv"
    csv_of(lists(), path)
    given: dict[str, object] = {"source.path": str(path), "source.row_numbers": True, **settings}
    assert lake.refuse(given)["key"] == key


def test_a_table_has_no_order_to_number_rows_by(lake: Lake) -> None:
    path = lake.write(lake.dataset_frame(DATA))
    error = lake.refuse(source__path=path, source__row_numbers=True)
    assert error["key"] == "source.row_numbers"
    assert "id column" in error["fix"]


# ---- later commands --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_source_of_texts_is_sampled_and_corrected_as_a_copy(lake: Lake, kind: str) -> None:
    path = lake.folder / f"x.{kind}"
    {"csv": csv_of, "jsonl": jsonl_of}[kind](lists(), path)  # type: ignore[operator]
    out: dict[str, object] = {"output.path": lake.path("out")}
    audited = lake.audit({**out, **PLAIN, "source.path": str(path), "source.show": ["labels"]})
    drawn = lake.run("sample", out, sample__how="random", sample__size=10, sample__show=["labels"])
    assert drawn.exit_code == 0, drawn.json
    error = lake.refuse(out, command="correct", correct__accept_above=0.51, correct__mode="merge")
    assert error["key"] == "correct.mode"
    assert "no Delta table" in error["message"]
    done = lake.run("correct", out, correct__accept_above=0.51)
    assert done.exit_code == 0, done.json
    assert done.json["num_rows_changed"] > 0
    copy = lake.audit({**out, **PLAIN, "source.path": done.json["tables"]["corrected"]})
    assert copy["since_last_run"]["against"]["run_id"] == audited["run_id"]
    path.write_text(path.read_text() + "\n")
    assert "changed since" in lake.refuse(out, command="correct", correct__run=audited["run_id"],
                                          correct__accept_above=0.6)["message"]  # fmt: skip


def test_a_correction_leaves_probabilities_of_another_file_out(lake: Lake) -> None:
    settings = halves(lake) | {"output.path": lake.path("out")}
    lake.audit(settings)
    done = lake.run("correct", {"output.path": lake.path("out")}, correct__accept_above=0.51)
    assert done.exit_code == 0, done.json
    copy = done.json["tables"]["corrected"]
    assert lake.table(copy).column_names == ["id", "labels"]
    again = lake.audit(settings | {"source.path": copy})
    assert again["num_audited"] == len(IDS)


def test_models_learn_from_and_tag_files_of_texts(lake: Lake) -> None:
    words = [["lamp light", "door wood", "sea wave"][i % 3] for i in range(120)]
    table = pd.DataFrame(
        {
            "id": [f"{i:04}" for i in range(120)],
            "labels": [["home", "home,wood", "water"][i % 3] for i in range(120)],
            "title": words,
            "size": [[1.5, 20.25, 300.0][i % 3] + i / 1000 for i in range(120)],
        }
    )
    csv_of(table, lake.folder / "x.csv")
    settings: dict[str, object] = {
        "source.path": lake.path("x.csv"),
        "model.folds": 2,
        "output.path": lake.path("out"),
    }
    # made up as they are, they give the tags away
    settings["source.features"] = {"text": ["title"], "numeric": ["size"]}
    done = lake.run("predict", settings, model__fit_final=True)
    assert done.exit_code == 0, done.json
    assert done.json["features"] == {"text": ["title"], "numeric": ["size"]}
    jsonl_of(table.drop(columns="labels").head(9), lake.folder / "new.jsonl")
    tagged = lake.run(
        "tag",
        {
            "source.path": lake.path("new.jsonl"),
            "model.uri": done.json["model_uri"],
            "output.path": lake.path("t"),
        },
    )
    assert tagged.exit_code == 0, tagged.json
    assert tagged.json["num_tagged"] == 9
    assert {row["id"] for row in lake.records(tagged.json["tables"]["tags"])} == set(table["id"].head(9))
    stream = lake.refuse(
        {
            "source.path": lake.path("new.jsonl"),
            "source.format": "jsonl",
            "source.stream": True,
            "model.uri": "x",
        },
        command="tag",
    )
    assert stream["key"] == "source.format"


def test_classes_in_the_schema_of_parquet_files_are_those_of_the_audit(lake: Lake) -> None:
    path = lake.folder / "x.parquet"
    parquet_of(lists(), path, classes=json.dumps(CLASSES))
    report = lake.run("check", source__path=str(path)).json
    assert any("metadata 'classes' of the files" in note for note in report["notes"])
    parquet_of(lists(), path, classes="x")
    assert lake.refuse(source__path=str(path))["key"] == "source.classes"
