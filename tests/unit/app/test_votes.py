"""The rule of which verdict stands is written twice: over frames, and for one cell in memory. They agree."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_ml_audit.app.votes import Vote, standing_vote
from spark_ml_audit.engines.base import Engine, rows_of
from spark_ml_audit.reviewing.decisions import CONTRADICTORY, check_decisions, standing_decisions
from spark_ml_audit.reviewing.votes import IS_DISPUTED

_BEGIN = datetime(2026, 6, 1, tzinfo=timezone.utc)
_VOTES = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "eve"]),
        st.sampled_from(["present", "absent", "unsure"]),
        st.integers(0, 3),
        st.sampled_from(["single", "single", "bulk", "adjudicated"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(cells=st.lists(_VOTES, min_size=1, max_size=12))
def test_both_forms_of_the_rule_agree(embedded_engine: Engine, cells: list) -> None:
    rows = [
        {
            "id": str(number), "tag": "war", "verdict": verdict, "who": who, "note": None,
            "when": _BEGIN + timedelta(hours=hour), "kind": kind, "decision_id": f"{number}.{place}",
            "sample_id": None, "run_id": "r", "bulk_id": None, "undoes": None,
        }
        for number, votes in enumerate(cells)
        for place, (who, verdict, hour, kind) in enumerate(votes)
    ]  # fmt: skip
    texts = {name: pa.string() for name in rows[0] if name != "when"}
    schema = pa.schema([*texts.items(), ("when", pa.timestamp("us", tz="UTC"))])
    frame = embedded_engine.from_arrow(pa.Table.from_pylist(rows, schema))
    checked = check_decisions(embedded_engine, frame, "id", pa.string(), "decisions")
    found = {
        row["id"]: row
        for row in rows_of(embedded_engine, standing_decisions(embedded_engine, checked, ["war"]))
    }
    for number, votes in enumerate(cells):
        own = [Vote(who, verdict, _BEGIN + timedelta(hours=hour), kind) for who, verdict, hour, kind in votes]
        standing, row = standing_vote(own), found[str(number)]
        assert standing is not None
        assert standing.verdict == (None if row["state"] == CONTRADICTORY else row["verdict"]), votes
        assert standing.is_disputed == row[IS_DISPUTED], votes


def test_nobody_has_judged() -> None:
    assert standing_vote([]) is None


@pytest.mark.parametrize("verdict", ["maybe", ""])
def test_a_verdict_that_is_none_counts_as_none(verdict: str) -> None:
    assert standing_vote([Vote("ann", verdict)]) is None
