"""`source.annotator`: noise by who gave the tags, told and in a table; no feature of any model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.command_line import run_here
from tests.lake import Lake

TAGS = ("x", "y", "z")
ROWS = 400


@pytest.fixture(scope="module")
def source(house: Lake) -> str:
    rng = np.random.default_rng(4)
    truth = rng.random((ROWS, 3)) < 0.4
    people = [("ann", "bob", "cem")[i % 3] for i in range(ROWS)]
    # bob is careless
    given = truth ^ ((rng.random(truth.shape) < 0.2) & (np.array(people) == "bob")[:, None])
    probs = np.where(truth, 0.9, 0.1) + rng.uniform(-0.05, 0.05, size=truth.shape)
    rows = [
        (f"r{i:03}", [TAGS[k] for k in np.flatnonzero(given[i])], probs[i].tolist(), people[i], 0.5)
        for i in range(ROWS)
    ]
    schema = "id string, labels array<string>, pred_probs array<double>, who string, number double"
    return house.write(house.frame(rows, schema, TAGS))


def expected(house: Lake, result: dict[str, Any], source: str) -> dict[str, tuple[int, ...]]:
    who = {row["id"]: row["who"] for row in house.records(source)}
    found: dict[str, list[int]] = {}
    for row in house.rows(result, "examples"):
        counts = found.setdefault(who[row["id"]], [0, 0, 0, 0])
        lengths = (1, len(row["given_tags"]), len(row["extraneous_tags"]), len(row["missing_tags"]))
        for place, number in enumerate(lengths):
            counts[place] += number
    return {name: tuple(counts) for name, counts in found.items()}


def test_noise_by_annotator_is_told_and_kept(house: Lake, source: str) -> None:
    out = house.path("out")
    result = house.audit(source__path=source, source__annotator="who", output__path=out)
    told = result["annotators"]
    assert told[0]["annotator"] == "bob"
    counts = ("num_rows", "num_given", "num_extraneous", "num_missing")
    assert {row["annotator"]: tuple(row[name] for name in counts) for row in told} == expected(
        house, result, source
    )
    (bob,) = [row for row in house.rows(result, "annotators") if row["annotator"] == "bob"]
    assert bob["extraneous_share"] == pytest.approx(bob["num_extraneous"] / bob["num_given"])
    assert (bob["num_judged"], bob["wrong_share"]) == (0, None)
    # a retry tells the same
    again = house.audit(
        source__path=source, source__annotator="who", output__path=out, output__run_id=result["run_id"]
    )
    assert again["annotators"] == told


def test_verdicts_stand_beside(house: Lake, source: str) -> None:
    out = house.path("judged")
    first = house.audit(source__path=source, source__annotator="who", output__path=out)
    cells = house.rows(first, "tag_issues")[:20]
    says = {"missing": "present", "extraneous": "absent"}
    lines = [f"{cell['id']},{cell['tag']},{says[cell['issue']]}" for cell in cells]
    with open(house.path("judged.csv"), "w", encoding="utf-8") as file:
        file.write("\n".join(["id,tag,verdict", *lines]))
    assert house.run("decide", {"output.path": out, "decide.file": house.path("judged.csv")}).exit_code == 0
    told = house.audit(source__path=source, source__annotator="who", output__path=out)["annotators"]
    assert sum(row["num_judged"] for row in told) == 20
    assert all(row["num_wrong"] == row["num_judged"] for row in told)


def test_the_summary_has_a_table_of_annotators(house: Lake, source: str) -> None:
    arguments = house.arguments("audit", {"source.path": source, "source.annotator": "who"})
    done = run_here(*[item for item in arguments if item != "--json"])
    assert done.returncode == 0, done.stderr
    assert "flags by annotator" in done.stdout


def test_what_names_nobody_is_refused(house: Lake, source: str) -> None:
    for name, said in (("number", "names nobody"), ("nobody", "no column 'nobody'")):
        for command in ("audit", "check"):
            error = house.refuse(
                {"source.path": source, "source.annotator": name, "output.path": house.path("no")},
                command=command,
            )
            assert error["key"] == "source.annotator"
            assert said in error["message"]


def test_an_annotator_is_no_feature(house: Lake) -> None:
    rng = np.random.default_rng(5)
    rows = []
    for i in range(300):
        tag = TAGS[i % 3]
        words = ("sun", "rain", "snow")[int(rng.random() < 0.3) * int(rng.integers(3)) or i % 3]
        rows.append((f"r{i:03}", [tag], f"{words} and {rng.integers(50)} more", f"handle {i % 3}"))
    schema = "id string, labels array<string>, body string, handle string"
    source = house.write(house.frame(rows, schema, None))
    settings = {"source.path": source, "source.pred_probs": None, "model.kind": "auto", "model.folds": 2}
    told = house.run("check", {**settings, "output.path": house.path("check"), "source.annotator": "handle"})
    assert told.exit_code == 0, told.stderr
    named = [name for names in told.json["features"].values() for name in names]
    assert "handle" not in named
    error = house.refuse(
        {
            **settings,
            "source.annotator": "handle",
            "source.features": {"categorical": ["handle"]},
            "output.path": house.path("no"),
        },
        command="check",
    )
    assert "source.annotator names too" in error["message"]
