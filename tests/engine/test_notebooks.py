"""Every notebook as it lies there: in Databricks' source format, and run from top to bottom."""

from __future__ import annotations

import importlib.util
import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from tests.paths import PROJECT

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.py"))
# small, and large enough that what the text says still shows
ROWS = {"1": 500, "2": 700, "3": 400, "4": 900, "5": 600, "6": 400, "7": 600}


def cells(path: Path) -> list[str]:
    first, *rest = path.read_text(encoding="utf-8").split("\n\n# COMMAND ----------\n\n")
    assert first.startswith("# Databricks notebook source\n# MAGIC %md\n# MAGIC # ")
    return [first.split("\n", 1)[1], *rest]


def run(path: Path, monkeypatch: pytest.MonkeyPatch, tracking_uri: str, folder: Path) -> dict[str, Any]:
    monkeypatch.setenv("NOTEBOOK_ROWS", str(ROWS[path.name[0]]))
    monkeypatch.setenv("NOTEBOOK_FOLDER", str(folder / "tables"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    return runpy.run_path(str(path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_one_for_databricks(path: Path) -> None:
    for cell in cells(path):
        lines = cell.strip().splitlines()
        magic = [line.startswith("# MAGIC") for line in lines]
        assert all(magic) or not any(magic), cell
        if magic[0]:
            assert re.match(r"# MAGIC %(md|pip install spark-ml-audit)\b", lines[0])
        else:
            compile(cell, path.name, "exec")


def test_there_are_seven_notebooks() -> None:
    assert [path.name[0] for path in NOTEBOOKS] == list(ROWS)


@pytest.mark.usefixtures("engine")  # an open session makes them run by Spark
class TestRuns:
    @pytest.fixture
    def ran(
        self,
        request: pytest.FixtureRequest,
        monkeypatch: pytest.MonkeyPatch,
        tracking_uri: str,
        tmp_path: Path,
    ) -> dict[str, Any]:
        number = request.node.name.split("_")[1]
        if number == "7" and importlib.util.find_spec("torch") is None:
            pytest.skip("torch is not installed: networks on images need the extra torch")
        path = next(path for path in NOTEBOOKS if path.name.startswith(number))
        return run(path, monkeypatch, tracking_uri, tmp_path)

    def test_1_first_audit(self, ran: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
        assert ran["result"].summary.num_rows == 500
        assert ran["counts"]["proved"] > 0
        assert set(ran["tables"]) >= {"examples", "tag_issues", "classes", "quarantine", "runs"}
        assert all(Path(where).is_dir() for where in ran["tables"].values())

    @pytest.mark.long
    def test_2_a_better_model(self, ran: dict[str, Any]) -> None:
        assert ran["corrected"].num_tags_added > 20
        assert ran["after"] > ran["before"] + 0.01

    @pytest.mark.long
    def test_3_a_monitored_table(self, ran: dict[str, Any], tmp_path: Path) -> None:
        # exit statuses are asserted in the notebook itself
        found = ran["place"].rows_of(ran["difference"].cells)
        new = found[(found["tag"] == "login") & (found["reason"] == "tags_changed")]
        assert len(new) > 20
        assert (tmp_path / "tables/audit/reports/trend.html").stat().st_size > 1000

    def test_4_embeddings(self, ran: dict[str, Any]) -> None:
        assert ran["precision"] > 0.4  # 0.03 of the tags were flipped
        assert ran["recall"] > 0.6

    def test_5_survey_answers(self, ran: dict[str, Any]) -> None:
        by_chance = len(ran["flags"]) * len(ran["planted"]) / ran["truth"].size
        assert len(ran["flags"] & ran["planted"]) > 4 * by_chance

    def test_6_your_own_data(self, ran: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
        results = ran["results"]
        assert len(results) == 11
        # the same rows, whatever holds them; the forest's probabilities went through texts unchanged
        same = {name: result for name, result in results.items() if name != "predicted"}
        assert len({str(result.summary) for result in same.values()}) == 1
        flips = int((ran["given"] != ran["truth"]).sum())
        flagged = results["DataFrame"].to_pandas("tag_issues")
        flipped = {
            (f"scan-{row:04}", ran["tags"][k])
            for row, k in zip(*(ran["given"] != ran["truth"]).nonzero(), strict=True)
        }
        found = flipped & set(zip(flagged["scan"], flagged["tag"], strict=True))
        assert len(found) > 0.5 * flips
        assert results["predicted"].summary.num_audited == 400
        assert (Path(ran["folder"]) / "report.html").is_file()
        assert len(list((Path(ran["folder"]) / "audit/reports").glob("*.html"))) == 1

    @pytest.mark.long
    def test_7_images(self, ran: dict[str, Any]) -> None:
        assert ran["precision"] > 0.5  # 0.04 of the tags are wrong
        assert ran["recall"] > 0.5
        assert ran["ranking"] > 2 * ran["careless"].mean()
        assert ran["left"] < ran["wrong"].sum() / 2
        assert ran["after"] > ran["before"]
