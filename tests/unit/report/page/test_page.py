"""The page as text: self-contained, of bounded size, and user data in it never markup."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from spark_ml_audit.report.page import ReportData, WorstRow, render_report
from spark_ml_audit.report.page.data import FlaggedTag
from spark_ml_audit.report.page.payload import MAX_CLASSES, payload_of
from spark_ml_audit.text import for_page
from tests.unit.report.page.sample import HOSTILE, class_row, sample_report

MEGABYTE = 1_000_000


class Page(HTMLParser):
    """Elements, attributes and the text of every element of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "br", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def count(self) -> Counter[str]:
        return Counter(tag for tag, _ in self.elements)

    def payload(self) -> dict:
        found = [i for i, (_, attributes) in enumerate(self.elements) if attributes.get("id") == "payload"]
        assert len(found) == 1
        return json.loads(next(text for tag, text in self.texts if tag == "script"))

    def visible(self) -> str:
        return " ".join(text for tag, text in self.texts if tag not in ("script", "style"))


@pytest.fixture(scope="module")
def plain() -> tuple[str, Page]:
    html = render_report(sample_report())
    return html, Page(html)


@pytest.fixture(scope="module")
def hostile() -> tuple[str, Page]:
    html = render_report(sample_report(hostile=True))
    return html, Page(html)


def test_the_page_says_what_was_audited_and_how_it_went(plain: tuple[str, Page]) -> None:
    text = re.sub(r"[ \n]+", " ", plain[1].visible())
    for said in (
        "lake/photo_tags",
        "20260131t180000z-0a1b2c3d",
        "spark-ml-audit 0.1.0",
        "310 of 2,000 audited rows (15.50%)",
        "84.50%",
        "max_issue_fraction",
        "20 of 2,030 rows are in quarantine.",
        "labels_malformed",
        "What to do next",
        "Failed gate max_issue_fraction",
        "Since the last run",
        "Ambiguous rows",
        '"alpha": 0.8',
    ):
        assert said in text, said


def test_the_page_carries_every_class_row_and_pair(plain: tuple[str, Page]) -> None:
    data, payload = sample_report(), plain[1].payload()
    assert payload["classes"]["tag"] == [row.tag for row in data.classes]
    assert payload["classes"]["missing"] == [row.num_missing for row in data.classes]
    assert payload["classes"]["j10"] == [row.joint_10 for row in data.classes]
    assert payload["classes"]["cutMissing"][1] == 0.812346
    assert [row[1] for row in payload["rows"]["list"]] == [row.id for row in data.rows]
    first, sent = data.rows[1], payload["rows"]["list"][1]
    assert [cell[:2] for cell in sent[6]] == [
        [cell.tag, int(cell.issue == "extraneous")] for cell in first.flagged
    ]
    removed = {cell.tag for cell in first.flagged if cell.issue == "extraneous"}
    assert sent[4] == [tag for tag in first.given if tag not in removed]
    assert [pair[:4] for pair in payload["pairs"]] == [
        [pair.missing, pair.given, pair.num_rows, pair.num_swapped] for pair in data.pairs
    ]


def test_the_payload_holds_each_histogram_exactly(plain: tuple[str, Page]) -> None:
    histograms, payload = sample_report().histograms, plain[1].payload()
    assert histograms is not None
    for name, expected in (("absent", histograms.absent), ("present", histograms.present)):
        for sparse, counts in zip(payload[name], expected, strict=True):
            start, *filled = sparse or [0]
            dense = [0] * payload["bins"]
            dense[start : start + len(filled)] = filled
            assert dense == counts.tolist()


def test_nothing_is_loaded_from_anywhere(plain: tuple[str, Page], hostile: tuple[str, Page]) -> None:
    for _, page in (plain, hostile):
        for tag, attributes in page.elements:
            for name in ("src", "href", "srcset", "action", "data", "poster"):
                value = attributes.get(name)
                assert value is None or value.startswith("#") or value == "data:,", (tag, attributes)
        (policy,) = [
            attributes["content"]
            for tag, attributes in page.elements
            if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
        ]
        assert policy is not None
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe-inline" not in policy.partition("style-src")[0]
        assert "unsafe-eval" not in policy


def test_hostile_texts_add_no_element_and_no_attribute(
    plain: tuple[str, Page], hostile: tuple[str, Page]
) -> None:
    def shape(page: Page) -> Counter[str]:
        # advice and warnings depend on the data, and are lists
        kept = page.count()
        for name in ("li", "strong", "span", "bdi"):
            kept.pop(name, None)
        return kept

    assert shape(hostile[1]) == shape(plain[1])
    assert "img" not in hostile[1].count()
    assert not [name for _, attributes in hostile[1].elements for name in attributes if name.startswith("on")]
    assert "49" not in hostile[1].visible().split()  # no template inside a template


def test_hostile_texts_are_shown_as_they_are(hostile: tuple[str, Page]) -> None:
    html, page = hostile
    assert page.payload()["classes"]["tag"][: len(HOSTILE)] == [for_page(text) for text in HOSTILE]
    assert HOSTILE[2] in page.visible()
    for raw in ("\u202e", "\x00", "\ud800", "\u2028"):
        assert raw not in html
    assert r"right-to-left \u202e override" in page.payload()["classes"]["tag"]
    html.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("naïve 猫 👩‍💻 עברית", "naïve 猫 👩‍💻 עברית"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\u202eb\u2066c\u200fd", r"a\u202eb\u2066c\u200fd"),
        ("\x00\x1b[31m", r"\x00\x1b[31m"),
        ("\ud83d", r"\ud83d"),
    ],
)
def test_shown_texts_keep_scripts_and_disarm_controls(text: str, expected: str) -> None:
    assert for_page(text) == expected


def test_long_texts_are_cut() -> None:
    assert for_page("x" * 50, 10) == "x" * 9 + "…"


@pytest.mark.parametrize("num_classes", [100, 5000])
def test_pages_stay_small(num_classes: int) -> None:
    data = sample_report(num_classes, 200, text_length=300)
    html = render_report(data)
    assert len(html.encode()) < 3 * MEGABYTE
    if num_classes == 5000:
        assert data.histograms is not None
        assert data.histograms.num_bins == 16


def test_huge_texts_and_tag_lists_are_cut_to_fit() -> None:
    base = sample_report(100, 0)
    tags = tuple(f"{'é' * 190}{k}" for k in range(3000))
    flagged = tuple(FlaggedTag(tag, "missing", 0.9, 0.1) for tag in tags[:1000])
    rows = tuple(WorstRow(i + 1, "i" * 5000, 0.1, tags, flagged, ("猫" * 1000,) * 5) for i in range(1000))
    html = render_report(replace(base, rows=rows, shown_columns=("a", "b", "c", "d", "e")))
    assert len(html.encode()) < 3 * MEGABYTE
    payload = Page(html).payload()["rows"]["list"]
    assert 200 <= len(payload) < 1000
    assert len(payload[0][4]) + payload[0][5] == len(tags)
    assert len(payload[0][6]) + payload[0][7] == len(flagged)


def test_of_very_many_classes_the_most_affected_are_kept() -> None:
    size = MAX_CLASSES + 50
    classes = tuple(class_row(f"t{k}", k, 5, 100, int(k >= 50), 0) for k in range(size))
    payload = payload_of(replace(sample_report(3, 0), classes=classes, histograms=None))
    assert len(payload["classes"]["tag"]) == MAX_CLASSES
    assert payload["classes"]["tag"][0] == "t50"


def test_an_empty_run_has_a_page() -> None:
    base = sample_report(3, 0)
    counts = replace(base.counts, num_rows=0, num_audited=0, num_unlabelled=0, num_quarantined=0,
                     num_label_issues=0, num_missing_tags=0, num_extraneous_tags=0, health=None)  # fmt: skip
    page = Page(render_report(ReportData(run=base.run, counts=counts)))
    assert "The source has no rows." in page.visible()
    assert "There are no classes." in page.visible()


def test_the_vendored_libraries_are_the_versions_their_list_names() -> None:
    vendor = files("spark_ml_audit.report.page").joinpath("assets", "vendor")
    listed = re.findall(r"\| `([\w.]+)` \|.*\| ([\d.]+) \|", vendor.joinpath("README.md").read_text())
    assert len(listed) == 2
    for name, version in listed:
        assert f"v{version} Copyright" in vendor.joinpath(name).read_text(encoding="utf-8")[:80]
