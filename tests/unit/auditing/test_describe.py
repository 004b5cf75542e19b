"""A run in Markdown: what people need at the head of MLflow's page, whatever data hold."""

from __future__ import annotations

from dataclasses import replace

from spark_ml_audit.auditing.describe import describe_run
from spark_ml_audit.outcomes.runs import Origin
from tests.unit.history.made_up import comparison
from tests.unit.outcomes.made_up import COUNTS, class_row

EVIL = "a|b`\n</td><script>alert(1)</script>[x](javascript:alert(1)) ![y](http://evil/z.png)"


def test_it_says_what_was_found_and_where_all_of_it_is() -> None:
    origin = Origin("data/films", "7", "20260101t000000z-0a1b2c3d", "20260102t000000z-0a1b2c3d", {})
    text = describe_run(
        COUNTS,
        [class_row("role::program"), replace(class_row("quiet"), num_missing=0, num_extraneous=0)],
        source="data/copy",
        source_version="3",
        tables={"issues": "/out/issues"},
        report="/out/reports/run.html",
        warnings=[f"Warning {k}." for k in range(7)],
        since=comparison(),
        continues=[origin],
    )
    for said in (
        "Model and tags disagree on **21,040 of 29,700 audited rows**: 3,000 tags seem missing, 1,200",
        "Health 29.16%",
        "Source `data/copy`, version `3`. Continues `data/films` (run `20260101t000000z-0a1b2c3d`).",
        "3 tags newly flagged, 1 fixed, 2 still open",
        "| `role::program` | 1,234 | 17 | 5 | `class_3 role_program` |",
        "- report: `/out/reports/run.html`",
        "- issues: `/out/issues`",
        "- and 2 more",
    ):
        assert said in text
    assert "quiet" not in text


def test_data_cannot_write_markdown_or_html() -> None:
    text = describe_run(
        COUNTS,
        [class_row(EVIL)],
        source=EVIL,
        source_version=EVIL,
        tables={"issues": f"/out/{EVIL}"},
        warnings=[f"The tag '{EVIL}' is given to no row."],
    )
    outside = "".join(text.split("`")[::2])  # what stands between spans of code
    for sign in ("<script", "](", "![", "javascript:alert(1)", "http://"):
        assert sign not in outside
    (line,) = [line for line in text.splitlines() if "class_3" in line]
    assert line.count("|") == 6
    assert text.count("`") % 2 == 0


def test_no_secret_gets_in() -> None:
    secret = "https://ann:s3cret@host/data?token=abcdef"
    text = describe_run(
        COUNTS, (), source=secret, source_version=None, tables={"issues": secret}, warnings=[secret]
    )
    assert "s3cret" not in text
    assert "abcdef" not in text
