"""Both engines write the same tables, cell for cell, and each goes on with what the other began."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.datasets import make_dataset
from tests.lake import DATA_TABLES, Lake, tag_names, with_classes

pytestmark = pytest.mark.spark

CLASSES = tag_names(4)
FIRST_DAY = datetime.date(2026, 1, 1)
IDS: dict[str, Any] = {
    "string": pa.array([f"é{i % 7}-{i:05}" for i in range(900)]),
    "tinyint": pa.array(range(-125, 125), pa.int8()),
    "int": pa.array([7 * i - 3000 for i in range(900)], pa.int32()),
    "bigint": pa.array([(i << 40) - (1 << 48) for i in range(900)], pa.int64()),
    "date": pa.array([FIRST_DAY + datetime.timedelta(days=i) for i in range(900)], pa.date32()),
    "binary": pa.array([bytes([i % 251, 255 - i % 7, i // 251]) for i in range(900)], pa.binary()),
}


def rows(ids: Any, seed: int = 0) -> pa.Table:
    """Rows with ties, nulls, faults of every kind, and repeated ids where the type has few."""
    rng = np.random.default_rng(seed)
    number = len(ids)
    probs = np.round(rng.beta(0.4, 0.8, (number, len(CLASSES))), 2)
    given = rng.random(probs.shape) < probs
    labels: list[Any] = [[CLASSES[k] for k in np.flatnonzero(row)] for row in given]
    lists: list[Any] = [row.tolist() for row in probs]
    labels[3], labels[4], labels[5], labels[6] = None, ["nobody"], [CLASSES[0]] * 2, [None]
    lists[7], lists[8], lists[9], lists[10] = None, [0.5], [0.1, float("nan"), 0.2, 0.3], [0.1, 1.5, 0.2, 0.3]
    lists[11], lists[12] = [0.1, float("inf"), 0.0, 0.0], [0.2, None, 0.1, 0.3]
    text = [None if i % 50 == 0 else f"text {i % 40} of \"somebody\"\n'{i % 3}'" for i in range(number)]
    columns = {"id": ids, "labels": pa.array(labels, pa.list_(pa.string())), "text": text}
    table = pa.table({**columns, "pred_probs": pa.array(lists, pa.list_(pa.float64()))})
    return with_classes(table, str(CLASSES).replace("'", '"'))


@pytest.fixture
def lakes(lake: Lake, spark: Any) -> dict[str, Lake]:
    """The same folder, audited by each engine."""
    del spark  # has started
    return {kind: Lake(kind, lake.folder / kind, lake.tracking_uri) for kind in ("embedded", "spark")}


def contents(lakes: dict[str, Lake], expect: int = 3, **keys: object) -> dict[str, Any]:
    found = {}
    for kind, lake in lakes.items():
        lake.folder.mkdir(exist_ok=True)
        result = lake.audit(expect=expect, **keys)
        assert result["engine"] == kind
        counts = {
            name: value for name, value in result.items() if name.startswith("num_") or name == "health"
        }
        found[kind] = {"counts": counts, **lake.contents(result)}
    return found


def assert_same(found: dict[str, Any]) -> None:
    embedded, spark = found["embedded"], found["spark"]
    assert embedded["counts"] == spark["counts"]
    for name in DATA_TABLES:
        assert embedded[name] == spark[name], name
    assert embedded["issues"], "nothing was compared"


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_every_type(lakes: dict[str, Lake], lake: Lake, kind: str):
    table = rows(IDS[kind])
    if kind == "string":
        table = table.set_column(0, "id", pa.array([None, "é1-00001", *table.column("id").to_pylist()[2:]]))
    assert_same(contents(lakes, source__path=lake.write(table, files=3)))


@pytest.mark.parametrize(
    "filter_by", ["prune_by_class", "both", "low_self_confidence", "predicted_neq_given"]
)
def test_filters_scores_and_repeated_ids_by_the_thousand(lakes: dict[str, Lake], lake: Lake, filter_by: str):
    ids = pa.array([f"r{i // 2 if i < 3000 else i}" for i in range(6000)])
    source = lake.write(rows(ids, seed=3), files=2)
    keys = {"audit__filter_by": filter_by, "audit__score": "normalized_margin", "audit__aggregate": "softmin"}
    assert_same(contents(lakes, source__path=source, **keys))


@pytest.mark.parametrize("seed", range(6))
def test_random_data(lakes: dict[str, Lake], lake: Lake, seed: int):
    data = make_dataset(seed, dtype="float32" if seed % 2 else "float64")
    source = lake.write(lake.dataset_frame(data), fmt="parquet" if seed % 3 else "delta", files=2)
    keys = {"source__format": "parquet" if seed % 3 else "delta"}
    found = contents(lakes, expect=0, source__path=source, **keys)
    assert found["embedded"] == found["spark"]


def test_ranks_that_span_ranges(lakes: dict[str, Lake], lake: Lake):
    """More than 100,000 rows with an issue, many of one score, whose files follow each other by rank."""
    number = 260_000
    rng = np.random.default_rng(5)
    probs = np.round(rng.random((number, 3)), 2).astype(np.float32)
    names = tag_names(3)
    given = rng.random(probs.shape) < 0.5
    labels = pa.array([[names[k] for k in np.flatnonzero(row)] for row in given], pa.list_(pa.string()))
    ids = pa.array(rng.permutation(number))
    columns = {"id": ids, "labels": labels, "pred_probs": pa.array(list(probs), pa.list_(pa.float32()))}
    source = lake.write(with_classes(pa.table(columns), str(names).replace("'", '"')), files=4)
    results = {}
    for kind, own in lakes.items():
        own.folder.mkdir()
        results[kind] = own.audit(source__path=source)
    assert results["embedded"]["num_label_issues"] > 100_000
    for name in ("issues", "tag_issues", "examples"):
        tables = [
            own.table(results[kind]["tables"][name]).drop_columns(["run_id"]).sort_by(ORDER[name])
            for kind, own in lakes.items()
        ]
        assert tables[0].equals(tables[1].cast(tables[0].schema)), name


ORDER = {
    "issues": [("issue_rank", "ascending")],
    "tag_issues": [("issue_rank", "ascending"), ("rank_in_row", "ascending")],
    "examples": [("id", "ascending")],
}


@pytest.mark.parametrize(("first", "second"), [("embedded", "spark"), ("spark", "embedded")])
def test_one_goes_on_with_what_the_other_began(lakes: dict[str, Lake], lake: Lake, first: str, second: str):
    """Audit, compare, sample, decide, correct and undo by turns, in one output."""
    data = make_dataset(3, "plain", "float32")
    source = lake.write(lake.dataset_frame(data))
    output = lake.path(f"shared-{first}")
    for own in lakes.values():
        own.folder.mkdir(exist_ok=True)
        own.settings = {"output.path": output}
    begun = lakes[first].audit(source__path=source)
    again = lakes[second].audit(source__path=source, output__run_id=begun["run_id"])
    assert again["already_finished"]
    assert again["num_label_issues"] == begun["num_label_issues"]
    other = lakes[second].audit(source__path=source)
    assert other["run_id"] != begun["run_id"]
    compared = lakes[first].run("compare")
    assert compared.exit_code == 0, compared.json
    assert compared.json["cells"]["newly_flagged"] == compared.json["cells"]["fixed"] == 0
    before = lakes[first].records(source)
    corrected = lakes[first].run("correct", {"correct.accept_above": 0.6, "correct.mode": "merge"})
    assert corrected.exit_code == 0, corrected.json
    assert corrected.json["num_rows_changed"] > 0
    undone = lakes[second].run("correct", {"correct.undo": corrected.json["correction_id"]})
    assert undone.exit_code == 0, undone.json
    key = repr
    assert sorted(lakes[second].records(source), key=key) == sorted(before, key=key)
