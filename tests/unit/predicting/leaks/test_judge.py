"""Columns judged by what stands in them, on made-up rows: every way to bear the tags, and honest features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from spark_ml_audit.predicting.leaks.judge import MIN_POSITIVES, MIN_ROWS, TagSample, judge_column

N = 1200
TAGS = ("Drama", "Science fiction", "War", "Crime, true", "Music", "rare")
RNG = np.random.default_rng(0)
GIVEN = RNG.random((N, len(TAGS))) < [0.5, 0.2, 0.1, 0.1, 0.05, 0.003]
SAMPLE = TagSample(TAGS, ",", GIVEN)
SETS = [[TAGS[k] for k in np.flatnonzero(row)] for row in GIVEN]
CODE = {tag: f"t{7 * k + 1}" for k, tag in enumerate(TAGS)}
WORDS = [f"word{i}" for i in range(200)]


def sentence() -> str:
    return " ".join(RNG.choice(WORDS, 12))


LEAKS: dict[str, tuple[str, list[Any], str]] = {
    "a copy": ("text", SETS, "holds class names"),
    "a part of it": ("text", [tags[:1] for tags in SETS], "holds class names"),
    "another's opinion": (
        "text",
        [[tag for tag in tags if RNG.random() < 0.7] + [TAGS[int(RNG.integers(6))]] for tags in SETS],
        "holds class names",
    ),
    "the first": ("categorical", [tags[0] if tags else None for tags in SETS], "holds class names"),
    "lower case": ("text", ["; ".join(tags).lower() for tags in SETS], "names"),
    "JSON": ("text", [str(tags) for tags in SETS], "names"),
    "in a sentence": ("text", [f"{sentence()} is {' and '.join(tags)}" for tags in SETS], "texts name"),
    "codes in a list": ("text", [[CODE[tag] for tag in tags] for tags in SETS], "of 5 tags"),
    "codes in a text": ("text", [" ".join(CODE[tag] for tag in tags) for tags in SETS], "of 5 tags"),
    "bits": ("text", ["".join("01"[int(bit)] for bit in row) for row in GIVEN], "of 5 tags"),
    "a number of bits": ("numeric", (GIVEN @ (1 << np.arange(6))).tolist(), "of 5 tags"),
    "multi-hot": ("embedding", list(GIVEN.astype(np.float32)), "of 5 tags"),
    "one flag": ("boolean", GIVEN[:, 3].tolist(), "tells the tag 'Crime, true'"),
    "one flag, negated": ("numeric", (~GIVEN[:, 0]).astype(int).tolist(), "tells the tag 'Drama'"),
    "a flag or null": ("categorical", ["x" if hit else None for hit in GIVEN[:, 2]], "tells the tag 'War'"),
    "known of some": (
        "boolean",
        [bool(hit) if i % 4 == 0 else None for i, hit in enumerate(GIVEN[:, 0])],
        "tells the tag 'Drama'",
    ),
    "a score": ("numeric", (GIVEN[:, 2] * 6 + RNG.normal(size=N)).tolist(), "tells the tag 'War'"),
    "a range": ("numeric", np.where(GIVEN[:, 2], 50, RNG.integers(0, 50, N) * 2.0 - 0.5).tolist(), "'War'"),
    "a day": (
        "date",
        [f"20{20 + int(hit):02}-0{1 + i % 9}-1{i % 10}" for i, hit in enumerate(GIVEN[:, 1])],
        "'Science fiction'",
    ),
}  # fmt: skip
FEATURES: dict[str, tuple[str, list[Any]]] = {
    "text": ("text", [f"{sentence()} {'war' if row[2] and i % 2 else ''}" for i, row in enumerate(GIVEN)]),
    "good words": (
        "text",
        [" ".join([sentence(), *(f"{tag[:2]}{RNG.integers(4)}" for tag in tags)]) for tags in SETS],
    ),
    "texts on the matter": (
        "text",
        [
            " ".join([sentence(), *(tag for tag in TAGS if RNG.random() < (0.75 if tag in tags else 0.01))])
            for tags in SETS
        ],
    ),
    "no values": ("text", [None] * N),
    "useful number": ("numeric", (GIVEN[:, 0] + RNG.normal(size=N)).tolist()),
    "year": ("numeric", RNG.integers(1950, 2020, N).tolist()),
    "useful category": ("categorical", [str(RNG.integers(3) + 2 * row[0]) for row in GIVEN]),
    "vector": ("embedding", list(RNG.normal(size=(N, 4)))),
    "keywords as bits": ("embedding", list((RNG.random((N, 8)) < 0.2).astype(float))),
    "rare tag exactly": ("boolean", GIVEN[:, 5].tolist()),
    "other tags' names": ("categorical", [TAGS[int(RNG.integers(6))] for _ in range(N)]),
}


@pytest.mark.parametrize("case", LEAKS)
def test_what_bears_or_reproduces_the_tags_leaks(case: str) -> None:
    kind, values, said = LEAKS[case]
    reason = judge_column("column", kind, pd.Series(values), SAMPLE).reason
    assert reason is not None
    assert said in reason


@pytest.mark.parametrize("case", FEATURES)
def test_what_only_goes_with_the_tags_is_a_feature(case: str) -> None:
    kind, values = FEATURES[case]
    judgement = judge_column("column", kind, pd.Series(values, dtype=object), SAMPLE)
    assert (judgement.reason, judgement.shortcuts) == (None, ())


@pytest.mark.parametrize("kind", ["word", "element", "value"])
def test_one_word_for_one_tag_is_a_shortcut(kind: str) -> None:
    hit = GIVEN[:, 2] & (RNG.random(N) < 0.95)
    if kind == "word":
        values: list[Any] = [f"{sentence()} {'ZQX!' if it else ''}" for it in hit]
    elif kind == "element":
        values = [[*sentence().split()[:3], *(["zqx"] if it else [])] for it in hit]
    else:
        values = ["zqx" if it else str(RNG.choice(["a", "b", "c"])) for it in hit]
    judgement = judge_column(
        "column", "categorical" if kind == "value" else "text", pd.Series(values), SAMPLE
    )
    assert judgement.reason is None
    (shortcut,) = judgement.shortcuts
    assert (shortcut.column, shortcut.tag) == ("column", "War")
    assert shortcut.value in ("zqx", "!")
    assert shortcut.precision == 1
    assert shortcut.recall == pytest.approx(hit.sum() / GIVEN[:, 2].sum())


def test_a_digest_of_many_sets_of_tags_leaks_though_it_tells_no_single_tag_well() -> None:
    sets = RNG.random((500, 30)) < 0.08
    given = sets[RNG.integers(0, 500, N)]
    digests = [f"{hash(row.tobytes()):x}" for row in given]
    sample = TagSample(tuple(f"tag {k}" for k in range(30)), ",", given)
    reason = judge_column("column", "text", pd.Series(digests), sample).reason
    assert reason is not None
    assert "stand for the sets of tags" in reason
    mixed = [digests[i - i % 2] for i in range(N)]
    assert judge_column("column", "text", pd.Series(mixed), sample).reason is None


def test_rows_and_positives_must_be_enough() -> None:
    def told(num_rows: int, num_given: int) -> bool:
        given = (np.arange(num_rows) < num_given)[:, None]
        sample = TagSample(("one",), ",", given)
        return judge_column("column", "boolean", pd.Series(given[:, 0]), sample).reason is not None

    assert told(MIN_ROWS, MIN_POSITIVES)
    assert not told(MIN_ROWS - 1, MIN_POSITIVES)
    assert not told(MIN_ROWS, MIN_POSITIVES - 1)
    assert not told(MIN_ROWS, MIN_ROWS - MIN_POSITIVES + 1)


def test_nothing_is_told_by_chance() -> None:
    """A thousand random columns, each compared with forty tags of ten rows or a few more."""
    rng = np.random.default_rng(5)
    given = rng.random((400, 40)) < 0.04
    sample = TagSample(tuple(f"tag {k}" for k in range(40)), ",", given)
    assert len(sample.judged) > 20
    for i in range(1000):
        kind = ("numeric", "boolean", "categorical")[i % 3]
        drawn = (rng.normal(size=400), rng.random(400) < 0.04, rng.integers(0, 30, 400).astype(str))[i % 3]
        judgement = judge_column("column", kind, pd.Series(drawn), sample)
        assert (judgement.reason, judgement.shortcuts) == (None, ())
