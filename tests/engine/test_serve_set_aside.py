"""Decisions that a server does not store, in a real browser: kept, told, tried again, and in nobody's way."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import pytest

from tests.browser import Browser, has_browser
from tests.engine.test_serve_in_browser import ENTER, press, row_id, saved, visit, wait
from tests.lake import Lake
from tests.review_page import decisions, served

pytestmark = pytest.mark.skipif(
    not has_browser(), reason="no browser: apt-get install chromium chromium-driver"
)


def decide(browser: Browser, key: str) -> str:
    """Decide the row that is shown; its id."""
    before = row_id(browser)
    press(browser, key)
    wait(browser, lambda: row_id(browser) != before)
    return before


def buttons(browser: Browser) -> dict[str, object]:
    found = browser.driver.find_elements("css selector", "#aside button")
    return {element.text: element for element in found}


def test_a_fault_of_the_server_holds_back_one_decision_alone(
    house: Lake, output: str, browser: Browser
) -> None:
    table, kept = Path(output, "decisions"), Path(output, "decisions-kept")
    with served(house, {"output.path": output}) as page:
        visit(browser, page)
        first = decide(browser, "k")
        saved(browser)
        shutil.move(table, kept)
        table.write_text("no table")
        second = decide(browser, "k")
        wait(browser, lambda: "1 decision not stored" in browser.find("#aside").text)
        told = browser.find("#aside").text
        assert "No connection" not in browser.find("#trouble").text
        assert len(told.partition("this browser: ")[2].partition("\n")[0]) > 10  # what the server said
        table.unlink()
        shutil.move(kept, table)
        third = decide(browser, "k")
        wait(browser, lambda: browser.texts("#saved") == ["1 not stored"])
        assert {row["id"] for row in decisions(house, output)} == {first, third}
        assert set(buttons(browser)) == {"Try again", "Download", "Discard"}
        buttons(browser)["Try again"].click()  # type: ignore[attr-defined]
        saved(browser)
        assert {row["id"] for row in decisions(house, output)} == {first, second, third}
        assert browser.find("#aside").get_property("hidden")


def test_a_window_of_an_earlier_audit_keeps_what_it_decides(
    house: Lake, output: str, browser: Browser, tmp_path: Path
) -> None:
    (first,) = house.records(f"{output}/runs")
    with served(house, {"output.path": output}) as page:
        visit(browser, page)
        browser.run("localStorage.clear()")
        house.audit(source__path=first["source"], output__path=output)
        served_now = page.post("/api/newest", {})["run_id"]
        decided = row_id(browser)
        press(browser, ENTER)
        wait(browser, lambda: "1 decision not stored" in browser.find("#aside").text)
        assert f"audit {served_now} is served now" in browser.find("#aside").text
        assert "Reload" in buttons(browser)
        assert decisions(house, output) == []
        browser.run("URL.createObjectURL = (blob) => { window.told = blob.text(); return 'data:,'; }")
        visit(browser, page)  # the audit that is served now: what was decided of the other one is still there
        wait(browser, lambda: "Download" in buttons(browser))
        browser.click("#aside summary")
        told = browser.find("#aside").text
        assert f"of audit {first['run_id']} not stored" in told
        assert f"decide --out {output} --file set-aside-{first['run_id']}.csv --run {first['run_id']}" in told
        saved_here = decide(browser, "k")
        wait(browser, lambda: page.get("/api/progress")["mine"])
        assert {row["id"] for row in decisions(house, output)} == {saved_here}
        browser.run("URL.createObjectURL = (blob) => { window.told = blob.text(); return 'data:,'; }")
        buttons(browser)["Download"].click()  # type: ignore[attr-defined]
        content = browser.driver.execute_async_script("window.told.then(arguments[0])")
        file = tmp_path / "set-aside.csv"
        file.write_text(content, encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(content.removeprefix("\ufeff"))))
        assert {row["id"] for row in rows} == {decided}
        found = house.run("decide", output__path=output, decide__file=str(file), decide__run=first["run_id"])
        assert found.json["num_imported"] == len(rows)
        under = {row["id"]: row["run_id"] for row in decisions(house, output)}
        assert under == {decided: first["run_id"], saved_here: served_now}


def test_a_newer_audit_is_told_and_opened(house: Lake, output: str, browser: Browser) -> None:
    (first,) = house.records(f"{output}/runs")
    with served(house, {"output.path": output}) as page:
        visit(browser, page)
        browser.run("localStorage.clear()")
        house.audit(source__path=first["source"], output__path=output)
        newest = max(row["run_id"] for row in house.records(f"{output}/runs"))

        def told() -> bool:
            page.get("/api/progress")
            return page.get("/api/progress")["newer"] == newest

        wait(browser, told)
        visit(browser, page)
        assert newest in browser.find("#newer").text
        assert first["run_id"] in browser.run("return document.body.dataset.run")
        browser.click("#newer button")
        wait(browser, lambda: browser.run("return document.body.dataset.run") == newest)
        assert browser.find("#newer").get_property("hidden")
