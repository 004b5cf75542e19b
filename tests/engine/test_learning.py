"""The order of the flags that are left learns from decisions; the flags stay."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spark_ml_audit.app.choose import choose_reader
from spark_ml_audit.app.queues import QueueFilter
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.config import ServeConfig, load_as
from spark_ml_audit.kernels.learned_order import DecidedCells, LearnedOrder, averaged, fit_order
from tests.lake import Lake

TAGS = ("sea", "wood", "war")
ROWS = 500


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.random.default_rng(0).random((ROWS, len(TAGS))) < 0.4


@pytest.fixture(scope="module")
def source(house: Lake, truth: np.ndarray) -> str:
    """A model that is sure of `sea` where it does not apply, and unsure of `wood`, which was forgotten.

    The tag `war` was given too often.
    """
    rng = np.random.default_rng(1)
    given = truth.copy()
    given[:, 1] &= rng.random(ROWS) < 0.6
    given[:, 2] |= rng.random(ROWS) < 0.3
    probs = np.where(truth, 0.75, 0.25) + rng.normal(size=truth.shape) * 0.1
    probs[:, 0] = np.where(rng.random(ROWS) < 0.3, 0.97 - probs[:, 0] / 20, probs[:, 0])
    probs = probs.clip(0.01, 0.99)
    rows = [(f"r{i:03}", [TAGS[k] for k in np.flatnonzero(given[i])], probs[i].tolist()) for i in range(ROWS)]
    return house.write(house.frame(rows, "id string, labels array<string>, pred_probs array<double>", TAGS))


def settings(house: Lake, source: str, output: str, **more: object) -> dict[str, object]:
    chosen = {"source.path": source, "output.path": house.path(output)}
    return {**chosen, "audit.filter_by": "predicted_neq_given", **more}


@pytest.fixture(scope="module")
def first(house: Lake, source: str) -> dict[str, Any]:
    return house.audit(settings(house, source, "out"))


def drawn(house: Lake, output: str, how: str, size: int) -> list[dict[str, str]]:
    file = house.path(f"{how}.csv")
    keys = {"sample.how": how, "sample.size": size, "sample.csv": file, "output.path": house.path(output)}
    outcome = house.run("sample", keys)
    assert outcome.exit_code == 0, outcome.json
    with open(file, encoding="utf-8-sig", newline="") as rows:
        return list(csv.DictReader(rows))


def judge(house: Lake, output: str, rows: list[dict[str, str]], truth: np.ndarray) -> None:
    told = [
        {**row, "verdict": "present" if truth[int(row["id"][1:]), TAGS.index(row["tag"])] else "absent"}
        for row in rows
    ]
    file = house.path("judged.csv")
    with open(file, "w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, told[0].keys())
        writer.writeheader()
        writer.writerows(told)
    outcome = house.run(
        "decide", {"decide.file": file, "output.path": house.path(output), "decide.who": "ann"}
    )
    assert outcome.exit_code == 0, outcome.json


@pytest.fixture(scope="module")
def decided(house: Lake, first: dict[str, Any], truth: np.ndarray) -> list[dict[str, str]]:
    """The cells that were judged: 40 at random, 120 from the top of the lists."""
    rows = []
    for how, size in (("random", 40), ("additions", 60), ("removals", 60)):
        found = drawn(house, "out", how, size)
        judge(house, "out", found, truth)
        rows += [{**row, "how": how} for row in found]
    return rows


def fitted(
    house: Lake, decided: list[dict[str, str]], truth: np.ndarray
) -> tuple[DecidedCells, LearnedOrder]:
    """The fit by the kernel alone, of what the samples show."""
    cells = {(row["id"], row["tag"]): row for row in house.records(house.path("out/review_sample"))}
    named = sorted({(row["id"], row["tag"]) for row in decided})
    random = {(row["id"], row["tag"]) for row in decided if row["how"] == "random"}
    rows = [cells[key] for key in named]
    at = [(int(i[1:]), TAGS.index(tag)) for i, tag in named]
    found = DecidedCells(
        np.array([row["pred_prob"] for row in rows]),
        np.array([row["given"] for row in rows]),
        np.array([k for _, k in at]),
        np.array([truth[place] for place in at]),
        np.array([key in random for key in named]),
    )
    return found, fit_order(found)


@pytest.fixture(scope="module")
def second(house: Lake, source: str, decided: list[dict[str, str]]) -> dict[str, Any]:
    return house.audit(
        settings(
            house, source, "out", **{"source.decisions": house.path("out/decisions"), "report.enabled": True}
        )
    )


def test_the_run_tells_and_keeps_what_its_order_learned(house, first, second, decided, truth):
    cells, fit = fitted(house, decided, truth)
    assert first["decisions"] is None
    told = second["decisions"]["order"]
    assert told["is_learned"]
    assert (told["num_decisions"], told["num_random"]) == (len(cells), cells.num_random)
    assert 0 < cells.num_random == 40 < len(cells)
    assert told["sentence"] in Path(second["report"]).read_text()
    (row,) = house.records(house.path("out/runs"), second["run_id"])
    kept = json.loads(row["decisions"])
    assert LearnedOrder.from_dict(kept["fit"]) == fit
    assert len(kept["fit"]["classes"]) <= 2 * len(TAGS)
    assert kept["num_corrected_cells"] is None  # nothing was predicted


def test_flags_stay_and_have_a_score_to_be_ordered_by(house, first, second, decided, truth):
    _, fit = fitted(house, decided, truth)
    before, after = house.rows(first, "tag_issues"), house.rows(second, "tag_issues")
    confirmed = {
        (row["id"], row["tag"])
        for row in decided
        if truth[int(row["id"][1:]), TAGS.index(row["tag"])] == (row["given"] == "given")
    }
    left = {
        (row["id"], row["tag"], row["issue"]) for row in before if (row["id"], row["tag"]) not in confirmed
    }
    assert {(row["id"], row["tag"], row["issue"]) for row in after} == left
    assert all(row.get("order_score") is None for row in before)
    for row in after:
        given = row["issue"] == "extraneous"
        doubt = 1 - row["pred_prob"] if given else row["pred_prob"]
        at = np.array([row["pred_prob"]]), np.array([given]), np.array([TAGS.index(row["tag"])])
        assert row["order_score"] == averaged(doubt, fit.wrong(*at)[0])
    # quality scores and the ranks of rows are what they were
    scores = {row["id"]: row["label_quality_score"] for row in house.rows(first, "examples")}
    assert {row["id"]: row["label_quality_score"] for row in house.rows(second, "examples")} == scores


def test_samples_follow_decisions_at_once(house, first, decided, truth):
    """The list of the first run, whose audit knew no decisions."""
    _, fit = fitted(house, decided, truth)
    known = {(row["id"], row["tag"]) for row in decided}
    rows = [row for row in house.rows(first, "tag_issues") if row["issue"] == "missing"]
    rows = [row for row in rows if (row["id"], row["tag"]) not in known]
    found = drawn(house, "out", "additions", 30)
    order = [(row["id"], row["tag"]) for row in found]
    assert not known & set(order)
    for tag in TAGS:  # of one class and side the order is that of p, whatever was learned
        own = [
            row["id"]
            for row in sorted(rows, key=lambda row: (-row["pred_prob"], row["id"]))
            if row["tag"] == tag
        ]
        listed = [i for i, name in order if name == tag]
        assert listed == own[: len(listed)]
    # the model is sure of `sea` and wrong; without decisions it would lead the list
    sure = sorted(rows, key=lambda row: -row["pred_prob"])[:10]
    assert {row["tag"] for row in sure} == {"sea"}
    assert fit.classes[TAGS.index("sea"), False] < fit.classes[TAGS.index("wood"), False]
    assert order[0][1] != "sea"


def test_the_page_has_the_same_order_at_once(house, first, decided, truth):
    _, fit = fitted(house, decided, truth)
    wanted = [f"output.path={house.path('out')}", f"serve.run={first['run_id']}", "engine.kind=embedded"]
    config = load_as(ServeConfig, None, wanted)
    session = ReviewSession(choose_reader(config)[0], config.serve)
    items = session.queue(QueueFilter(view="cell", order="surest", state="all"), "ann").items
    index = session.index
    probs, missing = index.pred_prob[items.places].astype(float), index.missing[items.places]
    scores = averaged(np.where(missing, probs, 1 - probs), fit.wrong(probs, ~missing, items.classes))
    assert len(scores) == first["num_missing_tags"] + first["num_extraneous_tags"]
    assert (np.diff(scores) < 1e-5).all()  # the index has probabilities in single precision
    worst = session.queue(QueueFilter(view="cell", state="all"), "ann").items
    assert worst.rows.tolist() == sorted(worst.rows.tolist())  # rows by rank stay as they are


def test_another_output_learns_from_the_runs_beside_the_decisions(house, source, second):
    place = house.path("out/decisions")
    other = house.audit(settings(house, source, "elsewhere", **{"source.decisions": place}))
    assert other["decisions"] == second["decisions"]
    again = house.audit(
        settings(house, source, "elsewhere", **{"source.decisions": place, "output.run_id": other["run_id"]})
    )
    assert again["already_finished"]
    assert again["decisions"] == other["decisions"]
    assert (again["to_add"], again["to_remove"]) == (other["to_add"], other["to_remove"])
    # its samples have no decisions of their own, and follow what the run learned
    order = [(row["id"], row["tag"]) for row in drawn(house, "elsewhere", "additions", 5)]
    assert order == [(row["id"], row["tag"]) for row in other["to_add"][:5]]


def test_too_few_decisions_and_too_few_random_ones_leave_the_order(house, source, truth):
    house.audit(settings(house, source, "few"))
    decisions = {"source.decisions": house.path("few/decisions")}
    judge(house, "few", drawn(house, "few", "additions", 20), truth)
    judge(house, "few", drawn(house, "few", "removals", 90), truth)
    found = house.audit(settings(house, source, "few", **decisions))
    told = found["decisions"]["order"]
    assert not told["is_learned"]
    assert told["num_random"] == 0
    assert f"0 of {told['num_decisions']} answer random samples" in told["sentence"]
    assert all(row.get("order_score") is None for row in house.rows(found, "tag_issues"))


@pytest.mark.spark
@pytest.mark.matrix
def test_both_engines_learn_the_same(lake, house, source, decided):
    found = []
    for by in (lake, replace(lake, kind="embedded", written=500)):
        chosen = settings(by, source, f"by-{by.kind}", **{"source.decisions": house.path("out/decisions")})
        result = by.audit(chosen)
        (row,) = by.records(result["tables"]["runs"], result["run_id"])
        cells = [(r["id"], r["tag"], r["order_score"]) for r in by.rows(result, "tag_issues")]
        assert json.loads(row["decisions"])["fit"] is not None
        found.append((row["decisions"], cells, result["to_add"], result["to_remove"]))
    assert found[0] == found[1]
