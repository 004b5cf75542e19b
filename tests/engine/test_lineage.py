"""An audit of a corrected copy continues the audit that was corrected, in any output, through any command."""

from __future__ import annotations

import csv
from dataclasses import dataclass
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
