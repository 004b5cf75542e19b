"""What gives a list of the page in full, as the engine of the run names its tables."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from spark_ml_audit.report.page import RunFacts, render_report
from spark_ml_audit.report.page.full_lists import full_lists
from tests.unit.report.page.sample import sample_report


@pytest.mark.parametrize(
    ("engine", "place", "shown"),
    [
        ("embedded", "/lake/o'brien/issues", "delta_scan('/lake/o''brien/issues')"),
        ("spark", "/lake/a`b/issues", "delta.`/lake/a``b/issues`"),
        ("spark", "s3://lake/issues", "delta.`s3://lake/issues`"),
        ("spark", "main.`my.audits`.issues", "`main`.`my.audits`.`issues`"),
    ],
)
def test_the_query_of_a_whole_list_names_the_table_as_the_engine_does(
    engine: str, place: str, shown: str
) -> None:
    base = sample_report(12)
    run: RunFacts = replace(base.run, engine=engine, tables={"issues": place})
    page = render_report(replace(base, run=run))
    assert shown.replace("'", "&#39;") in page


def test_changes_are_given_in_full_by_a_command_for_a_shell() -> None:
    base = sample_report(12)
    run = replace(base.run, config={"output": {"path": "/lake/o'brien audits", "schema": None, "prefix": ""}})
    command = full_lists(replace(base, run=run))["changes"].text
    assert shlex.split(command)[:6] == [
        "spark-ml-audit", "compare", "--out", "/lake/o'brien audits", "--run", run.run_id,
    ]  # fmt: skip
    spark = replace(run, config={**run.config, "engine": {"kind": "spark"}})
    assert full_lists(replace(base, run=spark))["changes"].text.endswith(" --engine spark")
    assert "changes" not in full_lists(base)  # nobody said where its output is
