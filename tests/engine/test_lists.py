"""Tags to add and tags to remove: their order, on both engines, and what decisions make of it."""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit import decide, sample
from spark_ml_audit.engines.base import Engine
from spark_ml_audit.frames.cell_lists import class_usefulness, first_cells
from spark_ml_audit.kernels.usefulness import Usefulness
from spark_ml_audit.outcomes.records import CLASS_COLUMNS, ClassRow
from tests.lake import Lake

pytestmark = pytest.mark.matrix

TAGS = ["sea", "wood", "snow, 'ice'"]
ROWS = 400


def class_rows(*about: tuple[float, float, str]) -> tuple[ClassRow, ...]:
    plain = dict.fromkeys(CLASS_COLUMNS, 0)
    return tuple(
        ClassRow.from_mapping(
            {
                **plain,
                "tag": TAGS[k],
                "class_index": k,
                "auc": auc,
                "average_precision": precision,
                "trust": trust,
            }
        )
        for k, (auc, precision, trust) in enumerate(about)
    )


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_lists_are_ordered_by_tier_usefulness_class_and_id(engine: Engine, limit: int) -> None:
    rng = np.random.default_rng(8)
    n = 300
    ids = [f"é{i:03}" if i % 2 else f"a{i:03}" for i in rng.permutation(n)]
    col = rng.integers(0, 3, n)
    issue = np.where(rng.random(n) < 0.5, "missing", "extraneous")
    probs = np.round(rng.random(n), 2)  # many ties
    cells = pa.table(
        {
            "id": ids,
            "tag": [TAGS[k] for k in col],
            "issue": issue.tolist(),
            "pred_prob": probs,
            "cell_score": probs,
            "issue_rank": np.arange(1, n + 1),
        }
    )
    classes = class_rows((0.9, 0.8, "good"), (0.9, 0.8, "weak"), (0.7, 0.5, "good"))
    order = class_usefulness(classes)
    found = first_cells(engine, engine.from_arrow(cells), "id", classes, order, limit).to_pylist()

    def key(i: int) -> tuple[Any, ...]:
        side = 0 if issue[i] == "missing" else 1
        sure = probs[i] if side == 0 else 1 - probs[i]
        return order.tier[col[i], side], -(order.weight[col[i], side] * sure), col[i], ids[i].encode()

    expected = []
    for direction in ("missing", "extraneous"):
        own = sorted((i for i in range(n) if issue[i] == direction), key=key)[:limit]
        expected += [(direction, place, ids[i], TAGS[col[i]], i + 1) for place, i in enumerate(own, start=1)]
    assert [(r["issue"], r["position"], r["id"], r["tag"], r["issue_rank"]) for r in found] == expected
    assert {row["trust"] for row in found} <= {"good", "weak"}


def test_no_flag_is_an_empty_list_and_cells_are_left_out(engine: Engine) -> None:
    classes = class_rows((0.9, 0.8, "good"), (0.9, 0.8, "good"), (0.7, 0.5, "good"))
    order: Usefulness = class_usefulness(classes)
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("tag", pa.string()),
            ("issue", pa.string()),
            ("pred_prob", pa.float64()),
            ("issue_rank", pa.int64()),
        ]
    )
    nothing = engine.from_arrow(schema.empty_table())
    assert first_cells(engine, nothing, "id", classes, order, 5).num_rows == 0
    cells = pa.table(
        [[1, 1, 2], ["sea", "wood", "sea"], ["missing"] * 3, [0.9] * 3, [1, 1, 2]], schema=schema
    )
    without = engine.from_arrow(pa.table({"id": pa.array([1]), "tag": ["sea"]}))
    found = first_cells(engine, engine.from_arrow(cells), "id", classes, order, 5, without=without)
    assert sorted(zip(found.column("id").to_pylist(), found.column("tag").to_pylist(), strict=True)) == [
        (1, "wood"),
        (2, "sea"),
    ]


@pytest.fixture
def truth() -> Any:
    return np.random.default_rng(0).random((ROWS, 3)) < [0.4, 0.3, 0.3]


@pytest.fixture
def audited(lake: Lake, truth: Any) -> dict[str, Any]:
    """A table with errors in its tags; the model knows the first two tags, and nothing of the third."""
    rng = np.random.default_rng(1)
    given = truth ^ (rng.random(truth.shape) < 0.08)
    logits = np.where(truth, 2.5, -2.5) + rng.normal(size=truth.shape) * 1.2
    logits[:, 2] = rng.normal(size=ROWS)
    probs = 1 / (1 + np.exp(-logits))
    rows = [
        (i, [TAGS[k] for k in np.flatnonzero(given[i])], probs[i].tolist(), f"text {i}") for i in range(ROWS)
    ]
    schema = "id bigint, labels array<string>, pred_probs array<double>, text string"
    lake.settings = {"output.path": lake.path("out")}
    return lake.audit(source__path=lake.write(lake.frame(rows, schema, TAGS)), source__show=["text"])


def judged(path: str, truth: Any) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["verdict"] = "present" if truth[int(row["id"]), TAGS.index(row["tag"])] else "absent"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_a_first_look_its_decisions_and_the_next_audit(
    lake: Lake, audited: dict[str, Any], truth: Any
) -> None:
    out, file = lake.path("out"), lake.path("look.csv")
    classes = {row["tag"]: row for row in lake.rows(audited, "classes")}
    assert [classes[tag]["trust"] for tag in TAGS] == ["good", "good", "weak"]
    assert {row["trust"]: row["num_classes"] for row in audited["by_trust"]} == {"good": 2, "weak": 1}
    assert all(cell["trust"] == "good" for cell in (*audited["to_add"], *audited["to_remove"]))
    assert f"sample --out {out} --how first-look --csv look.csv --show text" in audited["next_command"]
    assert audited["precision"] == []

    drawn = lake.call(sample, out, how="first-look", csv=file, show=["text"])
    assert drawn.num_cells == 30
    assert {(item.name, item.num_drawn) for item in drawn.strata} == {
        ("first 100 to add", 15),
        ("first 100 to remove", 15),
    }
    rows = judged(file, truth)
    assert all(row["text"] == f"text {row['id']}" for row in rows)
    assert sorted({row["issue"] for row in rows}) == ["extraneous", "missing"]
    assert lake.call(sample, out, how="first-look").already_finished
    lake.call(decide, file, out, who="ann")

    right = {"missing": 0, "extraneous": 0}
    for row in rows:
        right[row["issue"]] += (row["verdict"] == "present") == (row["issue"] == "missing")
    # the next audit leaves out what was confirmed, and still knows of it
    again = lake.audit(
        source__path=audited["source"], source__decisions=f"{out}/decisions", report__enabled=True
    )
    found = {item["direction"]: item for item in again["precision"]}
    assert {name: (item["num_judged"], item["num_right"]) for name, item in found.items()} == {
        "missing": (15, right["missing"]),
        "extraneous": (15, right["extraneous"]),
    }
    with open(again["report"], encoding="utf-8") as page:
        text = page.read()
    assert f"({right['missing']} of 15;" in text
    assert "Tags to add" in text
    # another look shows other cells
    other = lake.call(sample, out, how="first-look", csv=file)
    assert not other.already_finished
    with open(file, encoding="utf-8-sig", newline="") as page:
        now = {(row["id"], row["tag"]) for row in csv.DictReader(page)}
    assert not now & {(row["id"], row["tag"]) for row in rows}


@pytest.mark.parametrize(("how", "issue"), [("additions", "missing"), ("removals", "extraneous")])
def test_a_list_is_drawn_from_its_top(lake: Lake, audited: dict[str, Any], how: str, issue: str) -> None:
    file = lake.path("list.csv")
    assert lake.call(sample, lake.path("out"), how=how, size=10, csv=file).num_cells == 10
    with open(file, encoding="utf-8-sig", newline="") as page:
        rows = list(csv.DictReader(page))
    listed = audited["to_add" if issue == "missing" else "to_remove"]
    assert [(row["id"], row["tag"]) for row in rows] == [(cell["id"], cell["tag"]) for cell in listed]
    assert {row["issue"] for row in rows} == {issue}


def test_a_table_without_flags_has_no_lists(lake: Lake) -> None:
    rows = [(i, ["sea"] if i % 2 else [], [0.9 if i % 2 else 0.1]) for i in range(20)]
    source = lake.write(
        lake.frame(rows, "id bigint, labels array<string>, pred_probs array<double>", ["sea"])
    )
    result = lake.audit(source__path=source)
    assert (result["num_label_issues"], result["to_add"], result["to_remove"]) == (0, [], [])
    assert result["next_command"] is None
    assert json.dumps(result)
