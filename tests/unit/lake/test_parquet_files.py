"""Class lists in the metadata of Parquet files: one for all of a source's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_ml_audit.config import SourceConfig
from spark_ml_audit.engines.embedded import EmbeddedEngine
from spark_ml_audit.engines.limits import Limits
from spark_ml_audit.errors import InputError
from spark_ml_audit.lake.source_files import OpenedFiles, open_parquet

SPARK = "org.apache.spark.sql.parquet.row.metadata"
LISTS = pa.list_(pa.float64())
MAPS = pa.map_(pa.string(), pa.float64())


def write(
    path: Path, kind: Any = LISTS, *, schema: Any = None, column: Any = None, spark: Any = None
) -> None:
    """A file of one row, class lists in the metadata of its schema, of its column, or as Spark has them."""
    probs = {"a": 0.1, "b": 0.9} if kind is MAPS else [0.1, 0.9]
    item = pa.field("pred_probs", kind, metadata=column and {"classes": column})
    table = pa.table(
        [pa.array([path.stem]), pa.array([["a"]]), pa.array([probs], kind)],
        schema=pa.schema([("id", pa.string()), ("labels", pa.list_(pa.string())), item]),
    )
    about = {} if schema is None else {"classes": schema}
    if spark is not None:
        about[SPARK] = json.dumps({"fields": [{"name": "pred_probs", "metadata": {"classes": spark}}]})
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table.replace_schema_metadata(about or None), path)


def opened(folder: Path, **values: Any) -> OpenedFiles:
    engine = EmbeddedEngine(Limits.of_machine(spill=str(folder.parent / "spill")))
    return open_parquet(engine, SourceConfig.parse({"path": str(folder), **values}, "source"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"schema": '["a", "b"]'}, {"schema": '["b", "a"]'}),
        ({"column": '["a", "b"]'}, {"column": '["b", "a"]'}),
        ({"schema": '["a", "b"]'}, {"column": '["b", "a"]'}),
        ({"spark": ["a", "b"]}, {"spark": ["b", "a"]}),
        ({"schema": '["a", "b"]', "column": '["b", "a"]'}, {"schema": '["a", "b"]'}),
    ],
)
@pytest.mark.parametrize("given", [{}, {"classes": ["a", "b"]}])
def test_files_with_classes_in_other_orders_are_refused(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], given: dict[str, Any]
):
    write(tmp_path / "in" / "0.parquet", **first)
    write(tmp_path / "in" / "1.parquet")
    write(tmp_path / "in" / "2.parquet", **second)
    with pytest.raises(InputError) as caught:
        opened(tmp_path / "in", **given)
    assert caught.value.key == "source.classes"
    for name in ("0.parquet", "2.parquet"):
        assert str(tmp_path / "in" / name) in caught.value.message


def test_files_without_a_list_take_that_of_the_others(tmp_path: Path):
    write(tmp_path / "of_schema" / "0.parquet")
    write(tmp_path / "of_schema" / "1.parquet", schema='["a", "b"]')
    write(tmp_path / "of_schema" / "2.parquet", schema='["a","b"]')
    assert opened(tmp_path / "of_schema").classes == '["a", "b"]'
    write(tmp_path / "of_column" / "0.parquet")
    write(tmp_path / "of_column" / "1.parquet", column='["a", "b"]')
    columns = opened(tmp_path / "of_column").columns
    assert columns is not None
    assert columns.field("pred_probs").metadata[b"classes"] == b'["a", "b"]'


def test_probabilities_by_name_need_no_order(tmp_path: Path):
    for number, classes in enumerate(('["a", "b"]', '["b", "a"]')):
        write(tmp_path / "in" / f"{number}.parquet", MAPS, schema=classes)
    assert opened(tmp_path / "in").classes == '["a", "b"]'
