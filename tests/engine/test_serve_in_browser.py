"""The review page in a real browser: by keys alone, killed and served again, by two people, on a phone."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.browser import Browser, has_browser
from tests.lake import Lake
from tests.review_page import FILMS, HOSTILE, TAGS, TOKEN, Page, films, served

pytestmark = pytest.mark.skipif(
    not has_browser(), reason="no browser: apt-get install chromium chromium-driver"
)


def visit(browser: Browser, page: Page, path: str = "/review", *, at: int | None = None) -> None:
    browser.look()
    browser.driver.get_log("browser")
    browser.driver.get_log("performance")
    browser.driver.get(page.base + path + ("&" if "?" in path else "?") + f"token={TOKEN}")
    ready(browser, at)


def ready(browser: Browser, at: int | None = None) -> None:
    wait(
        browser,
        lambda: (
            browser.run("return document.documentElement.dataset.ready") == "true"
            and (at is None or browser.run("return document.documentElement.dataset.at") == str(at))
        ),
    )


def wait(browser: Browser, condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, browser.run("return document.body.innerText.slice(0, 2000)")
        time.sleep(0.02)


def press(browser: Browser, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    for key in keys:
        ActionChains(browser.driver).send_keys(key).perform()


def row_id(browser: Browser) -> str:
    return str(browser.find("#row-id").text)


def saved(browser: Browser) -> None:
    wait(browser, lambda: browser.texts("#saved") == ["All saved"])


ENTER = "\ue007"


def test_thirty_rows_are_reviewed_by_keys_alone(house: Lake, output: str, browser: Browser) -> None:
    with served(house, {"output.path": output}) as page:
        visit(browser, page)
        seen = []
        for step in range(30):
            seen.append(row_id(browser))
            before = seen[-1]
            press(browser, *(("1", ENTER), (ENTER,), ("k",), ("u",))[step % 4])
            wait(browser, lambda before=before: row_id(browser) != before)
        saved(browser)
        assert len(set(seen)) == 30
        records = house.records(f"{output}/decisions")
        assert {record["id"] for record in records} == set(seen)
        assert {record["who"] for record in records} == {"ann"}
        assert {record["verdict"] for record in records} == {"present", "absent", "unsure"}
        flagged = {(row["id"], row["tag"]): row["issue"] for row in house.records(f"{output}/tag_issues")}
        accepted = [record for record in records if record["id"] == seen[1]]
        for record in accepted:  # Enter took what was proposed
            assert record["verdict"] == (
                "present" if flagged[record["id"], record["tag"]] == "missing" else "absent"
            )
        assert browser.complaints() == []
        # nothing was asked of anybody else
        assert {
            address for address in browser.requests() if not address.startswith((page.base, "data:"))
        } == set()


def test_undo_takes_a_decision_back_and_shows_its_row(house: Lake, output: str, browser: Browser) -> None:
    with served(house, {"output.path": output}) as page:
        visit(browser, page)
        first = row_id(browser)
        press(browser, "k")
        wait(browser, lambda: row_id(browser) != first)
        saved(browser)
        press(browser, "z")
        wait(browser, lambda: row_id(browser) == first)
        saved(browser)
        assert page.get("/api/progress")["mine"] == 0
        kinds = {record["kind"] for record in house.records(f"{output}/decisions")}
        assert kinds == {"single", "undo"}


def test_a_review_goes_on_where_a_killed_server_left_it(house: Lake, output: str, browser: Browser) -> None:
    with served(house, {"output.path": output}) as page:
        port = page.port
        visit(browser, page)
        first = row_id(browser)
        press(browser, "k")
        wait(browser, lambda: row_id(browser) != first)
        saved(browser)
        second = row_id(browser)
        wait(browser, lambda: bool(browser.run("return performance.getEntriesByType('resource').length")))
        page.kill()
        press(browser, ENTER)
        wait(browser, lambda: "nothing is lost" in browser.find("#trouble").text)
    with served(house, {"output.path": output, "serve.port": port}) as again:
        wait(browser, lambda: browser.find("#trouble").get_property("hidden"))
        saved(browser)
        assert {record["id"] for record in house.records(f"{output}/decisions")} == {first, second}
        visit(browser, again)
        assert row_id(browser) not in (first, second)
        assert "2 done" in browser.find("#position").text


def test_two_people_differ_and_a_third_settles_it(house: Lake, output: str, browser: Browser) -> None:
    with served(house, {"output.path": output, "serve.who": "eve"}) as page:
        card = page.get("/api/item", at=5)["card"]
        tag = next(tag["tag"] for tag in card["tags"] if tag["flag"])
        for person, verdict in (("ann@example.com", "present"), ("bob@example.com", "absent")):
            page.person = person
            page.decide(f"by-{person}", card["id"], (tag, verdict))
        page.person = None
        assert page.get("/api/progress")["disputed"] == 1
        visit(browser, page, "/review?state=disputed")
        assert row_id(browser) == card["id"]
        told = browser.find("#question").text
        assert "ann@example.com: applies" in told
        assert "bob@example.com: does not apply" in told
        press(browser, "y")
        wait(browser, lambda: not browser.find("#empty").get_property("hidden"))
        assert page.get("/api/progress")["disputed"] == 0
        (settled,) = [row for row in house.records(f"{output}/decisions") if row["kind"] == "adjudicated"]
        assert (settled["who"], settled["verdict"]) == ("eve", "present")


def test_texts_of_the_data_do_nothing(house: Lake, output: str, browser: Browser) -> None:
    with served(house, {"output.path": output}) as page:
        visit(browser, page, "/review?row=film+000")
        assert "<script>document.title" in browser.find("#values").text
        assert "\\u202e" in browser.find("#values").text  # written out: it would turn the line around
        assert browser.run("return document.title") == "Review"
        assert browser.run("return document.querySelectorAll('main img, main script, main b').length") == 0
        assert "<b>bold</b>" in browser.find("#tags-h + * + *").text + browser.find(".tag-card").text
        visit(browser, page, "/review?row=film+001")  # a text of a megabyte
        assert "Show all 1,000,000 characters" in browser.find("#values").text
        browser.click("#values button")
        assert len(browser.find("#values p").get_property("textContent")) == 1_000_000
        assert browser.complaints() == []
        assert HOSTILE.startswith("<script>")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(house: Lake, output: str, browser: Browser, scheme: str) -> None:
    with served(house, {"output.path": output}) as page:
        for path in ("/", "/review", "/finish"):
            visit(browser, page, path)
            browser.look(scheme=scheme)
            assert browser.run(CONTRAST) == [], path


def test_a_phone_is_wide_enough(house: Lake, output: str, browser: Browser) -> None:
    with served(house, {"output.path": output}) as page:
        for path in ("/", "/review", "/review?blind=1", "/bulk", "/finish"):
            visit(browser, page, path)
            browser.look(width=390, height=844)
            assert browser.run("return document.documentElement.scrollWidth") <= 390, path
            small = browser.run(
                "return [...document.querySelectorAll('button, select, input')].filter(e => e.offsetParent)"
                ".map(e => [e.id || e.textContent, e.getBoundingClientRect().height]).filter(p => p[1] < 24)"
            )
            assert small == []


def test_a_screen_reader_is_told_what_everything_is(house: Lake, output: str, browser: Browser) -> None:
    with served(house, {"output.path": output}) as page:
        for path in ("/", "/review", "/finish"):
            visit(browser, page, path)
            nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
            named = [
                (node["role"]["value"], (node.get("name") or {}).get("value", ""))
                for node in nodes
                if not node.get("ignored") and node.get("role", {}).get("value") in ROLES
            ]
            assert named
            assert [role for role, name in named if not name.strip()] == [], path
        visit(browser, page)
        # the tags are drawn anew once their definitions are there
        wait(browser, lambda: browser.run("return document.querySelectorAll('#all-tags option').length"))
        toggle = browser.find("#proposed [role=switch]")
        assert toggle.get_attribute("aria-checked") in ("true", "false")
        assert "proposed to" in toggle.accessible_name
        assert "probability" in toggle.accessible_name
        assert browser.run("return document.documentElement.lang") == "en"


ROLES = (
    "button",
    "link",
    "switch",
    "combobox",
    "searchbox",
    "textbox",
    "progressbar",
    "heading",
    "table",
    "region",
)
CONTRAST = """
const light = (colour) => {
  const linear = (v) => (v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  const [r, g, b] = colour.map((v) => linear(v / 255));
  return .2126 * r + .7152 * g + .0722 * b;
};
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const over = (css, under) => {
  for (const colour of [`rgb(${under})`, css]) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
  return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
};
const ground = (element) => {
  const chain = [];
  for (let at = element; at; at = at.parentElement) chain.unshift(getComputedStyle(at).backgroundColor);
  return chain.reduce((under, css) => over(css, under), [255, 255, 255]);
};
const found = [];
for (const element of document.querySelectorAll('body *')) {
  const isText = (node) => node.nodeType === 3 && node.textContent.trim();
  const hasText = [...element.childNodes].some(isText);
  const isAside = element.closest('.hidden, .skip, :disabled, option');
  if (!element.offsetParent || !hasText || isAside) continue;
  const under = ground(element);
  const lights = [light(over(getComputedStyle(element).color, under)), light(under)];
  const [b, a] = lights.sort((x, y) => x - y);
  if ((a + .05) / (b + .05) < 4.5) found.push([element.textContent.slice(0, 30), (a + .05) / (b + .05)]);
}
return found;
"""


def test_tags_and_bars_of_the_served_report_open_their_queues(house: Lake, browser: Browser) -> None:
    if house.kind != "embedded":
        pytest.skip("the page reads tables in process")
    rows, _ = films(60)
    out = house.path("with-report-in-browser")
    source = house.write(house.frame(rows, FILMS, TAGS))
    audited = house.audit(source__path=source, output__path=out, report__enabled=True)
    with served(house, {"output.path": out}) as page:
        visit(browser, page, "/report")
        for where, least in (
            ("#class-table", 10),
            ("#top-chart svg", 6),
            ("#class-chart svg", 2),
            ("#row-table", 10),
        ):
            links = browser.run(
                f"return [...document.querySelectorAll('{where} a')].map((a) => a.getAttribute('href')"
                " ?? a.getAttributeNS('http://www.w3.org/1999/xlink', 'href'))"
            )
            assert sum(link.startswith("/queue?") for link in links) >= least, (where, links)
        bar = browser.find("#top-chart svg a")
        assert browser.find("#top-chart svg a rect").get_attribute("aria-label").startswith("Review ")
        browser.run("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", bar)
        wait(browser, lambda: "/review?" in browser.driver.current_url)
        ready(browser)
        assert "view=cell" in browser.driver.current_url
        assert row_id(browser).startswith("film")
        assert not browser.complaints()
    # from a file there is nothing to lead to
    browser.driver.get(f"file://{audited['report']}")
    ready(browser)
    assert browser.run("return document.querySelectorAll('a[href^=\"/queue\"]').length") == 0
    assert browser.run("return document.querySelectorAll('#top-chart svg[role=img]').length") == 1
