"""Lists of the page in a real browser: they fit, a tag clicked filters them, each can be had as a file."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from spark_ml_audit.report.page import WorstRow, render_report
from tests.browser import Browser, browser_session
from tests.unit.report.page.sample import HOSTILE, sample_report


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser_session() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("lists")
    plain = sample_report(60)
    rare = replace(
        plain.classes[0],
        threshold_present=2.0,
        threshold_absent=2.0,
        cutoff_missing=0.31,
        cutoff_extraneous=0.86,
        num_missing=900,
    )
    made = {
        "plain": plain,
        "hostile": sample_report(hostile=True),
        "rare": replace(plain, classes=(rare, *plain.classes[1:])),
    }
    for name, data in made.items():
        (folder / f"{name}.html").write_text(render_report(data), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.mark.parametrize("name", ["plain", "rare"])
def test_the_table_of_tags_fits_a_laptop(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.look(width=1280)
    browser.open(pages[name])
    width = "return [e => e.scrollWidth - e.clientWidth].map(f => f(document.querySelector(arguments[0])))[0]"
    assert browser.run(width, "#class-table .scroll") == 0
    assert browser.run("return document.documentElement.scrollWidth") <= 1280
    browser.click("#class-table .more input")
    heads = browser.run(
        "return [...document.querySelectorAll('#class-table thead th')].filter(e => !e.hidden).length"
    )
    assert heads == len(browser.texts("#class-table tbody tr:first-child > *")) == 20
    assert browser.run("return document.documentElement.scrollWidth") <= 1280
    browser.look(width=390)
    browser.open(pages[name])
    assert browser.run("return document.documentElement.scrollWidth") <= 390


def test_cut_offs_are_those_that_work_and_no_code_stands_for_never(
    browser: Browser, pages: dict[str, Path]
) -> None:
    browser.look()
    browser.open(pages["rare"])
    line = "#class-table tbody tr:first-child > *"
    shown = browser.texts(line)
    # .31 and .86 lie on the side where the model agrees
    assert shown[-2:] == ["above 0.5", "below 0.5"]
    browser.click("#class-table .more input")
    assert browser.texts(line).count("never") == 2
    assert "present never, absent never" in browser.texts("#class-facts")[0]
    assert "2.000" not in browser.run("return document.querySelector('main').innerText")
    picture = " ".join(browser.texts("#class-chart svg text"))
    assert "missing above 0.5" in picture
    assert "extraneous below 0.5" in picture


def test_a_tag_clicked_filters_the_rows_until_it_is_taken_away(
    browser: Browser, pages: dict[str, Path]
) -> None:
    data = sample_report(60)
    browser.look()
    browser.open(pages["plain"])
    tag = data.rows[3].flagged[0].tag

    def where(tag: str) -> list[str]:
        return [row.id for row in data.rows if tag in {cell.tag for cell in row.flagged}]

    browser.find("#class-table input").send_keys(tag)
    browser.click("#class-table tbody th button")
    assert browser.texts("#row-table tbody th") == where(tag)[:20]
    assert tag in browser.texts("#row-table .only")[0]
    chip = browser.find("#row-table tbody tr .chip:not(.kept) button")
    other = chip.text
    browser.click(chip)
    assert browser.texts("#row-table tbody th") == where(other)[:20]
    browser.click("#row-table .only button")
    assert browser.texts("#row-table tbody th") == [row.id for row in data.rows[:20]]
    assert browser.complaints() == []


def downloaded(browser: Browser, folder: Path, host: str, name: str) -> list[list[str]]:
    """The rows of the file that a list's link gives."""
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)}
    )
    browser.click(f"{host} .below button")
    file, until = folder / name, time.monotonic() + 20
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.05)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream))


def test_every_list_can_be_downloaded_as_it_is_shown(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    data = sample_report(60)
    browser.look()
    browser.open(pages["plain"])
    hosts = browser.run("""
      return [...document.querySelectorAll('.tools')].map((e) => e.parentElement)
        .map((e) => [e.id, !!e.querySelector('.below button')])""")
    assert len(hosts) == 5
    assert all(has_link for _, has_link in hosts)
    head, *rows = downloaded(browser, tmp_path, "#class-table", "tags.csv")
    assert len(head) == 20
    by_tag = {row.tag: row for row in data.classes}
    assert {row[0] for row in rows} == set(by_tag)
    for row in rows:
        cells = dict(zip(head, row, strict=True))
        found = by_tag[row[0]]
        assert int(cells["Given"]) == found.num_given
        assert cells["Flagged missing"] == ("" if found.cutoff_missing is None else "0.812346")
    browser.find("#row-table input").send_keys(data.rows[33].id)
    head, *rows = downloaded(browser, tmp_path, "#row-table", "worst-rows.csv")
    (cells,) = [dict(zip(head, row, strict=True)) for row in rows]
    wanted = data.rows[33]
    assert cells["tags to add"] == ", ".join(cell.tag for cell in wanted.flagged if cell.issue == "missing")
    assert set(filter(None, cells["given tags"].split(", "))) == set(wanted.given)
    assert browser.complaints() == []


def test_no_cell_of_a_file_runs_as_a_formula(
    browser: Browser, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = sample_report(12)
    evil = '=HYPERLINK("x"),\nsecond line'
    rows = (WorstRow(1, "@id", 0.1, ("+tag",), data.rows[0].flagged, (evil, None)),)
    page = tmp_path_factory.mktemp("formula") / "page.html"
    page.write_text(render_report(replace(data, rows=rows)), encoding="utf-8")
    browser.look()
    browser.open(page)
    head, row = downloaded(browser, tmp_path, "#row-table", "worst-rows.csv")
    cells = dict(zip(head, row, strict=True))
    assert cells["id"] == "'@id"
    assert cells["title"] == f"'{evil}"
    assert cells["given tags"].startswith("'+tag")


def test_hostile_tags_filter_and_download_as_they_are(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    browser.look()
    browser.open(pages["hostile"])
    browser.find("#class-table input").send_keys("<script>window.pwned=1")
    browser.click("#class-table tbody th button")
    _, row = downloaded(browser, tmp_path, "#class-table", "tags.csv")
    assert row[0] == HOSTILE[0]
    assert browser.run("return window.pwned === undefined")
    assert browser.complaints() == []
