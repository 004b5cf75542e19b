"""Which files below a place are those of a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_ml_audit.engines.files import local_files


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with tags, tags of years, an output of audits below it and a Delta table."""
    for name in (
        "tags.csv",
        "more/tags.csv",
        "year=2024/tags.csv",
        "_temporary/tags.csv",
        ".hidden.csv",
        "audits/films/report.csv",
        "audits/films/runs/_delta_log/0.json",
        "audits/films/runs/part.csv",
        "audits/films/issues/_delta_log/0.json",
        "audits/films/issues/run_id=a/part.csv",
        "table/_delta_log/0.json",
        "table/part.csv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("pattern", ["", "**", "**/*.csv"])
def test_outputs_and_tables_below_a_folder_are_none_of_its_files(place: Path, pattern: str):
    found = {str(file.relative_to(place)) for file in local_files(str(place / pattern))}
    assert found - {"_temporary/tags.csv"} == {"tags.csv", "more/tags.csv", "year=2024/tags.csv"}


def test_a_folder_that_is_given_is_read_whatever_it_is(place: Path):
    assert local_files(str(place / "table")) == [place / "table" / "part.csv"]
    assert local_files(str(place / "audits" / "films")) == [place / "audits" / "films" / "report.csv"]
