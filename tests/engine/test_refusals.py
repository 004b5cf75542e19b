"""Sources and outputs that cannot be used: exit 2 with one sentence that names the place and the fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.lake import Lake

SCHEMA = "id string, labels array<string>, pred_probs array<double>"
ROWS = [("a", ["x"], [0.2, 0.8]), ("b", [], [0.7, 0.1])]
CLASSES = ["x", "y"]
NO_TABLE = {"source.path": None, "source.table": "no.such.table"}


@pytest.fixture(scope="module")
def source(house: Lake) -> str:
    """A source that no test changes."""
    return house.write(house.frame(ROWS, SCHEMA, CLASSES))


@pytest.mark.parametrize(
    ("settings", "key", "said"),
    [
        ({"source.id": "key"}, "source.id", "no column 'key'"),
        ({"source.labels": "label"}, "source.labels", "Did you mean 'labels'"),
        ({"source.pred_probs": "p"}, "source.pred_probs", "no column 'p'"),
        ({"source.pred_probs": "id"}, "source.pred_probs", "which source.id names too"),
        ({"source.labels": ["x", "y"]}, "source.labels", "no column 'x'"),
        ({"source.classes": ["x", "y", "z"]}, "source.classes", "has 2 probabilities per row"),
        ({"source.id": "pred_probs", "source.pred_probs": "q"}, "source.id", "cannot name a row"),
        ({"source.version": 7}, "source.version", "version 7"),
        ({"source.version": "2001-01-01"}, "source.version", "no version at 2001-01-01"),
        ({"source.format": "parquet", "source.path": "/nowhere/at/all"}, "source.path", "no file"),
        ({"source.path": "/nowhere/at/all"}, "source.path", "'/nowhere/at/all'"),
        (NO_TABLE, "source.table", "no.such.table"),
        ({"source.path": None, "source.table": "`half"}, "source.table", "half"),
        ({"audit.num_to_remove_per_class": [1, 2, 3]}, "audit.num_to_remove_per_class", "3 counts for 2"),
    ],
)  # fmt: skip
def test_what_a_source_lacks_is_said_with_its_key_and_fix(
    lake: Lake, source: str, settings: dict[str, Any], key: str, said: str
) -> None:
    # "check" and "audit" share this part; where only the audit looks, it is asked
    command = "audit" if key.startswith("audit.") else "check"
    error = lake.refuse({"source.path": source, **settings}, command=command)
    # tables of a catalog are for Spark alone
    assert error["key"] == ("engine.kind" if settings is NO_TABLE and lake.kind == "embedded" else key)
    assert said in f"{error['message']} {error['fix']}"


def test_parquet_files_are_no_delta_table_and_the_fix_says_so(lake: Lake) -> None:
    path = lake.write(lake.frame(ROWS, SCHEMA, CLASSES), fmt="parquet")
    error = lake.refuse(source__path=path, source__format="delta")
    assert error["key"] == "source.path"
    assert "source.format" in error["fix"]
    assert lake.run("check", source__path=path).exit_code == 0


def test_one_output_belongs_to_one_id_name_and_type(lake: Lake, source: str) -> None:
    out = lake.path("out")
    first = lake.audit(source__path=source, output__path=out)
    before = lake.versions(first)
    renamed = lake.write(lake.frame(ROWS, SCHEMA.replace("id ", "key "), CLASSES))
    error = lake.refuse(source__path=renamed, source__id="key", output__path=out)
    assert error["key"] == "source.id"
    assert "'id' (string)" in error["message"]
    numbers = lake.write(lake.frame([(1, *ROWS[0][1:])], SCHEMA.replace("id string", "id bigint"), CLASSES))
    error = lake.refuse(source__path=numbers, output__path=out)
    assert error["key"] == "source.id"
    assert "bigint" in error["message"]
    assert lake.versions(first) == before
    assert [row["run_id"] for row in lake.records(f"{out}/runs")] == [first["run_id"]]


def test_an_output_table_that_cannot_be_read_is_named(lake: Lake, source: str) -> None:
    out = lake.path("out")
    log = Path(out, "classes", "_delta_log")
    log.mkdir(parents=True)
    protocol = {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": ["later"],
        "writerFeatures": ["later"],
    }
    schema = {"type": "struct", "fields": []}
    table = {"id": "x", "format": {"provider": "parquet", "options": {}}, "schemaString": json.dumps(schema)}
    table |= {"partitionColumns": [], "configuration": {}, "createdTime": 0}
    actions = [{"protocol": protocol}, {"metaData": table}]
    (log / f"{0:020}.json").write_text("\n".join(map(json.dumps, actions)))
    settings = {"source.path": source, "output.path": out, "output.run_id": "20260101t000000z-0a1b2c3d"}
    error = lake.refuse(settings)
    assert error["key"] == "output.path"
    assert f"'{out}/classes' cannot be read" in error["message"]


@pytest.mark.parametrize("name", ["run_id", "tag", "issue_rank", "Row", "rank_in_row", "a b", "a;b"])
def test_ids_that_clash_with_the_outputs_or_delta_are_refused(lake: Lake, name: str) -> None:
    error = lake.refuse(source__path="/any", source__id=name)
    assert error["key"] == "source.id"


def test_a_float_id_cannot_name_a_row(lake: Lake) -> None:
    path = lake.write(lake.frame([(1.5, *ROWS[0][1:])], SCHEMA.replace("id string", "id double"), CLASSES))
    error = lake.refuse(source__path=path)
    assert error["key"] == "source.id"
    assert "double" in error["message"]


def test_an_output_path_that_is_a_file_is_refused(lake: Lake, source: str) -> None:
    out = Path(lake.path("out"))
    out.write_text("not a folder")
    error = lake.refuse(source__path=source, output__path=str(out))
    assert error["key"] == "output.path"
    assert f"'{out}' is a file" in error["message"]
    assert out.read_text() == "not a folder"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source.path": "s3://bucket/tags"}, "'s3://bucket/tags' is on a remote store"),
        ({"source.path": "s3://bucket/tags", "source.format": "parquet"}, "is on a remote store"),
        ({"source.path": None, "source.table": "main.tags"}, "'main.tags' is a table of a catalog"),
        ({"output.path": "s3://bucket/audit"}, "'s3://bucket/audit"),
        ({"output.path": None, "output.schema": "main.audit"}, "'main.audit.runs' is a table of a catalog"),
    ],
)  # fmt: skip
def test_places_that_only_spark_reaches_are_refused_without_it(
    lake: Lake, source: str, settings: dict[str, Any], said: str
) -> None:
    if lake.kind != "embedded":
        pytest.skip("Spark reaches these places.")
    error = lake.refuse({"source.path": source, "output.path": lake.path("out"), **settings})
    assert error["key"] == "engine.kind"
    assert said in error["message"]
    assert "--engine spark" in error["fix"]
    assert not Path(lake.path("out")).exists()


def test_a_spill_place_that_is_a_file_is_refused(lake: Lake, source: str) -> None:
    if lake.kind != "embedded":
        pytest.skip("Spark has folders of its own for what does not fit into memory.")
    spill = Path(lake.path("spill"))
    spill.write_text("not a folder")
    error = lake.refuse(source__path=source, engine__spill=str(spill))
    assert error["key"] == "engine.spill"
    assert str(spill) in error["message"]
