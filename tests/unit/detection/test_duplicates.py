"""Groups of near-duplicates: who is in them, how alike they are, what is said of their tags."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.detection import duplicates
from tests.unit.detection.rows import duplicates_of, finder_of, ingest_of

SENTENCE = "the quick brown fox jumps over the lazy dog and runs away from every wolf in the dark forest"


def test_tags_are_counted_over_the_rows_that_have_some(engine: Any) -> None:
    texts = [SENTENCE] * 4 + [f"{SENTENCE}!", "something else entirely", "and one more thing"]
    tags = [["red"], ["red", "green"], None, ["red", "blue"], ["red", "green"], ["blue"], []]
    found, warnings = duplicates_of(finder_of(ingest_of(engine, {"body": texts}, tags), text="body"))
    assert warnings == ()
    assert set(found) == {f"r{i}" for i in range(5)}
    assert len({row["group_id"] for row in found.values()}) == 1
    for row in found.values():
        # four rows have tags: all red, two green, one blue; half of them is no majority
        assert (row["differing_tags"], row["majority_tags"]) == (["green", "blue"], ["red"])
    assert {name: row["given_tags"] for name, row in found.items()} == {f"r{i}": tags[i] for i in range(5)}
    assert {name: row["kind"] for name, row in found.items()} == {
        "r0": "exact", "r1": "exact", "r2": "exact", "r3": "exact", "r4": "near",
    }  # fmt: skip
    assert found["r0"]["similarity"] == 1.0
    assert 0.9 < found["r4"]["similarity"] < 1


@pytest.mark.parametrize(("keep", "members"), [("differing", set()), ("all", {"r0", "r1", "r2", "r3"})])
def test_groups_that_agree_are_kept_if_asked_for(engine: Any, keep: str, members: set[str]) -> None:
    tags: list[Any] = [["red"], ["red"], None, None]
    ingest = ingest_of(engine, {"body": ["a", "a", "b", "b"]}, tags)
    found, _ = duplicates_of(finder_of(ingest, text="body", keep=keep))
    assert set(found) == members
    assert all(row["differing_tags"] == [] for row in found.values())
    if members:
        assert found["r2"]["given_tags"] is None
        assert found["r2"]["majority_tags"] == []


def test_group_ids_are_the_least_content_in_hexadecimal(engine: Any) -> None:
    ingest = ingest_of(engine, {"body": ["a", "a", "b", "b"]}, [["red"], [], ["red"], []])
    found, _ = duplicates_of(finder_of(ingest, text="body"))
    groups = {row["group_id"] for row in found.values()}
    assert len(groups) == 2
    assert all(len(group) == 16 and int(group, 16) >= 0 for group in groups)


def made_vectors() -> tuple[dict[str, Any], list[list[str]]]:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    vectors[30:50] = vectors[:20] * 1.5 + 0.01 * rng.normal(size=(20, 8))
    vectors[50:] = vectors[30:40]
    tags = [["red"] if i % 3 else ["green"] for i in range(60)]
    return {"vector": pa.array(vectors.tolist(), pa.list_(pa.float32()))}, tags


def test_candidates_too_many_to_be_known_give_the_same(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    columns, tags = made_vectors()
    finder = finder_of(ingest_of(engine, columns, tags), embedding="vector", threshold=0.95)
    known, _ = duplicates_of(finder)
    monkeypatch.setattr(duplicates, "_MAX_KNOWN", 3)
    assert duplicates_of(finder)[0] == known
    assert {row["kind"] for row in known.values()} == {"exact", "near"}


def test_the_most_similar_pairs_are_grouped_where_there_are_too_many(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, tags = made_vectors()
    finder = finder_of(ingest_of(engine, columns, tags), embedding="vector", threshold=0.95, keep="all")
    every, _ = duplicates_of(finder)
    monkeypatch.setattr(duplicates, "_MAX_PAIRS", 5)
    found, warnings = duplicates_of(finder)
    assert "More than 5 pairs" in warnings[0]
    near = sorted((row["similarity"] for row in every.values() if row["kind"] == "near"), reverse=True)
    kept = [row["similarity"] for row in found.values() if row["kind"] == "near"]
    assert set(kept) <= set(near[:10])


def test_a_crowd_is_told_of(engine: Any) -> None:
    texts = [f"{SENTENCE} {SENTENCE[::-1]} number {i}" for i in range(40)]
    tags = [["red"] if i % 2 else [] for i in range(40)]
    found, warnings = duplicates_of(finder_of(ingest_of(engine, {"body": texts}, tags), text="body"))
    assert len(found) == 40
    assert len({row["group_id"] for row in found.values()}) == 1
    assert "crowds of more than 16 rows" in warnings[0]


def test_nothing_alike_is_no_group(engine: Any) -> None:
    found, warnings = duplicates_of(finder_of(ingest_of(engine, {"body": ["a", "b"]}, [[], []]), text="body"))
    assert (found, warnings) == ({}, ())


def test_the_order_of_rows_changes_nothing(engine: Any) -> None:
    columns, tags = made_vectors()
    order = np.random.default_rng(0).permutation(60)
    shuffled = {"vector": columns["vector"].take(pa.array(order)), "id": [f"r{i}" for i in order]}
    found = [
        duplicates_of(finder_of(ingest_of(engine, made, given), embedding="vector", threshold=0.95))[0]
        for made, given in ((columns, tags), (shuffled, [tags[i] for i in order]))
    ]
    assert found[0] == found[1]
