"""Sources that are files, one, a folder or a pattern: the same audit whatever the format and the engine."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_ml_audit.arrow import json_lines
from tests.datasets import make_dataset
from tests.lake import Lake, tag_names

DATA = make_dataset(3, "plain", "float64")
CLASSES = tag_names(DATA.pred_probs.shape[1])
TAGS = [[CLASSES[k] for k in tags] for tags in DATA.labels]
IDS = [f"r{i:04}" for i in range(len(TAGS))]
COLUMNS = [f"p_{k}" for k in range(len(CLASSES))]


def frame(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"id": IDS, **columns})


def lists() -> pd.DataFrame:
    return frame(labels=TAGS, pred_probs=DATA.pred_probs.tolist())


def one_column_each(marks: str = ",") -> pd.DataFrame:
    probs = pd.DataFrame(DATA.pred_probs, columns=COLUMNS)
    return pd.concat([frame(labels=[marks.join(tags) for tags in TAGS]), probs], axis=1)


def hot() -> pd.DataFrame:
    given = np.array([[name in tags for name in CLASSES] for tags in TAGS])
    return pd.concat([one_column_each().drop(columns="labels"), pd.DataFrame(given, columns=CLASSES)], axis=1)


def objects() -> pd.DataFrame:
    return frame(
        labels=TAGS, pred_probs=[dict(zip(CLASSES, row, strict=True)) for row in DATA.pred_probs.tolist()]
    )


def csv_of(table: pd.DataFrame, path: Path, **options: Any) -> None:
    table.to_csv(path, index=False, **options)


def jsonl_of(table: pd.DataFrame, path: Path) -> None:
    # to_json rounds
    path.write_text("".join(json.dumps(row) + "\n" for row in table.to_dict("records")))


def parquet_of(table: pd.DataFrame, path: Path, **metadata: str) -> None:
    found = pa.Table.from_pandas(table, preserve_index=False)
    pq.write_table(found.replace_schema_metadata(metadata), path)


def hive_of(
    table: pd.DataFrame, path: Path, write: Callable[[pd.DataFrame, Path], None], ending: str
) -> None:
    for part in range(3):
        place = path / "above=1" / "tags" / f"part={part}" / f"x.{ending}"
        place.parent.mkdir(parents=True)
        write(table.iloc[part::3], place)


PLAIN: dict[str, object] = {"source.classes": CLASSES}
EACH: dict[str, object] = {**PLAIN, "source.pred_probs": COLUMNS}
HOT: dict[str, object] = {"source.labels": CLASSES, "source.pred_probs": COLUMNS}

FORMATS: dict[str, tuple[Callable[[Path], Any], str, dict[str, object]]] = {
    "csv lists of pandas": (lambda path: csv_of(lists(), path / "x.csv"), "x.csv", PLAIN),
    "csv columns": (lambda path: csv_of(one_column_each(), path / "x.csv"), "x.csv", EACH),
    "csv of a spreadsheet": (
        lambda path: csv_of(one_column_each(), path / "x.csv", sep=";", decimal=",", encoding="utf-8-sig",
                            lineterminator="\r\n"),
        "x.csv",
        EACH,
    ),
    "csv with 0 and 1": (
        lambda path: csv_of(hot().astype(dict.fromkeys(CLASSES, int)), path / "x.csv"), "x.csv", HOT,
    ),
    "csv with true and false, in gz": (lambda path: csv_of(hot(), path / "x.csv.gz"), "x.csv.gz", HOT),
    "csv objects": (
        lambda path: csv_of(
            objects().assign(pred_probs=lambda table: table["pred_probs"].map(json.dumps)), path / "x.csv"
        ),
        "x.csv",
        PLAIN,
    ),
    "tsv": (
        lambda path: csv_of(one_column_each(" | "), path / "x.tsv", sep="\t"),
        "x.tsv",
        {**EACH, "source.labels_delimiter": "|"},
    ),
    "jsonl lists": (lambda path: jsonl_of(lists(), path / "x.jsonl"), "x.jsonl", PLAIN),
    "jsonl objects": (lambda path: jsonl_of(objects(), path / "x.jsonl"), "x.jsonl", PLAIN),
    "hive csv": (lambda path: hive_of(lists(), path, csv_of, "csv"), "above=1/tags", PLAIN),
    "pattern of jsonl": (
        lambda path: hive_of(lists(), path, jsonl_of, "jsonl"), "above=1/tags/*/*.jsonl", PLAIN,
    ),
    "parquet with classes": (
        lambda path: parquet_of(lists(), path / "x.parquet", classes=json.dumps(CLASSES)), "x.parquet", {},
    ),
    "hive parquet": (lambda path: hive_of(lists(), path, parquet_of, "parquet"), "above=1/tags", PLAIN),
}  # fmt: skip


@pytest.fixture(scope="module")
def expected(house: Lake) -> dict[str, Any]:
    """What the same rows give as a Delta table."""
    table = house.dataset_frame(DATA)
    return house.contents(house.audit(source__path=house.write(table), source__classes=CLASSES))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_audit(lake: Lake, expected: dict[str, Any], name: str) -> None:
    write, place, settings = FORMATS[name]
    write(lake.folder)
    found = lake.audit({**settings, "source.path": lake.path(place)})
    contents = lake.contents(found)
    assert [row["tag"] for row in sorted(contents["classes"], key=lambda row: row["class_index"])] == (
        CLASSES if name != "" else []
    )
    # the order of {tag: p} is that of the class list, which is given
    assert contents == expected
    assert found["source_version"].startswith("files-")


@pytest.mark.spark
@pytest.mark.matrix
@pytest.mark.parametrize(
    "name", ["csv lists of pandas", "jsonl objects", "hive csv", "pattern of jsonl", "hive parquet"]
)
def test_spark_gives_the_same_audit_of_files(
    lake: Lake, expected: dict[str, Any], engine_kind: str, name: str
) -> None:
    if engine_kind == "connect" and "parquet" not in name:
        write, place, settings = FORMATS[name]
        write(lake.folder)
        error = lake.refuse({**settings, "source.path": lake.path(place)})
        assert error["key"] == "source.format"
        assert "Delta table" in error["fix"]
    else:
        test_every_format_gives_the_same_audit(lake, expected, name)


def check(lake: Lake, path: Path, **settings: object) -> dict[str, Any]:
    found = lake.run("check", {"source.path": str(path), **PLAIN}, **settings)
    assert found.exit_code == 0, found.json
    return found.json


def test_columns_of_folders_are_below_the_source_alone(lake: Lake) -> None:
    hive_of(lists(), lake.folder / "a", parquet_of, "parquet")
    hive_of(lists(), lake.folder / "b", csv_of, "csv")
    for place in (
        "a/above=1/tags",
        "a/above=1/tags/*/*.parquet",
        "b/above=1/tags",
        "b/above=1/tags/part=[012]",
    ):
        schema = check(lake, Path(lake.path(place)))["schema"]
        assert {column["name"]: column["type"] for column in schema}.get("part") == "bigint", place
        assert "above" not in {column["name"] for column in schema}


def test_what_is_no_row_of_the_format_is_left_out(lake: Lake) -> None:
    folder = lake.folder / "mixed"
    folder.mkdir()
    parquet_of(lists(), folder / "x.parquet")
    (folder / "README.md").write_text("# rows")
    (folder / "classes.txt").write_text("a")
    assert check(lake, folder)["num_rows"] == len(IDS)


def test_what_is_found_is_said(lake: Lake) -> None:
    rows = "id;labels;pred_probs\n001;;[0,1]\n002;['a'];[0.5 0.5]\n003;['a;[x]\n"
    path = lake.folder / "x.csv"
    path.write_text(rows)
    notes = " ".join(check(lake, path, source__classes=["a", "b"])["notes"])
    for said in (
        "format: csv",
        "delimiter: ';'",
        "1 empty texts of column 'labels' mean 'no tags'",
        "row 3 of 'x.csv' has '[x]'",
        "row 3 of 'x.csv' has \"['a\"",
    ):
        assert said in notes, notes  # fmt: skip
    settings = {"source.path": str(path), "source.classes": ["a", "b"], "gate.max_quarantined_fraction": 1}
    found = lake.audit(settings)
    assert [found[f"num_{name}"] for name in ("rows", "audited", "unlabelled", "quarantined")] == [3, 2, 0, 1]
    (row,) = lake.rows(found, "quarantine")
    assert (row["id"], row["reason"]) == ("003", "labels_malformed")
    found = lake.audit(settings, source__empty_labels="not_annotated")
    assert [found[f"num_{name}"] for name in ("rows", "audited", "unlabelled", "quarantined")] == [3, 1, 1, 1]


def test_an_empty_text_means_the_same_in_any_format(lake: Lake) -> None:
    table = lake.frame(
        [("a", "x", [0.1, 0.9]), ("b", "", [0.1, 0.9]), ("c", None, [0.1, 0.9])],
        "id string, labels string, pred_probs array<double>",
        ["x", "y"],
    )
    path = lake.write(table)
    for meant, counts in (("no_tags", (2, 1)), ("not_annotated", (1, 2))):
        found = lake.audit(source__path=path, source__empty_labels=meant)
        assert (found["num_audited"], found["num_unlabelled"]) == counts


def test_a_null_of_json_lines_is_unlabelled(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": i, "labels": "x", "pred_probs": [0.1, 0.9]} for i in range(9)]
    rows[2]["labels"], rows[3]["labels"] = None, ""
    del rows[4]["labels"]
    path = lake.folder / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"source.path": str(path), "source.classes": ["x", "y"]}
    for block in (8 << 20, 20):
        monkeypatch.setattr(json_lines, "_BLOCK", block)
        for meant, counts in (("no_tags", (7, 2)), ("not_annotated", (6, 3))):
            found = lake.audit(settings, source__empty_labels=meant)
            assert (found["num_audited"], found["num_unlabelled"]) == counts


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", b"", "is empty"),
        ("x.jsonl", b"\n", "is empty"),
        ("x.csv", b"id,labels,pred_probs\n1,a,[1],x\n", "line 2 of 'x.csv' has 4 cells"),
        ("x.csv", b'id,labels,pred_probs\n1,"a,[1]\n', "line 2 of 'x.csv' opens a quote"),
        ("x.csv", "id,labels,pred_probs\n1,é,[1]\n".encode("latin-1"), "byte 0xe9 on line 2; it may be"),
        ("x.csv", b"id,labels,labels\n", "names the column 'labels' twice"),
        ("x.csv.gz", gzip.compress(b"id,labels\n" * 99, mtime=0)[:-9], "'x.csv.gz' cannot be read"),
        ("x.jsonl.gz", gzip.compress(b'{"id": 1}\n' * 99, mtime=0)[:-9], "'x.jsonl.gz' cannot be read"),
        ("x.jsonl", b'{"id": 1}\n{"id": \n', "line 2 of 'x.jsonl' is no JSON"),
        ("x.json", b'[{"id": 1}]', "line 1 of 'x.json' is no object"),
        ("x.parquet", b"id,labels\n", "cannot read"),
    ],
)  # fmt: skip
def test_files_with_faults_are_refused_with_the_line(
    lake: Lake, name: str, content: bytes, said: str
) -> None:
    path = lake.folder / name
    path.write_bytes(content)
    error = lake.refuse(source__path=str(path))
    assert error["key"] == "source.path"
    assert said in error["message"]


def test_files_of_other_columns_or_formats_are_refused(lake: Lake) -> None:
    folder = lake.folder / "in"
    folder.mkdir()
    csv_of(lists(), folder / "a.csv")
    csv_of(lists().rename(columns={"labels": "tags"}), folder / "b.csv")
    assert "lacks the column 'labels'" in lake.refuse(source__path=str(folder))["message"]
    (folder / "b.csv").rename(folder / "b.jsonl")
    assert lake.refuse(source__path=str(folder))["key"] == "source.format"
    assert (
        lake.refuse(source__path=str(folder), source__format="csv", source__version=3)["key"]
        == "source.version"
    )
    assert "no file" in lake.refuse(source__path=f"{folder}/*.tsv")["message"]


@pytest.mark.parametrize("content", ["id,labels,pred_probs\n", "id,labels,pred_probs"])
def test_a_header_alone_is_a_source_without_rows(lake: Lake, content: str) -> None:
    path = lake.folder / "x.csv"
    path.write_text(content)
    found = lake.audit({"source.path": str(path), **PLAIN})
    assert found["num_rows"] == 0
    assert found["warnings"]


def test_a_retry_reads_the_same_files_or_none(lake: Lake) -> None:
    path = lake.folder / "x.csv"
    csv_of(lists(), path)
    settings = {"source.path": str(path), **PLAIN, "output.path": lake.path("out")}
    first = lake.audit(settings)
    for name in ("runs", "examples"):
        os.rename(first["tables"][name], lake.path(f"lost-{name}"))
    again = {**settings, "output.run_id": first["run_id"]}
    assert lake.audit(again)["num_rows"] == len(IDS)
    os.rename(first["tables"]["runs"], lake.path("lost-again"))
    csv_of(lists().iloc[:-1], path)
    error = lake.refuse(again)
    assert error["key"] == "output.run_id"
    assert "changed" in error["message"]
