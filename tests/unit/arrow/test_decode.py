"""Every way to write tags and probabilities decodes to the same arrays, or to a reason in words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.arrow.decode import decode
from spark_ml_audit.arrow.layout import AUDITED, FAULT, REASON_NAMES, UNLABELLED, InputLayout
from spark_ml_audit.arrow.reasons import explain_row
from tests.datasets import Dataset, make_dataset

NAMES = ("b tag", "a.tag", "z`tag", "c;tag")
NAN, INF = math.nan, math.inf


def layout_of(
    labels_format: str, probs_format: str, classes: tuple[str, ...], dtype: str = "float64"
) -> InputLayout:
    labels = tuple(f"l{k}" for k in range(len(classes) if labels_format == "columns" else 1))
    probs = tuple(f"p{k}" for k in range(len(classes) if probs_format == "columns" else 1))
    return InputLayout("key", labels, labels_format, "|", probs, probs_format, dtype, classes)


def batch_of(columns: list[Any], layout: InputLayout) -> Any:
    names = [FAULT, *layout.label_columns, *layout.prob_columns]
    return pa.RecordBatch.from_arrays([pa.nulls(len(columns[0]), pa.int8()).fill_null(0), *columns], names)


def label_columns(data: Dataset, labels_format: str) -> list[Any]:
    names = [[NAMES[k] for k in reversed(tags)] for tags in data.labels]
    if labels_format == "names":
        return [pa.array(names, pa.list_(pa.string()))]
    if labels_format == "indices":
        return [pa.array([tags[::-1] for tags in data.labels], pa.list_(pa.int16()))]
    if labels_format == "multi_hot":
        return [pa.array(data.given.astype(int).tolist(), pa.list_(pa.int8()))]
    if labels_format == "delimited":
        return [pa.array([" | ".join(tags) for tags in names], pa.string())]
    kinds = (pa.int32(), pa.bool_(), pa.float64(), pa.bool_())
    return [
        pa.array(column.astype(int).tolist()).cast(kind)
        for column, kind in zip(data.given.T, kinds, strict=True)
    ]


def prob_columns(data: Dataset, probs_format: str) -> list[Any]:
    rows = data.pred_probs.tolist()
    if probs_format == "array":
        return [pa.array(rows, pa.list_(pa.float64()))]
    if probs_format == "map":
        maps = [[(NAMES[k], p[k]) for k in (3, 1, 0, 2)] for p in rows]
        return [pa.array(maps, pa.map_(pa.string(), pa.float64()))]
    return [pa.array(column, pa.float64()) for column in data.pred_probs.T]


@pytest.mark.parametrize("probs_format", ["array", "map", "columns"])
@pytest.mark.parametrize("labels_format", ["names", "indices", "multi_hot", "delimited", "columns"])
def test_every_pair_of_formats_decodes_to_the_same_arrays(labels_format: str, probs_format: str) -> None:
    data = make_dataset(6, "forest", "float64")
    layout = layout_of(labels_format, probs_format, NAMES)
    found = decode(
        batch_of([*label_columns(data, labels_format), *prob_columns(data, probs_format)], layout), layout
    )
    assert (found.status == AUDITED).all()
    assert found.audited.tolist() == list(range(len(data.labels)))
    np.testing.assert_array_equal(found.pred_probs, data.pred_probs)
    rows, cols = np.nonzero(data.given)
    assert found.rows.tolist() == rows.tolist()
    assert found.cols.tolist() == cols.tolist()


CLASSES = ("x", "y", "z")
GOOD = [0.2, 0.3, 0.9]
WHOLE = dict(zip(CLASSES, GOOD, strict=True))
# labels, probabilities: formats and types; one faulty row per case, its reason, part of the detail
FAULTY: dict[str, tuple[tuple[str, Any], tuple[str, Any], list[tuple[list[Any], str, str]]]] = {
    "names": (
        ("names", pa.list_(pa.string())),
        ("array", pa.list_(pa.float64())),
        [
            ([["x", None], GOOD], "labels_malformed", "a null among 2 entries"),
            ([["x", "other"], GOOD], "label_unknown", "'other' is not among the 3"),
            ([["y", "x", "y"], GOOD], "label_repeated", "'y' is given more than once"),
            ([["x"], None], "probs_null", "'p0' is null"),
            ([["x"], [0.1, None, 0.2]], "probs_null", "'y' is null"),
            ([["x"], [0.1, 0.2]], "probs_length", "2 probabilities for 3 classes"),
            ([["x"], [0.1, 0.2, NAN]], "probs_nan", "'z' is NaN"),
            ([["x"], [0.1, -INF, 0.3]], "probs_infinite", "'y' is -inf"),
            ([["x"], [0.1, 1.0000001, 0.3]], "probs_range", "'y' is 1.0000001"),
        ],
    ),
    "indices": (
        ("indices", pa.list_(pa.int32())),
        ("array", pa.list_(pa.float64())),
        [
            ([[0, 3], GOOD], "label_unknown", "3 is not a class index from 0 to 2"),
            ([[-1], GOOD], "label_unknown", "-1 is not a class index"),
            ([[1, None], GOOD], "labels_malformed", "a null"),
            ([[2, 2], GOOD], "label_repeated", "2 is given more than once"),
        ],
    ),
    "multi_hot": (
        ("multi_hot", pa.list_(pa.float64())),
        ("array", pa.list_(pa.float32())),
        [
            ([[0.0, 1.0], GOOD], "labels_malformed", "2 entries for 3 classes"),
            ([[0.0, 1.0, 0.0, 0.0], GOOD], "labels_malformed", "4 entries"),
            ([[0.0, 0.5, 1.0], GOOD], "labels_malformed", "0.5 is neither 0 nor 1"),
            ([[0.0, NAN, 1.0], GOOD], "labels_malformed", "nan is neither"),
            ([[0.0, None, 1.0], GOOD], "labels_malformed", "a null"),
        ],
    ),
    "delimited": (
        ("delimited", pa.string()),
        ("array", pa.list_(pa.float64())),
        [
            (["x||y", GOOD], "labels_malformed", "an empty part in 'x||y'"),
            (["x|", GOOD], "labels_malformed", "an empty part"),
            (["x | w", GOOD], "label_unknown", "'w' is not among the 3"),
            (["x| x", GOOD], "label_repeated", "'x' is given more than once"),
        ],
    ),
    "map": (
        ("names", pa.list_(pa.string())),
        ("map", pa.map_(pa.string(), pa.float64())),
        [
            ([["x"], None], "probs_null", "'p0' is null"),
            ([["x"], {"x": 0.1, "y": 0.2}], "probs_length", "no probability for 'z'"),
            ([["x"], {**WHOLE, "w": 0.4}], "probs_length", "'w' is not among"),
            ([["x"], {**WHOLE, "y": None}], "probs_null", "'y' is null"),
            ([["x"], {**WHOLE, "z": NAN}], "probs_nan", "'z' is NaN"),
            ([["x"], {**WHOLE, "y": 2.0}], "probs_range", "'y' is 2.0"),
        ],
    ),
    "columns": (
        ("columns", pa.int32()),
        ("columns", pa.float64()),
        [
            ([1, None, 0, *GOOD], "labels_malformed", "a null"),
            ([1, 2, 0, *GOOD], "labels_malformed", "2 is neither 0 nor 1"),
            ([1, 0, 0, 0.1, None, 0.2], "probs_null", "'y' is null"),
            ([1, 0, 0, 0.1, NAN, 0.2], "probs_nan", "'y' is NaN"),
            ([1, 0, 0, 0.1, 0.2, -INF], "probs_infinite", "'z' is -inf"),
            ([1, 0, 0, 0.1, 0.2, 1.5], "probs_range", "'z' is 1.5"),
        ],
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_every_format_rejects_what_it_cannot_read_and_says_why(name: str) -> None:
    (labels_format, label_type), (probs_format, prob_type), cases = FAULTY[name]
    dtype = "float32" if pa.types.is_list(prob_type) and prob_type.value_type == pa.float32() else "float64"
    layout = layout_of(labels_format, probs_format, CLASSES, dtype)
    good = {"names": [["z", "x"]], "indices": [[2, 0]], "multi_hot": [[1.0, 0.0, 1.0]], "delimited": ["z|x"]}
    label = good.get(labels_format, [1, 0, 1])
    probs = {"map": [WHOLE], "array": [GOOD]}.get(probs_format, GOOD)
    rows = [[*label, *probs], [*[None] * len(label), *probs], *[values for values, _, _ in cases]]
    types = [*[label_type] * len(layout.labels), *[prob_type] * len(layout.pred_probs)]
    columns = [
        pa.array([list(v.items()) if isinstance(v, dict) else v for v in column], kind)
        for column, kind in zip(zip(*rows, strict=True), types, strict=True)
    ]
    batch = batch_of(columns, layout)
    found = decode(batch, layout)
    assert found.status[:2].tolist() == [AUDITED, UNLABELLED]
    assert found.cols[found.rows == 0].tolist() == [0, 2]
    for i, (values, reason, said) in enumerate(cases, start=2):
        assert REASON_NAMES[int(found.status[i])] == reason, values
        detail = explain_row(batch, i, reason, layout)
        assert said in detail, (values, detail)


def test_a_negative_zero_beside_faulty_rows_is_a_zero() -> None:
    layout = layout_of("names", "array", ("x", "y"))
    for faulty in ([NAN, 0.5], [-1.0, 0.5], [INF, 0.5], [0.5, 2.0]):
        columns = [
            pa.array([["x"], []], pa.list_(pa.string())),
            pa.array([[-0.0, 1.0], faulty], pa.list_(pa.float64())),
        ]
        found = decode(batch_of(columns, layout), layout)
        assert found.pred_probs.tolist() == [[0.0, 1.0]]
        assert not np.signbit(found.pred_probs).any()


def test_delimited_tags_are_trimmed_and_an_empty_text_means_no_tag() -> None:
    layout = layout_of("delimited", "array", ("a", "b"))
    texts = ["a|b", " b | a ", "", "  ", "a", "a||b", "a|", None]
    probs = pa.array([[0.6, 0.4]] * len(texts), pa.list_(pa.float64()))
    found = decode(batch_of([pa.array(texts, pa.string()), probs], layout), layout)
    tags = [found.cols[found.rows == i].tolist() for i in range(len(found.audited))]
    assert tags == [[0, 1], [0, 1], [], [], [0]]
    assert [REASON_NAMES.get(int(code)) for code in found.status[5:7]] == ["labels_malformed"] * 2
    assert found.status[7] == UNLABELLED
