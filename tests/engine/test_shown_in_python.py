"""What `audit` shows of itself and refuses in Python: texts of data stay texts, errors name arguments."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spark_ml_audit import audit
from spark_ml_audit.errors import ConfigError, DeliveryError, InputError
from tests.browser import browser_session
from tests.lake import with_column


@pytest.fixture(scope="module")
def rows(house: Any, dataset: Any) -> Any:
    return house.dataset_frame(dataset)


EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>&\u202e"


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def evil(house: Any, rows: Any, names: list[str]) -> Any:
    """Texts of the data that would be markup, in all places where texts are shown."""
    renamed = [f"{EVIL}{name}" for name in names]
    labels = [
        None if row is None else [renamed[names.index(tag)] for tag in row]
        for row in rows.column("labels").to_pylist()
    ]
    table = with_column(rows, "labels", pa.array(labels, pa.list_(pa.string())))
    table = with_column(table, "id", pa.array([f"{EVIL}{name}" for name in rows.column("id").to_pylist()]))
    table = with_column(table, f"{EVIL}text", pa.array([EVIL] * table.num_rows))
    return house.call(audit, table.to_pandas(), classes=renamed, show=f"{EVIL}text")


class TestShown:
    def test_a_notebook_shows_counts_rows_and_classes_and_no_text_is_markup(self, evil: Any) -> None:
        page = Elements()
        page.feed(evil._repr_html_())
        table = {"table", "caption", "thead", "tbody", "tr", "th", "td"}
        assert page.found <= {"div", "p", "strong", "bdi", "code", *table}
        assert page.attributes <= {"style", "scope", "role"}
        text = "".join(page.texts)
        assert text.count("<script>alert('x')</script>") > 20
        assert "\u202e" not in text
        assert f"{evil.summary.num_label_issues} of" in text
        worst = evil.issues.iloc[0]
        assert worst["id"].replace("\u202e", "\\u202e")[:50] in text
        assert f"{worst['label_quality_score']:.4f}" in text
        for title in ("Worst rows", "Tags with the most flags", "Missing tags", "In full"):
            assert title in text

    def test_a_terminal_shows_the_same_and_no_text_moves_the_cursor(self, evil: Any) -> None:
        text = str(evil)
        assert text == repr(evil)
        assert "\u202e" not in text
        assert "Worst rows" in text
        assert f"{evil.summary.num_label_issues} of" in text

    def test_what_is_lazy_is_not_run_to_name_it(
        self, lake: Any, rows: Any, names: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = lake.call(audit, lake.native(rows), classes=names)
        with monkeypatch.context() as patched:
            patched.setattr(type(result.engine), "collect", lambda *_: pytest.fail("it was run"))
            assert "rows audited" in repr(result)
        assert "Worst rows" in str(result)
        assert repr(result) == str(result)

    def test_the_report_is_a_file_and_a_frame_in_a_notebook(
        self, evil: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        page = evil.report()
        file = tmp_path / "audits" / "reports" / f"{evil.run_id}.html"
        assert Path(page.path).resolve() == file.resolve()
        assert file.read_text(encoding="utf-8") == page.html
        frame = re.fullmatch(
            r'<iframe srcdoc="([^"]*)" sandbox="allow-scripts" .*></iframe>', page._repr_html_()
        )
        assert frame is not None
        assert html.unescape(frame[1]) == page.html
        assert EVIL not in page.html
        assert evil.report() is page
        assert repr(page) == f"ReportPage({page.path!r})"

    def test_the_page_works_within_a_notebook(self, evil: Any, tmp_path: Path) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        around = tmp_path / "notebook.html"
        shown = evil.report(str(tmp_path / "report.html"))._repr_html_()
        around.write_text(f"<!doctype html><meta charset=utf-8><p>A cell</p>{shown}", encoding="utf-8")
        with browser_session() as browser:
            browser.driver.get(around.as_uri())
            browser.driver.switch_to.frame(0)
            ready = "return document.documentElement.dataset.ready"
            WebDriverWait(browser.driver, 20).until(lambda driver: driver.execute_script(ready) == "true")
            assert browser.find("h1").text == "DataFrame"
            assert browser.run("return document.querySelectorAll('svg').length") > 1
            browser.driver.switch_to.default_content()
            assert browser.complaints() == []

    def test_a_report_goes_where_it_is_told_with_the_columns_asked_for(
        self, lake: Any, rows: Any, names: list[str]
    ) -> None:
        table = with_column(rows, "text", pa.array([f"words {i}" for i in range(rows.num_rows)]))
        result = lake.call(audit, table, classes=names)
        page = lake.call(result.report, lake.path("deep/er/report.html"), show="text", max_rows=3)
        assert page.path == lake.path("deep/er/report.html")
        assert "words 1" in page.html
        assert "words 1" not in lake.call(result.report, lake.path("plain.html")).html
        with pytest.raises(InputError, match=r"^show: the source has no column 'texts'.*Did you mean 'text'"):
            result.report(show=["texts"])
        with pytest.raises(ConfigError, match=r"^max_rows: found 5000"):
            result.report(max_rows=5000)
        Path(lake.path("file")).write_text("", encoding="utf-8")
        with pytest.raises(DeliveryError, match=r"^path: the report cannot be written"):
            result.report(lake.path("file/report.html"))

    def test_write_makes_the_report_beside_the_tables_and_one_that_fails_fails_no_run(
        self, lake: Any, rows: Any, names: list[str]
    ) -> None:
        result = lake.call(audit, rows, classes=names)
        lake.call(result.write, lake.path("out"))
        file = Path(lake.path("out"), "reports", f"{result.run_id}.html")
        assert file.is_file()
        assert lake.call(result.report).path == str(file)
        lake.call(result.write, lake.path("without"), report=False)
        assert not Path(lake.path("without"), "reports").exists()
        Path(lake.path("blocked")).mkdir()
        Path(lake.path("blocked"), "reports").write_text("", encoding="utf-8")
        tables = lake.call(result.write, lake.path("blocked"))
        assert lake.count(tables["runs"]) == 1
        assert any("report could not be written" in sentence for sentence in result.warnings)


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "key", "said"),
        [
            ({"lables": "x"}, "lables", "Did you mean labels"),
            ({"alhpa": 1}, "alhpa", "Did you mean alpha"),
            ({"alpha": 2}, "alpha", "Give alpha as a number from 0 to 1"),
            ({"engine": "dask"}, "engine", "Choose one of: auto, embedded, spark"),
            ({"detect": {"ambiguous": {"min_tags": 0}}}, "detect['ambiguous']['min_tags']", "found 0"),
            ({"detect": {"duplicate": {}}}, "detect['duplicate']", "Did you mean duplicates"),
            ({"labels": "label"}, "labels", "Did you mean 'labels'"),
            ({"pred_probs": "probs"}, "pred_probs", "predict"),
            ({"pred_probs": None}, "pred_probs", "found None"),
            ({"id": "key"}, "id", "no column 'key'"),
            ({"id": "run_id"}, "id", "also the name of a column the audit writes"),
            ({"classes": ["a"]}, "classes", "1 classes, but"),
            ({"classes": ["a", "a"]}, "classes", "given twice"),
            ({"classes": ["a", None]}, "classes", "entry 2 is None, which is no text"),
            ({"classes": "no/such/file"}, "classes", "there is no file"),
            ({"labels_format": "multi_hot"}, "labels_format", "'multi_hot' was given"),
            ({"labels_format": "words"}, "labels_format", "Choose one of"),
            ({"show": "nothing"}, "show", "no column 'nothing'"),
            ({"num_to_add_per_class": [1]}, "num_to_add_per_class", "one count per class"),
            ({"data": [1, 2]}, "data", "holds no rows"),
            ({"data": {"id": [1]}}, "data", "dict holds no rows"),
            ({"data": None}, "data", "nothing to audit"),
        ],
    )
    def test_what_does_not_fit_is_named_by_its_argument(
        self, lake: Any, rows: Any, names: list[str], arguments: dict[str, Any], key: str, said: str
    ) -> None:
        given = {"data": rows.to_pandas(), "classes": names, **arguments}
        with pytest.raises((ConfigError, InputError)) as caught:
            lake.call(audit, **given)
        assert caught.value.key == key
        assert said in str(caught.value)
        assert not re.search(r"\b(source|audit|output|engine)\.[a-z_]+\b(?!')|--set|YAML", str(caught.value))

    def test_columns_of_several_types_are_refused_only_where_they_are_needed(
        self, lake: Any, rows: Any, names: list[str]
    ) -> None:
        frame = rows.to_pandas().assign(odd=[1, "a"] * (rows.num_rows // 2) + [None] * (rows.num_rows % 2))
        result = lake.call(audit, frame, classes=names)
        assert any("Column 'odd' was left out" in note for note in result.notes)
        for option in ("labels", "pred_probs", "id", "show"):
            with pytest.raises(InputError, match=r"^odd: .*more than one type"):
                lake.call(audit, frame, **{"classes": names, option: "odd"})

    def test_write_without_a_place_says_what_to_pass(self, lake: Any, rows: Any, names: list[str]) -> None:
        result = lake.call(audit, rows, classes=names)
        with pytest.raises(ConfigError, match=r"^path: no output is given. Pass path= or schema=.$"):
            result.write()
        with pytest.raises(ConfigError, match=r"^table: there is no table 'isues'. Did you mean issues"):
            result.to_pandas("isues")
        with pytest.raises(ConfigError, match="there is no table 'duplicates'"):
            result.to_arrow("duplicates")
        assert result.duplicates is None
