"""Labels rewritten in every format: what was asked for changes, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from spark_ml_audit.arrow.label_edits import ADDED, REMOVED, edit_labels

TAGS = ["b", "a", "c`, x"]
CHANGES = pa.array(
    [
        [{"class_index": k, "tag": TAGS[k], "action": action} for k, action in row]
        for row in (
            [(1, REMOVED), (2, ADDED)],
            [(0, REMOVED)],
            [(0, ADDED), (1, ADDED)],
            [(1, ADDED)],
        )
    ]
)
# the last row has no labels: it gets the one that is added, and is annotated then
CASES: dict[str, tuple[str, list[Any], list[Any]]] = {
    "names": (
        "names",
        [pa.array([["a", "b"], ["b"], [], None])],
        [[["b", "c`, x"], [], ["b", "a"], ["a"]]],
    ),
    "indices": (
        "indices",
        [pa.array([[1, 0], [0], [], None], pa.list_(pa.int16()))],
        [[[0, 2], [], [0, 1], [1]]],
    ),
    "booleans": (
        "multi_hot",
        [pa.array([[True, True, False], [True, False, False], [False] * 3, None])],
        [[[True, False, True], [False] * 3, [True, True, False], [False, True, False]]],
    ),
    "doubles, a list too short": (
        "multi_hot",
        [pa.array([[1.0, 1.0], [1.0, None, 0.0], [0.0] * 3, None])],
        [[[1.0, 0.0], [0.0, None, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]],
    ),
    "decimals": (
        "multi_hot",
        [
            pa.array(
                [[Decimal(1)] * 3, [Decimal(1)] * 3, [Decimal(0)] * 3, None], pa.list_(pa.decimal128(3, 1))
            )
        ],
        [[[Decimal(1), Decimal(0), Decimal(1)], [Decimal(0), Decimal(1), Decimal(1)], [1, 1, 0], [0, 1, 0]]],
    ),
    "delimited": ("delimited", [pa.array(["a|b", "  b ", "", None])], [["b|c`, x", "", "b|a", "a"]]),
    "delimited with spaces": (
        "delimited",
        [pa.array(["x | a| b", "\tb", "d\t| c", None])],
        [["x| b| c`, x", "", "d| c| b| a", "a"]],
    ),
    "columns": (
        "columns",
        [
            pa.array([True, True, False, None]),
            pa.array([1, 0, 0, None], pa.int32()),
            pa.array([0.0, None, 1.0, None], pa.float32()),
        ],
        [[True, False, True, False], [0, 0, 1, 1], [1.0, None, 1.0, 0.0]],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_format_is_rewritten_in_its_own_way(name):
    labels_format, columns, expected = CASES[name]
    found = edit_labels(columns, CHANGES, labels_format, "|", num_classes=3)
    assert [column.to_pylist() for column in found] == expected
    assert [column.type for column in found] == [column.type for column in columns]


@pytest.mark.parametrize("name", CASES)
def test_a_slice_is_rewritten_as_it_would_be_alone(name):
    labels_format, columns, expected = CASES[name]
    sliced = [column.slice(1, 2) for column in columns]
    found = edit_labels(sliced, CHANGES.slice(1, 2), labels_format, "|", num_classes=3)
    assert [column.to_pylist() for column in found] == [column[1:3] for column in expected]
