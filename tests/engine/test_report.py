"""The report of real audits: file, MLflow artifacts, shown columns, and what happens when it fails."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spark_ml_audit.engines.base import Engine
from spark_ml_audit.report.page import ReportData
from spark_ml_audit.report.queries import ReportFrames, tag_pairs
from tests.browser import browser_session, has_browser
from tests.datasets import make_dataset
from tests.engine.conftest import Audited, scan
from tests.lake import Lake, tag_names, with_column

TABLES = ("examples", "issues", "quarantine")

EVIL = "<script>window.pwned=1</script>"


def look_at(report: Path) -> None:
    """Open the report of a real audit, hostile tag and texts and all, where there is a browser."""
    if not has_browser():
        return
    with browser_session() as browser:
        browser.open(report)
        assert browser.complaints() == []
        assert [url for url in browser.requests() if not url.startswith(("file:", "data:"))] == []
        assert browser.run("return window.pwned") is None
        assert any(EVIL in text for text in browser.texts("#classes td, #classes th"))


def payload_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="payload">(.*?)</script>', page, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


@pytest.mark.matrix
def test_a_report_shows_what_the_tables_hold(lake: Lake, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    data = make_dataset(3, "plain", "float32")
    names = tag_names(data.pred_probs.shape[1])
    names[0] = EVIL
    table = lake.dataset_frame(data, names)
    ids = table.column("id").to_pylist()
    for name, values in (
        ("text.of", pa.array([EVIL + name + "x" * 3000 for name in ids])),
        ("words", pa.array([[name, None] for name in ids])),
        ("nested", pa.array([{"a": 1}] * len(ids))),
        ("raw", pa.array([b"\x00\xff"] * len(ids))),
    ):
        table = table.append_column(name, values)
    bad = with_column(table.slice(0, 1), "id", pa.array(["bad"]))
    bad = with_column(bad, "labels", pa.array([["no such tag"]], table.schema.field("labels").type))
    source = lake.write(pa.concat_tables([table, bad.cast(table.schema)]))
    settings = {
        "source.path": source,
        "source.show": ["text.of", "words", "nested", "raw"],
        "output.path": lake.path("audit"),
        "report.enabled": True,
        "report.max_rows": 5,
    }
    result = lake.audit(settings, expect=3)
    assert result["report"] == f"{lake.path('audit')}/reports/{result['run_id']}.html"
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert EVIL not in page
    assert result["run_id"] in page
    assert "label_unknown" in page
    found = payload_of(page)

    classes = sorted(lake.rows(result, "classes"), key=lambda row: row["class_index"])
    assert found["classes"]["tag"] == names
    assert found["classes"]["given"] == [row["num_given"] for row in classes]
    assert found["classes"]["extraneous"] == [row["num_extraneous"] for row in classes]
    assert [sum(counts[1:]) for counts in found["present"]] == [row["num_given"] for row in classes]

    examples = lake.rows(result, "examples")
    issues = sorted(lake.rows(result, "issues"), key=lambda row: row["issue_rank"])
    cells = {(row["id"], row["tag"]): row for row in lake.rows(result, "tag_issues")}
    assert [row[1] for row in found["rows"]["list"]] == [row["id"] for row in issues[:5]]
    for sent, row in zip(found["rows"]["list"], issues, strict=False):
        text, words, nested, raw = sent[3]
        assert text == f"{EVIL}{row['id']}".ljust(999, "x") + "…"
        assert (words, nested, raw) == (f"{row['id']}, null", '{"a":1}', "00FF")
        assert {tag for tag, extraneous, _ in sent[6] if extraneous} == set(row["extraneous_tags"])
        assert {tag for tag, extraneous, _ in sent[6] if not extraneous} == set(row["missing_tags"])
        assert set(sent[4]) == set(row["given_tags"]) - set(row["extraneous_tags"])
        for tag, _, prob in sent[6]:
            assert prob == pytest.approx(cells[row["id"], tag]["pred_prob"], rel=1e-5)
    assert sum(found["scores"]["with"]) == result["num_label_issues"]
    assert sum(found["scores"]["without"]) == result["num_audited"] - result["num_label_issues"]

    pairs: dict[tuple[str, str], list[int]] = {}
    for row in examples:
        for missing in row["missing_tags"]:
            for given in row["given_tags"]:
                count = pairs.setdefault((missing, given), [0, 0])
                count[0] += 1
                count[1] += given in row["extraneous_tags"]
    assert {(a, b): [rows, swapped] for a, b, rows, swapped, _ in found["pairs"]} == pairs

    client = MlflowClient(tracking_uri=lake.tracking_uri)
    kept = {file.path for file in client.list_artifacts(result["mlflow_run_id"])}
    assert "report.html" in kept
    assert (
        Path(client.download_artifacts(result["mlflow_run_id"], "report.html", str(tmp_path))).read_text(
            encoding="utf-8"
        )
        == page
    )
    plots = {file.path for file in client.list_artifacts(result["mlflow_run_id"], "plots")}
    assert plots == {"plots/scores.png", "plots/flags_by_tag.png", "plots/noise_by_tag.png"}

    # the retry of a finished run names the report that is there, whatever it would show
    again = lake.audit(settings | {"source.show": [], "output.run_id": result["run_id"]}, expect=3)
    assert again["already_finished"]
    assert again["report"] == result["report"]

    look_at(Path(result["report"]))

    # a report that cannot be written loses nothing
    reports = Path(result["report"]).parent
    Path(result["report"]).unlink()
    reports.rmdir()
    reports.write_text("in the way")
    failed = lake.audit(settings | {"gate.max_quarantined_fraction": 1.0}, expect=4)
    assert failed["status"] == "not_delivered"
    assert failed["report"] is None
    assert any("The report could not be written" in warning for warning in failed["warnings"])
    assert lake.contents(failed) == lake.contents(result)
    run = client.get_run(failed["mlflow_run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.tags["spark_ml_audit.status"] == "not_delivered"


def test_a_column_to_show_that_is_missing_is_refused(lake: Lake) -> None:
    data = make_dataset(3, "plain", "float32")
    table = lake.dataset_frame(data)
    source = lake.write(table.append_column("title", table.column("id")))
    for command in ("audit", "check"):
        error = lake.refuse({"source.path": source, "source.show": ["titel"]}, command=command)
        assert error["key"] == "source.show"
        assert "'titel'" in error["message"]
        assert "Did you mean 'title'?" in error["fix"]


def test_a_report_that_breaks_is_told_of_and_costs_nothing_else(
    lake: Lake, audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(data: ReportData) -> str:
        raise RuntimeError("no template")

    monkeypatch.setattr("spark_ml_audit.report.make.render_report", broken)
    result = lake.audit({"source.path": audited.source, "report.enabled": True}, expect=4)
    assert not result["delivered"]
    assert "The report could not be made: no template." in result["warnings"]
    assert lake.rows(result, "runs")


@pytest.mark.spark
def test_without_a_folder_the_report_goes_to_mlflow_alone(lake: Lake, audited: Audited) -> None:
    from mlflow import MlflowClient

    settings = {"source.path": audited.source, "output.schema": "report_alone", "report.enabled": True}
    result = lake.audit(settings)
    assert result["report"] is None
    client = MlflowClient(tracking_uri=lake.tracking_uri)
    assert "report.html" in {file.path for file in client.list_artifacts(result["mlflow_run_id"])}


def test_pairs_of_tags_are_the_same_read_and_counted_by_the_engine(lake: Lake, engine: Engine) -> None:
    source = lake.write(lake.dataset_frame(make_dataset(5, "forest")))
    result = lake.audit(source__path=source, audit__filter_by="predicted_neq_given")
    own = [scan(engine, result["tables"][name], result["run_id"]) for name in TABLES]
    num_issues = result["num_label_issues"]
    found = [
        tag_pairs(
            ReportFrames(engine, *own, source=scan(engine, source), id="id", most_worst=most),
            num_issues,
            limit=7,
        )
        for most in (num_issues, num_issues - 1)
    ]
    assert found[0] == found[1]
    assert len(found[0]) == 7
    assert found[0][0].num_rows > 1


def rows_of_query(lake: Lake, query: str) -> list[tuple[Any, ...]]:
    """What a query of the page gives, as its engine reads tables."""
    if lake.kind == "spark":
        return [tuple(row) for row in lake.spark.sql(query).collect()]
    import duckdb

    # the extension delta is downloaded where there is a network: tables by another reader here
    with duckdb.connect() as connection:
        for number, place in enumerate(dict.fromkeys(re.findall(r"delta_scan\('([^']*)'\)", query))):
            connection.register(f"table_{number}", lake.table(place))
            query = query.replace(f"delta_scan('{place}')", f"table_{number}")
        return list(connection.execute(query).fetchall())


@pytest.mark.matrix
def test_the_queries_of_the_page_give_the_whole_lists(lake: Lake) -> None:
    source = lake.write(lake.dataset_frame(make_dataset(3, "plain", "float32")))
    settings = {"source.path": source, "output.path": lake.path("queried"), "report.enabled": True}
    lake.audit(settings)
    result = lake.audit(settings)
    page = Path(result["report"]).read_text(encoding="utf-8")
    found = [html.unescape(text) for text in re.findall(r'whole list"><bdi>(.*?)</bdi>', page, re.DOTALL)]
    command, *queries = found  # in the order of the page
    assert command.startswith("spark-ml-audit compare --out ")
    to_add, to_remove, classes, issues, pairs, *_ = [rows_of_query(lake, query) for query in queries]
    cells = lake.rows(result, "tag_issues")
    for listed, issue in ((to_add, "missing"), (to_remove, "extraneous")):
        assert len(listed) == sum(cell["issue"] == issue for cell in cells) > 0
    assert len(classes) == len(lake.rows(result, "classes"))
    rows = sorted(lake.rows(result, "issues"), key=lambda row: row["issue_rank"])
    assert [row[1] for row in issues] == [row["issue_rank"] for row in rows]
    counted: dict[tuple[str, str], int] = {}
    for row in rows:
        for cell in ((missing, given) for missing in row["missing_tags"] for given in row["given_tags"]):
            counted[cell] = counted.get(cell, 0) + 1
    assert {row[:2]: row[2] for row in pairs} == counted
    assert [pair[2] for pair in payload_of(page)["pairs"]] == [row[2] for row in pairs][:100]
