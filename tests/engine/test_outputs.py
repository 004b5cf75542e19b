"""Where commands write when nobody says so, which output later ones go by, `runs` and `open`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from spark_ml_audit.cli.last_output import NOTE
from tests.command_line import Done, run_here
from tests.datasets import make_dataset
from tests.lake import Lake


def run(lake: Lake, *words: str, expect: int = 0) -> Done:
    with lake.chosen():
        done = run_here(*words)
    assert done.returncode == expect, (words, done.stdout, done.stderr)
    return done


def told(lake: Lake, *words: str, expect: int = 0) -> dict[str, Any]:
    """What a command prints as JSON."""
    return dict(
        json.loads(run(lake, *words, "--json", "--quiet", "--engine", lake.kind, expect=expect).stdout)
    )


@pytest.fixture
def source(lake: Lake) -> str:
    """A Delta table `tags` in the working folder."""
    lake.write(lake.dataset_frame(make_dataset(3, "plain", "float32")), to=str(Path("data/tags").absolute()))
    return "data/tags"


def audit(lake: Lake, *words: str) -> dict[str, Any]:
    return told(lake, "audit", *words, "--set", f"tracking.uri={lake.tracking_uri}")


def test_without_an_output_it_goes_to_a_folder_named_like_the_source(lake: Lake, source: str) -> None:
    done = run(lake, "check", source, "--engine", lake.kind)
    assert "no output is given: ./audits/tags (--out names another folder)" in done.stderr
    place = str(Path("audits/tags/examples").absolute())
    assert place in done.stdout
    assert not Path("audits").exists()
    assert audit(lake, source)["tables"]["examples"] == place
    # what a config says goes before
    Path("c.yml").write_text(f"source: {{path: {source}}}\noutput: {{path: there}}\n", encoding="utf-8")
    assert audit(lake, "--config", "c.yml")["tables"]["examples"] == str(Path("there/examples").absolute())
    Path("c.yml").write_text(f"source: {{path: {source}}}\noutput: {{orphan_after: 2h}}\n", encoding="utf-8")
    assert audit(lake, "--config", "c.yml")["tables"]["examples"] == place


def test_later_commands_go_by_the_last_audit_and_say_so(lake: Lake, source: str) -> None:
    audit(lake, source)
    last = audit(lake, source, "--out", "elsewhere/out")["run_id"]
    done = run(lake, "sample", "--csv", "look.csv", "--engine", lake.kind)
    said = f"no output is given: elsewhere/out, that of the last audit in this folder, run {last}"
    assert said in done.stderr
    assert "decide --out elsewhere/out --file look.csv" in done.stdout
    assert Path("elsewhere/out/review_sample").is_dir()
    found = told(lake, "runs")
    assert found["last_output"] == {"path": "elsewhere/out"}
    assert [listed["run_id"] for listed in found["runs"]] == [last]
    assert "last_output" not in told(lake, "runs", "--out", "audits/tags")
    # a config may name the output too
    Path("c.yml").write_text("output: {path: audits/tags}\n", encoding="utf-8")
    assert told(lake, "trend", "--config", "c.yml")["report"].startswith(str(Path("audits").absolute()))


def test_without_a_note_the_newest_of_the_outputs_is_taken(lake: Lake, source: str) -> None:
    audit(lake, source)
    Path(NOTE).unlink()
    assert told(lake, "runs")["last_output"] == {"path": "audits/tags"}
    Path(NOTE).write_text("{not json", encoding="utf-8")
    assert told(lake, "runs")["last_output"] == {"path": "audits/tags"}


def test_a_folder_that_refuses_the_note_breaks_no_audit(lake: Lake, source: str) -> None:
    Path(NOTE).mkdir()
    assert audit(lake, source)["status"] == "ok"
    assert told(lake, "runs")["last_output"] == {"path": "audits/tags"}


def test_a_failed_gate_is_a_run_like_others(lake: Lake, source: str) -> None:
    first = audit(lake, source)["run_id"]
    told(lake, "audit", source, "--set", "gate.min_rows=100000", "--set", "report.enabled=false",
         "--set", f"tracking.uri={lake.tracking_uri}", expect=3)  # fmt: skip
    listed = told(lake, "runs")
    newest, oldest = listed["runs"]
    assert (listed["num_runs"], listed["run_id"]) == (2, newest["run_id"])
    assert newest["run_id"] > oldest["run_id"] == first
    assert [newest["gate_status"], oldest["gate_status"]] == ["failed", "passed"]
    assert [gate["name"] for gate in newest["gates"] if not gate["passed"]] == ["min_rows"]
    assert newest["report"] is None
    assert Path(oldest["report"]).is_file()
    for key in ("started_at", "source", "num_rows", "num_label_issues", "health", "mlflow_run_id"):
        assert newest[key] is not None
    assert told(lake, "runs", "--last", "1")["runs"] == [newest]
    lines = run(lake, "runs", "--quiet", "--engine", lake.kind).stdout.splitlines()
    assert lines[0] == "2 of 2 runs, newest first"
    rows = [line.split() for line in lines if line.strip().startswith("2")][1:]
    assert [row[0] for row in rows] == [newest["run_id"], oldest["run_id"]]
    assert [row[-2:] for row in rows] == [["failed", "no"], ["passed", "yes"]]
    # the newest run has no report: that of the one before is opened, and it is said
    found = told(lake, "open", "--no-browser")
    assert (found["run_id"], found["report"], found["opened"]) == (first, oldest["report"], False)
    assert newest["run_id"] in found["warnings"][0]
    error = told(lake, "open", "--run", newest["run_id"], expect=2)["error"]
    assert error["key"] == "open.run"
    assert first in error["fix"]
    error = told(lake, "open", "--run", "20260131t180000z-0a1b2c3d", expect=2)["error"]
    assert "no finished run" in error["message"]


def test_the_report_is_opened_in_the_browser(
    lake: Lake, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = audit(lake, source)["report"]
    browser = tmp_path / "browser"
    browser.write_text(
        f"#!{sys.executable}\nimport sys\nopen('shown', 'w').write(sys.argv[1])\n", encoding="utf-8"
    )
    browser.chmod(0o755)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    done = run(lake, "open", "--quiet", "--engine", lake.kind)
    if sys.platform == "linux":
        assert done.stdout.splitlines()[0] == report
        assert "was not opened" in done.stdout
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    # webbrowser looks at the variable once per process
    monkeypatch.setattr("webbrowser._tryorder", None)
    found = told(lake, "open")
    assert (found["report"], found["opened"]) == (report, True)
    assert Path("shown").read_text(encoding="utf-8") == Path(report).as_uri()


def test_an_output_without_runs_is_refused(lake: Lake) -> None:
    for command in ("runs", "open"):
        error = told(lake, command, "--out", "nowhere", expect=2)["error"]
        assert "does not exist" in error["message"]
    error = told(lake, "open", expect=2)["error"]
    assert (error["key"], error["message"]) == ("output.path", "no output is given.")
