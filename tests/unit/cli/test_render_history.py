"""Comparisons and trends as text and JSON."""

from __future__ import annotations

import json

from spark_ml_audit.cli.render import render_compare, render_trend
from spark_ml_audit.outcomes.history import (
    CompareOutcome,
    TrendOutcome,
)
from tests.unit.history.made_up import comparison, ref, trend


def test_comparison_as_text_and_json() -> None:
    outcome = CompareOutcome(
        comparison=comparison(),
        delivered=False,
        tables={"comparison": "out/comparison"},
        warnings=("Look.",),
    )
    text = render_compare(outcome)
    for part in (
        f"Comparison of {ref(1).run_id} with {ref(0).run_id}: done, but not everything was delivered",
        "rows:  2 newly flagged, 1 fixed, 2 still open",
        "cells: 3 newly flagged, 1 fixed, 2 still open",
        "4 audited rows came, 0 went",
        "why cells are newly flagged: row came 2, same tags 1",
        "why cells are fixed: tags changed 1\n",
        "comparison  out/comparison",
        "- Look.",
    ):
        assert part in text
    assert "\x1b" not in text
    data = json.loads(json.dumps(outcome.to_dict(), allow_nan=False))
    assert (data["run_id"], data["against_run_id"]) == (ref(1).run_id, ref(0).run_id)
    assert data["classes"][0]["label_noise_before"] == 0.02
    assert (outcome.exit_code, data["delivered"]) == (4, False)


def test_trend_as_text_and_json() -> None:
    outcome = TrendOutcome(trend=trend(3, 2), report="out/reports/trend.html", stages={"read": 1.0})
    text = render_trend(outcome)
    assert "3 of 6 runs, 2 of 130 classes" in text
    assert "out/reports/trend.html" in text
    assert "\x1b" not in text
    data = json.loads(json.dumps(outcome.to_dict(), allow_nan=False))
    assert data["report"] == "out/reports/trend.html"
    assert [run["health"] for run in data["runs"]] == [0.9, None, 0.9]
    assert data["classes"][0]["inverse_label_noise"] == [None, 0.02, 0.02]
