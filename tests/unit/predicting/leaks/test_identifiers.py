"""What tells rows apart is no feature; names, titles, sizes and dates are none the worse for being unique."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

from spark_ml_audit.predicting.leaks.identifiers import number_identifier, text_identifier

RNG = np.random.default_rng(0)
N = 400
IDS = [f"tt{i:07}" for i in RNG.permutation(N)]
WORDS = ["red", "green", "library", "server", "client", "common", "tools", "docs"]
LETTERS = list("abcdefghijklmnopqrstuvwxyz")


def letters(length: int) -> str:
    return "".join(RNG.choice(LETTERS, length))


CODES = {
    "uuid": [str(uuid.UUID(int=int(i) << 64 | 12345)) for i in RNG.integers(0, 1 << 62, N)],
    "hex": [f"{i:016x}" for i in RNG.integers(0, 1 << 62, N)],
    "prefixed": [f"user-{i}" for i in RNG.permutation(N)],
    "letters": [letters(12) for _ in range(N)],
    "a few twice": [f"K{i % (N - 10)}" for i in range(N)],
    "with nulls": [None if i % 3 == 0 else f"K{i}" for i in range(N)],
}
TEXTS = {
    "packages": [f"{letters(5)}-{WORDS[i % 8]}" for i in range(N)],
    "titles": [f"{letters(6)} and {letters(4)}" for _ in range(N)],
    "names": [letters(int(RNG.integers(3, 12))) for _ in range(N)],
    "addresses": [f"https://example.org/{WORDS[i % 8]}/{i}" for i in range(N)],
    "prices": [f"{price:.3f}" for price in RNG.lognormal(3, 1, N)],
    "times": [f"2026-01-{1 + i % 28:02}T10:{i % 60:02}:{i // 60:02}" for i in range(N)],
    "groups": [f"K{i // 4}" for i in range(N)],
}


@pytest.mark.parametrize("kind", CODES)
def test_codes_are_identifiers(kind: str) -> None:
    assert text_identifier(CODES[kind], IDS) is not None


@pytest.mark.parametrize("kind", TEXTS)
def test_words_and_measures_are_none(kind: str) -> None:
    assert text_identifier(TEXTS[kind], IDS) is None


def test_copies_of_the_ids_whatever_they_look_like() -> None:
    names = TEXTS["packages"]
    assert text_identifier(names, names) == "repeats the ids of the rows"
    assert text_identifier([f"pkg/{name}" for name in names], names) == "holds the ids of the rows"
    assert text_identifier([f"{name} is a package" for name in names], names) is None
    assert number_identifier("x", np.arange(float(N)) * 7, [7 * i for i in range(N)], N) is not None


def test_numbers_that_number_rows_and_those_that_measure() -> None:
    order = RNG.permutation(N).astype(float)
    assert number_identifier("pos", order, IDS, N) is not None
    by_id = [float(place) for place in np.argsort(np.argsort(IDS)) * 1000]
    assert number_identifier("made", np.array(by_id), IDS, N) == "numbers the rows in the order of their ids"
    assert number_identifier("film_id", RNG.integers(0, 1 << 40, N).astype(float), IDS, N) is not None
    assert number_identifier("bytes", RNG.integers(0, 1 << 40, N).astype(float), IDS, N) is None
    assert number_identifier("film_id", np.repeat(np.arange(N / 4), 4), IDS, N) is None
    assert number_identifier("film_id", RNG.normal(size=N), IDS, N) is None
    assert number_identifier("pos", np.full(N, np.nan), IDS, N) is None


def test_few_rows_say_nothing() -> None:
    assert text_identifier(CODES["hex"][:49], IDS[:49]) is None
    assert number_identifier("id2", np.arange(49.0), IDS[:49], 49) is None
