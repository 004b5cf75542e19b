"""The rule of which verdict stands is written twice: over frames, and for one cell in memory. They agree."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest

from spark_ml_audit.app.votes import Vote, standing_vote
from spark_ml_audit.engines.base import Engine, rows_of
from spark_ml_audit.reviewing.decisions import CONTRADICTORY, check_decisions, standing_decisions
from spark_ml_audit.reviewing.votes import IS_DISPUTED

_BEGIN = datetime(2026, 6, 1, tzinfo=timezone.utc)
_CELLS = 3000


def _any_votes() -> list[list[tuple[str, str, int, str]]]:
    """Up to six votes on each cell, at few enough moments to clash."""
    rng = np.random.default_rng(16)
    choices = (
        ("ann", "bob", "eve"),
        ("present", "absent", "unsure"),
        ("single", "single", "bulk", "adjudicated"),
    )

    def drawn(among: tuple[str, ...]) -> str:
        return str(rng.choice(among))

    return [
        [
            (drawn(choices[0]), drawn(choices[1]), int(rng.integers(4)), drawn(choices[2]))
            for _ in range(rng.integers(1, 7))
        ]
        for _ in range(_CELLS)
    ]


def test_both_forms_of_the_rule_agree(embedded_engine: Engine) -> None:
    cells = _any_votes()
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
    seen = set()
    for number, votes in enumerate(cells):
        own = [Vote(who, verdict, _BEGIN + timedelta(hours=hour), kind) for who, verdict, hour, kind in votes]
        standing, row = standing_vote(own), found[str(number)]
        assert standing is not None
        assert standing.verdict == (None if row["state"] == CONTRADICTORY else row["verdict"]), votes
        assert standing.is_disputed == row[IS_DISPUTED], votes
        seen.add((standing.verdict, standing.is_disputed))
    assert len(seen) == 7  # three verdicts and none, disputed and not; who is unsure disputes nothing


def test_nobody_has_judged() -> None:
    assert standing_vote([]) is None


@pytest.mark.parametrize("verdict", ["maybe", ""])
def test_a_verdict_that_is_none_counts_as_none(verdict: str) -> None:
    assert standing_vote([Vote("ann", verdict)]) is None
