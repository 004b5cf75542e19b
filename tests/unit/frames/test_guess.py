"""Which column is what, told by its name, type and first values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.engines.base import VECTOR
from spark_ml_audit.frames.column_facts import ColumnFacts
from spark_ml_audit.frames.guess import Guess, guess_columns

N = 60
RNG = np.random.default_rng(0)
NAMES = ["sea", "forest", "town"]
TAGS = [[NAMES[k] for k in np.flatnonzero(RNG.random(3) < 0.5)] for _ in range(N)]
PROBS = RNG.random((N, 3)).round(3)
TEXT = [f"a longer text about the place number {i} of all" for i in range(N)]
IDS = [f"p{i:04}" for i in range(N)]


def guess(columns: dict[str, Any], given: dict[str, object] | None = None) -> Guess:
    table = pa.table(columns)
    facts = [ColumnFacts(item, table.column(item.name).combine_chunks()) for item in table.schema]
    return guess_columns(facts, given)


def chosen(found: Guess) -> dict[str, object]:
    kinds = ("id", "labels", "pred_probs", "show", "delimiter", "classes")
    return {kind: choice.value for kind in kinds if (choice := getattr(found, kind)) is not None}


BITS = RNG.integers(0, 2, (N, 3))
CASES: list[tuple[str, dict[str, Any], dict[str, object]]] = [
    (
        "as the contract names them",
        {"id": IDS, "labels": TAGS, "pred_probs": PROBS.tolist(), "text": TEXT},
        {"id": "id", "labels": "labels", "pred_probs": "pred_probs", "show": ["text"]},
    ),
    (
        "other names, an embedding beside",
        {
            "embedding": RNG.normal(size=(N, 8)).tolist(),
            "Plot": TEXT,
            "film_id": list(range(N)),
            "year": [1950 + i % 30 for i in range(N)],
            "genres": TAGS,
            "scores": PROBS.tolist(),
        },
        {"id": "film_id", "labels": "genres", "pred_probs": "scores", "show": ["Plot"]},
    ),
    (
        "no probabilities, an embedding from 0 to 1",
        {"uuid": IDS, "topics": TAGS, "body": TEXT, "text_vector": RNG.random((N, 8)).tolist()},
        {"id": "uuid", "labels": "topics", "show": ["body"]},
    ),
    (
        "texts with a delimiter",
        {"key": IDS, "tags": ["; ".join(tags) for tags in TAGS], "p": PROBS.tolist()},
        {"id": "key", "labels": "tags", "pred_probs": "p", "delimiter": ";"},
    ),
    (
        "texts with commas, which is the default",
        {"key": IDS, "tags": [",".join(tags) for tags in TAGS], "p": PROBS.tolist()},
        {"id": "key", "labels": "tags", "pred_probs": "p"},
    ),
    (
        "lists in texts, as pandas writes them",
        {"id": IDS, "labels": [str(tags) for tags in TAGS], "text": TEXT},
        {"id": "id", "labels": "labels", "show": ["text"]},
    ),
    (
        "columns paired by name",
        {
            "id": IDS,
            **{name: BITS[:, k] for k, name in enumerate(NAMES)},
            **{f"p_{name}": PROBS[:, k] for k, name in enumerate(reversed(NAMES))},
        },
        {"id": "id", "labels": NAMES, "pred_probs": [f"p_{name}" for name in NAMES]},
    ),
    (
        "columns with something around their names",
        {
            "id": IDS,
            **{f"label_{name}": BITS[:, k].astype(bool) for k, name in enumerate(NAMES)},
            **{f"{name}_prob": PROBS[:, k] for k, name in enumerate(NAMES)},
        },
        {
            "id": "id",
            "labels": [f"label_{name}" for name in NAMES],
            "pred_probs": [f"{name}_prob" for name in NAMES],
            "classes": NAMES,
        },
    ),
    (
        "columns of 0 and 1 alone",
        {"comment_text": TEXT, "id": IDS, **{name: BITS[:, k] for k, name in enumerate(NAMES)}},
        {"id": "id", "labels": NAMES, "show": ["comment_text"]},
    ),
    (
        "lists of names beside columns of probabilities",
        {"id": IDS, "labels": TAGS, **{f"prob_{name}": PROBS[:, k] for k, name in enumerate(NAMES)}},
        {"id": "id", "labels": "labels", "pred_probs": [f"prob_{name}" for name in NAMES], "classes": NAMES},
    ),
    (
        "vectors of 0 and 1",
        {"id": IDS, "y_true": BITS.tolist(), "y_score": PROBS.tolist()},
        {"id": "id", "labels": "y_true", "pred_probs": "y_score"},
    ),
    (
        "nothing that names a row",
        {"labels": TAGS, "pred_probs": PROBS.tolist(), "year": [1950 + i % 30 for i in range(N)]},
        {"labels": "labels", "pred_probs": "pred_probs"},
    ),
    (
        "an id that comes twice, and a number that happens not to",
        {"id": ["a"] * N, "price": RNG.permutation(N), "labels": TAGS, "pred_probs": PROBS.tolist()},
        {"id": "id", "labels": "labels", "pred_probs": "pred_probs"},
    ),
    (
        "a name that the audit needs itself",
        {"rank_in_row": IDS, "row": IDS, "n": list(range(N)), "labels": TAGS, "pred_probs": PROBS.tolist()},
        {"id": "n", "labels": "labels", "pred_probs": "pred_probs"},
    ),
    (
        "percentages by the name of probabilities",
        {"id": IDS, "labels": TAGS, "probabilities": (100 * PROBS).tolist()},
        {"id": "id", "labels": "labels", "pred_probs": "probabilities"},
    ),
    ("no tags", {"id": IDS, "text": TEXT, "n": RNG.normal(size=N)}, {"id": "id", "show": ["text"]}),
    (
        "no rows",
        {"id": pa.array([], pa.string()), "labels": pa.array([], pa.list_(pa.string()))},
        {"id": "id", "labels": "labels"},
    ),
    (
        "all null",
        {"id": IDS, "labels": pa.array([None] * N, pa.list_(pa.string()))},
        {"id": "id", "labels": "labels"},
    ),
    ("no columns", {}, {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_columns_are_chosen(columns: dict[str, Any], expected: dict[str, object]) -> None:
    assert chosen(guess(columns)) == expected


def test_maps_and_vectors_hold_probabilities_too() -> None:
    maps = pa.array(
        [list(zip(NAMES, row, strict=True)) for row in PROBS.tolist()], pa.map_(pa.string(), pa.float64())
    )
    assert chosen(guess({"id": IDS, "labels": TAGS, "p": maps}))["pred_probs"] == "p"
    vectors = pa.array(PROBS.tolist(), pa.list_(pa.float64()))
    item = pa.field("prediction", vectors.type, metadata={VECTOR: b"1"})
    facts = ColumnFacts(item, vectors)
    assert facts.type_name == "vector"
    assert guess_columns([facts]).pred_probs is not None


def test_what_is_given_is_left_as_it_is() -> None:
    columns = {"id": IDS, "key": IDS, "tags": TAGS, "genres": TAGS, "p": PROBS.tolist(), "a": TEXT}
    found = guess(columns, {"id": "key", "labels": "genres", "pred_probs": None, "classes": ["x"]})
    assert chosen(found) == {"id": "key", "labels": "genres", "classes": ["x"], "show": ["a"]}
    assert {choice.why for choice in (found.id, found.labels) if choice} == {"as given"}


def test_others_that_would_do_are_named() -> None:
    columns = {
        "name": IDS,
        "id": IDS,
        "labels": TAGS,
        "genres": TAGS,
        "body": TEXT,
        "title": TEXT,
        "text": TEXT,
    }
    found = guess(columns)
    assert found.id is not None
    assert found.labels is not None
    assert found.show is not None
    assert (found.id.value, found.id.others) == ("id", ("name",))
    assert (found.labels.value, found.labels.others) == ("labels", ("genres",))
    assert (found.show.value, found.show.others) == (["title", "text"], ("body",))


def test_no_class_is_lost_for_a_value_that_does_not_fit() -> None:
    flags = {"y_a": [0, 1, 1], "y_b": [1, 0, 1], "y_c": ["1", "maybe", "0"]}
    probs = {"p_a": [0.1, 0.9, 0.8], "p_b": [0.9, float("nan"), 1.0000001], "p_c": [0.9, 0.5, 7.0]}
    found = guess({"id": [1, 2, 3], **flags, **probs})
    assert found.labels is not None
    assert found.pred_probs is not None
    assert found.labels.value == ["y_a", "y_b", "y_c"]
    assert found.pred_probs.value == ["p_a", "p_b", "p_c"]
