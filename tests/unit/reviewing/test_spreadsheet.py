"""Spreadsheets that show formulas and run none."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.reviewing.spreadsheet import disarm, write_csv


def test_spreadsheets_show_formulas_and_run_none(tmp_path):
    values = ["=1+1", "+x", "-5", "@a", "\tb", "\rc", "'=d", "plain", 'quo"te', "line\nbreak", None]
    path = write_csv(str(tmp_path / "new" / "x.csv"), ["=id", "n"], [(value, 1) for value in values])
    content = Path(path).read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["'=id", "n"]
    assert [row[0] for row in rows[1:]] == ["" if value is None else disarm(value) for value in values]
    assert not [row for row in rows if row[0][:1] in tuple("=+-@\t\r")]
    with pytest.raises(ConfigError, match=r"sample\.csv"):
        write_csv(str(tmp_path), ["a"], [])
