"""Sample, decide, review and the next audit: one audit of a table whose truth is known, many assertions."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from spark_ml_audit import correct, decide, review, sample
from spark_ml_audit.errors import ConfigError
from tests.engine.conftest import scan
from tests.lake import Lake

TAGS = ["=b", "plain", "c,d", "+x", "'q"]
ROWS = 300
PRESENT, ABSENT = ("present", "Y", "1", "TRUE", " yes"), ("Absent ", "n", "0", "False", "NO")


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return np.random.default_rng(0).random((ROWS, len(TAGS))) < [0.5, 0.3, 0.2, 0.4, 0.2]


@pytest.fixture(scope="module")
def given(truth: np.ndarray) -> np.ndarray:
    return truth ^ (np.random.default_rng(1).random(truth.shape) < 0.06)


@pytest.fixture(scope="module")
def audited(house: Lake, truth: np.ndarray, given: np.ndarray) -> dict[str, Any]:
    rng = np.random.default_rng(2)
    probs = np.clip(np.where(truth, 0.8, 0.2) + rng.normal(size=truth.shape) * 0.15, 0.001, 0.999)
    rows: list[tuple[Any, ...]] = [
        (f"-{i:03}", [TAGS[k] for k in np.flatnonzero(given[i])], probs[i].tolist(), f"@text {i}")
        for i in range(ROWS)
    ]
    rows += [("unlabelled", None, [0.5] * 5, ""), ("twice", [], [0.5] * 5, ""), ("twice", [], [0.5] * 5, "")]
    schema = "id string, labels array<string>, pred_probs array<double>, text string"
    house.settings = {"output.path": house.path("out")}
    source = house.write(house.frame(rows, schema, TAGS))
    return {"source": source, **house.audit(source__path=source, gate__max_quarantined_fraction=1.0)}


def read_csv(path: str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def plain(value: str) -> str:
    return value[1:] if value[:1] == "'" and value[1:2] in tuple("=+-@'") else value


def answer(rows: list[dict[str, str]], truth: np.ndarray) -> list[dict[str, str]]:
    return [
        {
            **row,
            # as people type it
            "verdict": (
                PRESENT if truth[int(plain(row["id"])[1:]), TAGS.index(plain(row["tag"]))] else ABSENT
            )[place % 5],
        }
        for place, row in enumerate(rows)
    ]


def write_csv(path: str, rows: list[dict[str, str]]) -> str:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def drawn(house: Lake, audited: dict[str, Any]) -> Any:
    csv = house.path("random.csv")
    return house.call(sample, house.path("out"), how="random", size=150, csv=csv, show=["text"])


@pytest.fixture(scope="module")
def imported(house: Lake, drawn: Any, truth: np.ndarray) -> Any:
    rows = answer(read_csv(drawn.csv), truth)
    faulty = [
        {**rows[0], "id": "nobody"},
        {**rows[0], "tag": "no such tag"},
        {**rows[0], "verdict": "perhaps"},
        {**rows[0], "verdict": ""},
    ]
    path = write_csv(house.path("judged.csv"), [*rows, *faulty])
    return house.call(decide, path, house.path("out"), who="ann")


def test_worst_sample_lists_the_flagged_cells_of_the_worst_rows(house, audited):
    outcome = house.run("sample", sample__size=7, sample__csv=house.path("worst.csv"), sample__show=["text"])
    assert outcome.exit_code == 0, outcome.stderr
    worst = {row["id"] for row in house.rows(audited, "issues") if row["issue_rank"] <= 7}
    cells = {(row["id"], row["tag"]) for row in house.rows(audited, "tag_issues") if row["id"] in worst}
    rows = read_csv(house.path("worst.csv"))
    assert {(plain(row["id"]), plain(row["tag"])) for row in rows} == cells
    assert (outcome.json["num_rows"], outcome.json["num_cells"]) == (7, len(cells))
    # nothing that a spreadsheet would run as a formula
    assert all(value[:1] not in tuple("=+-@\t") for row in rows for value in row.values())
    assert {row["text"][:6] for row in rows} == {"'@text"}
    assert {row["issue"] for row in rows} <= {"missing", "extraneous"}


def test_random_sample_is_stratified_and_the_same_every_time(house, audited, drawn):
    assert drawn.num_cells == 150
    sizes = {item.name: item.size for item in drawn.strata}
    assert sizes["flagged missing"] == audited["num_missing_tags"]
    assert sizes["flagged extraneous"] == audited["num_extraneous_tags"]
    assert sum(sizes.values()) == ROWS * len(TAGS)  # neither unlabelled nor quarantined rows
    cells = house.records(house.path("out/review_sample"))
    cells = [row for row in cells if row["sample_id"] == drawn.sample_id]
    assert len(cells) == 150
    for row in cells:
        assert row["inclusion_probability"] == pytest.approx(row["num_drawn"] / sizes[row["stratum"]])
        assert (row["issue"] is not None) == row["stratum"].startswith("flagged")
    # what was flagged is not told to whoever judges
    assert "issue" not in read_csv(drawn.csv)[0]
    again = house.call(sample, house.path("out"), how="random", size=150)
    assert again.already_finished
    assert again.sample_id == drawn.sample_id


def test_draw_does_not_depend_on_layout(house, house_engine, audited):
    from spark_ml_audit.config import SourceConfig
    from spark_ml_audit.frames.ingest import inspect_source
    from spark_ml_audit.reviewing.draw import draw_cells, flagged_marks

    columns = SourceConfig(path=audited["source"], classes=TAGS)
    issues = scan(house_engine, audited["tables"]["tag_issues"], audited["run_id"])
    table = house.table(audited["source"])
    table = table.filter(pc.not_equal(table.column("id"), "twice"))
    found = []
    for files in (1, 5):
        order = np.random.default_rng(files).permutation(table.num_rows)
        ingest = inspect_source(
            house_engine, scan(house_engine, house.write(table.take(order), files=files)), columns
        )
        cells = draw_cells(ingest, flagged_marks(house_engine, issues, "id", TAGS), seed=3, most=9)
        found.append(sorted(tuple(row.values()) for row in cells.to_pylist()))
    assert found[0] == found[1]
    assert max(row[0] for row in found[0]) > 5


def test_decisions_are_imported_once_and_faulty_ones_set_aside(house, drawn, imported):
    assert imported.num_imported == 150
    assert imported.rejected == {"id_unknown": 1, "tag_unknown": 1, "verdict_unknown": 1}
    assert imported.num_blank == 1
    assert imported.refusals[0] == "line 152: id 'nobody' names no audited row"
    assert imported.refusals[1] == "line 153: tag 'no such tag' is no class of the audit"
    assert imported.refusals[2:] == ("line 154: verdict 'perhaps' is no verdict",)
    rejected = house.records(house.path("out/decisions_rejected"))
    assert {json.loads(row["row"])["id"] for row in rejected if row["reason"] == "id_unknown"} == {"nobody"}
    again = house.call(decide, house.path("judged.csv"), house.path("out"), who="ann")
    assert again.already_finished
    decisions = house.records(house.path("out/decisions"))
    assert len(decisions) == 150
    assert {row["who"] for row in decisions} == {"ann"}
    assert {row["sample_id"] for row in decisions} == {drawn.sample_id}
    assert {row["tag"] for row in decisions} == set(TAGS)
    assert {row["verdict"] for row in decisions} == {"present", "absent"}


def test_a_second_worst_sample_leaves_out_what_is_judged(house, audited, imported):
    judged = {(row["id"], row["tag"]) for row in house.records(house.path("out/decisions"))}
    issues = sorted(house.rows(audited, "tag_issues"), key=lambda row: row["issue_rank"])
    left = [row for row in issues if (row["id"], row["tag"]) not in judged]
    assert len(left) < len(issues)
    rows = list(dict.fromkeys(row["id"] for row in left))[:7]
    path = house.path("second.csv")
    second = house.call(sample, house.path("out"), how="worst", size=7, csv=path)
    asked = {(plain(row["id"]), plain(row["tag"])) for row in read_csv(path)}
    assert asked == {(row["id"], row["tag"]) for row in left if row["id"] in rows}
    assert second.num_rows == 7
    # a random sample stays whole, whatever is judged: it is estimated from
    again = house.call(sample, house.path("out"), how="random", size=150, csv=house.path("again.csv"))
    assert again.already_finished
    assert len(read_csv(house.path("again.csv"))) == 150


@pytest.mark.parametrize("form", ["rows", "label_studio", "argilla"])
def test_every_form_goes_out_and_comes_back(house, audited, imported, truth, form, tmp_path):
    options = {"layout": "rows"} if form == "rows" else {"format": form}
    path = str(tmp_path / ("ask.csv" if form == "rows" else "ask.json"))
    drawn = house.call(
        sample,
        house.path("out"),
        how="worst",
        size=9,
        csv=path,
        show=["text"],
        run=audited["run_id"],
        **options,
    )
    cells = [
        row for row in house.records(house.path("out/review_sample")) if row["sample_id"] == drawn.sample_id
    ]
    wanted = {
        (row["id"], row["tag"]): "present" if truth[int(row["id"][1:]), TAGS.index(row["tag"])] else "absent"
        for row in cells
    }
    if form == "rows":
        rows = read_csv(path)
        assert len(rows) == drawn.num_rows == 9
        for row in rows:
            for k in range(1, 6):
                tag = plain(row.get(f"tag_{k}") or "")
                if tag:
                    row[f"verdict_{k}"] = "y" if wanted[plain(row["id"]), tag] == "present" else "n"
        write_csv(path, rows)
    else:
        tasks = json.loads(Path(path).read_text(encoding="ascii"))
        assert len(tasks) == drawn.num_rows == 9
        for task in tasks:
            answer_task(task, form, wanted)
        Path(path).write_text(json.dumps(tasks), encoding="utf-8")
    # without changing the decisions of the output
    told = house.call(decide, path, house.path("out"), to=str(tmp_path / "decided"), who="cem")
    assert (told.num_imported, told.rejected) == (len(cells), {})
    decided = house.records(str(tmp_path / "decided"))
    assert {(row["id"], row["tag"]): row["verdict"] for row in decided} == wanted
    assert {row["sample_id"] for row in decided} == {drawn.sample_id}
    who = {"rows": "cem", "label_studio": "dee@x", "argilla": "u-1"}[form]
    assert {row["who"] for row in decided} == {who}
    assert house.call(
        decide, path, house.path("out"), to=str(tmp_path / "decided"), who="cem"
    ).already_finished


def answer_task(task: dict[str, Any], form: str, wanted: dict[tuple[str, str], str]) -> None:
    """What a person answers in the tool, put in as its export has it."""
    row_id = task["data"]["id"] if form == "label_studio" else task["metadata"]["row_id"]
    assert form != "label_studio" or task["data"]["text"] == f"@text {int(row_id[1:])}"
    chosen = [tag for (own, tag), verdict in wanted.items() if own == row_id and verdict == "present"]
    if form == "label_studio":
        value = {"from_name": "tags", "to_name": "text", "type": "choices", "value": {"choices": chosen}}
        result = [value] if chosen else []
        task["annotations"] = [{"completed_by": {"email": "dee@x"}, "result": result, "was_cancelled": False}]
    else:
        task["responses"] = {"tags": [{"value": chosen or ["none of these"], "user_id": "u-1"}]}


@pytest.mark.matrix
def test_review_estimates_and_puts_them_beside_the_audits_own(
    house, audited, imported, truth, given, tracking_uri
):
    from mlflow import MlflowClient

    found = house.call(review, house.path("out"), tracking_uri=tracking_uri)
    assert (found.num_drawn, found.num_judged, found.num_unsure) == (150, 150, 0)
    values = {(item.quantity, item.direction): item for item in found.estimates}
    actual = {"missing": (~given & truth).sum(), "extraneous": (given & ~truth).sum()}
    issues = house.rows(audited, "tag_issues")
    classes = house.rows(audited, "classes")
    for direction, number in actual.items():
        flagged = [
            (int(row["id"][1:]), TAGS.index(row["tag"])) for row in issues if row["issue"] == direction
        ]
        right = sum(truth[cell] != given[cell] for cell in flagged)
        precision, recall = values["precision", direction], values["recall", direction]
        assert precision.low <= right / len(flagged) <= precision.high
        assert recall.low <= right / number <= recall.high
        errors = values["num_errors", direction]
        assert errors.low <= number <= errors.high
        joint = "joint_01" if direction == "missing" else "joint_10"
        assert errors.model_estimate == sum(row[joint] for row in classes)
    metrics = MlflowClient(tracking_uri=tracking_uri).get_run(audited["mlflow_run_id"]).data.metrics
    assert metrics["review/recall_missing"] == pytest.approx(values["recall", "missing"].estimate)
    json.dumps(found.to_dict(), allow_nan=False)
    written = house.records(house.path("out/review_estimates"))
    assert {(row["quantity"], row["direction"]) for row in written} == set(values)


@pytest.mark.matrix
def test_the_next_audit_leaves_confirmed_cells_alone(house, audited, imported, truth, given):
    source = audited["source"]
    found = house.audit(
        source__path=source,
        source__decisions=house.path("out/decisions"),
        gate__max_quarantined_fraction=1.0,
    )
    # a random sample judged is told of: how often flags were right, and how many errors there are in all
    assert sum(item["num_judged"] for item in found["precision"]) > 0
    errors = found["errors"]
    assert errors["run_id"] == audited["run_id"]
    assert errors["low"] <= int((truth ^ given).sum()) <= errors["high"]
    before, after = house.rows(audited, "tag_issues"), house.rows(found, "tag_issues")
    decided = {(row["id"], row["tag"]) for row in house.records(house.path("out/decisions"))}
    confirmed = {
        (row_id, tag)
        for row_id, tag in decided
        if truth[int(row_id[1:]), TAGS.index(tag)] == given[int(row_id[1:]), TAGS.index(tag)]
    }
    gone = {(row["id"], row["tag"]) for row in before} & confirmed
    assert gone
    assert {(row["id"], row["tag"]) for row in after} == {(row["id"], row["tag"]) for row in before} - gone
    examples = house.rows(found, "examples")
    flagged = {(row["id"], tag) for row in examples for tag in row["missing_tags"] + row["extraneous_tags"]}
    assert flagged == {(row["id"], row["tag"]) for row in after}
    assert sum(row["is_label_issue"] for row in examples) == found["num_label_issues"]
    ranks = sorted(row["issue_rank"] for row in house.rows(found, "issues"))
    assert ranks == list(range(1, found["num_label_issues"] + 1))
    classes = house.rows(found, "classes")
    assert found["num_missing_tags"] == sum(row["num_missing"] for row in classes)
    assert found["num_missing_tags"] + found["num_extraneous_tags"] == len(after)
    for old, new in zip(house.rows(audited, "classes"), classes, strict=True):
        assert old["cutoff_missing"] == new["cutoff_missing"]
        assert old["threshold_present"] == new["threshold_present"]
        assert new["label_noise"] == new["num_extraneous"] / ROWS


def test_what_is_not_there_is_named(house, audited, drawn, tmp_path):
    with pytest.raises(ConfigError, match="runs' does not exist"):
        house.call(sample, str(tmp_path))
    with pytest.raises(ConfigError, match=r"^sample: .*holds no random sample 'x'"):
        house.call(review, house.path("out"), sample="x")
    with pytest.raises(ConfigError, match=r"^undo: .*names no correction"):
        house.call(correct, house.path("out"), undo="20260131t180000z-0a1b2c3d")
    assert (
        "cannot read"
        in house.refuse(command="decide", decide__file=str(Path(tmp_path, "none.csv")))["message"]
    )
