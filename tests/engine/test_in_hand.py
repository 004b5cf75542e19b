"""`audit` of what people hold: any table or arrays give what the same data in a file give."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import scipy.sparse as sp

from spark_ml_audit import audit, predict
from spark_ml_audit.engines.in_hand import NUMBERED
from spark_ml_audit.errors import ConfigError, InputError, SetupError
from tests.datasets import make_dataset
from tests.lake import records, with_column

TABLES = ("issues", "examples", "tag_issues", "classes", "quarantine")


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


def test_without_an_engine_arrays_are_pointed_at_what_needs_none(
    dataset: Any, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    missing = {"duckdb", "deltalake", "pyspark"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in missing else find(name))
    monkeypatch.setattr("spark_ml_audit.engines.session.active_session", lambda: None)
    with pytest.raises(SetupError, match=r"^engine: the embedded engine is not installed") as caught:
        audit(dataset.labels, dataset.pred_probs)
    assert "spark_ml_audit.arrays" in caught.value.fix
    with pytest.raises(SetupError) as caught:
        audit(rows)
    assert "spark_ml_audit.arrays" not in caught.value.fix
    # what it points at works there
    from spark_ml_audit.arrays import find_label_issues

    assert find_label_issues(dataset.labels, dataset.pred_probs).sum() > 10


@pytest.mark.parametrize(
    "ids",
    [
        pa.array([f"r{i}" for i in range(40)]).dictionary_encode(),
        pa.array(range(40), pa.uint64()),
        pa.array([bytes([i]) for i in range(40)]),
        pa.array(range(20_000, 20_040), pa.date32()),
        pa.array([f"r{i}" for i in range(40)], pa.large_string()),
    ],
    ids=lambda ids: str(ids.type).split("<")[0],
)
def test_ids_of_any_type_keep_the_order_of_the_source(
    lake: Any, rows: Any, names: list[str], ids: Any
) -> None:
    turned = pc.take(ids, pa.array(range(39, -1, -1)))
    table = with_column(rows.slice(10, 40), "id", turned)
    result = lake.call(audit, table, classes=names)
    assert result.to_arrow("examples").column("id").to_pylist() == turned.to_pylist()


def test_near_duplicates_come_in_kind_and_decisions_may_be_a_frame(
    lake: Any, rows: Any, names: list[str]
) -> None:
    texts = [" ".join(f"{word}{i // 2}" for word in "abcdefgh") for i in range(rows.num_rows)]
    table = with_column(rows, "text", pa.array(texts)).to_pandas()
    result = lake.call(audit, table, classes=names, detect={"duplicates": {"text": "text"}})
    assert isinstance(result.duplicates, pd.DataFrame)
    assert result.duplicates["group_id"].is_monotonic_increasing
    assert result.summary.num_duplicate_groups > 10
    flag = result.tag_issues.iloc[0]
    verdict = "absent" if flag["issue"] == "missing" else "present"
    decisions = pd.DataFrame({"id": [flag["id"]], "tag": [flag["tag"]], "verdict": [verdict]})
    decided = lake.call(audit, table, classes=names, decisions=decisions.assign(run_id=result.run_id))
    assert len(decided.tag_issues) == len(result.tag_issues) - 1


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


def test_arrays_beside_a_table_are_refused_in_another_order() -> None:
    table = pd.DataFrame({"id": ["a", "b", "c", "d"], "labels": [["x"], ["y"], [], ["x", "y"]]})
    probs = pd.DataFrame({"x": [0.9, 0.1, 0.2, 0.8], "y": [0.1, 0.9, 0.2, 0.7]})
    right = audit(table, pred_probs=probs).to_pandas("examples")
    moved = probs.iloc[[2, 0, 3, 1]]
    for key, call in {
        "pred_probs": lambda: audit(table, pred_probs=moved),
        "labels": lambda: audit(
            table[["id"]], labels=table["labels"].iloc[[1, 0, 2, 3]], pred_probs=probs, classes=["x", "y"]
        ),
    }.items():
        with pytest.raises(InputError, match="another order") as refused:
            call()
        assert refused.value.key == key
    with pytest.raises(InputError, match="classes in another order"):
        audit(table, pred_probs=probs, classes=["y", "x"])
    # numbers that only count the rows of the array say nothing of the table's
    indexed = audit(table.set_index("id"), pred_probs=probs).to_pandas("examples")
    assert indexed["suggested_tags"].tolist() == right["suggested_tags"].tolist()
