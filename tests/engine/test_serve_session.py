"""The state behind the review page, in this process: it says what the tables say, whoever wrote them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from spark_ml_audit.app.choose import choose_reader
from spark_ml_audit.app.decide import decide, drawing_of, take_back
from spark_ml_audit.app.decided import DecisionRecord
from spark_ml_audit.app.lake_reader import LakeReader
from spark_ml_audit.app.session import ReviewSession
from spark_ml_audit.app.votes import PRESENT
from spark_ml_audit.config import ServeConfig, load_as
from spark_ml_audit.errors import InputError
from spark_ml_audit.reviewing.excluded import excluded_rows
from spark_ml_audit.reviewing.votes import BULK, UNDO
from tests.lake import Lake
from tests.review_page import own_output

_BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def opened(house: Lake) -> Callable[[], ReviewSession]:
    """A further server over the same output."""
    output = own_output(house)

    def another() -> ReviewSession:
        config = load_as(ServeConfig, None, [f"output.path={output}", "engine.kind=embedded"])
        return ReviewSession(choose_reader(config)[0], config.serve)

    return another


# ---- rows left out, and what was accepted in bulk ---------------------------------------------------


def _left_out(session: ReviewSession) -> set[object]:
    """The excluded rows, of which page and tables say the same."""
    assert isinstance(session.reader, LakeReader)
    tables = session.reader.tables
    found = excluded_rows(tables, session.reader.run)
    stored = set() if found is None else set(tables.engine.collect(found).column("id").to_pylist())
    assert {session.index.id_of(row) for row in session.state.excluded} == stored
    return stored


def _say(session: ReviewSession, name: str, row: str, verdict: str, second: int, who: str = "ann") -> None:
    when = (_BEGIN + timedelta(seconds=second)).isoformat()
    decide(session, {"decision_id": name, "id": row, "row": verdict, "when": when}, who)


def test_excluded_rows_are_those_of_the_tables(opened: Callable[[], ReviewSession]) -> None:
    session = opened()
    _say(session, "out", "film 005", "exclude", 1)
    assert _left_out(session) == {"film 005"}
    _say(session, "in", "film 005", "include", 2)
    assert _left_out(session) == set()
    assert _left_out(opened()) == set()
    take_back(session, ["in.0"], "ann")
    assert _left_out(session) == {"film 005"}
    assert _left_out(opened()) == {"film 005"}
    _say(session, "ann-out", "film 006", "exclude", 3)
    _say(session, "bob-out", "film 006", "exclude", 4, "bob")
    take_back(session, ["bob-out.0"], "bob")
    assert _left_out(session) == {"film 005", "film 006"}
    _say(session, "late", "film 006", "include", 2)  # said before, sent after
    assert _left_out(session) == {"film 005", "film 006"}
    _say(session, "same", "film 006", "include", 3)  # of two at the same time include stands
    assert _left_out(session) == {"film 005"}


def test_of_two_bulk_acceptances_of_a_cell_one_is_taken_back(opened: Callable[[], ReviewSession]) -> None:
    session = opened()
    tag, row = session.classes[0], session.row_of("film 005", hold=True)
    records = [
        DecisionRecord("film 005", tag, PRESENT, "ann", _BEGIN, BULK, f"{name}-1", bulk_id=name)
        for name in ("one", "two")
    ]
    session.take(records)
    undo = DecisionRecord(None, None, None, "ann", _BEGIN, UNDO, "undo-one", undoes="one")
    session.take([undo])
    standing = session.state.standing((row, 0))
    assert standing is not None
    assert standing.verdict == PRESENT
    session.take([DecisionRecord(None, None, None, "ann", _BEGIN, UNDO, "undo-two", undoes="two")])
    assert session.state.standing((row, 0)) is None


# ---- blind samples -------------------------------------------------------------------------------------


def test_what_was_decided_before_is_asked_again_in_a_blind_sample(
    opened: Callable[[], ReviewSession],
) -> None:
    session = opened()
    sample = session.reader.draw(drawing_of({"how": "random", "size": 20}))
    session.load_samples()
    asked = session.asked({"kind": "sample", "sample": sample})
    items = session.queue(asked, "ann").items

    def say(name: str, place: int, **more: object) -> None:
        row_id = session.index.id_of(int(items.rows[place]))
        cells = [[session.classes[int(items.classes[place])], PRESENT]]
        decide(session, {"decision_id": name, "id": row_id, "cells": cells, **more}, "ann")

    for place in range(5):
        say(f"before-{place}", place)
    row, code = int(items.rows[5]), int(items.classes[5])
    bulk = DecisionRecord(
        session.index.id_of(row), session.classes[code], PRESENT, "ann", _BEGIN, BULK, "in-bulk", None,
        "one", sample,
    )  # fmt: skip
    session.take([bulk])
    assert not session.queue(asked, "ann").done.any()
    for place in range(len(items)):
        assert session.queue(asked, "ann").first_open() == place
        say(f"blind-{place}", place, sample=sample)
    assert session.queue(asked, "ann").done.all()
    assert opened().queue(asked, "ann").done.all()
    take_back(session, ["blind-3.0"], "ann")
    assert session.queue(asked, "ann").first_open() == 3


# ---- several servers -------------------------------------------------------------------------------


def _decide(session: ReviewSession, name: str, row: str, who: str) -> list[str]:
    sent = {"decision_id": name, "id": row, "cells": [[session.classes[0], PRESENT]]}
    return decide(session, sent, who)


def test_what_another_server_wrote_is_taken_back(opened: Callable[[], ReviewSession]) -> None:
    first, second = opened(), opened()
    names = _decide(first, "one", "film 005", "ann")
    assert take_back(second, names, "ann") == names
    first.refresh()
    assert first.state.standing((first.row_of("film 005"), 0)) is None
    assert take_back(first, names, "ann") == names  # sent again
    guessed = ["two.0", "two.1", "two.2"]  # where the page does not know how many there were
    _decide(first, "two", "film 006", "ann")
    assert take_back(second, guessed, "ann") == ["two.0"]
    with pytest.raises(InputError, match=r"no decision 'three\.0'"):
        take_back(second, ["three.0"], "ann")
    assert take_back(second, [], "ann") == []


def test_what_is_sent_again_hides_nothing_of_another_server(opened: Callable[[], ReviewSession]) -> None:
    first, second = opened(), opened()
    names = _decide(first, "one", "film 005", "ann")
    second.refresh()
    _decide(second, "two", "film 006", "bob")
    _decide(first, "one", "film 005", "ann")
    first.refresh()
    assert first.state.num_by == {"ann": 1, "bob": 1}
    take_back(first, names, "ann")
    second.refresh()
    _decide(second, "three", "film 007", "bob")
    take_back(first, names, "ann")
    first.refresh()
    assert first.state.num_by == {"ann": 0, "bob": 2}


def test_a_reader_of_the_newest_run_waits_for_the_one_before(opened: Callable[[], ReviewSession]) -> None:
    reader = opened().reader
    assert isinstance(reader, LakeReader)
    decided, shown = threading.Event(), threading.Event()

    def use(newest: LakeReader) -> None:
        newest.decisions()
        decided.set()
        newest.rows(["film 005"])
        shown.set()

    with reader._source._lock:
        with reader._lock:
            thread = threading.Thread(target=use, args=(reader.newest(),))
            thread.start()
            assert not decided.wait(0.3)
        assert decided.wait(30)
        assert not shown.wait(0.3)
    thread.join(30)
    assert shown.is_set()
