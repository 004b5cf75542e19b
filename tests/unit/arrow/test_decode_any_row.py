"""Any row, however broken, is audited, unlabelled or rejected for the first reason that applies."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_ml_audit.arrow.decode import decode
from spark_ml_audit.arrow.layout import AUDITED, FAULT, REASONS, UNLABELLED, InputLayout

CLASSES = ("x", "y", "z")
NAMES = st.sampled_from([*CLASSES, "w", "", "X", "'; DROP TABLE x", "\x00"])
ODD_NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 0.5, -0.1, 1.5, math.nan, math.inf, -math.inf, 5e-324])
PROBABILITY = st.one_of(st.floats(0, 1), ODD_NUMBERS, st.none())
GOOD_PROBS = st.lists(st.floats(0, 1), min_size=3, max_size=3)
ANY_PROBS = st.one_of(GOOD_PROBS, st.none(), st.lists(PROBABILITY, max_size=5))


def layout_of(labels_format: str, probs_format: str = "array") -> InputLayout:
    width = {"columns": 3}
    labels = tuple(f"l{i}" for i in range(width.get(labels_format, 1)))
    probs = tuple(f"p{i}" for i in range(width.get(probs_format, 1)))
    return InputLayout("id", labels, labels_format, ",", probs, probs_format, "float64", CLASSES)


# ---- the contract, row by row ----------------------------------------------------------------------


def reasons_of_tags(tags: list[int | None], malformed: bool) -> list[str]:
    """Reasons of a list of classes, -1 for an unknown one and None for a null."""
    known = [tag for tag in tags if tag is not None and tag >= 0]
    found = ["labels_malformed"] if malformed or None in tags else []
    found += ["label_unknown"] if -1 in tags else []
    return found + (["label_repeated"] if len(set(known)) < len(known) else [])


def reasons_of_probs(probs: list[float | None] | None) -> list[str]:
    if probs is None:
        return ["probs_null"]
    found = ["probs_null"] if None in probs else []
    found += ["probs_length"] if len(probs) != len(CLASSES) else []
    if found:
        return found  # values are looked at where there are K of them
    numbers = [p for p in probs if p is not None]
    found += ["probs_nan"] if any(math.isnan(p) for p in numbers) else []
    found += ["probs_infinite"] if any(math.isinf(p) for p in numbers) else []
    return found + (["probs_range"] if any(p < 0 or p > 1 for p in numbers) else [])


def index_of(name: str | None) -> int | None:
    if name is None:
        return None
    return CLASSES.index(name) if name in CLASSES else -1


def judge_names(value: list[str | None] | None) -> tuple[list[int], list[str]]:
    tags = [index_of(name) for name in value or []]
    return sorted(tag for tag in tags if tag is not None and tag >= 0), reasons_of_tags(tags, False)


def judge_indices(value: list[int | None] | None) -> tuple[list[int], list[str]]:
    tags = [None if tag is None else (tag if 0 <= tag < 3 else -1) for tag in value or []]
    return sorted(tag for tag in tags if tag is not None and tag >= 0), reasons_of_tags(tags, False)


def judge_multi_hot(value: list[float | None] | None) -> tuple[list[int], list[str]]:
    if value is None:
        return [], []
    malformed = len(value) != 3 or any(entry not in (0, 1) for entry in value)
    return [k for k, entry in enumerate(value) if entry == 1], ["labels_malformed"] if malformed else []


def judge_delimited(value: str | None) -> tuple[list[int], list[str]]:
    if value is None or not value.strip():
        return [], []
    parts = [part.strip() for part in value.strip().split(",")]
    tags = [index_of(part) for part in parts if part]
    return sorted(t for t in tags if t is not None and t >= 0), reasons_of_tags(tags, "" in parts)


FORMATS: dict[
    str, tuple[st.SearchStrategy[Any], pa.DataType, Callable[[Any], tuple[list[int], list[str]]]]
] = {
    "names": (
        st.one_of(st.none(), st.lists(st.one_of(NAMES, st.none()), max_size=4)),
        pa.list_(pa.string()),
        judge_names,
    ),
    "indices": (
        st.one_of(st.none(), st.lists(st.one_of(st.integers(-2, 4), st.none()), max_size=4)),
        pa.list_(pa.int64()),
        judge_indices,
    ),
    "multi_hot": (
        st.one_of(st.none(), st.lists(st.one_of(st.sampled_from([0.0, 1.0]), PROBABILITY), max_size=4)),
        pa.list_(pa.float64()),
        judge_multi_hot,
    ),
    "delimited": (
        st.one_of(st.none(), st.lists(NAMES, max_size=4).map(" , ".join), st.text(",xyz \t", max_size=8)),
        pa.string(),
        judge_delimited,
    ),
}


@pytest.mark.parametrize("labels_format", FORMATS)
@settings(deadline=None)  # a busy machine is no failure
@given(data=st.data())
def test_every_row_gets_the_first_reason_that_applies(labels_format: str, data: st.DataObject) -> None:
    labels, kind, judge = FORMATS[labels_format]
    rows = data.draw(st.lists(st.tuples(st.sampled_from([0, 0, 2, 3]), labels, ANY_PROBS), max_size=6))
    columns = [
        pa.array([row[0] for row in rows], pa.int8()),
        pa.array([row[1] for row in rows], kind),
        pa.array([row[2] for row in rows], pa.list_(pa.float64())),
    ]
    # a slice of a larger batch: offsets do not start at zero
    whole = [pa.concat_arrays([column, column]) for column in columns]
    batch = pa.RecordBatch.from_arrays(whole, names=[FAULT, "labels_0", "probs_0"]).slice(len(rows))
    found = decode(batch, layout_of(labels_format))
    audited = []
    for i, (known, label, probs) in enumerate(rows):
        tags, reasons = judge(label)
        codes = [known] if known else []
        codes += [REASONS[name] for name in (*reasons, *reasons_of_probs(probs))]
        expected = min(codes) if codes else UNLABELLED if label is None else AUDITED
        assert found.status[i] == expected, (label, probs)
        if expected == AUDITED:
            audited.append((i, tags, probs))
    assert found.audited.tolist() == [i for i, _, _ in audited]
    assert found.pred_probs.shape == (len(audited), 3)
    for position, (_, tags, probs) in enumerate(audited):
        assert found.cols[found.rows == position].tolist() == tags
        assert found.pred_probs[position].tolist() == probs
    assert not np.signbit(found.pred_probs).any()


@settings(deadline=None)
@given(
    rows=st.lists(
        st.one_of(st.none(), st.dictionaries(st.sampled_from([*CLASSES, "w"]), PROBABILITY)), max_size=6
    )
)
def test_maps_are_read_by_key_or_rejected(rows: list[dict[str, float | None] | None]) -> None:
    maps = pa.array(
        [None if row is None else list(row.items()) for row in rows], pa.map_(pa.string(), pa.float64())
    )
    columns = [
        pa.array([0] * len(rows), pa.int8()),
        pa.array([["x"]] * len(rows), pa.list_(pa.string())),
        maps,
    ]
    found = decode(
        pa.RecordBatch.from_arrays(columns, names=[FAULT, "labels_0", "probs_0"]), layout_of("names", "map")
    )
    for i, row in enumerate(rows):
        if row is None or None in row.values():
            expected = ["probs_null"]
        elif row.keys() != set(CLASSES):
            expected = ["probs_length"]
        else:
            expected = reasons_of_probs([row[name] for name in CLASSES])
        assert found.status[i] == min([REASONS[name] for name in expected], default=AUDITED), row


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.sampled_from([0, 1, 2, None]), min_size=3, max_size=3),
            st.lists(PROBABILITY, min_size=3, max_size=3),
        ),
        max_size=6,
    )
)
def test_columns_are_one_row_or_rejected(rows: list[tuple[list[int | None], list[float | None]]]) -> None:
    columns = [pa.array([0] * len(rows), pa.int8())]
    columns += [pa.array([row[0][k] for row in rows], pa.int32()) for k in range(3)]
    columns += [pa.array([row[1][k] for row in rows], pa.float64()) for k in range(3)]
    names = [FAULT, *(f"labels_{k}" for k in range(3)), *(f"probs_{k}" for k in range(3))]
    found = decode(pa.RecordBatch.from_arrays(columns, names=names), layout_of("columns", "columns"))
    for i, (labels, probs) in enumerate(rows):
        unlabelled = labels == [None] * 3
        malformed = not unlabelled and any(entry not in (0, 1) for entry in labels)
        reasons = (["labels_malformed"] if malformed else []) + reasons_of_probs(probs)
        expected = min((REASONS[name] for name in reasons), default=UNLABELLED if unlabelled else AUDITED)
        assert found.status[i] == expected, (labels, probs)
