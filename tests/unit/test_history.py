"""Comparisons and trends as text, JSON and page, and the configs of their commands."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path

import pytest

from spark_ml_audit.cli.render import render_compare, render_trend
from spark_ml_audit.config import CompareConfig, TrendConfig, load_as
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.history.differences import class_changes, most_changed
from spark_ml_audit.history.trend_page import render_page
from spark_ml_audit.outcomes.history import (
    ChangeCounts,
    CompareOutcome,
    Comparison,
    RunRef,
    Trend,
    TrendClass,
    TrendOutcome,
    TrendRun,
)
from spark_ml_audit.outcomes.records import ClassRow, GateResult

CONF = Path(__file__).parents[2] / "conf"
HOSTILE = "</script><img src=x onerror=alert(1)>$\\frac{1}{2}$\x1b[2J"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def ref(place: int = 0, *, health: float | None = 0.9) -> RunRef:
    started = START + timedelta(days=place)
    run_id = f"{started:%Y%m%dt%H%M%Sz}-0a1b2c3d"
    return RunRef(run_id, started.isoformat(), HOSTILE, str(place), "0.1.0", 100, 90, 6, 9, 7, 5, health)


def row(tag: str, index: int, noise: float = 0.02) -> ClassRow:
    return ClassRow(tag, index, 10, 0.9, 0.95, 80, 3, 2, 5, 0.91, None, 3, 2, noise, 0.03, 1 - noise)


def trend(runs: int, classes: int) -> Trend:
    return Trend(
        HOSTILE,
        tuple(
            TrendRun(
                ref(k, health=None if k == 1 else 0.9), (GateResult("min_rows", k > 0, 1, 2),), 0.01, 0.02
            )
            for k in range(runs)
        ),
        tuple(
            TrendClass(
                f"{k} {HOSTILE}", (0.01,) * runs, (None, *(0.02,) * (runs - 1)), (None, *(5,) * (runs - 1))
            )
            for k in range(classes)
        ),
        runs + 3,
        130,
    )


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
    text = render_page(trend(runs, classes), package_version="0.1.0", made_at=START)
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
    pages = {render_page(trend(100, 12), package_version="0.1.0", made_at=START) for _ in range(2)}
    assert len(pages) == 1
    assert len(pages.pop()) < 1_000_000


def test_class_changes_follow_tags_not_positions() -> None:
    before = (row("a", 0), row("b", 1, 0.01), row("gone", 2))
    now = (row("new", 0), row("b", 1, 0.04), row("a", 2))
    cells = {"b": ChangeCounts(3, 1, 2), "gone": ChangeCounts(0, 5, 0)}
    changes = class_changes(now, before, cells)
    assert [(change.tag, change.class_index) for change in changes] == [
        ("new", 0),
        ("b", 1),
        ("a", 2),
        ("gone", None),
    ]
    by_tag = {change.tag: change for change in changes}
    assert by_tag["b"].noise_change == pytest.approx(0.03)
    assert by_tag["new"].noise_change is None
    assert by_tag["gone"].to_row()["num_given"] is None
    assert by_tag["gone"].to_row()["num_given_before"] == 10
    assert [change.tag for change in most_changed(changes)] == ["gone", "b"]


def comparison() -> Comparison:
    changes = class_changes((row(HOSTILE, 0, 0.04),), (row(HOSTILE, 0),), {HOSTILE: ChangeCounts(3, 1, 2)})
    reasons = {"newly_flagged": {"row_came": 2, "same_tags": 1}, "fixed": {"tags_changed": 1, "row_went": 0}}
    return Comparison(
        run=ref(1),
        against=ref(0),
        rows=ChangeCounts(2, 1, 2),
        cells=ChangeCounts(3, 1, 2),
        classes=changes,
        num_classes=1,
        rows_came=4,
        rows_went=0,
        cell_reasons=reasons,
        notes=("Both runs read the same version.",),
    )


def test_comparison_as_text_and_json() -> None:
    outcome = CompareOutcome(
        comparison=comparison(),
        delivered=False,
        tables={"comparison": "out/comparison"},
        warnings=("Look.",),
    )
    text = render_compare(outcome)
    for part in (
        f"Comparison of {ref(1).run_id} with {ref(0).run_id}: done, but not everything was delivered",
        "rows:  2 newly flagged, 1 fixed, 2 still open",
        "cells: 3 newly flagged, 1 fixed, 2 still open",
        "4 audited rows came, 0 went",
        "why cells are newly flagged: row came 2, same tags 1",
        "why cells are fixed: tags changed 1\n",
        "comparison  out/comparison",
        "- Look.",
    ):
        assert part in text
    assert "\x1b" not in text
    data = json.loads(json.dumps(outcome.to_dict(), allow_nan=False))
    assert (data["run_id"], data["against_run_id"]) == (ref(1).run_id, ref(0).run_id)
    assert data["classes"][0]["label_noise_before"] == 0.02
    assert (outcome.exit_code, data["delivered"]) == (4, False)


def test_trend_as_text_and_json() -> None:
    outcome = TrendOutcome(trend=trend(3, 2), report="out/reports/trend.html", stages={"read": 1.0})
    text = render_trend(outcome)
    assert "3 of 6 runs, 2 of 130 classes" in text
    assert "out/reports/trend.html" in text
    assert "\x1b" not in text
    data = json.loads(json.dumps(outcome.to_dict(), allow_nan=False))
    assert data["report"] == "out/reports/trend.html"
    assert [run["health"] for run in data["runs"]] == [0.9, None, 0.9]
    assert data["classes"][0]["inverse_label_noise"] == [None, 0.02, 0.02]


@pytest.mark.parametrize(("name", "config"), [("compare", CompareConfig), ("trend", TrendConfig)])
def test_example_files_state_the_defaults(name: str, config: type[CompareConfig | TrendConfig]) -> None:
    path = str(CONF / f"{name}.example.yml")
    place = load_as(config, path).output.path
    assert load_as(config, path) == load_as(config, None, [f"output.path={place}"])


@pytest.mark.parametrize(
    ("config", "override", "key"),
    [
        (CompareConfig, "compare={run: a, against: a}", "compare.against"),
        (CompareConfig, "compare.run=5", "compare.run"),
        (CompareConfig, "output.run_id=20260131t180000z-0a1b2c3d", "output.run_id"),
        (CompareConfig, "compare.agianst=a", "compare.agianst"),
        (TrendConfig, "trend.last=0", "trend.last"),
        (TrendConfig, "trend.classes=[]", "trend.classes"),
        (TrendConfig, "trend.classes=[a, a]", "trend.classes"),
        (TrendConfig, "trend.file=trend.png", "trend.file"),
        (TrendConfig, "trend.top=101", "trend.top"),
    ],
)
def test_faulty_keys_are_refused(config: type[CompareConfig | TrendConfig], override: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_as(config, None, ["output.path=o", override])
    assert caught.value.key == key
    assert caught.value.fix
