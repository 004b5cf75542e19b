"""`audit` of what people hold: any table or arrays give what the same data in a file give, and are shown."""

from __future__ import annotations

import html
import importlib
import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp

from spark_ml_audit import audit, predict
from spark_ml_audit.engines.in_hand import NUMBERED
from spark_ml_audit.errors import ConfigError, DeliveryError, InputError
from tests.browser import browser_session
from tests.datasets import make_dataset
from tests.lake import records, tag_names, with_column

TABLES = ("issues", "examples", "tag_issues", "classes", "quarantine")


@pytest.fixture(scope="module")
def dataset() -> Any:
    return make_dataset(5, "plain", "float64")


@pytest.fixture(scope="module")
def names(dataset: Any) -> list[str]:
    return tag_names(dataset.pred_probs.shape[1])


@pytest.fixture(scope="module")
def rows(house: Any, dataset: Any) -> Any:
    """The data set as an Arrow table, last id first, with one row in quarantine and one without labels."""
    table = house.dataset_frame(dataset).to_pylist()[::-1]
    table[3]["pred_probs"] = table[3]["pred_probs"][:-1]
    table[5]["labels"] = None
    return pa.Table.from_pylist(table, house.dataset_frame(dataset).schema)


@pytest.fixture(scope="module")
def filed(house: Any, rows: Any, names: list[str]) -> Any:
    """What the same rows in a file give."""
    return house.call(audit, house.write(rows), classes=names)


def contents(result: Any, name: str, *, without_id: bool = False) -> list[dict[str, Any]]:
    """Rows of a table of a result, without run_id, in an order of their own."""
    left_out = {"run_id", *({"id", "row_number"} if without_id else ())}
    table = result.to_arrow(name)
    found = table.select([column for column in table.column_names if column not in left_out]).to_pylist()
    return sorted(found, key=lambda row: repr(list(row.values())))


def forms() -> dict[str, Any]:
    found: dict[str, Any] = {
        "pandas": lambda table: table.to_pandas(),
        "pandas by index": lambda table: table.to_pandas().set_index("id"),
        "arrow": lambda table: table,
        "batch": lambda table: table.combine_chunks().to_batches()[0],
        "reader": lambda table: table.to_reader(),
    }
    if importlib.util.find_spec("polars"):
        polars = importlib.import_module("polars")
        found |= {"polars": polars.from_arrow, "lazy polars": lambda table: polars.from_arrow(table).lazy()}
    return found


FORMS = forms()
KINDS = {"pandas": "pandas", "arrow": "pyarrow", "batch": "pyarrow", "reader": "pyarrow", "polars": "polars"}


class TestTables:
    @pytest.mark.parametrize("form", FORMS)
    def test_a_table_in_hand_gives_what_a_file_gives_in_its_own_form(
        self, lake: Any, rows: Any, names: list[str], filed: Any, form: str
    ) -> None:
        result = lake.call(audit, FORMS[form](rows), classes=names)
        for name in TABLES:
            assert contents(result, name) == contents(filed, name), name
        library = KINDS["polars" if "lazy" in form else form.split(maxsplit=1)[0]]
        found = [getattr(result, name) for name in TABLES]
        assert {type(frame).__module__.split(".")[0] for frame in found} == {library}
        assert result.summary == filed.summary
        assert (result.summary.num_quarantined, result.summary.num_unlabelled) == (1, 1)

    @pytest.mark.matrix
    def test_rows_are_in_the_order_of_the_source_and_issues_worst_first(
        self, lake: Any, rows: Any, names: list[str]
    ) -> None:
        result = lake.call(audit, rows.to_pandas(), classes=names)
        audited = [row["id"] for i, row in enumerate(rows.to_pylist()) if i not in (3, 5)]
        assert result.examples["id"].tolist() == audited
        assert result.issues["issue_rank"].tolist() == list(range(1, len(result.issues) + 1))
        assert result.tag_issues["issue_rank"].is_monotonic_increasing
        assert result.classes["tag"].tolist() == names
        assert isinstance(result.issues["given_tags"].iloc[0], list)
        assert result.to_pandas("examples").equals(result.examples)
        assert result.to_arrow().num_rows == len(result.issues)

    @pytest.mark.matrix
    def test_frames_of_the_engine_stay_lazy_and_can_be_fetched(
        self, lake: Any, rows: Any, names: list[str], filed: Any
    ) -> None:
        frame = lake.native(rows)
        result = lake.call(audit, frame, classes=names)
        assert type(result.issues) is type(frame)
        assert len(records(result.issues)) == result.summary.num_label_issues
        for name in TABLES:
            assert contents(result, name) == contents(filed, name), name
        assert list(result.to_pandas("classes")["tag"]) == names

    def test_classes_are_found_in_what_arrow_and_pandas_note(
        self, lake: Any, rows: Any, names: list[str], filed: Any
    ) -> None:
        assert contents(lake.call(audit, rows), "issues") == contents(filed, "issues")
        plain = rows.cast(pa.schema([item.remove_metadata() for item in rows.schema]))
        with pytest.raises(InputError, match=r"^classes: no class list"):
            lake.call(audit, plain)
        noted = plain.replace_schema_metadata(
            {"classes": rows.schema.field("pred_probs").metadata[b"classes"]}
        )
        assert contents(lake.call(audit, noted), "issues") == contents(filed, "issues")
        frame = plain.to_pandas()
        frame.attrs["classes"] = names
        assert contents(lake.call(audit, frame), "issues") == contents(filed, "issues")

    def test_a_table_of_one_column_per_tag_and_one_per_probability(
        self, lake: Any, dataset: Any, names: list[str]
    ) -> None:
        columns = [f"p {name}" for name in names]
        frame = pd.DataFrame(dataset.given, columns=names).join(
            pd.DataFrame(dataset.pred_probs, columns=columns)
        )
        found = lake.call(audit, frame, labels=names, pred_probs=columns)
        expected = lake.call(audit, dataset.labels, dataset.pred_probs, classes=names)
        alone = lake.call(audit, frame[names], dataset.pred_probs)
        for name in ("issues", "tag_issues", "classes"):
            assert contents(found, name) == contents(expected, name) == contents(alone, name)

    def test_an_empty_table_is_audited_and_says_so(self, lake: Any, rows: Any, names: list[str]) -> None:
        result = lake.call(audit, rows.slice(0, 0), classes=names)
        assert (result.summary.num_rows, result.issues.num_rows) == (0, 0)
        assert "The source has no rows." in result.warnings
        assert "The source has no rows." in str(result)
        assert "The source has no rows." in result._repr_html_()
        assert Path(lake.call(result.report).path).is_file()

    def test_rows_without_id_are_numbered_and_the_result_says_so(
        self, lake: Any, rows: Any, names: list[str]
    ) -> None:
        frame = rows.to_pandas().drop(columns="id")
        result = lake.call(audit, frame, classes=names)
        audited = [i for i in range(len(frame)) if i not in (3, 5)]
        assert result.examples["row_number"].tolist() == audited
        assert NUMBERED in result.warnings
        worst = frame.iloc[result.issues["row_number"]]
        assert [sorted(tags) for tags in worst["labels"]] == [
            sorted(tags) for tags in result.issues["given_tags"]
        ]
        other = lake.call(audit, rows.to_pandas(), classes=names)
        assert NUMBERED not in other.warnings


@pytest.fixture(scope="module")
def expected(house: Any, dataset: Any, names: list[str]) -> Any:
    """What the whole data set in a file gives."""
    return house.call(audit, house.write(house.dataset_frame(dataset)), classes=names)


class TestArrays:
    @pytest.mark.parametrize(
        "form", ["lists", "names", "multi-hot", "sparse", "pairs", "DataFrames", "keywords"]
    )
    def test_arrays_give_what_a_file_gives(
        self, lake: Any, dataset: Any, names: list[str], expected: Any, form: str
    ) -> None:
        labels: Any = dataset.labels
        p: Any = dataset.pred_probs
        arguments: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
            "lists": ((labels, p), {}),
            "names": (([[names[k] for k in row] for row in labels], p), {}),
            "multi-hot": ((dataset.given.astype(int), p), {}),
            "sparse": ((sp.csr_matrix(dataset.given), p), {}),
            "pairs": ((labels, [np.stack([1 - column, column], axis=1) for column in p.T]), {}),
            "DataFrames": ((pd.DataFrame(dataset.given, columns=names), pd.DataFrame(p, columns=names)), {}),
            "keywords": ((), {"labels": labels, "pred_probs": p}),
        }
        given, named = arguments[form]
        result = lake.call(audit, *given, classes=None if form == "DataFrames" else names, **named)
        for name in TABLES:
            assert contents(result, name, without_id=True) == contents(expected, name, without_id=True), name
        assert result.examples["row_number"].tolist() == list(range(len(labels)))
        assert isinstance(result.issues, pd.DataFrame)

    def test_flags_are_those_of_cleanlab(self, lake: Any) -> None:
        from cleanlab.multilabel_classification.filter import (
            find_label_issues,
            find_multilabel_issues_per_class,
        )

        dataset = make_dataset(17, "plain", "float64")
        result = lake.call(audit, dataset.labels, dataset.pred_probs)
        expected = find_label_issues(dataset.labels, dataset.pred_probs)
        assert expected.sum() > 10
        assert result.examples["is_label_issue"].tolist() == expected.tolist()
        per_class = find_multilabel_issues_per_class(dataset.labels, dataset.pred_probs)
        cells = {(row, str(k)) for row, k in np.argwhere(per_class).tolist()}
        found = result.tag_issues
        assert set(zip(found["row_number"], found["tag"], strict=True)) == cells

    def test_arrays_beside_a_table_take_its_ids_and_columns(
        self, lake: Any, dataset: Any, names: list[str], expected: Any
    ) -> None:
        table = lake.dataset_frame(dataset)
        for frame, more in (
            (table.select(["id", "labels"]).to_pandas(), {"pred_probs": dataset.pred_probs}),
            (table.select(["id", "pred_probs"]).to_pandas(), {"labels": dataset.labels}),
            (table.select(["id"]), {"labels": dataset.given, "pred_probs": dataset.pred_probs}),
        ):
            result = lake.call(audit, frame, classes=names, **more)
            assert contents(result, "issues") == contents(expected, "issues")

    def test_rows_that_nobody_annotated_are_counted_and_not_audited(self, lake: Any) -> None:
        labels = pd.Series([["a"], None, ["b"], []])
        result = lake.call(
            audit, labels, [[0.9, 0.1], [0.5, 0.5], [0.2, 0.7], [0.1, 0.1]], classes=["a", "b"]
        )
        assert (result.summary.num_audited, result.summary.num_unlabelled) == (3, 1)
        assert result.examples["row_number"].tolist() == [0, 2, 3]

    def test_a_frame_of_the_engine_and_a_path_have_no_rows_to_put_an_array_beside(
        self, lake: Any, rows: Any, dataset: Any
    ) -> None:
        for data in (lake.native(rows), lake.write(rows)):
            with pytest.raises(InputError, match=r"^pred_probs: found ndarray, but") as caught:
                lake.call(audit, data, dataset.pred_probs)
            assert "Read the table into memory" in caught.value.fix


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


def test_predictions_come_back_in_kind_and_are_audited_as_they_are(lake: Any) -> None:
    rng = np.random.default_rng(0)
    words = {"billing": "invoice payment", "login": "password account", "delivery": "parcel courier"}
    labels = [[name for name in words if rng.random() < 0.4] for _ in range(120)]
    texts = [" ".join(words[name] for name in tags) or "hello" for tags in labels]
    frame = pd.DataFrame({"text": texts, "labels": labels})
    found = lake.call(predict, frame, text="text", kind="linear", folds=3)
    assert isinstance(found.predictions, pd.DataFrame)
    assert found.predictions["text"].tolist() == texts
    assert len(found.quarantine) == 0
    result = lake.call(audit, found.predictions)
    assert result.summary.num_audited == 120
    assert result.classes["tag"].tolist() == sorted(words)
    table = lake.call(predict, pa.Table.from_pandas(frame), text=["text"], kind="linear", folds=3)
    assert isinstance(table.predictions, pa.Table)
    assert lake.call(audit, table.predictions).summary == result.summary
    assert found.to_pandas().equals(found.predictions)
    with pytest.raises(ConfigError, match=r"^table: there is no table 'issues'"):
        found.to_arrow("issues")


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
