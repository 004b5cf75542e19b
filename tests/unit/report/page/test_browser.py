"""The page in a real browser: it asks for nothing, runs nothing of the user's, and can be used."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from spark_ml_audit.report.page import render_report
from tests.browser import Browser
from tests.unit.report.page.sample import HOSTILE, sample_report

CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d");
const light = (colour) => {
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255);
  const [r, g, b] = parts.map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$|transparent/.test(colour)) return colour;
  }
  return "white";
};
const left = "svg, script, style, noscript, .hidden, .skip, :disabled";
let worst = [99, ""];
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.getClientRects().length || e.closest(left)) continue;
  const pair = [light(getComputedStyle(e).color), light(ground(e))];
  const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  if (ratio < worst[0]) worst = [ratio, `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`];
}
return worst;
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {
        "plain": sample_report(60),
        "hostile": sample_report(hostile=True),
        "wide": sample_report(5000, 200),
    }
    for name, data in made.items():
        (folder / f"{name}.html").write_text(render_report(data), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in made}


@pytest.mark.parametrize("name", ["plain", "hostile", "wide"])
def test_no_complaint_no_request_no_foreign_script(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.look()
    browser.open(pages[name])
    for control in ("#class-table thead button", "#row-table thead button"):
        browser.click(control)
    assert browser.complaints() == []
    asked = [url for url in browser.requests() if not url.startswith(("data:", "blob:"))]
    assert asked == [pages[name].as_uri()]
    assert browser.run("return window.pwned === undefined && document.images.length === 0")


def test_hostile_names_are_read_as_they_are_written(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look()
    browser.open(pages["hostile"])
    browser.find("#class-table input").send_keys("<script>window.pwned=1")
    assert browser.texts("#class-table tbody th") == [HOSTILE[0]]
    browser.click("#class-table tbody th button")
    label = browser.run("return document.querySelector('#class-chart svg[aria-label]').ariaLabel")
    assert HOSTILE[0] in label
    assert browser.run("return document.querySelectorAll('main script, svg script').length") == 0
    assert HOSTILE[2] in browser.texts("h1")[0]
    assert browser.run("return window.pwned === undefined")
    assert browser.complaints() == []


def test_the_table_of_tags_sorts_searches_and_turns_pages(browser: Browser, pages: dict[str, Path]) -> None:
    data = sample_report(60)
    browser.look()
    browser.open(pages["plain"])
    flags = {row.tag: row.num_missing + row.num_extraneous for row in data.classes}

    def shown() -> list[str]:
        return browser.texts("#class-table tbody th")

    assert [flags[tag] for tag in shown()] == sorted(flags.values(), reverse=True)[:25]
    heads = browser.driver.find_elements("css selector", "#class-table thead th")
    assert [head.get_attribute("aria-sort") for head in heads].count("descending") == 1
    given = next(head for head in heads if head.text == "Given")
    browser.click(given.find_element("css selector", "button"))
    numbers = {row.tag: row.num_given for row in data.classes}
    assert [numbers[tag] for tag in shown()] == sorted(numbers.values(), reverse=True)[:25]
    browser.click(given.find_element("css selector", "button"))
    assert given.get_attribute("aria-sort") == "ascending"
    assert [numbers[tag] for tag in shown()] == sorted(numbers.values())[:25]
    browser.run("document.querySelectorAll('#class-table .pager button')[1].click()")
    assert [numbers[tag] for tag in shown()] == sorted(numbers.values())[25:50]
    browser.find("#class-table input").send_keys("BREAD")
    assert sorted(shown()) == sorted(row.tag for row in data.classes if "bread" in row.tag)[: len(shown())]
    assert "match" in browser.texts("#class-table .status")[0]
    browser.find("#class-table input").send_keys("no such tag")
    assert browser.texts("#class-table tbody td") == ["Nothing matches the search."]


def test_worst_rows_show_texts_and_suggested_changes(browser: Browser, pages: dict[str, Path]) -> None:
    data = sample_report(60)
    browser.look()
    browser.open(pages["plain"])
    assert browser.texts("#row-table tbody th") == [row.id for row in data.rows[:20]]
    first = data.rows[0]
    added = [f"added: {cell.tag}" for cell in first.flagged if cell.issue == "missing"]
    removed = [f"removed: {cell.tag}" for cell in first.flagged if cell.issue == "extraneous"]
    line = "#row-table tbody tr:first-child"
    assert [text[: len(added[0])] for text in browser.texts(f"{line} ins")] == added
    assert [text[: len(text) - 4] for text in browser.texts(f"{line} del")] == removed
    browser.find("#row-table input").send_keys(data.rows[33].id)
    assert browser.texts("#row-table tbody th") == [data.rows[33].id]


def test_the_picture_follows_the_chosen_tag(browser: Browser, pages: dict[str, Path]) -> None:
    data = sample_report(60)
    browser.look()
    browser.open(pages["plain"])
    for k in (4, 7):
        browser.run(
            "const s = document.getElementById('class-choice'); s.value = arguments[0];"
            "s.dispatchEvent(new Event('change'))",
            str(k),
        )
        labels = browser.run(
            "return [...document.querySelectorAll('#class-chart svg[aria-label]')].map(e => e.ariaLabel)"
        )
        assert len(labels) == 2
        assert all(f"the tag {data.classes[k].tag} " in label for label in labels)
        heads = browser.texts("#class-chart .chart-title")
        assert heads[0] == f"Tag given ({data.classes[k].num_given:,} rows)"
        picture = " ".join(browser.texts("#class-chart svg text"))
        assert ("extraneous up to 0.123" in picture) == (data.classes[k].cutoff_extraneous is not None)
        assert ("missing from 0.812" in picture) == (data.classes[k].cutoff_missing is not None)
    browser.click("#class-chart summary")
    figures = browser.texts_once_there("#class-chart .figures td:nth-child(2)")
    cells = [int(text.replace(",", "")) for text in figures]
    assert sum(cells) == data.classes[7].num_given


def test_the_keyboard_reaches_and_works_everything(browser: Browser, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.look()
    browser.open(pages["plain"])

    def press(*keys: str) -> None:
        ActionChains(browser.driver).send_keys(*keys).perform()

    press(Keys.TAB)
    assert browser.run("return document.activeElement.className") == "skip"
    assert browser.run("return document.activeElement.getBoundingClientRect().top >= 0")
    press(Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "main"
    browser.run("document.querySelector('#class-table thead th:nth-child(2) button').focus()")
    assert browser.run("return getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(Keys.ENTER)
    head = browser.find("#class-table thead th:nth-child(2)")
    assert head.get_attribute("aria-sort") == "descending"
    press(Keys.SPACE)
    assert head.get_attribute("aria-sort") == "ascending"
    browser.run("document.querySelector('#class-table tbody button').focus()")
    press(Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "class-choice"


def test_everything_has_a_name_for_a_screen_reader(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look()
    browser.open(pages["plain"])
    assert browser.run("return document.documentElement.lang") == "en"
    unnamed = browser.run("""
      const named = (e) => e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim();
      const all = "input, select, button, [role=region], nav, section, #class-chart > svg";
      return [...document.querySelectorAll(all)]
        .filter((e) => !named(e)).map((e) => e.outerHTML.slice(0, 120));""")
    assert unnamed == []
    bare = "[...document.querySelectorAll('table')].filter(t => !t.caption && !t.closest('.figures'))"
    assert browser.run(f"return {bare}.length") == 0
    assert browser.run("return [...document.querySelectorAll('th')].filter(t => !t.scope).length") == 0
    ids = browser.run("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    levels = browser.run("return [...document.querySelectorAll('h1,h2,h3,h4')].map(e => +e.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_in_both_schemes_at_any_width(
    browser: Browser, pages: dict[str, Path], scheme: str, width: int
) -> None:
    browser.look(width=width, scheme=scheme)
    browser.open(pages["hostile" if width == 375 else "plain"])
    assert browser.run("return document.documentElement.scrollWidth") <= width
    ground = browser.run("return getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in ground.strip("rgb()").split(",")) / 3
    assert (brightness > 128) == (scheme == "light")
    ratio, where = browser.run(CONTRAST)
    assert ratio >= 4.5, where


def test_five_thousand_tags_stay_quick(browser: Browser, pages: dict[str, Path]) -> None:
    browser.look()
    browser.open(pages["wide"])
    took = browser.run("""
      const started = performance.now();
      for (const button of document.querySelectorAll("#class-table thead button")) button.click();
      return performance.now() - started;""")
    assert took < 17 * 500
    assert len(browser.texts("#class-table tbody tr")) == 25
    assert browser.run("return document.querySelectorAll('*').length") < 15_000
