"""Several reviewers, and bulk acceptance: from samples to corrections, by the command line and in Python."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spark_ml_audit import correct, decide, review, sample
from spark_ml_audit.config import OutputConfig
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.lake.output import OutputTables
from spark_ml_audit.lake.runs import find_run
from spark_ml_audit.reviewing.certified import accept_certified, certify_flags, undo_accept
from spark_ml_audit.reviewing.decision_table import Decision, append_decisions, undo_decision
from tests.lake import Lake

TAGS = ("rare", "common")
ROWS = 1200
WRONG = 300
"""Rows from which the tag `common` was taken: flagged as missing, all rightly."""


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.random.default_rng(0).random((ROWS, 2)) < [0.2, 0.6]


@pytest.fixture(scope="module")
def audited(house: Lake, truth: np.ndarray) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    given = truth.copy()
    given[np.flatnonzero(truth[:, 1])[:WRONG], 1] = False
    probs = np.where(truth, 0.97, 0.03) + rng.uniform(-0.02, 0.02, size=truth.shape)
    rows = [
        (i, [TAGS[k] for k in np.flatnonzero(given[i])], probs[i].tolist(), f"text {i}") for i in range(ROWS)
    ]
    schema = "id bigint, labels array<string>, pred_probs array<double>, text string"
    source = house.write(house.frame(rows, schema, TAGS))
    result = house.audit(
        source__path=source, output__path=house.path("out"), audit__filter_by="predicted_neq_given"
    )
    assert result["num_missing_tags"] == WRONG, result
    return result


@pytest.fixture
def out(house: Lake, audited: dict[str, Any], tmp_path: Path) -> str:
    """A copy of the output, of the test's own."""
    import shutil

    own = str(tmp_path / "own")
    shutil.copytree(house.path("out"), own)
    return own


def read_csv(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def judge(path: str, says: Callable[[dict[str, str]], str], **more: str) -> str:
    rows = [{**row, "verdict": says(row), **more} for row in read_csv(path)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def right(truth: np.ndarray) -> Callable[[dict[str, str]], str]:
    return lambda row: "present" if truth[int(row["id"]), TAGS.index(row["tag"])] else "absent"


CERTIFY = {"how": "certify", "tag": "common", "direction": "missing"}


def test_a_certified_acceptance_is_recorded_corrected_and_undone_as_one(
    house: Lake, out: str, truth: np.ndarray, tmp_path: Path
) -> None:
    to_judge = str(tmp_path / "certify.csv")
    drawn = house.call(sample, out, size=60, csv=to_judge, **CERTIFY)
    assert drawn.num_cells == 60
    assert any("blind decisions" in note for note in drawn.notes)
    rows = read_csv(to_judge)
    assert {"issue", "pred_prob"} & set(rows[0]) == set()  # blind
    told = house.call(decide, judge(to_judge, right(truth)), out, who="ann")
    assert (told.num_imported, told.rejected) == (60, {})
    found = house.call(review, out)
    assert found.sample_id is None
    (proof,) = found.certified
    assert (proof.tag, proof.direction, proof.num_judged, proof.num_right) == ("common", "missing", 60, 60)
    assert proof.num_cells == proof.num_flagged == proof.num_open + 60
    done = house.call(
        correct, out, accept_certified=0.9, who="ann", decisions=False, to=str(tmp_path / "corrected")
    )
    assert [(item.tag, item.direction, item.num_accepted) for item in done.accepted] == [
        ("common", "missing", proof.num_open)
    ]
    assert done.num_tags_added == proof.num_open
    rows = house.records(f"{out}/decisions")
    assert sum(row["kind"] == "bulk" for row in rows) == proof.num_open
    assert {row["bulk_id"] for row in rows if row["kind"] == "bulk"} == {done.bulk_id}
    reasons = {row["reason"] for row in house.records(f"{out}/corrections")}
    assert reasons == {"certified"}
    # a retry of it changes nothing; the evidence stays evidence
    again = house.call(
        correct, out, accept_certified=0.9, who="ann", decisions=False, to=str(tmp_path / "corrected"),
        correction_id=done.correction_id,
    )  # fmt: skip
    assert again.already_finished
    assert house.call(review, out).certified[0].num_open == 0
    undone = house.call(decide, None, out, undo=done.bulk_id, who="bob")
    assert (undone.undone, undone.already_finished) == (done.bulk_id, False)
    assert house.call(review, out).certified == found.certified
    assert house.call(decide, None, out, undo=done.bulk_id).already_finished


def test_undoing_a_correction_takes_its_acceptance_back(
    house: Lake, out: str, truth: np.ndarray, tmp_path: Path
) -> None:
    to_judge = str(tmp_path / "certify.csv")
    house.call(sample, out, size=80, csv=to_judge, **CERTIFY)
    house.call(decide, judge(to_judge, right(truth)), out, who="ann")
    copy = str(tmp_path / "corrected")
    done = house.call(correct, out, accept_certified=0.9, to=copy)
    assert done.num_tags_added == house.call(review, out).certified[0].num_flagged
    house.call(correct, out, undo=done.correction_id)
    later = house.call(correct, out, to=copy)
    assert later.num_tags_added == 80  # those that ann judged, and no other


def test_what_proves_nothing_is_not_accepted(
    house: Lake, out: str, truth: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no blind random decisions"):
        house.call(correct, out, accept_certified=0.9, decisions=False)
    # a list is no random sample, however good it is
    listed = str(tmp_path / "listed.csv")
    house.call(sample, out, how="additions", size=100, csv=listed)
    house.call(decide, judge(listed, right(truth)), out, who="ann")
    with pytest.raises(ConfigError, match="no blind random decisions"):
        house.call(correct, out, accept_certified=0.9, decisions=False)
    # those that were left out count as wrong
    to_judge = str(tmp_path / "certify.csv")
    house.call(sample, out, size=80, csv=to_judge, **CERTIFY)
    says = right(truth)
    skipping = iter(range(80))
    house.call(
        decide, judge(to_judge, lambda row: "" if next(skipping) % 8 == 0 else says(row)), out, who="ann"
    )
    (proof,) = house.call(review, out).certified
    assert proof.accept_above is None
    assert (proof.num_judged, proof.num_right) == (80, 70)
    # and are drawn again, without those that were judged
    drawn = house.call(sample, out, size=80, csv=str(tmp_path / "more.csv"), **CERTIFY)
    assert drawn.num_cells == 80
    house.call(decide, judge(str(tmp_path / "more.csv"), says), out, who="ann")
    (proof,) = house.call(review, out).certified
    assert proof.num_judged == proof.num_right == 150
    assert proof.accept_above is not None


def test_samples_put_aside_for_others_count_to_their_end(
    house: Lake, out: str, truth: np.ndarray, tmp_path: Path
) -> None:
    says = right(truth)
    unanswered = str(tmp_path / "unanswered.csv")
    house.call(sample, out, size=60, csv=unanswered, **CERTIFY)
    better = str(tmp_path / "better.csv")
    house.call(sample, out, size=55, csv=better, above=0.9, **CERTIFY)
    house.call(decide, judge(better, says), out, who="ann")
    (proof,) = house.call(review, out).certified
    both = {(row["id"], row["tag"]) for row in (*read_csv(unanswered), *read_csv(better))}
    assert (proof.num_judged, proof.num_right) == (len(both), 55)
    assert proof.accept_above is None or proof.accept_above >= 0.9
    # once it is answered it counts as it was answered
    house.call(decide, judge(unanswered, says), out, who="ann")
    (proof,) = house.call(review, out).certified
    assert (proof.num_judged, proof.num_right) == (len(both), len(both))
    assert proof.accept_above is not None


def test_functions_for_the_page_do_the_same(
    house: Lake, out: str, truth: np.ndarray, tmp_path: Path, engine: Any
) -> None:
    to_judge = str(tmp_path / "certify.csv")
    house.call(sample, out, size=60, csv=to_judge, above=0.9, **CERTIFY)
    house.call(decide, judge(to_judge, right(truth)), out, who="ann")
    tables = OutputTables(engine, OutputConfig(path=out))
    run = find_run(tables, None, "run")
    (proof,) = certify_flags(tables, run, bound=0.9)
    assert (proof.accept_above or 0) >= 0.9
    assert accept_certified(tables, run, "b1", bound=0.9, direction="extraneous") == ()
    assert accept_certified(tables, run, "b1", bound=0.9, who="ann") == (proof,)
    assert accept_certified(tables, run, "b1", bound=0.9, who="ann") == ()
    bulk = [row for row in house.records(f"{out}/decisions") if row["bulk_id"] == "b1"]
    assert len(bulk) == proof.num_open
    assert {(row["verdict"], row["who"], row["run_id"]) for row in bulk} == {("present", "ann", run.run_id)}
    assert undo_accept(tables, run, "b1", "bob").num_appended == 1
    assert certify_flags(tables, run, bound=0.9) == (proof,)


def test_reviewers_share_rows_agree_and_have_disputes_settled(
    house: Lake, out: str, truth: np.ndarray, tmp_path: Path
) -> None:
    base = str(tmp_path / "judge.csv")
    people = ["ann", "bob lee", "cem"]
    drawn = house.call(sample, out, how="random", size=200, csv=base, reviewers=people, overlap=0.5)
    assert list(drawn.files) == people
    assert drawn.csv is None
    cells = {name: {(row["id"], row["tag"]) for row in read_csv(path)} for name, path in drawn.files.items()}
    everything = set().union(*cells.values())
    assert len(everything) == drawn.num_cells
    shares = [sum(cell in own for own in cells.values()) for cell in everything]
    assert set(shares) == {1, 2}
    assert 0.35 < np.mean(np.array(shares) == 2) < 0.65
    says = right(truth)
    other = {"present": "absent", "absent": "present"}
    house.call(decide, judge(drawn.files["ann"], says), out, who="ann")
    house.call(decide, judge(drawn.files["cem"], says), out, who="cem")
    odd = iter(range(1000))
    told = house.call(
        decide,
        judge(drawn.files["bob lee"], lambda row: other[says(row)] if next(odd) % 4 == 0 else says(row)),
        out,
        who="bob",
    )
    assert told.num_imported == len(cells["bob lee"])
    found = house.call(review, out)
    overall, *by_class = found.agreement
    assert overall.tag is None
    assert {item.tag for item in by_class} <= set(TAGS)
    assert (
        overall.num_cells == sum(share == 2 for share in shares) == sum(item.num_cells for item in by_class)
    )
    assert overall.percent is not None
    assert overall.percent == pytest.approx(1 - found.num_disputed / overall.num_cells)
    assert found.num_disputed
    settle = str(tmp_path / "settle.csv")
    disputed = house.call(sample, out, how="disputed", csv=settle)
    assert disputed.num_cells == found.num_disputed
    assert all("bob: " in row["said"] and ";" in row["said"] for row in read_csv(settle))
    house.call(decide, judge(settle, says), out, who="dee", kind="adjudicated")
    settled = house.call(review, out)
    assert settled.num_disputed == 0
    assert settled.agreement == found.agreement  # they have not come to agree
    with pytest.raises(ConfigError, match="on which people differ"):
        house.call(sample, out, how="disputed")


def test_decisions_are_filed_under_the_run_whose_sample_they_answer(
    house: Lake, truth: np.ndarray, tmp_path: Path
) -> None:
    out = str(tmp_path / "twice")
    first = house.audit(source__path=_source(house, truth, 300), output__path=out)
    judged = str(tmp_path / "first.csv")
    house.call(sample, out, how="random", size=40, csv=judged)
    second = house.audit(source__path=_source(house, truth, 200), output__path=out)
    # ids of rows that only the first run knows are known all the same
    told = house.call(decide, judge(judged, right(truth)), out, who="ann")
    assert (told.num_imported, told.rejected, told.run_id) == (40, {}, first["run_id"])
    assert {row["run_id"] for row in house.records(f"{out}/decisions")} == {first["run_id"]}
    later = str(tmp_path / "second.csv")
    house.call(sample, out, how="random", size=40, csv=later)
    told = house.call(decide, judge(later, right(truth)), out, who="ann")
    assert told.run_id == second["run_id"]


def _source(house: Lake, truth: np.ndarray, rows: int) -> str:
    probs = np.where(truth, 0.9, 0.1)
    own = [(i, [TAGS[k] for k in np.flatnonzero(truth[i])], probs[i].tolist()) for i in range(rows)]
    return house.write(house.frame(own, "id bigint, labels array<string>, pred_probs array<double>", TAGS))


def test_what_was_exported_is_imported_once(house: Lake, out: str, truth: np.ndarray, tmp_path: Path) -> None:
    judged = str(tmp_path / "judged.csv")
    house.call(sample, out, how="random", size=30, csv=judged)
    house.call(decide, judge(judged, right(truth)), out, who="ann")
    # the table itself, as from another place
    told = house.call(decide, f"{out}/decisions", out)
    assert (told.num_read, told.num_imported, told.num_known) == (30, 0, 30)
    compacted = house.call(decide, None, out, compact=True)
    assert compacted.num_files_fewer is not None


def test_rows_that_people_exclude_are_left_out_of_the_copy(
    house: Lake, out: str, truth: np.ndarray, tmp_path: Path, engine: Any
) -> None:
    tables = OutputTables(engine, OutputConfig(path=out))
    run = find_run(tables, None, "run")
    wrong = [int(number) for number in np.flatnonzero(truth[:, 1])[:3]]
    sent = [Decision(number, "common", "present", "ann") for number in wrong]
    sent += [Decision(number, None, "exclude", "ann", kind="row") for number in (wrong[0], 1100, 1101)]
    append_decisions(tables, run, sent)
    undo_decision(tables, run, sent[-1].decision_id, "ann")
    done = house.call(correct, out, to=str(tmp_path / "copy"))
    assert (done.num_excluded, done.num_tags_added) == (2, 2)
    left = {row["id"] for row in house.records(str(tmp_path / "copy"))}
    assert set(range(ROWS)) - left == {wrong[0], 1100}
    again = house.call(correct, out, to=str(tmp_path / "copy"), correction_id=done.correction_id)
    assert (again.already_finished, again.num_excluded) == (True, 2)


def test_bad_settings_are_refused(house: Lake, audited: dict[str, Any]) -> None:
    out = {"output.path": house.path("out")}
    for command, settings, key, said in (
        ("sample", {"sample.how": "certify"}, "sample.tag", "is not given"),
        ("sample", {"sample.tag": "common"}, "sample.tag", "only a sample to certify by"),
        (
            "sample",
            {"sample.how": "certify", "sample.tag": "none", "sample.direction": "missing"},
            "sample.tag",
            "is no class",
        ),
        ("sample", {"sample.reviewers": ["a", "b"]}, "sample.reviewers", "sample.csv is not"),
        ("sample", {"sample.overlap": 0.2}, "sample.overlap", "fewer than two"),
        ("decide", {}, "decide.file", "not given"),
        ("decide", {"decide.undo": "x", "decide.compact": True}, "decide.compact", "together"),
        ("decide", {"decide.undo": "x"}, "decide.undo", "no decision or bulk acceptance"),
        ("correct", {"correct.accept_certified": 1.0}, "correct.accept_certified", "found 1"),
        (
            "correct",
            {"correct.accept_certified": 0.9, "correct.decisions": "./x"},
            "correct.accept_certified",
            "another table",
        ),
    ):
        error = house.refuse(out | settings, command=command)
        assert error["key"] == key, error
        assert said in error["message"], error
