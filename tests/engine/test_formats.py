"""Every way to write tags and probabilities, what `auto` makes of it, and where the class list comes from."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from spark_ml_audit.config.audit import MethodConfig
from spark_ml_audit.config.source import ColumnsConfig
from spark_ml_audit.engines.base import Engine
from spark_ml_audit.engines.choose import engine_for
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.fit import fit_audit
from spark_ml_audit.frames.ingest import Ingest, inspect_source
from spark_ml_audit.progress import Progress
from tests.datasets import Dataset, make_dataset
from tests.engine.conftest import Audited
from tests.engine.test_oracle_cli import check_classes
from tests.lake import Lake, with_classes
from tests.oracle import oracle_audit
from tests.sql_types import schema_of, table_of

NAMES = ["b tag", "a.tag", "z`tag", "c;tag"]
LABELS = {
    "names": "by_name",
    "indices": "by_index",
    "multi_hot": "by_bit",
    "delimited": "by_text",
    "columns": ["y.0", "y`1", "y 2", "ÿ3"],
}
PROBS = {
    "array": "p_array",
    "map": "p_map",
    "columns": ["p.0", "p`1", "p 2", "π3"],
}


def dataset() -> Dataset:
    found = make_dataset(6, "forest", "float64")
    assert found.pred_probs.shape[1] == len(NAMES)
    return found


SCHEMA = (
    "id int, by_name array<string>, by_index array<smallint>, by_bit array<tinyint>, by_text string, "
    "`y.0` int, `y``1` boolean, `y 2` int, `ÿ3` boolean, "
    "p_array array<double>, p_map map<string, double>, `p.0` double, `p``1` double, `p 2` double, `π3` double"
)


def wide_rows() -> list[tuple[Any, ...]]:
    data = dataset()
    rows = []
    for i, (tags, p, bits) in enumerate(zip(data.labels, data.pred_probs.tolist(), data.given, strict=True)):
        names = [NAMES[k] for k in reversed(tags)]
        rows.append(
            (
                i,
                names,
                list(reversed(tags)),
                [int(bit) for bit in bits],
                " | ".join(names),
                *[bool(bit) if k % 2 else int(bit) for k, bit in enumerate(bits)],
                p,
                {NAMES[k]: p[k] for k in (3, 1, 0, 2)},
                *p,
            )
        )
    return rows


@pytest.fixture
def wide(engine: Engine) -> Any:
    """A data set written in every format at once."""
    return engine.from_arrow(table_of(wide_rows(), schema_of(SCHEMA)))


@pytest.fixture
def vectors(spark: Any) -> Any:
    """The same with probabilities as vectors of pyspark.ml, dense and sparse."""
    from pyspark.ml.linalg import DenseVector, SparseVector

    rows = []
    for i, (row, p) in enumerate(zip(wide_rows(), dataset().pred_probs.tolist(), strict=True)):
        sparse = SparseVector(len(p), {k: value for k, value in enumerate(p) if value})
        rows.append((i, row[2], sparse if i % 2 else DenseVector(p)))
    return spark.createDataFrame(rows, vector_schema("by_index", "short"))


def vector_schema(labels: str, kind: str) -> Any:
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql import types as T

    element = {"short": T.ShortType(), "string": T.StringType()}[kind]
    schema = T.StructType([T.StructField("id", T.IntegerType())])
    return schema.add(labels, T.ArrayType(element)).add("p_vector", VectorUDT())


# how they decode, in every pair: tests/unit/arrow/test_decode.py
PAIRS = list(zip(LABELS, itertools.cycle(PROBS), strict=False))


@pytest.mark.matrix
@pytest.mark.parametrize(("labels_format", "probs_format"), PAIRS)
def test_every_format_gives_the_same_audit(
    engine: Engine, wide: Any, labels_format: str, probs_format: str
) -> None:
    columns = ColumnsConfig.from_arguments(
        id="id",
        labels=LABELS[labels_format],
        labels_delimiter="|",
        pred_probs=PROBS[probs_format],
        classes=NAMES,
    )
    check_audit(inspect_source(engine, wide, columns), labels_format, probs_format)


@pytest.mark.spark
@pytest.mark.matrix
def test_vectors_give_the_same_audit(vectors: Any) -> None:
    columns = {"id": "id", "labels": "by_index", "pred_probs": "p_vector", "classes": NAMES}
    found, given = (
        inspect_source(*engine_for(vectors), ColumnsConfig.from_arguments(**columns, pred_probs_format=how))
        for how in ("auto", "vector")
    )
    check_audit(found, "indices", "vector")
    assert given.layout == found.layout


def check_audit(ingest: Ingest, labels_format: str, probs_format: str) -> None:
    assert ingest.layout.labels_format == labels_format
    notes = "\n".join(ingest.notes)
    assert f"labels_format: {labels_format}" in notes
    assert f"pred_probs_format: {probs_format} (float64)" in notes
    found = fit_audit(ingest, MethodConfig(), Progress(quiet=True), check_ids=False)
    data = dataset()
    assert found.rows.num_audited == found.rows.num_rows == len(data.labels)
    truth = oracle_audit(data.labels, data.pred_probs)
    assert [row.tag for row in found.classes] == NAMES
    check_classes([row.to_dict() for row in found.classes], truth, NAMES, within=1e-12)


@pytest.mark.parametrize("labels_format", ["names", "indices", "multi_hot", "delimited"])
def test_a_labels_format_may_be_given_and_must_fit(engine: Engine, wide: Any, labels_format: str) -> None:
    columns = {"id": "id", "pred_probs": "p_array", "classes": NAMES, "labels_format": labels_format}
    ingest = inspect_source(
        engine, wide, ColumnsConfig.from_arguments(**columns, labels=LABELS[labels_format])
    )
    assert ingest.layout.labels_format == labels_format
    other = "by_name" if labels_format != "names" else "by_text"
    with pytest.raises(InputError, match="labels_format") as refused:
        inspect_source(engine, wide, ColumnsConfig.from_arguments(**columns, labels=other))
    assert f"'{labels_format}' was given" in refused.value.message
    assert refused.value.fix


def test_a_probability_format_may_be_given_and_must_fit(engine: Engine, wide: Any) -> None:
    columns = {"id": "id", "labels": "by_name", "classes": NAMES}
    for given, name in (("array", "p_array"), ("map", "p_map")):
        inspect_source(
            engine,
            wide,
            ColumnsConfig.from_arguments(**columns, pred_probs=name, pred_probs_format=given),
        )
    with pytest.raises(InputError, match=r"source\.pred_probs_format") as refused:
        inspect_source(
            engine,
            wide,
            ColumnsConfig.from_arguments(**columns, pred_probs="p_map", pred_probs_format="array"),
        )
    assert "'map'" in refused.value.fix


PLAIN = "id int, labels array<int>, pred_probs array<double>"


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([[0, 1, 1], [1, 0, 0]], "multi_hot"),
        ([[0, 1, 1], None], "multi_hot"),
        ([[0], [2, 1], []], "indices"),
        ([[0, 1], []], "indices"),
        ([[], []], "indices"),
        ([[0, 1, 2], [0, 1, 1]], "indices"),
        ([[0, 1, 1], [0, 1, 1], [1, 0, None]], None),
        ([[0, 1, 1], [0, 1, 1], [0, 1]], None),
    ],
)
def test_integer_lists_are_indices_or_vectors(engine: Engine, lists: list[Any], expected: str | None) -> None:
    rows = [(i, labels, [0.5, 0.1, 0.9]) for i, labels in enumerate(lists)]
    columns = ColumnsConfig.from_arguments(
        id="id", labels="labels", pred_probs="pred_probs", classes=["a", "b", "c"]
    )
    frame = engine.from_arrow(table_of(rows, schema_of(PLAIN)))
    if expected is None:
        with pytest.raises(InputError, match="'indices' or 'multi_hot'"):
            inspect_source(engine, frame, columns)
    else:
        assert inspect_source(engine, frame, columns).layout.labels_format == expected


@pytest.mark.parametrize("lists", [[[0, 1], [1, 0]], [[0, 1], [1, 1]]])
def test_with_two_classes_lists_of_zeros_and_ones_are_not_taken_for_vectors(
    engine: Engine, lists: Any
) -> None:
    rows = [(i, labels, [0.5, 0.1]) for i, labels in enumerate(lists)]
    frame = engine.from_arrow(table_of(rows, schema_of(PLAIN)))
    columns = ColumnsConfig.from_arguments(
        id="id", labels="labels", pred_probs="pred_probs", classes=["a", "b"]
    )
    with pytest.raises(InputError, match="'indices' or 'multi_hot'") as undecided:
        inspect_source(engine, frame, columns)
    assert undecided.value.key == "source.labels_format"


def test_what_cannot_be_decided_exits_2_asking_for_the_format(lake: Lake) -> None:
    rows = [(0, [0, 1], [0.5, 0.1]), (1, [1, 1], [0.3, 0.2])]
    source = lake.write(lake.frame(rows, PLAIN, ["a", "b"]))
    error = lake.refuse(source__path=source, command="check")
    assert error["key"] == "source.labels_format"
    assert "multi_hot" in error["fix"]
    for chosen in ("indices", "multi_hot"):
        report = lake.run("check", source__path=source, source__labels_format=chosen)
        assert report.exit_code == 0
        assert report.json["labels_format"] == chosen


def test_check_explains_formats_classes_and_outputs_without_writing(lake: Lake, audited: Audited) -> None:
    data, source = audited.data, audited.source
    out = lake.path("nothing")
    report = lake.run("check", source__path=source, output__path=out).json
    assert report["status"] == "ok"
    assert report["source_version"] == "0"
    assert report["num_rows"] == len(data.labels)
    assert report["labels_format"] == "names"
    assert report["pred_probs_format"] == "array"
    assert report["dtype"] == "float32"
    assert report["num_classes"] == data.pred_probs.shape[1]
    assert {column["name"]: column["type"] for column in report["schema"]}["pred_probs"] == "array<float>"
    assert report["tables"]["runs"] == f"{out}/runs"
    assert any(note.startswith("classes:") and "metadata" in note for note in report["notes"])
    assert not (lake.folder / "nothing").exists()


def test_the_class_list_is_taken_from_the_first_place_that_has_one(lake: Lake) -> None:
    rows = [(0, [], [0.1, 0.9]), (1, ["x"], [0.5, 0.5])]
    schema = "id int, labels array<string>, pred_probs array<double>"
    source = lake.write(lake.frame(rows, schema, ["meta", "x"]))
    lake.set_properties(source, {"spark_ml_audit.classes": '["property","x"]'})
    listed = lake.folder / "classes.txt"
    listed.write_text("file\nx\n", encoding="utf-8")

    def classes(path: str, **keys: object) -> list[str]:
        report = lake.run("check", source__path=path, **keys)
        assert report.exit_code == 0, report.json
        return list(report.json["classes"])

    assert classes(source, source__classes=["config", "x"]) == ["config", "x"]
    assert classes(source, source__classes=str(listed)) == ["file", "x"]
    assert classes(source) == ["meta", "x"]
    # a column written without metadata leaves the property
    bare = lake.write(lake.frame(rows, schema))
    lake.set_properties(bare, {"spark_ml_audit.classes": '["property","x"]'})
    assert classes(bare) == ["property", "x"]
    mapped = lake.write(
        lake.frame([(0, ["b"], {"b": 0.1, "a": 0.2})], "id int, labels array<string>, p map<string,double>")
    )
    assert classes(mapped, source__pred_probs="p") == ["a", "b"]
    flat = lake.write(lake.frame([(0, 1, 0, 0.1, 0.2)], "id int, y1 int, y0 int, p1 double, p0 double"))
    settings = {"source__labels": ["y1", "y0"], "source__pred_probs": ["p1", "p0"]}
    assert classes(flat, **settings) == ["y1", "y0"]
    nothing = lake.write(lake.frame(rows, schema))
    error = lake.refuse(source__path=nothing, command="check")
    assert error["key"] == "source.classes"


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("not json", "JSON list"),
        ('["a", 1]', "JSON list"),
        ('["a", "a"]', "more than once"),
        ('["a", "b", "c"]', "3 classes"),
        ("[]", "empty"),
    ],
)
def test_a_class_list_that_cannot_be_exits_2(lake: Lake, classes: str, said: str) -> None:
    table = lake.frame([(0, [], [0.1, 0.9])], "id int, labels array<string>, pred_probs array<double>")
    error = lake.refuse(source__path=lake.write(with_classes(table, classes)), command="check")
    assert error["key"] == "source.classes"
    assert said in f"{error['message']} {error['fix']}"


@pytest.mark.spark
def test_a_vector_source_with_faulty_rows_reaches_quarantine(lake: Lake, spark: Any) -> None:
    from pyspark.ml.linalg import DenseVector

    rows = [(0, ["a"], DenseVector([0.2, 0.3])), (1, ["a"], DenseVector([0.2])), (2, ["b"], None)]
    source = lake.path("vectors")
    frame = spark.createDataFrame(rows, vector_schema("labels", "string"))
    frame.write.format("delta").save(source)
    result = lake.audit(
        source__path=source, source__pred_probs="p_vector", source__classes=["a", "b"], expect=3
    )
    found = {row["id"]: (row["reason"], json.loads(row["row"])) for row in lake.rows(result, "quarantine")}
    assert found[1][0] == "probs_length"
    assert found[2][0] == "probs_null"
    assert found[1][1]["labels"] == ["a"]


def test_decimal_and_integer_probabilities_are_read_as_float64(lake: Lake) -> None:
    from decimal import Decimal

    rows = [(0, 1, Decimal("0.25"), 1), (1, 0, Decimal("0.75"), 0)]
    source = lake.write(lake.frame(rows, "id int, y int, p decimal(5,2), q tinyint"))
    settings = {"source.labels": ["y"], "source.pred_probs": ["p"], "source.path": source}
    report = lake.run("check", settings)
    assert (report.json["dtype"], report.json["classes"]) == ("float64", ["y"])
    result = lake.audit(settings)
    scores = {row["id"]: row["label_quality_score"] for row in lake.rows(result, "examples")}
    np.testing.assert_allclose([scores[0], scores[1]], [0.25, 0.25])
