"""CSV as people write it: dialects that are told, and faults that are named with their line."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.arrow import csv_texts
from spark_ml_audit.arrow.csv_texts import batches_of, check_text, dialect_of
from spark_ml_audit.errors import InputError


def read(content: bytes, delimiter: str | None = None) -> list[dict[str, Any]]:
    def opened() -> io.BytesIO:
        return io.BytesIO(content)

    dialect = dialect_of(opened, "x.csv", delimiter)
    assert dialect is not None
    check_text(opened, "x.csv", dialect)
    return [row for batch in batches_of(opened, "x.csv", dialect) for row in batch.to_pylist()]


CELLS = st.text(st.sampled_from("a,;\"'\n\r\t| é1"), max_size=5)


@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=6),
    st.sampled_from(csv_texts.DELIMITERS),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_python_writes_is_read_back(rows: list[list[str]], delimiter: str, line_end: str) -> None:
    text = io.StringIO()
    # Python leaves a lone \r without quotes
    quoting = csv.QUOTE_ALL if any("\r" in cell for row in rows for cell in row) else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerows([["id", "x"], *rows])
    found = read(text.getvalue().encode(), delimiter)
    assert [[row["id"] or "", row["x"] or ""] for row in found] == rows


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\xef\xbb\xbfid,x\r\n1,a\r\n", [{"id": "1", "x": "a"}]),
        (b"id;x\n1;a,b\n2;c,d\n", [{"id": "1", "x": "a,b"}, {"id": "2", "x": "c,d"}]),
        (b"id\tx\n1\ta,b\n", [{"id": "1", "x": "a,b"}]),
        (b"id|x\n1|a", [{"id": "1", "x": "a"}]),
        (b'"id","x"\n"1","a\nb"\n', [{"id": "1", "x": "a\nb"}]),
        (b'id,x\n1,""\n2,\n', [{"id": "1", "x": ""}, {"id": "2", "x": None}]),
        (b'id,x\n1,5" nails\n', [{"id": "1", "x": '5" nails'}]),
        (b'id,x\n1,"5"" nails"\n\n\n', [{"id": "1", "x": '5" nails'}]),
        (b",x\n0,a\n", [{"unnamed_0": "0", "x": "a"}]),
        (b"id,x\n", []),
        (b"id\n1\n2\n", [{"id": "1"}, {"id": "2"}]),
        (b"id,x\r1,a\r", [{"id": "1", "x": "a"}]),
    ],
)
def test_files_as_people_write_them(content: bytes, found: list[dict[str, Any]]) -> None:
    assert read(content) == found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,x\n1,a\n2,b,c\n", "line 3 of 'x.csv' has 3 cells, its header 2"),
        (b'id,x\n1,"a\n\nb"\n2\n', "line 5 of 'x.csv' has 1 cells, its header 2"),
        (b'id,x\n1,"a\n2,b\n', "line 2 of 'x.csv' opens a quote that is never closed"),
        (b'id,x\n1,"a\n2,b"c\n3,d\n', "line 3 of 'x.csv' has text after a closing quote"),
        (b'id,x\n1,"a" b\n', "line 2 of 'x.csv' has text after a closing quote"),
        ("id,x\n1,é\n".encode("latin-1"), "byte 0xe9 on line 2; it may be Latin-1"),
        (b"id,x\n1,\xc3", "it ends within a character"),
        ("id,x\n1,a\n".encode("utf-16"), "begins as UTF-16"),
        (b"id,x,id\n1,a,2\n", "names the column 'id' twice"),
        (b",,unnamed_0\n1,a,2\n", "names the column 'unnamed_0' twice"),
    ],
)
def test_faults_are_named_with_their_line(content: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(content)
    assert said in caught.value.message
    assert caught.value.fix


def test_an_empty_file_has_no_dialect() -> None:
    for content in (b"", b"\n \n", b"\xef\xbb\xbf\n"):
        assert dialect_of(lambda content=content: io.BytesIO(content), "x.csv") is None


def test_faults_are_found_wherever_blocks_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_texts, "_BLOCK", 64)
    good = b"id,x\n" + b'"1","a ""b"" \xc3\xa9"\n' * 40
    for shift in range(20):
        padded = b"id,x\n" + b"y" * shift + good[5:]
        padded = padded.replace(b"y" * shift + b'"1"', b'"' + b"y" * shift + b'"', 1)
        assert len(read(padded)) == 40
        with pytest.raises(InputError, match="closing quote"):
            read(padded + b'2,"a"b\n')


def test_cells_longer_than_a_block_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_texts, "_BLOCK", 1 << 10)
    rows = b"".join(b"%d,%s\n" % (i, b"x" * (5000 if i == 70 else 5)) for i in range(100))
    found = read(b"id,x\n" + rows)
    assert [row["id"] for row in found] == [str(i) for i in range(100)]
    assert len(found[70]["x"]) == 5000
