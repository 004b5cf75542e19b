"""What changed between two runs, by joins on either engine: the same as by dictionaries."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import narwhals as nw
import pyarrow as pa
import pytest

from spark_ml_audit.engines.base import Engine, rows_of
from spark_ml_audit.history.changes import (
    CELL_COLUMNS,
    ROW_COLUMNS,
    cell_changes,
    flagged_by_tag,
    row_changes,
)
from spark_ml_audit.history.differences import counts_by_change, counts_by_tag
from spark_ml_audit.history.trend_data import _means
from spark_ml_audit.outcomes.history import ChangeCounts

TAGS = ("a", "b", "ü")
LIST = pa.list_(pa.field("element", pa.string(), nullable=False))
EXAMPLES = [("is_label_issue", pa.bool_()), ("label_quality_score", pa.float64()), ("given_tags", LIST)]
CELLS = [
    ("tag", pa.string()),
    ("issue", pa.string()),
    ("pred_prob", pa.float64()),
    ("cell_score", pa.float64()),
    ("rank_in_row", pa.int32()),
]
ID_TYPES = {pa.string(): "r{}".format, pa.int32(): int, pa.binary(): lambda i: bytes([i])}

Row = dict[str, Any]


class Run:
    """A run of made-up rows: every other one has flagged cells."""

    def __init__(self, name: str, seed: int, make_id: Any) -> None:
        draw = random.Random(seed)
        self.name, self.rows, self.cells = name, {}, {}
        for number in draw.sample(range(60), 45):
            row_id = make_id(number)
            tags = draw.sample(TAGS, draw.randrange(len(TAGS) + 1))
            flagged = draw.sample(TAGS, draw.randrange(len(TAGS) + 1)) if draw.random() < 0.6 else []
            self.rows[row_id] = {
                "is_label_issue": bool(flagged),
                "label_quality_score": draw.random(),
                "given_tags": tags,
            }
            for place, tag in enumerate(flagged):
                issue = "extraneous" if tag in tags else "missing"
                self.cells[row_id, tag, issue] = {
                    "pred_prob": draw.random(),
                    "cell_score": draw.random(),
                    "rank_in_row": place + 1,
                }

    def example_rows(self, id_name: str) -> list[Row]:
        return [{"run_id": self.name, id_name: row_id, **row} for row_id, row in self.rows.items()]

    def cell_rows(self, id_name: str) -> list[Row]:
        return [
            {"run_id": self.name, id_name: row_id, "tag": tag, "issue": issue, **cell}
            for (row_id, tag, issue), cell in self.cells.items()
        ]


def frame(engine: Engine, rows: list[Row], id_name: str, id_type: Any, columns: list[Any]) -> Any:
    schema = pa.schema([("run_id", pa.string()), (id_name, id_type), *columns])
    return engine.from_arrow(pa.Table.from_pylist(rows, schema))


def change_of(is_flagged: bool, was_flagged: bool) -> str:
    if is_flagged and was_flagged:
        return "still_open"
    return "newly_flagged" if is_flagged else "fixed"


def reason_of(change: str, before: Row | None, now: Row | None, *, same: bool) -> str | None:
    if change == "still_open":
        return None
    if before is None:
        return "row_came"
    if now is None:
        return "row_went"
    return "same_tags" if same else "tags_changed"


def expected_rows(now: Run, before: Run) -> dict[Any, tuple[Any, ...]]:
    found = {}
    for row_id in {*now.rows, *before.rows}:
        row, old = now.rows.get(row_id), before.rows.get(row_id)
        flags = [bool(found and found["is_label_issue"]) for found in (row, old)]
        if any(flags):
            change = change_of(*flags)
            same = bool(row and old and sorted(row["given_tags"]) == sorted(old["given_tags"]))
            scores = [found and found["label_quality_score"] for found in (row, old)]
            tags = [found and found["given_tags"] for found in (row, old)]
            found[row_id] = (change, reason_of(change, old, row, same=same), *scores, *tags)
    return found


def expected_cells(now: Run, before: Run) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    found = {}
    for key in {*now.cells, *before.cells}:
        row, old = now.rows.get(key[0]), before.rows.get(key[0])
        cell, old_cell = now.cells.get(key), before.cells.get(key)
        change = change_of(cell is not None, old_cell is not None)
        same = bool(row and old and (key[1] in row["given_tags"]) == (key[1] in old["given_tags"]))
        probs = [item and item["pred_prob"] for item in (cell, old_cell)]
        scores = [item and item["cell_score"] for item in (cell, old_cell)]
        found[key] = (change, reason_of(change, old, row, same=same), *probs, *scores)
    return found


@pytest.mark.matrix
@pytest.mark.parametrize("id_type", ID_TYPES, ids=str)
def test_changes_are_those_of_dictionaries(engine: Engine, id_type: Any) -> None:
    name = "row.`id`"
    now, before = Run("r2", 2, ID_TYPES[id_type]), Run("r1", 1, ID_TYPES[id_type])
    runs = (now, before)
    examples = [frame(engine, run.example_rows(name), name, id_type, EXAMPLES) for run in runs]
    cells = [frame(engine, run.cell_rows(name), name, id_type, CELLS) for run in runs]

    rows = row_changes(*examples, name)
    table = engine.collect(rows)
    assert table.column_names == [name, *ROW_COLUMNS]
    found = {row.pop(name): tuple(row.values()) for row in table.to_pylist()}
    wanted = expected_rows(now, before)
    assert found == wanted
    assert len({values[:2] for values in wanted.values()}) > 5

    table = engine.collect(cell_changes(engine, *cells, rows, name))
    assert table.column_names == [name, *CELL_COLUMNS]
    keyed = {
        (row.pop(name), row.pop("tag"), row.pop("issue")): tuple(row.values()) for row in table.to_pylist()
    }
    wanted_cells = expected_cells(now, before)
    assert keyed == wanted_cells
    assert len({values[:2] for values in wanted_cells.values()}) > 5

    counts, reasons = counts_by_change(engine, rows)
    assert counts.newly_flagged == sum(values[0] == "newly_flagged" for values in wanted.values())
    assert reasons["fixed"]["row_went"] == sum(
        values[:2] == ("fixed", "row_went") for values in wanted.values()
    )

    other = Run("r0", 3, ID_TYPES[id_type])
    kept = nw.concat([*cells, frame(engine, other.cell_rows(name), name, id_type, CELLS)], how="vertical")
    by_tag, row_counts = counts_by_tag(engine, flagged_by_tag(kept, "r2", "r1", name))
    changes = [(key[1], values[0]) for key, values in wanted_cells.items()]
    names = ("newly_flagged", "fixed", "still_open")
    assert by_tag == {tag: ChangeCounts(*[changes.count((tag, change)) for change in names]) for tag in TAGS}
    own, old = ({key[0] for key in run.cells} for run in runs)
    assert row_counts == ChangeCounts(len(own - old), len(old - own), len(own & old))


def test_without_flags_nothing_changed(engine: Engine) -> None:
    none = [frame(engine, [], "id", pa.string(), columns) for columns in (EXAMPLES, CELLS)]
    rows = row_changes(none[0], none[0], "id")
    assert rows_of(engine, rows) == []
    assert rows_of(engine, cell_changes(engine, none[1], none[1], rows, "id")) == []
    assert counts_by_tag(engine, flagged_by_tag(none[1], "r2", "r1", "id")) == ({}, ChangeCounts(0, 0, 0))


def test_means_do_not_follow_the_order_of_rows(engine: Engine) -> None:
    shares = [random.Random(0).random() ** 8 for _ in range(1000)]
    wanted = float(sum(map(Fraction, shares)) / len(shares))
    for order in (shares, sorted(shares), sorted(shares, reverse=True)):
        rows = {"run_id": ["r"] * 1001, "label_noise": [*order, None], "inverse_label_noise": [None] * 1001}
        schema = pa.schema([("run_id", pa.string()), *[(name, pa.float64()) for name in list(rows)[1:]]])
        assert _means(engine, engine.from_arrow(pa.table(rows, schema))) == {"r": (wanted, None)}
