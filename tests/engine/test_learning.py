"""What decisions teach: models, which learn decided cells, and the order of the flags that are left."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spark_ml_audit import predict
from spark_ml_audit.kernels.learned_order import DecidedCells, LearnedOrder, averaged, fit_order
from tests.lake import Lake

TAGS = ("sea", "wood", "war")
ROWS = 500
NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)
DECISIONS = (
    "id string, tag string, verdict string, who string, when timestamp, kind string, decision_id string, "
    "bulk_id string, undoes string"
)


# ---- the order ---------------------------------------------------------------------------------------


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
def test_both_engines_learn_the_same(house, source, decided):
    found = []
    for lake in (house, replace(house, kind="embedded", written=500)):
        place = {"source.decisions": house.path("out/decisions")}
        result = lake.audit(settings(lake, source, f"by-{lake.kind}", **place))
        (row,) = lake.records(result["tables"]["runs"], result["run_id"])
        cells = [(r["id"], r["tag"], r["order_score"]) for r in lake.rows(result, "tag_issues")]
        found.append((row["decisions"], cells, result["to_add"], result["to_remove"]))
    assert found[0] == found[1]


# ---- models ------------------------------------------------------------------------------------------

SCHEMA = "id string, text string, author string, labels array<string>"
WORDS = {
    "sea": ["wave", "salt", "harbour"],
    "wood": ["tree", "leaf", "root"],
    "war": ["tank", "siege", "army"],
}


def text_rows(num_rows: int = 240) -> list[tuple[str, str, str, list[str]]]:
    """Rows whose words are their tags'; of those with a boat nobody gave `sea`."""
    rng = np.random.default_rng(3)
    rows = []
    for i in range(num_rows):
        tags = [tag for tag in TAGS if rng.random() < 0.4]
        words = [str(rng.choice(WORDS[tag])) for tag in tags for _ in range(2)] + ["the", "old"]
        if i % 6 == 0:
            words, tags = [*words, "boat"], [tag for tag in tags if tag != "sea"]
        rows.append((f"r{i:03}", " ".join(words), f"author-{i % 40}", tags))
    return rows


def decision(row: str, tag: str | None, verdict: str, *, kind: str = "single") -> tuple[Any, ...]:
    return (row, tag, verdict, "ann", NOW, kind, f"{row}-{tag}-{verdict}", None, None)


Predicted = Callable[..., dict[str, tuple[int, bytes, np.ndarray]]]


@pytest.fixture(scope="module")
def texts(house: Lake) -> str:
    return house.write(house.frame(text_rows(), SCHEMA))


@pytest.fixture(scope="module")
def by_id(house: Lake, texts: str) -> Predicted:
    """Predictions of the texts with some decisions: id -> fold, bits and values of the probabilities."""

    def run(
        decisions: Sequence[tuple[Any, ...]] = (), **more: object
    ) -> dict[str, tuple[int, bytes, np.ndarray]]:
        place = house.write(house.frame(list(decisions), DECISIONS)) if decisions else None
        outcome = house.run(
            "predict",
            {
                "source.path": texts,
                "source.features": {"text": ["text"]},
                "source.group": "author",
                "source.decisions": place,
                "model.kind": "linear",
                "model.folds": 3,
                **more,
            },
        )
        assert outcome.exit_code == 0, outcome.json
        found = {
            row["id"]: (
                row["fold"],
                np.array(row["pred_probs"], np.float32).tobytes(),
                np.array(row["pred_probs"]),
            )
            for row in house.records(outcome.json["tables"]["predictions"])
        }
        run.told = outcome.json  # type: ignore[attr-defined]
        return found

    return run


@pytest.fixture(scope="module")
def plain(by_id: Predicted) -> dict[str, tuple[int, bytes, np.ndarray]]:
    return by_id()


def test_decided_cells_are_learned_in_the_place_of_given_tags(house, by_id, plain):
    assert by_id.told["num_corrected_cells"] is None
    boats = [row[0] for row in text_rows() if "boat" in row[1]]
    said = [decision(row, "sea", "present") for row in boats[::2]]
    # what people say as it is given, of a row that is not there, and not sure is no correction
    same = [row[0] for row in text_rows() if "sea" in row[3]][:3]
    said += [decision(row, "sea", "present") for row in same]
    said += [decision("nobody", "sea", "present"), decision(boats[1], "sea", "unsure")]
    found = by_id(said)
    assert by_id.told["num_corrected_cells"] == len(boats[::2])
    assert by_id.told["num_excluded_rows"] == 0
    sea = sorted(TAGS).index("sea")
    gains = [found[row][2][sea] - plain[row][2][sea] for row in boats[1::2]]
    assert np.mean(gains) > 0.1  # rows with a boat that nobody decided
    (row,) = house.records(by_id.told["tables"]["prediction_runs"])
    assert (row["num_corrected_cells"], row["num_excluded_rows"]) == (len(boats[::2]), 0)
    given = {row["id"]: row["labels"] for row in house.records(by_id.told["tables"]["predictions"])}
    assert given == {row[0]: row[3] for row in text_rows()}  # tags stay as they were given


@pytest.mark.parametrize("verdict", ["present", "exclude"])
def test_no_row_of_a_decided_rows_fold_is_predicted_by_a_model_that_saw_the_decision(by_id, plain, verdict):
    row, author = next((row[0], row[2]) for row in text_rows() if "war" not in row[3])
    said = decision(row, "war", verdict) if verdict == "present" else decision(row, None, verdict, kind="row")
    found = by_id([said])
    numbers = by_id.told["num_corrected_cells"], by_id.told["num_excluded_rows"]
    assert numbers == ((1, 0) if verdict == "present" else (0, 1))
    assert len(found) == len(plain)  # an excluded row is predicted all the same
    fold = plain[row][0]
    copies = [other[0] for other in text_rows() if other[2] == author]
    assert {plain[other][0] for other in copies} == {fold}
    unseen = [other for other in plain if plain[other][0] == fold]
    assert all(found[other][:2] == plain[other][:2] for other in unseen)
    assert any(found[other][1] != plain[other][1] for other in plain.keys() - set(unseen))


def test_unsure_verdicts_and_taken_back_ones_change_nothing(by_id, plain):
    undone = decision("r001", "war", "absent")
    undo = (None, None, None, "ann", NOW, "undo", "undo-1", None, undone[6])
    found = by_id([decision("r000", "sea", "unsure"), undone, undo])
    assert by_id.told["num_corrected_cells"] == 0
    assert {row: value[:2] for row, value in found.items()} == {
        row: value[:2] for row, value in plain.items()
    }


def test_an_audit_that_predicts_learns_the_same(house, texts, by_id, plain):
    boats = [row[0] for row in text_rows() if "boat" in row[1]]
    said = [decision(row, "sea", "present") for row in boats]
    expected = by_id(said)
    place = house.write(house.frame(said, DECISIONS))
    result = house.audit(
        source__path=texts,
        source__pred_probs=None,
        source__features={"text": ["text"]},
        source__group="author",
        source__decisions=place,
        model={"kind": "linear", "folds": 3},
    )
    assert result["decisions"]["num_corrected_cells"] == len(boats)
    output = result["tables"]["runs"].rpartition("/")[0]
    bits = {
        row["id"]: np.array(row["pred_probs"], np.float32).tobytes()
        for row in house.records(f"{output}/predictions")
    }
    assert bits == {row: value[1] for row, value in expected.items()}


def test_a_final_model_learns_decisions_before_flags(house, by_id):
    """What an audit suggests comes second: people have looked."""
    boats = [row[0] for row in text_rows() if "boat" in row[1]]
    said = [decision(row, "sea", "present") for row in boats]
    by_id(said, **{"model.fit_final": True, "model.final_labels": "corrected"})
    told = by_id.told
    assert told["model_uri"]
    assert told["num_corrected_cells"] == len(boats)


def test_python_takes_a_table_of_decisions(house, plain):
    boats = [row[0] for row in text_rows() if "boat" in row[1]]
    said = [decision(row, "sea", "present") for row in boats[::2]]
    table = house.frame(text_rows(), SCHEMA)
    found = house.call(
        predict,
        table,
        text="text",
        group="author",
        kind="linear",
        folds=3,
        decisions=house.frame(said, DECISIONS),
    )
    assert found.num_corrected_cells == len(boats[::2])
    sea = sorted(TAGS).index("sea")
    values = {row["id"]: row["pred_probs"][sea] for row in found.to_arrow().to_pylist()}
    assert np.mean([values[row] - plain[row][2][sea] for row in boats[1::2]]) > 0.1


@pytest.mark.parametrize(
    ("more", "key", "said"),
    [
        ({"source.decisions": "./nowhere/decisions"}, "source.decisions", "no"),
        ({"source.decisions": "nowhere decisions"}, "source.decisions", "neither a path nor a table"),
        ({"model.uri": "models:/tags/1", "model.kind": "auto"}, "source.decisions", "learns nothing"),
        ({"source.row_numbers": True}, "source.decisions", "named by numbers"),
    ],
)
def test_decisions_that_cannot_be_learned_are_refused(house, texts, more, key, said):
    place = house.write(house.frame([decision("r000", "sea", "present")], DECISIONS))
    chosen = {"source.path": texts, "source.decisions": place, "model.kind": "linear", **more}
    error = house.refuse(chosen, command="predict")
    assert error["key"] == key
    assert said in error["message"]


def test_a_table_of_which_all_rows_are_excluded_teaches_nothing(house, texts):
    said = [decision(row[0], None, "exclude", kind="row") for row in text_rows()]
    place = house.write(house.frame(said, DECISIONS))
    error = house.refuse({"source.path": texts, "source.decisions": place}, command="predict")
    assert error["key"] == "source.decisions"
    assert "excluded all 240 rows" in error["message"]
