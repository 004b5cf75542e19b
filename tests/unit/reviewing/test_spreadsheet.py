"""Spreadsheets that show formulas and run none."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.reviewing import spreadsheet
from spark_ml_audit.reviewing.spreadsheet import PLACE, WHERE, disarm, rearm, write_csv


def read_csv(place):
    return spreadsheet.read_csv(place).drop_columns([WHERE, PLACE])


def test_spreadsheets_show_formulas_and_run_none(tmp_path):
    values = [
        "=1+1",
        "+x",
        "-5",
        "@a",
        "\tb",
        "\rc",
        "'=d",
        "\n=b",
        "\uff1d1",
        "plain",
        'quo"te',
        "line\nbreak",
        None,
    ]
    path = write_csv(str(tmp_path / "new" / "x.csv"), ["=id", "n"], [(value, 1) for value in values])
    content = Path(path).read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["'=id", "n"]
    assert [row[0] for row in rows[1:]] == ["" if value is None else disarm(value) for value in values]
    assert not [row for row in rows if row[0][:1] in tuple("=+-@\t\r\n\uff1d")]
    with pytest.raises(ConfigError, match=r"sample\.csv"):
        write_csv(str(tmp_path), ["a"], [])


FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@settings(max_examples=200)
@given(
    st.lists(
        st.lists(st.text("=+-@';|\t\r\n,\" a1\uff1d", max_size=12), min_size=2, max_size=3),
        min_size=1,
        max_size=3,
    )
)
def test_no_mark_between_cells_makes_a_formula_and_texts_read_back(rows):
    with tempfile.TemporaryDirectory() as folder:
        header = [f"verdict_{k}" for k in range(max(map(len, rows)))]
        path = write_csv(f"{folder}/x.csv", header, rows)
        content = _text(path)
        for mark in ",;|\t":
            for line in csv.reader(io.StringIO(content, newline=""), delimiter=mark):
                for cell in line:
                    assert not cell.startswith(FORMULA), (mark, cell)
    for row in rows:
        for value in row:
            assert rearm(disarm(value)) == value


def _text(path: str) -> str:
    return Path(path).read_bytes().decode("utf-8-sig")


def test_a_formula_behind_another_mark_is_disarmed(tmp_path):
    texts = ["dear; =HYPERLINK(1)", 'a;"=1+1', "a\n=1+1", "a|@x", "a\t-1", "; '=x", "1; 2", "a;b = c"]
    path = write_csv(str(tmp_path / "x.csv"), ["id", "text"], [(k, text) for k, text in enumerate(texts)])
    assert read_csv(path).column("text").to_pylist() == texts
    content = _text(path)
    assert "dear; '=HYPERLINK(1)" in content
    assert "1; 2" in content
    assert "a;b = c" in content


def test_what_was_written_reads_back_the_same(tmp_path):
    values = [
        "=1+1",
        "'=d",
        "'plain",
        "'",
        "''",
        "plain",
        'quo"te',
        "line\nbreak",
        "a\r\nb",
        " b ",
        "é",
        None,
    ]
    path = write_csv(str(tmp_path / "x.csv"), ["=id", "n"], [(value, None) for value in values])
    table = read_csv(path)
    assert table.to_pydict() == {"=id": values, "n": [None] * len(values)}
    assert all(rearm(disarm(value)) == value for value in values if value is not None)


def test_tables_are_read_as_people_leave_them(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b'id,tag,note\n1,a\n\n2,b,"say ""no""",more\n,,\n3,\xff,\n')
    assert read_csv(str(path)).to_pylist() == [
        {"id": "1", "tag": "a", "note": None},
        {"id": "2", "tag": "b", "note": 'say "no"'},
        {"id": None, "tag": None, "note": None},
        {"id": "3", "tag": "\u00ff", "note": None},
    ]
    assert read_csv(path.as_uri()).num_rows == 4
    path.write_text("id,tag\n")
    assert read_csv(str(path)).to_pydict() == {"id": [], "tag": []}
    path.write_text("")
    assert read_csv(str(path)).column_names == []


def test_texts_of_any_length_read_back(tmp_path):
    limit = csv.field_size_limit()
    text = "a long description, " * 20_000
    path = write_csv(str(tmp_path / "x.csv"), ["id", "text"], [("1", text), ("2", "short")])
    assert read_csv(path).to_pydict() == {"id": ["1", "2"], "text": [text, "short"]}
    (tmp_path / "y.csv").write_text('id\n"never closed')
    with pytest.raises(csv.Error):
        read_csv(str(tmp_path / "y.csv"))
    assert csv.field_size_limit() == limit  # of the whole process


def test_folders_and_compressed_files_are_read(tmp_path):
    (tmp_path / "_SUCCESS").write_text("")
    (tmp_path / ".part-0.crc").write_bytes(b"\x00")
    (tmp_path / "part-0.csv").write_text("id,tag\n1,a\n")
    (tmp_path / "part-1.csv.gz").write_bytes(gzip.compress(b"tag,id\nb,2\n"))
    assert read_csv(str(tmp_path)).to_pydict() == {"id": ["1", "2"], "tag": ["a", "b"]}


def test_files_that_are_no_csv_are_refused(tmp_path):
    with pytest.raises(OSError, match=r"none\.csv"):
        read_csv(str(tmp_path / "none.csv"))
    path = tmp_path / "x.csv"
    path.write_text('id,note\n1,"never closed\n2,x\n')
    with pytest.raises(csv.Error):
        read_csv(str(path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_files_of_any_spreadsheet_are_read(tmp_path, encoding, mark):
    path = tmp_path / "x.csv"
    lines = [["id", "tag", "verdict", "note"], ["1", "caf\u00e9, bar; x", "Y", ""], ["2", "b", "n", "\u20ac"]]
    text = "\r\n".join(mark.join(f'"{cell}"' for cell in line) for line in lines)
    path.write_bytes(text.encode(encoding))
    told = [dict(zip(lines[0], [cell or None for cell in line], strict=True)) for line in lines[1:]]
    assert read_csv(str(path)).to_pylist() == told


def test_rows_know_the_line_where_they_begin(tmp_path):
    (tmp_path / "a.csv").write_text('sep=;\nid;verdict\n1;"two\nlines"\n\n2;y\n')
    (tmp_path / "b.csv").write_text("id,verdict\n3,n\n")
    table = spreadsheet.read_csv(str(tmp_path / "a.csv"))
    assert table.column(WHERE).to_pylist() == ["line 3", "line 6"]
    both = spreadsheet.read_csv(str(tmp_path))
    assert both.column(WHERE).to_pylist() == ["line 3 of a.csv", "line 6 of a.csv", "line 2 of b.csv"]
    assert both.column(PLACE).to_pylist() == [0, 1, 2]
    (tmp_path / "a.csv").write_text('id,verdict\n1,y\n2,"never closed\n3,y\n')
    with pytest.raises(csv.Error, match="begins on line 3"):
        spreadsheet.read_csv(str(tmp_path / "a.csv"))
