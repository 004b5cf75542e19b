"""Configs of the commands after an audit, spreadsheets without formulas, texts of outcomes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from spark_ml_audit.cli.render_review import render_correct, render_review, render_sample
from spark_ml_audit.config import (
    CorrectConfig,
    DecideConfig,
    ReviewConfig,
    SampleConfig,
    load_as,
    load_config,
)
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.outcomes.review import (
    CorrectOutcome,
    Estimate,
    ReviewOutcome,
    SampleOutcome,
    StratumDrawn,
    StratumJudged,
)
from spark_ml_audit.reviewing.spreadsheet import disarm, write_csv

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize(("config", "name"), [(SampleConfig, "sample"), (CorrectConfig, "correct")])
def test_example_configs_show_every_key_with_its_default(config, name):
    shown = load_as(config, str(CONF / f"{name}.example.yml"))
    assert shown == load_as(config, None, ["output.path=audits/tags"])
    text = (CONF / f"{name}.example.yml").read_text()
    for key in type(getattr(shown, name)).model_fields:
        assert f"  {key}:" in text


@pytest.mark.parametrize(
    ("config", "override", "said"),
    [
        (SampleConfig, "sample.size=0", "a whole number from 1 to 10000"),
        (SampleConfig, "sample.per_stratum=5", "only a random sample has strata"),
        (SampleConfig, "sample.run='1; DROP'", "not the id of a run"),
        (CorrectConfig, "correct.decisions=false", "nothing to correct by"),
        (CorrectConfig, "correct.decisions=3", "which is not true, false, or a table"),
        (CorrectConfig, "correct.decisions='a b'", "neither a path nor a table name"),
        (CorrectConfig, "correct.accept_above=0.5", "a number above 0.5"),
        (CorrectConfig, "correct={mode: merge, to: ./x}", "merge changes the source itself"),
        (CorrectConfig, "correct.accept_abov=0.9", "accept_above"),
        (ReviewConfig, "review.confidence=1", "between 0.5 and 1"),
        (DecideConfig, "decide.who=x", "decide.file"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_key(config, override, said):
    with pytest.raises(ConfigError, match=said) as caught:
        load_as(config, None, ["output.path=o", override])
    assert caught.value.key.startswith(override.partition("=")[0].split(".")[0])
    assert caught.value.fix


def test_decisions_decide_the_result_of_an_audit():
    plain = load_config(None, ["source.path=a", "output.path=o"])
    heeding = load_config(None, ["source.path=a", "output.path=o", "source.decisions=main.quality.decisions"])
    assert plain.fingerprint() != heeding.fingerprint()
    with pytest.raises(ConfigError, match=r"source\.decisions"):
        load_config(None, ["source.path=a", "output.path=o", "source.decisions=a b"])


def test_spreadsheets_show_formulas_and_run_none(tmp_path):
    values = ["=1+1", "+x", "-5", "@a", "\tb", "\rc", "'=d", "plain", 'quo"te', "line\nbreak", None]
    path = write_csv(str(tmp_path / "new" / "x.csv"), ["=id", "n"], [(value, 1) for value in values])
    content = Path(path).read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["'=id", "n"]
    assert [row[0] for row in rows[1:]] == ["" if value is None else disarm(value) for value in values]
    assert not [row for row in rows if row[0][:1] in tuple("=+-@\t\r")]
    with pytest.raises(ConfigError, match=r"sample\.csv"):
        write_csv(str(tmp_path), ["a"], [])


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
    )
    text = render_correct(done)
    assert "3 rows changed (merge)" in text
    assert "2 added, 1 removed" in text
    assert "correct --undo c" in text
