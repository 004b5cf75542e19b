"""Texts of samples, reviews and corrections."""

from __future__ import annotations

import json

from spark_ml_audit.cli.render_review import render_correct, render_review, render_sample
from spark_ml_audit.outcomes.review import (
    CorrectOutcome,
    Estimate,
    ReviewOutcome,
    SampleOutcome,
    StratumDrawn,
    StratumJudged,
)


def test_estimates_print_and_serialise_what_is_not_known():
    found = ReviewOutcome(
        run_id="r",
        sample_id="s",
        confidence=0.95,
        num_drawn=3,
        num_judged=2,
        num_unsure=1,
        estimates=(
            Estimate("precision", "missing", 0.5, 0.25, 0.75, None),
            Estimate("recall", "missing", None, None, None, None),
            Estimate("num_errors", "both", 1234.4, 1000.0, 2000.0, 900.0),
        ),
        strata=(StratumJudged("flagged missing", 1000, 3, 2, 1, 1),),
        warnings=("Nothing was judged in 'x\x1b'.",),
        mlflow_run_id=None,
        tables={"review_estimates": "/o"},
        stages={"run": 1.0},
    )
    text = render_review(found)
    assert "50.0%  25.0% to 75.0%" in text
    assert "1,234 1,000 to 2,000" in " ".join(text.split())
    assert "unknown" in text
    assert "\x1b" not in text
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (told["status"], told["estimates"][1]["estimate"]) == ("ok", None)
    assert found.metrics() == {
        "review/precision_missing": 0.5,
        "review/precision_missing_low": 0.25,
        "review/precision_missing_high": 0.75,
        "review/num_errors_both": 1234.4,
        "review/num_errors_both_low": 1000.0,
        "review/num_errors_both_high": 2000.0,
        "review/num_judged": 2.0,
    }


def test_samples_and_corrections_say_what_was_done():
    sample = SampleOutcome(
        sample_id="s",
        run_id="r",
        how="random",
        num_cells=5,
        num_rows=4,
        strata=(StratumDrawn("given", 10, 5),),
        csv="x.csv",
        tables={"a": "b"},
    )
    assert "5 cells to judge in 4 rows" in render_sample(sample)
    done = CorrectOutcome(
        correction_id="c",
        run_id="r",
        mode="merge",
        undoes=None,
        target="/t",
        target_version="4",
        num_rows_changed=3,
        num_tags_added=2,
        num_tags_removed=1,
        num_stale=7,
        num_gone=0,
        set_aside={},
        tables={"corrections": "/o"},
        warnings=("7 rows were left.",),
        undo_command="spark-ml-audit correct --out a --undo c",
    )
    text = render_correct(done)
    assert "3 rows changed (merge)" in text
    assert "2 added, 1 removed" in text
    assert "To take it back:\n  spark-ml-audit correct --out a --undo c" in text
