"""An audit of a corrected copy continues the audit that was corrected, in any output, through any command."""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable

from spark_ml_audit.lake.lineage import CONTINUES_PROPERTY, read_origins
from tests.command_line import run_here
from tests.lake import Lake

TAGS = ("drama", "comedy", "western")
NUM_ROWS = 300


@dataclass(frozen=True)
class Corrected:
    """An audited source, its reviewed sample, and the copy that follows from the verdicts.

    Attributes:
        source: Path of the source.
        output: Of its audit.
        audit: What the audit printed.
        review: What the review printed.
        correction: What the correction printed.
        num_judged_errors: Sampled cells that are wrong, all of them judged so.
    """

    source: str
    output: str
    audit: dict[str, Any]
    review: dict[str, Any]
    correction: dict[str, Any]
    num_judged_errors: int

    @property
    def copy(self) -> str:
        return str(self.correction["target"])


def printed(lake: Lake, command: str, **keys: object) -> dict[str, Any]:
    outcome = lake.run(command, **keys)
    assert outcome.exit_code == 0, (outcome.json, outcome.stderr)
    return outcome.json


def judged(lake: Lake, output: str, truth: dict[str, set[str]], file: str) -> int:
    """Judge a random sample by the truth, and import the verdicts; how many cells are wrong."""
    printed(lake, "sample", output__path=output, sample__how="random", sample__size=120, sample__csv=file)
    with Path(file).open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    wrong = 0
    for row in rows:
        is_there = row["tag"] in truth[row["id"]]
        row["verdict"] = "present" if is_there else "absent"
        wrong += is_there != (row["given"] == "given")
    with Path(file).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    printed(lake, "decide", output__path=output, decide__file=file)
    return wrong


@pytest.fixture(scope="module")
def corrected(house: Lake) -> Corrected:
    rng = np.random.default_rng(5)
    true = rng.random((NUM_ROWS, 3)) < 0.4
    given = true ^ (rng.random(true.shape) < 0.1)
    probs = np.clip(np.where(true, 0.8, 0.2) + rng.normal(size=true.shape) * 0.15, 0.001, 0.999)
    names = np.array(TAGS)
    rows = [(f"r{i:03}", names[given[i]].tolist(), probs[i].tolist()) for i in range(NUM_ROWS)]
    source = house.write(house.frame(rows, "id string, labels array<string>, pred_probs array<double>", TAGS))
    output = house.path("first")
    result = house.audit(source__path=source, output__path=output, report__enabled=True)
    truth = {f"r{i:03}": set(names[true[i]].tolist()) for i in range(NUM_ROWS)}
    wrong = judged(house, output, truth, house.path("sample.csv"))
    review = printed(house, "review", output__path=output)
    correction = printed(house, "correct", output__path=output)
    assert correction["num_rows_changed"] > 5
    return Corrected(source, output, result, review, correction, wrong)


@pytest.fixture(scope="module")
def continued(house: Lake, corrected: Corrected) -> dict[str, Any]:
    """The audit of the copy, into the same output."""
    return house.audit(source__path=corrected.copy, output__path=corrected.output, report__enabled=True)


@pytest.mark.matrix
def test_the_copy_says_what_it_was_made_from(corrected: Corrected) -> None:
    (origin,) = read_origins(DeltaTable(corrected.copy).metadata().configuration[CONTINUES_PROPERTY])
    assert origin.to_dict() == {
        "source": corrected.source,
        "source_version": corrected.audit["source_version"],
        "run_id": corrected.audit["run_id"],
        "correction_id": corrected.correction["correction_id"],
        "output": {"path": corrected.output},
    }


@pytest.mark.matrix
def test_an_audit_of_the_copy_shows_what_the_correction_did(
    house: Lake, corrected: Corrected, continued: dict[str, Any]
) -> None:
    since = continued["since_last_run"]
    assert since["against"]["run_id"] == corrected.audit["run_id"]
    assert since["cells"]["fixed"] > 0
    assert continued["num_label_issues"] < corrected.audit["num_label_issues"]
    assert [origin["run_id"] for origin in continued["continues"]] == [corrected.audit["run_id"]]

    compared = printed(house, "compare", output__path=corrected.output)
    assert (compared["run_id"], compared["against_run_id"]) == (
        continued["run_id"],
        corrected.audit["run_id"],
    )
    counts = compared["cell_reasons"]["fixed"]
    # what people changed is fixed because its tags changed; nothing came or went
    assert counts["tags_changed"] > 0
    assert (compared["rows_came"], compared["rows_went"]) == (0, 0)
    assert compared["cells"] == since["cells"]

    trend = printed(house, "trend", output__path=corrected.output, trend__log=False)
    assert [run["run_id"] for run in trend["runs"]] == [corrected.audit["run_id"], continued["run_id"]]
    assert trend["num_runs"] == 2


@pytest.mark.matrix
def test_into_another_output_it_is_the_same(
    house: Lake, corrected: Corrected, continued: dict[str, Any]
) -> None:
    output = house.path("second")
    other = house.audit(source__path=corrected.copy, output__path=output)
    assert other["since_last_run"]["cells"] == continued["since_last_run"]["cells"]
    assert other["since_last_run"]["against"]["run_id"] == corrected.audit["run_id"]
    compared = printed(house, "compare", output__path=output)
    here = printed(house, "compare", output__path=corrected.output)
    for name in ("cells", "rows", "cell_reasons", "row_reasons", "rows_came"):
        assert compared[name] == here[name]
    named = printed(house, "compare", output__path=output, compare__against=corrected.audit["run_id"])
    assert named["already_finished"]
    trend = printed(house, "trend", output__path=output, trend__log=False)
    assert [run["run_id"] for run in trend["runs"]] == [corrected.audit["run_id"], other["run_id"]]
    # the next audit follows that one
    again = house.audit(source__path=corrected.copy, output__path=output)
    assert again["since_last_run"]["against"]["run_id"] == other["run_id"]
    assert again["since_last_run"]["cells"]["fixed"] == again["since_last_run"]["cells"]["newly_flagged"] == 0


def estimates(result: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(item["quantity"], item["direction"]): item for item in result["estimates"]}


@pytest.mark.matrix
def test_precision_carries_over_and_what_was_put_right_is_taken_off(
    house: Lake, corrected: Corrected, continued: dict[str, Any]
) -> None:
    output = house.path("reviewed elsewhere")
    house.audit(source__path=corrected.copy, output__path=output)
    before = estimates(corrected.review)
    for place in (corrected.output, output):
        carried = printed(house, "review", output__path=place)
        if place == corrected.output:
            assert carried["run_id"] == continued["run_id"]
        assert carried["sampled_run_id"] == corrected.audit["run_id"]
        assert carried["mlflow_run_id"] is not None
        found = estimates(carried)
        for direction in ("missing", "extraneous"):
            assert found["precision", direction] == before["precision", direction]
        # every cell of the sample that was wrong is right now
        left = before["num_errors", "both"]["estimate"] - corrected.num_judged_errors
        assert found["num_errors", "both"]["estimate"] == pytest.approx(left)
        assert not [name for name in found if name[0] == "recall"]
    # of the first audit itself nothing has changed
    again = printed(house, "review", output__path=corrected.output, review__run=corrected.audit["run_id"])
    assert again["estimates"] == corrected.review["estimates"]
    assert again["sampled_run_id"] == again["run_id"]


def test_the_report_and_the_summary_say_what_is_continued(
    house: Lake, corrected: Corrected, continued: dict[str, Any]
) -> None:
    page = Path(continued["report"]).read_text(encoding="utf-8")
    assert "A corrected copy: continues" in page
    assert f"run <code>{corrected.audit['run_id']}</code>" in page
    arguments = house.arguments("audit", {"source.path": corrected.copy, "output.path": house.path("shown")})
    text = run_here(*[part for part in arguments if part != "--json"]).stdout
    assert f"continues {corrected.source} (run {corrected.audit['run_id']}, correction " in text
    assert f"Since run {corrected.audit['run_id']} of {corrected.source}, which this one continues" in text


def test_a_copy_of_a_copy_goes_on_from_both(house: Lake, corrected: Corrected) -> None:
    output = house.path("chain")
    second = house.audit(source__path=corrected.copy, output__path=output)
    to = house.path("copy of the copy")
    printed(house, "correct", output__path=output, correct__accept_above=0.9, correct__to=to)
    third = house.audit(source__path=to, output__path=house.path("end of the chain"))
    assert [origin["run_id"] for origin in third["continues"]] == [
        second["run_id"],
        corrected.audit["run_id"],
    ]
    assert third["since_last_run"]["against"]["run_id"] == second["run_id"]
    place = house.path("end of the chain")
    trend = printed(house, "trend", output__path=place, trend__log=False)
    assert [run["run_id"] for run in trend["runs"]] == [
        corrected.audit["run_id"],
        second["run_id"],
        third["run_id"],
    ]
    first = printed(house, "compare", output__path=place, compare__against=corrected.audit["run_id"])
    assert first["cells"]["fixed"] >= third["since_last_run"]["cells"]["fixed"]
    # what was changed without a verdict is told of
    carried = printed(house, "review", output__path=place)
    assert any("without a verdict" in warning for warning in carried["warnings"])


def test_a_copy_that_is_made_anew_follows_its_newest_audit(house: Lake, corrected: Corrected) -> None:
    source, output, to = house.path("anew"), house.path("anew-out"), house.path("anew-copy")
    house.write(house.table(corrected.source), to=source)
    runs = []
    for limit in (0.95, 0.8):
        runs.append(house.audit(source__path=source, output__path=output))
        printed(house, "correct", output__path=output, correct__accept_above=limit, correct__to=to)
        runs.append(house.audit(source__path=to, output__path=output))
    against = [(run["since_last_run"] or {}).get("against", {}).get("run_id") for run in runs]
    ids = [run["run_id"] for run in runs]
    # original, its copy; the original again, the copy made anew from that
    assert against == [None, ids[0], ids[0], ids[2]]


def test_where_the_first_output_is_gone_the_audit_goes_on_and_says_so(
    house: Lake, corrected: Corrected
) -> None:
    copy = house.path("orphan")
    house.write(house.table(corrected.copy), to=copy)
    (origin,) = read_origins(DeltaTable(corrected.copy).metadata().configuration[CONTINUES_PROPERTY])
    gone = f'[{{"source": "a", "source_version": null, "run_id": "{origin.run_id}", '
    gone += f'"correction_id": "{origin.correction_id}", "output": {{"path": "{house.path("gone")}"}}}}]'
    house.set_properties(copy, {CONTINUES_PROPERTY: gone})
    result = house.audit(source__path=copy, output__path=house.path("orphan-out"))
    assert result["since_last_run"] is None
    assert any("was not found in" in warning for warning in result["warnings"])
    # nobody follows a property to a remote store, or reads one that nobody of ours wrote
    for text in (
        gone.replace(house.path("gone"), "s3://elsewhere/audits"),
        "[1]",
        "{",
        '[{"run_id": "../x"}]',
    ):
        house.set_properties(copy, {CONTINUES_PROPERTY: text})
        assert house.audit(source__path=copy)["since_last_run"] is None


def test_secrets_in_the_place_of_an_output_are_not_recorded() -> None:
    from spark_ml_audit.config import OutputConfig
    from spark_ml_audit.lake.lineage import place_of_output

    place = place_of_output(OutputConfig(path="https://ann:s3cret@lake.example.com/audits?sig=abcdef"))
    assert "s3cret" not in str(place)
    assert "abcdef" not in str(place)


def test_the_report_of_another_output_shows_what_reviewers_found(house: Lake, corrected: Corrected) -> None:
    result = house.audit(source__path=corrected.copy, output__path=house.path("found"), report__enabled=True)
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert "What reviewers found" in page
    assert corrected.review["sample_id"] in page
    assert "This run continues that one" in page


def test_outputs_whose_runs_say_nothing_of_it_go_on(house: Lake, corrected: Corrected) -> None:
    output = house.path("older")
    first = house.audit(source__path=corrected.source, output__path=output)
    runs = house.table(f"{output}/runs").drop_columns(["continues"])
    shutil.rmtree(f"{output}/runs")
    house.write(runs, to=f"{output}/runs")
    for command in ("trend", "sample"):
        printed(house, command, output__path=output)
    second = house.audit(source__path=corrected.copy, output__path=output)
    assert second["since_last_run"]["against"]["run_id"] == corrected.audit["run_id"]
    third = house.audit(source__path=corrected.source, output__path=output)
    assert third["since_last_run"]["against"]["run_id"] == first["run_id"]
    assert third["continues"] == []


@pytest.mark.spark
@pytest.mark.matrix
def test_what_one_engine_corrected_the_other_one_continues(lake: Lake) -> None:
    rng = np.random.default_rng(8)
    names, true = np.array(TAGS), rng.random((90, 3)) < 0.4
    given = true ^ (rng.random(true.shape) < 0.1)
    probs = np.where(true, 0.9, 0.1) + rng.normal(size=true.shape) * 0.02
    rows = [(i, names[given[i]].tolist(), probs[i].tolist()) for i in range(90)]
    source = lake.write(lake.frame(rows, "id long, labels array<string>, pred_probs array<double>", TAGS))
    found = []
    both = (replace(lake, kind="spark", written=100), replace(lake, kind="embedded", written=200))
    for first, second in (both, both[::-1]):
        output = first.path(f"by {first.kind}")
        before = first.audit(source__path=source, output__path=output)
        copy = printed(first, "correct", output__path=output, correct__accept_above=0.8)["target"]
        after = second.audit(source__path=copy, output__path=second.path(f"after {first.kind}"))
        assert after["since_last_run"]["against"]["run_id"] == before["run_id"]
        found.append({name: after["since_last_run"][name] for name in ("rows", "cells")})
    assert found[0] == found[1]
    assert found[0]["cells"]["fixed"] > 0
