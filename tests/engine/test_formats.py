"""Every way to write tags and probabilities, what `auto` makes of it, and where the class list comes from."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from spark_ml_audit.config.audit import MethodConfig
from spark_ml_audit.config.source import ColumnsConfig
from spark_ml_audit.engines.choose import engine_of
from spark_ml_audit.errors import InputError
from spark_ml_audit.frames.fit import fit_audit
from spark_ml_audit.frames.ingest import inspect_source
from spark_ml_audit.progress import Progress
from tests.datasets import Dataset, make_dataset
from tests.engine.conftest import Audited
from tests.lake import Lake
from tests.oracle import oracle_audit

pytestmark = pytest.mark.spark

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
    "vector": "p_vector",
    "map": "p_map",
    "columns": ["p.0", "p`1", "p 2", "π3"],
}


def dataset() -> Dataset:
    found = make_dataset(6, "forest", "float64")
    assert found.pred_probs.shape[1] == len(NAMES)
    return found


@pytest.fixture(scope="module")
def wide(spark: Any) -> Any:
    """A data set written in every format at once."""
    from pyspark.ml.linalg import DenseVector, SparseVector, VectorUDT
    from pyspark.sql import types as T

    data = dataset()
    fields = [
        ("id", T.IntegerType()),
        ("by_name", T.ArrayType(T.StringType())),
        ("by_index", T.ArrayType(T.ShortType())),
        ("by_bit", T.ArrayType(T.ByteType())),
        ("by_text", T.StringType()),
        *[(name, T.BooleanType() if i % 2 else T.IntegerType()) for i, name in enumerate(LABELS["columns"])],
        ("p_array", T.ArrayType(T.DoubleType())),
        ("p_vector", VectorUDT()),
        ("p_map", T.MapType(T.StringType(), T.DoubleType())),
        *[(name, T.DoubleType()) for name in PROBS["columns"]],
    ]
    rows = []
    for i, (tags, p, bits) in enumerate(zip(data.labels, data.pred_probs.tolist(), data.given, strict=True)):
        names = [NAMES[k] for k in reversed(tags)]
        sparse = SparseVector(len(p), {k: value for k, value in enumerate(p) if value})
        rows.append(
            (
                i,
                names,
                list(reversed(tags)),
                [int(bit) for bit in bits],
                " | ".join(names),
                *[bool(bit) if k % 2 else int(bit) for k, bit in enumerate(bits)],
                p,
                sparse if i % 2 else DenseVector(p),
                {NAMES[k]: p[k] for k in (3, 1, 0, 2)},
                *p,
            )
        )
    return spark.createDataFrame(rows, T.StructType([T.StructField(*field) for field in fields]))


# how they decode, in every pair: tests/unit/arrow/test_decode.py
PAIRS = list(zip(LABELS, itertools.cycle(PROBS), strict=False))


@pytest.mark.matrix
@pytest.mark.parametrize(("labels_format", "probs_format"), PAIRS)
def test_every_format_gives_the_same_audit(wide: Any, labels_format: str, probs_format: str) -> None:
    columns = ColumnsConfig.from_arguments(
        id="id",
        labels=LABELS[labels_format],
        labels_delimiter="|",
        pred_probs=PROBS[probs_format],
        classes=NAMES,
    )
    ingest = inspect_source(engine_of(wide), wide, columns)
    assert ingest.layout.labels_format == labels_format
    notes = "\n".join(ingest.notes)
    assert f"labels_format: {labels_format}" in notes
    assert f"pred_probs_format: {probs_format} (float64)" in notes
    found = fit_audit(ingest, MethodConfig(), Progress(quiet=True), check_ids=False)
    data = dataset()
    assert found.rows.num_audited == found.rows.num_rows == len(data.labels)
    truth = oracle_audit(data.labels, data.pred_probs)
    assert [row.tag for row in found.classes] == NAMES
    for row, expected in zip(found.classes, truth.classes, strict=True):
        assert {name: getattr(row, name) for name in expected} == pytest.approx(expected, rel=0, abs=1e-12)


@pytest.mark.parametrize("labels_format", ["names", "indices", "multi_hot", "delimited"])
def test_a_labels_format_may_be_given_and_must_fit(wide: Any, labels_format: str) -> None:
    columns = {"id": "id", "pred_probs": "p_array", "classes": NAMES, "labels_format": labels_format}
    ingest = inspect_source(
        engine_of(wide), wide, ColumnsConfig.from_arguments(**columns, labels=LABELS[labels_format])
    )
    assert ingest.layout.labels_format == labels_format
    other = "by_name" if labels_format != "names" else "by_text"
    with pytest.raises(InputError, match="labels_format") as refused:
        inspect_source(engine_of(wide), wide, ColumnsConfig.from_arguments(**columns, labels=other))
    assert f"'{labels_format}' was given" in refused.value.message
    assert refused.value.fix


def test_a_probability_format_may_be_given_and_must_fit(wide: Any) -> None:
    columns = {"id": "id", "labels": "by_name", "classes": NAMES}
    for given, name in (("array", "p_array"), ("vector", "p_vector"), ("map", "p_map")):
        inspect_source(
            engine_of(wide),
            wide,
            ColumnsConfig.from_arguments(**columns, pred_probs=name, pred_probs_format=given),
        )
    with pytest.raises(InputError, match=r"source\.pred_probs_format") as refused:
        inspect_source(
            engine_of(wide),
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
def test_integer_lists_are_indices_or_vectors(lake: Lake, lists: list[Any], expected: str | None) -> None:
    rows = [(i, labels, [0.5, 0.1, 0.9]) for i, labels in enumerate(lists)]
    columns = ColumnsConfig.from_arguments(
        id="id", labels="labels", pred_probs="pred_probs", classes=["a", "b", "c"]
    )
    frame = lake.frame(rows, PLAIN)
    if expected is None:
        with pytest.raises(InputError, match="'indices' or 'multi_hot'"):
            inspect_source(engine_of(frame), frame, columns)
    else:
        assert inspect_source(engine_of(frame), frame, columns).layout.labels_format == expected


@pytest.mark.parametrize("lists", [[[0, 1], [1, 0]], [[0, 1], [1, 1]]])
def test_with_two_classes_lists_of_zeros_and_ones_are_not_taken_for_vectors(lake: Lake, lists: Any) -> None:
    frame = lake.frame([(i, labels, [0.5, 0.1]) for i, labels in enumerate(lists)], PLAIN)
    columns = ColumnsConfig.from_arguments(
        id="id", labels="labels", pred_probs="pred_probs", classes=["a", "b"]
    )
    with pytest.raises(InputError, match="'indices' or 'multi_hot'") as undecided:
        inspect_source(engine_of(frame), frame, columns)
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
    lake.spark.sql(
        f"""ALTER TABLE delta.`{source}` SET TBLPROPERTIES ('spark_ml_audit.classes' = '["property","x"]')"""
    )
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
    lake.spark.sql(
        f"""ALTER TABLE delta.`{bare}` SET TBLPROPERTIES ('spark_ml_audit.classes' = '["property","x"]')"""
    )
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
    from pyspark.sql import functions as F

    frame = lake.frame([(0, [], [0.1, 0.9])], "id int, labels array<string>, pred_probs array<double>")
    frame = frame.withColumn(
        "pred_probs", F.col("pred_probs").alias("pred_probs", metadata={"classes": classes})
    )
    with pytest.raises(InputError, match=said) as refused:
        inspect_source(
            engine_of(frame),
            frame,
            ColumnsConfig.from_arguments(id="id", labels="labels", pred_probs="pred_probs"),
        )
    assert refused.value.key == "source.classes"
    assert refused.value.fix


def test_a_vector_source_with_faulty_rows_reaches_quarantine(lake: Lake, wide: Any) -> None:
    from pyspark.ml.linalg import DenseVector

    frame = lake.spark.createDataFrame(
        [(0, ["a"], DenseVector([0.2, 0.3])), (1, ["a"], DenseVector([0.2])), (2, ["b"], None)],
        wide.select("id", wide["by_name"].alias("labels"), wide["p_vector"].alias("pred_probs")).schema,
    )
    source = lake.write(frame)
    result = lake.audit(source__path=source, source__classes=["a", "b"], expect=3)
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
