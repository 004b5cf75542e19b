"""Models learn decided cells in the place of given tags; no row is predicted by one that saw its decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest

from spark_ml_audit import predict
from spark_ml_audit.predicting.corrected_tags import corrected
from spark_ml_audit.predicting.predictions import predicted_ingest
from spark_ml_audit.predicting.quality import out_of_fold
from spark_ml_audit.predicting.training import FINAL, training_rows
from tests.lake import Lake

TAGS = ("sea", "wood", "war")
NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)
DECISIONS = (
    "id string, tag string, verdict string, who string, when timestamp, kind string, decision_id string, "
    "bulk_id string, undoes string"
)
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


def test_a_final_model_learns_decisions_before_flags(house):
    """What an audit suggests comes second: people have looked."""
    boats = {row[0] for row in text_rows() if "boat" in row[1]}
    said = [decision(row, "sea", "absent") for row in boats] + [decision("r001", None, "exclude", kind="row")]
    about = {"text": "text", "kind": "linear", "folds": 3, "decisions": house.frame(said, DECISIONS)}
    found = house.call(predict, house.frame(text_rows(), SCHEMA), **about)
    training = found._plan.training
    predictions = predicted_ingest(found._plan.ingest, found._predictions)
    changed = corrected(training, predictions, out_of_fold(predictions).profile, max_rows=10_000)
    assert changed.num_added > 0
    flagged = replace(changed.training, ingest=replace(changed.training.ingest, marks=None))
    by_flags, by_people = (
        training.ingest.engine.collect(training_rows(item, [FINAL])).to_pylist()
        for item in (flagged, changed.training)
    )
    assert (len(by_flags), len(by_people)) == (len(text_rows()), len(text_rows()) - 1)
    sea = sorted(TAGS).index("sea")

    def boats_with_sea(rows: list[dict[str, Any]]) -> int:
        return sum("boat" in row["features"]["text"] and sea in row["tags"] for row in rows)

    assert boats_with_sea(by_flags) > 0
    assert boats_with_sea(by_people) == 0


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


@pytest.mark.spark
@pytest.mark.matrix
def test_both_engines_learn_decided_cells(lake, texts, house):
    said = [decision(row[0], "sea", "present") for row in text_rows() if "boat" in row[1]]
    said.append(decision("r001", None, "exclude", kind="row"))
    place, found = house.write(house.frame(said, DECISIONS)), []
    for by in (lake, replace(lake, kind="embedded", written=500)):
        outcome = by.run(
            "predict",
            {
                "source.path": texts,
                "source.features": {"text": ["text"]},
                "source.decisions": place,
                "model.kind": "linear",
                "model.folds": 3,
            },
        )
        assert outcome.exit_code == 0, outcome.json
        rows = by.records(outcome.json["tables"]["predictions"])
        bits = {row["id"]: np.array(row["pred_probs"], np.float32).tobytes() for row in rows}
        found.append((bits, outcome.json["num_corrected_cells"], outcome.json["num_excluded_rows"]))
    assert found[0] == found[1]
    assert found[0][1:] == (len(said) - 1, 1)


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
