"""A real headless Chromium for tests of pages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def has_browser() -> bool:
    """Whether there is one, and what drives it."""
    return _binary() is not None and shutil.which("chromedriver") is not None


def _binary() -> str | None:
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def _driver() -> Any:
    binary, driver = _binary(), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


class Browser:
    """One browser; pages are opened from disk."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def look(self, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Set the size of the window and the colour scheme the user prefers."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},  # nothing moves away under a click
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, page: Path) -> None:
        """Open a page and wait until its scripts are through."""
        from selenium.webdriver.support.ui import WebDriverWait

        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(page.as_uri())
        WebDriverWait(self.driver, 20).until(
            lambda driver: driver.execute_script("return document.documentElement.dataset.ready") == "true"
        )

    def run(self, script: str, *arguments: object) -> Any:
        """Run JavaScript in the page; what it returns."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def click(self, target: Any) -> None:
        """Click an element, or the first that matches, as a user would: not below the bar at the top."""
        found = self.find(target) if isinstance(target, str) else target
        self.run("arguments[0].scrollIntoView({block: 'center'})", found)
        found.click()

    def texts(self, selector: str) -> list[str]:
        """Text of every element that matches, shown or not."""
        return list(
            self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)
        )

    def texts_once_there(self, selector: str) -> list[str]:
        """Text of every element that matches, once any does; a click may take a moment."""
        from selenium.webdriver.support.ui import WebDriverWait

        return list(WebDriverWait(self.driver, 20).until(lambda _: self.texts(selector)))

    def complaints(self) -> list[str]:
        """What the console has said since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses asked for since the page was opened."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def browser_session() -> Iterator[Browser]:
    driver = _driver()
    try:
        yield Browser(driver)
    finally:
        driver.quit()
