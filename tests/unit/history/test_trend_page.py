"""The page of a trend: well formed, nothing runs, nothing loads."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from spark_ml_audit.history.trend_page import render_pages
from spark_ml_audit.outcomes.history import Trend
from tests.unit.history.made_up import HOSTILE, START, trend


def render_page(found: Trend) -> str:
    (page,) = render_pages(found, [None], package_version="0.1.0", made_at=START)
    return page


class Page(HTMLParser):
    """Elements and attributes of a page, and whether its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "link", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(("runs", "classes"), [(1, 1), (4, 3), (2, 0)])
def test_page_is_well_formed_runs_nothing_and_loads_nothing(runs: int, classes: int) -> None:
    text = render_page(trend(runs, classes))
    page = Page(text)
    assert page.tags.count("svg") == 2 + classes
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("src", "href")]
    assert not re.search(r"url\(\s*['\"]?(?!#)", text)
    assert HOSTILE.replace("\x1b", "") in page.text.replace("\x1b", "")
    ids = [
        value for name, value in page.attributes if name == "id" and value and not value.startswith("figure")
    ]
    assert all(run.ref.run_id in page.text for run in trend(runs, classes).runs)
    assert ids


def test_page_is_the_same_for_the_same_numbers_and_small() -> None:
    pages = {render_page(trend(100, 12)) for _ in range(2)}
    assert len(pages) == 1
    assert len(pages.pop()) < 1_000_000


def test_runs_lead_to_their_reports_from_where_the_page_is() -> None:
    found = trend(3, 1)
    runs = list(found.runs)
    runs[0] = replace(runs[0], report="/out/reports/first #1.html")
    runs[2] = replace(runs[2], report="/out/reports/third.html")
    found = replace(found, runs=tuple(runs))
    folders = (Path("/out/reports"), Path("/out/pages"), None)
    pages = render_pages(found, folders, package_version="0.1.0", made_at=START)
    for page, before in zip(pages[:2], ("", "../reports/"), strict=True):
        links = [value for name, value in Page(page).attributes if name == "href"]
        assert links == [f"{before}first%20%231.html", f"{before}third.html"] * 2
    assert not [name for name, _ in Page(pages[2]).attributes if name == "href"]


def test_plots_name_runs_by_version_and_date_in_the_colours_of_the_report() -> None:
    page = render_page(trend(4, 1))
    for text in ("v0", "v3", "Jan 1", "Jan 4"):
        assert text in Page(page).text
    assert "var(--add)" in page
    assert not re.search(r"#0b6e63|#b23a0e", page.split("</style>")[1])
