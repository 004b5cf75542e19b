"""`sample --how next`: rows without tags, chosen, judged, corrected and audited again."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.lake import Lake

TAGS = ("rare", "common", "other")
SCHEMA = "id bigint, labels array<string>, pred_probs array<double>, text string"
WORDS = ("ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "rowan", "yew")
ROWS, LABELLED = 240, 120


def made_rows(labels: Callable[[list[str]], Any] = list) -> list[tuple[Any, ...]]:
    """Half of the rows without tags; of these, each text occurs twice."""
    rng = np.random.default_rng(2)
    truth = rng.random((ROWS, 3)) < [0.1, 0.6, 0.3]
    probs = np.clip(np.where(truth, 0.8, 0.15) + rng.normal(size=truth.shape) * 0.12, 0.01, 0.99)
    rows: list[tuple[Any, ...]] = []
    words = rng.choice(WORDS, 5)
    for i in range(ROWS):
        words = rng.choice(WORDS, 5) if i < LABELLED or i % 2 == 0 else words
        tags = labels([TAGS[k] for k in np.flatnonzero(truth[i])]) if i < LABELLED else None
        rows.append((i, tags, probs[i].tolist(), " ".join(words)))
    return rows


def audited(lake: Lake, rows: list[tuple[Any, ...]], schema: str = SCHEMA, **settings: Any) -> str:
    source = lake.write(lake.frame(rows, schema, TAGS), files=3)
    return str(lake.audit({"source.path": source, **settings})["tables"]["runs"].rpartition("/")[0])


def draw(lake: Lake, out: str, **options: Any) -> dict[str, Any]:
    named = {f"sample__{name}": value for name, value in {"how": "next", **options}.items()}
    drawn = lake.run("sample", output__path=out, **named)
    assert drawn.exit_code == 0, drawn.json
    return drawn.json


def cells_of(lake: Lake, out: str, drawn: dict[str, Any]) -> list[dict[str, Any]]:
    own = [row for row in lake.records(f"{out}/review_sample") if row["sample_id"] == drawn["sample_id"]]
    return sorted(own, key=lambda row: (row["position"], row["position_in_row"]))


def judge(path: str, says: Callable[[dict[str, str]], str]) -> None:
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = [{**row, "verdict": says(row)} for row in csv.DictReader(file)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def test_rows_without_tags_are_drawn_judged_and_get_their_tags(house: Lake, tmp_path) -> None:
    rows = made_rows()
    out = audited(house, rows, **{"output.path": house.path("whole")})
    sheet = str(tmp_path / "next.csv")
    drawn = draw(house, out, size=30, csv=sheet, show=["text"])
    cells = cells_of(house, out, drawn)
    ids = list(dict.fromkeys(row["id"] for row in cells))
    assert len(ids) == drawn["num_rows"] == 30
    assert all(LABELLED <= i < ROWS for i in ids)
    texts = [rows[i][3] for i in ids]
    assert len(set(texts)) == 30, "two copies in one batch, though enough others were there"
    assert {row["stratum_size"] for row in cells} == {ROWS - LABELLED}
    assert sum(item["num_drawn"] for item in drawn["strata"]) == 30
    assert drawn["strata"][-1]["name"] == "at random"
    assert drawn["strata"][-1]["num_drawn"] == 6
    assert any("text" in note for note in drawn["notes"])
    # whoever labels is not told what the model thinks
    with open(sheet, encoding="utf-8-sig", newline="") as file:
        assert {"issue", "pred_prob"}.isdisjoint(csv.DictReader(file).fieldnames or ())

    last = ids[-1]
    judge(
        sheet, lambda row: "" if int(row["id"]) == last else "absent" if row["tag"] == "other" else "present"
    )
    decided = house.run("decide", output__path=out, decide__file=sheet, decide__who="ann").json
    assert decided["rejected"] == {}
    assert decided["num_imported"] == sum(row["id"] != last for row in cells)
    assert " correct " in decided["next_command"]

    corrected = house.run("correct", output__path=out).json
    labels = {row["id"]: row["labels"] for row in house.records(corrected["target"])}
    for i, tags, _, _ in rows:
        judged = i in ids and i != last
        asked = {row["tag"] for row in cells if row["id"] == i}
        wanted = [tag for tag in TAGS if tag in asked and tag != "other"] if judged else tags
        assert (labels[i] or None) == (wanted or None), (i, asked)

    again = draw(house, out, size=30)
    assert again["sample_id"] != drawn["sample_id"]
    fresh = {row["id"] for row in cells_of(house, out, again)}
    assert fresh.isdisjoint(set(ids) - {last})
    assert draw(house, out, size=30)["already_finished"]
    assert draw(house, out, size=30, seed=5)["sample_id"] != again["sample_id"]


@pytest.mark.parametrize(
    ("labels", "kind", "more"),
    [
        pytest.param(lambda tags: [float(t in tags) for t in TAGS], "array<double>", {}, id="multi_hot"),
        pytest.param(",".join, "string", {}, id="delimited"),
    ],
)
def test_labels_that_are_given_keep_the_format(house: Lake, tmp_path, labels, kind, more) -> None:
    schema = SCHEMA.replace("array<string>", kind)
    out = audited(house, made_rows(labels), schema, **{"output.path": house.path(f"out-{kind[0]}"), **more})
    sheet = str(tmp_path / "next.csv")
    cells = cells_of(house, out, draw(house, out, per_class=2, csv=sheet))
    assert len({row["id"] for row in cells}) == 8  # two for each of three classes, and a fifth of all
    judge(sheet, lambda row: "present")
    house.run("decide", output__path=out, decide__file=sheet)
    corrected = house.run("correct", output__path=out, correct__mode="merge").json
    found = {row["id"]: row["labels"] for row in house.records(corrected["target"])}
    for i in {row["id"] for row in cells}:
        asked = {row["tag"] for row in cells if row["id"] == i}
        wanted = labels([tag for tag in TAGS if tag in asked])
        assert found[i] == wanted, (found[i], wanted)
    undone = house.run("correct", output__path=out, correct__undo=corrected["correction_id"]).json
    assert undone["num_rows_changed"] == 8
    back = {row["id"]: row["labels"] for row in house.records(corrected["target"])}
    assert back == {row[0]: row[1] for row in made_rows(labels)}


def test_what_cannot_be_drawn_is_refused_with_a_way_out(house: Lake) -> None:
    out = audited(house, made_rows()[:LABELLED], **{"output.path": house.path("labelled")})
    error = house.refuse(command="sample", output__path=out, sample__how="next")
    assert error["key"] == "sample.how"
    assert "no row without tags" in error["message"]
    error = house.refuse(command="sample", output__path=out, sample__per_class=3)
    assert error["key"] == "sample.per_class"


def test_without_a_column_to_compare_by_it_is_said(house: Lake) -> None:
    rows = [row[:3] for row in made_rows()]
    out = audited(house, rows, SCHEMA.rpartition(",")[0], **{"output.path": house.path("bare")})
    drawn = draw(house, out, size=12)
    assert drawn["num_rows"] == 12
    assert any(note.startswith("Novelty was not looked at") for note in drawn["notes"])
    # more rows than there are
    assert draw(house, out, size=500)["num_rows"] == ROWS - LABELLED


def test_stored_vectors_of_the_run_say_what_is_new(house: Lake) -> None:
    rows = [(i, tags, text) for i, tags, _, text in made_rows()]
    settings = {
        "source.pred_probs": None,
        "source.classes": list(TAGS),
        "model": {"encoder": "tests.encoders:words", "folds": 2},
        "output.path": house.path("encoded"),
    }
    source = house.write(house.frame(rows, "id bigint, labels array<string>, text string"))
    house.audit({"source.path": source, **settings})
    drawn = draw(house, settings["output.path"], size=20)
    assert any("stored vectors of text" in note for note in drawn["notes"]), drawn["notes"]
    cells = cells_of(house, settings["output.path"], drawn)
    assert len({rows[i][2] for i in {row["id"] for row in cells}}) == drawn["num_rows"] == 20


@pytest.mark.spark
@pytest.mark.matrix
def test_both_engines_choose_the_same_rows(lake: Lake) -> None:
    source = lake.write(lake.frame(made_rows(), SCHEMA, TAGS), files=3)
    found = []
    for own in (lake, replace(lake, kind="embedded", written=100)):
        result = own.audit({"source.path": source, "output.path": own.path(f"of-{own.kind}")})
        out = result["tables"]["runs"].rpartition("/")[0]
        cells = cells_of(own, out, draw(own, out, size=25))
        found.append(
            [{k: v for k, v in row.items() if k not in ("run_id", "sample_id", "drawn_at")} for row in cells]
        )
    assert len(found[0]) > 25
    assert found[0] == found[1]
