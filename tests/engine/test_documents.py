"""Every command of README and docs and every example config, one after the other on one small table."""

from __future__ import annotations

import csv
import doctest
import importlib
import inspect
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import spark_ml_audit
from spark_ml_audit.cli import main
from spark_ml_audit.config import load_config
from tests.documents import COMMAND, Block, blocks, covering_test
from tests.lake import Lake
from tests.paths import PROJECT

BLOCKS = blocks()
TAGS = ["billing", "delivery", "login"]
WORDS = {
    "billing": "invoice payment card",
    "delivery": "parcel courier late",
    "login": "password account reset",
}
ROWS = 120
EXAMPLE_ID = "20260131t180000z-0a1b2c3d"
# conf/*.example.yml in an order in which each finds what it needs; README and docs run them all but these
ALONE = ("check", "sample", "decide", "review", "correct")


@pytest.fixture(scope="module")
def place(house: Lake) -> Lake:
    """A folder with the tables that the README and the examples speak of, as an author of one has it."""
    lake = house
    rng = np.random.default_rng(0)
    truth = rng.random((ROWS, len(TAGS))) < [0.5, 0.4, 0.3]
    given = truth ^ (rng.random(truth.shape) < 0.05)
    probs = np.clip(np.where(truth, 0.85, 0.15) + rng.normal(0, 0.1, truth.shape), 0.01, 0.99)
    rows = []
    for i in range(ROWS):
        words = " ".join(WORDS[TAGS[k]] for k in np.flatnonzero(truth[i]))
        tags = [TAGS[k] for k in np.flatnonzero(given[i])]
        rows.append((f"t{i:03}", f"ticket {i} {words}", tags, probs[i].tolist()))
    schema = "id string, text string, labels array<string>, pred_probs array<double>"
    table = lake.frame(rows, schema, TAGS)
    lake.write(table, to=lake.path("data/tags"))
    lake.write(table, to=lake.path("data/tags.parquet"), fmt="parquet")
    lake.write(table.drop_columns(["pred_probs"]), to=lake.path("data/films"))
    lake.write(table.select(["id", "text"]), to=lake.path("data/new_films"))
    Path(lake.path("conf")).symlink_to(PROJECT / "conf")
    return lake


def enter(place: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the place, with its MLflow store."""
    monkeypatch.chdir(place.folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", place.tracking_uri)
    import mlflow

    mlflow.set_tracking_uri(None)


@pytest.fixture(autouse=True)
def in_place(own_folder: None, place: Lake, read_pages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(place, monkeypatch)


def correction_id(place: Lake) -> str:
    return max(row["correction_id"] for row in place.records(place.path("audits/tags/correction_runs")))


def fill_in(sheet: Path) -> None:
    """What a reviewer does between `sample` and `decide`."""
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for i, row in enumerate(rows):
        row["verdict"] = "absent" if i % 3 else "present"
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def run_command(place: Lake, words: list[str]) -> None:
    """One command line of ours."""
    words = [correction_id(place) if word == EXAMPLE_ID else word for word in words]
    start = time.monotonic()
    engine = ["--set", f"engine.kind={place.kind}"]
    assert main([words[1], *engine, *words[2:], "--quiet"]) == 0, words
    print(f"{time.monotonic() - start:6.1f} s  {' '.join(words)}")
    for before, word in pairwise(words) if words[1] == "sample" else ():
        if before == "--csv" or word.startswith("sample.csv="):
            fill_in(Path(word.removeprefix("sample.csv=")))


def test_blocks_are_run_here_or_by_a_test_that_they_name() -> None:
    assert {block.kind for block in BLOCKS} <= {"bash", "python", "sql", "yaml"}
    for block in BLOCKS:
        if block.note is not None:
            test = covering_test(block.note)
            assert test is not None, f"{block.where}: <!-- test: covered by FILE -->"
            assert test.is_file(), f"{block.where}: there is no {test}"
        elif block.kind == "bash":
            assert all(words[0] == COMMAND for words in block.commands()), block.where


def needs_spark(block: Block) -> bool:
    """Whether a block is for Spark by nature: SQL over Delta paths, a session, pyspark.ml."""
    return block.kind == "sql" or bool(block.kind == "python" and re.search(r"\bspark\.|\.ml\b", block.text))


def run_blocks(place: Lake, of_spark: bool, names: dict[str, Any]) -> None:
    for block in BLOCKS:
        if block.note is not None or needs_spark(block) != of_spark:
            continue
        try:
            run_block(place, block, names)
        except BaseException as error:
            raise AssertionError(f"{block.where}:\n{block.text}") from error


@pytest.fixture(scope="module")
def read_pages(place: Lake) -> None:
    """All pages were read from top to bottom, and what they say was done."""
    df = place.native(place.table(place.path("data/tags")))
    with pytest.MonkeyPatch.context() as monkeypatch, place.chosen():
        enter(place, monkeypatch)
        run_blocks(place, False, {"df": df, "classes": TAGS})


def test_all_pages_run_from_top_to_bottom(place: Lake) -> None:
    assert (place.folder / "audits/tags/reports/trend.html").is_file()
    used = {words[words.index("--config") + 1] for block in BLOCKS if block.kind == "bash"
            for words in block.commands() if "--config" in words}  # fmt: skip
    known = {f"conf/{path.name}" for path in (PROJECT / "conf").glob("*.example.yml")}
    assert known <= used | {f"conf/{name}.example.yml" for name in ALONE}


@pytest.mark.spark
def test_what_the_pages_say_to_spark_runs(place: Lake, spark: Any) -> None:
    df = spark.read.format("delta").load(place.path("data/tags"))
    run_blocks(place, True, {"spark": spark, "df": df, "classes": TAGS})


def run_block(place: Lake, block: Block, names: dict[str, Any]) -> None:
    if block.kind == "bash":
        for words in block.commands():
            run_command(place, words)
    elif block.kind == "python":
        exec(compile(block.text, block.where, "exec"), names)
    elif block.kind == "sql":
        for statement in block.text.replace("/lake/", f"{place.folder}/").split(";"):
            if statement.strip():
                names["spark"].sql(statement).collect()
    else:
        Path("block.yml").write_text(block.text, encoding="utf-8")
        load_config(
            "block.yml", [], base={"source": {"path": "data/tags"}, "output": {"path": "audits/tags"}}
        )


# Their examples are skipped where there is no engine; here they run, on the tables that the README left.
EXAMPLES = [f"spark_ml_audit.{name}" for name in spark_ml_audit.__all__ if not name.startswith("__")]
OF_SPARK = [
    "spark_ml_audit.ema_label_quality",
    "spark_ml_audit.ml.LabelAuditor",
    "spark_ml_audit.integrations.dqx.no_label_issue",
]


@pytest.mark.parametrize("name", sorted({*EXAMPLES} - {*OF_SPARK}))
def test_an_example_of_a_public_docstring_runs(place: Lake, name: str) -> None:
    df = place.native(place.table(place.path("data/tags")))
    with place.chosen():
        run_example(name, {"df": df, "spark": place.spark})


@pytest.mark.spark
@pytest.mark.parametrize("name", OF_SPARK)
def test_an_example_for_spark_runs(place: Lake, spark: Any, name: str) -> None:
    no_label_issue = importlib.import_module("spark_ml_audit.integrations.dqx").no_label_issue
    df = spark.read.format("delta").load(place.path("data/tags"))
    run_example(name, {"df": df, "spark": spark, "no_label_issue": no_label_issue})


def run_example(name: str, names: dict[str, Any]) -> None:
    module, _, attribute = name.rpartition(".")
    documented = getattr(importlib.import_module(module), attribute)
    text = inspect.getdoc(documented) or ""
    test = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
    assert test.examples, f"{name} has no example"
    for example in test.examples:
        example.options.pop(doctest.SKIP, None)
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    failures = runner.run(test, out=said.append).failed
    assert not failures, "".join(said)


@pytest.mark.parametrize("name", ALONE)
def test_an_example_config_runs(place: Lake, name: str) -> None:
    # after the README: its audit is there, and its review.csv
    config = f"conf/{'audit' if name == 'check' else name}.example.yml"
    run_command(place, [COMMAND, name, "--config", config])


def newest_flags(place: Lake) -> pd.DataFrame:
    run_id = max(row["run_id"] for row in place.records(place.path("audits/tags/runs")))
    return place.table(place.path("audits/tags/tag_issues"), run_id).to_pandas()


@pytest.mark.spark
def test_the_assertion_for_dbt_returns_the_sure_flags_of_the_newest_run(place: Lake, spark: Any) -> None:
    (query,) = [block.text for block in BLOCKS if block.text.startswith("-- dbt")]
    found = spark.sql(query.replace("/lake/", f"{place.folder}/")).toPandas()
    flags = newest_flags(place)
    sure = flags[flags["cell_score"] < 0.2]
    assert 0 < len(sure) == len(found)
    assert set(zip(found["id"], found["tag"], strict=True)) == set(zip(sure["id"], sure["tag"], strict=True))


@pytest.mark.spark
def test_a_dqx_check_marks_the_rows_that_the_audit_questions(place: Lake, spark: Any) -> None:
    from spark_ml_audit.integrations.dqx import no_label_issue

    frame, flags = spark.read.format("delta").load(place.path("data/tags")), newest_flags(place)
    condition, apply = no_label_issue(["id"], place.path("audits/tags"))
    checked = apply(frame, spark, {}).select("id", condition).toPandas()
    assert len(checked) == ROWS
    messages = checked.set_index("id").iloc[:, 0].dropna()
    assert set(messages.index) == set(flags["id"])
    first = flags.iloc[0]
    assert f"{first['issue']} {first['tag']}" in messages[first["id"]]
    condition, apply = no_label_issue(["id"], place.path("audits/tags"), tags=["login"], max_score=0.5)
    some = apply(frame, spark).select("id", condition).toPandas().iloc[:, 1].dropna()
    chosen = flags[(flags["tag"] == "login") & (flags["cell_score"] <= 0.5)]
    assert len(some) == chosen["id"].nunique()
