"""The page of a trend in a real browser: it fits, and its links lead to reports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spark_ml_audit.history.trend_page import render_pages
from tests.browser import Browser
from tests.unit.history.made_up import START, trend


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trend #1")
    report = folder / "reports" / "a run.html"
    report.parent.mkdir()
    report.write_text("<title>the report</title>", encoding="utf-8")
    found = trend(12, 5)
    runs = (replace(found.runs[0], report=str(report)), *found.runs[1:])
    (html,) = render_pages(
        replace(found, runs=runs, query="SELECT 1"), [folder], package_version="0.1.0", made_at=START
    )
    (folder / "trend.html").write_text(html, encoding="utf-8")
    return folder / "trend.html"


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_complains_of_nothing(browser: Browser, page: Path, width: int) -> None:
    browser.look(width=width)
    browser.driver.get(page.as_uri())
    assert browser.run("return document.documentElement.scrollWidth") <= width
    assert browser.complaints() == []


@pytest.mark.parametrize(
    ("scheme", "colours"),
    [
        ("light", ["rgb(11, 110, 99)", "rgb(178, 58, 14)"]),
        ("dark", ["rgb(95, 211, 192)", "rgb(255, 157, 110)"]),
    ],
)
def test_lines_have_the_colours_of_the_report(
    browser: Browser, page: Path, scheme: str, colours: list[str]
) -> None:
    browser.look(scheme=scheme)
    browser.driver.get(page.as_uri())
    drawn = browser.run("""
      return [...new Set([...document.querySelectorAll('.classes svg path')]
        .map((e) => getComputedStyle(e).stroke))]""")
    assert set(colours) <= set(drawn)


def test_a_run_leads_to_its_report(browser: Browser, page: Path) -> None:
    browser.look()
    browser.driver.get(page.as_uri())
    browser.click("table a")
    assert browser.driver.title == "the report"
