"""The format of a source, told by its name and content."""

from __future__ import annotations

from pathlib import Path

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_ml_audit.config import PlaceConfig
from spark_ml_audit.errors import InputError
from spark_ml_audit.lake.source import open_source
from spark_ml_audit.lake.source_format import format_of


def told(path: object) -> str:
    return format_of(PlaceConfig(path=str(path)))


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.parquet", b"", "parquet"),
        ("a.PQ", b"", "parquet"),
        ("a.csv", b"", "csv"),
        ("a.csv.gz", b"", "csv"),
        ("a.tsv", b"", "tsv"),
        ("a.jsonl", b"", "jsonl"),
        ("a.ndjson.gz", b"", "jsonl"),
        ("part-0", b"PAR1....", "parquet"),
        ("part-0", b'\xef\xbb\xbf {"id": 1}\n', "jsonl"),
        ("tags.txt", b"id\tlabels\n1\ta,b\n", "tsv"),
        ("tags.txt", b"id,labels\n1,a\n", "csv"),
    ],
)
def test_files_are_told_by_their_names_and_else_by_their_content(
    tmp_path: Path, name: str, content: bytes, found: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(content)
    assert told(tmp_path / "in" / name) == found
    assert told(tmp_path / "in") == found
    assert told(tmp_path / "in" / "[apt]*") == found


def test_folders_and_patterns_are_told_by_the_files_in_them(tmp_path: Path) -> None:
    for place in ("year=2024/a.csv", "year=2025/b.csv", "notes/README.md", "_SUCCESS", ".hidden.jsonl"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("x")
    assert told(tmp_path) == "csv"
    (tmp_path / "c.jsonl").write_text("{}")
    with pytest.raises(InputError) as caught:
        told(tmp_path)
    assert "2 csv, 1 jsonl" in caught.value.message
    assert caught.value.key == "source.format"
    assert told(tmp_path / "*" / "*.csv") == "csv"


def test_a_delta_log_makes_a_delta_table(tmp_path: Path) -> None:
    table = pa.table({"id": [1]})
    deltalake.write_deltalake(tmp_path / "a.csv", table)
    assert told(tmp_path / "a.csv") == "delta"
    with pytest.raises(InputError, match="matches the Delta table"):
        told(tmp_path / "*")
    pq.write_table(table, tmp_path / "files.parquet")
    assert told(tmp_path / "*.parquet") == "parquet"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("s3://lake/tags", "delta"),
        ("s3://lake/tags.csv.gz", "csv"),
        ("abfss://c@a/tags/*.jsonl", "jsonl"),
        ("/nowhere/tags", "delta"),
        ("/nowhere/tags.csv", "csv"),
    ],
)
def test_what_cannot_be_seen_is_told_by_its_name_and_else_delta(path: str, found: str) -> None:
    assert told(path) == found


def test_what_no_name_and_no_content_tells_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tags.xlsx").write_bytes(b"PK\x03\x04\0\0,")
    with pytest.raises(InputError) as caught:
        told(tmp_path / "tags.xlsx")
    assert "tags.xlsx" in caught.value.message
    assert "parquet, csv, tsv or jsonl" in caught.value.fix


@pytest.mark.parametrize(
    "name", ["filmz.csv", "filmz", "tagz.parquet", "tagz", "delta", "nothing-like-it", "no/tags"]
)
def test_what_is_not_there_is_told_with_what_is_near(tmp_path, embedded_engine, name):
    (tmp_path / "films.csv").write_text("id\n1\n")
    (tmp_path / "tags.parquet").write_text("")
    (tmp_path / "deltas" / "_delta_log").mkdir(parents=True)
    near = {"filmz": "films.csv", "tagz": "tags.parquet", "delta": "deltas"}.get(name.partition(".")[0])
    with pytest.raises(InputError) as found:
        open_source(embedded_engine, PlaceConfig(path=str(tmp_path / name)))
    assert "there is no file" in found.value.message
    meant = f"Did you mean '{tmp_path / near}'? " if near else "Check the"
    assert found.value.fix.startswith(meant)
