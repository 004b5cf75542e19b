"""Where a source is, what its columns are called, which classes it has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spark_ml_audit.config import (
    RESERVED_COLUMNS,
    AuditConfig,
    ColumnsConfig,
    load_config,
    parse_config,
)
from spark_ml_audit.config.fields import split_identifier
from spark_ml_audit.errors import ConfigError
from tests.unit.config.refusals import PLACES, refused


def test_source_and_output_need_exactly_one_place() -> None:
    for overrides, key in [
        ([], "source.path"),
        (["source.path=a"], "output.path"),
        (["source.path=a", "source.table=b", "output.path=c"], "source.table"),
        (["source.path=a", "output.path=c", "output.schema=d"], "output.schema"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load_config(None, overrides)
        assert caught.value.key == key
    config = load_config(
        None, ["source.path=a", "source.path=null", "source.table=main.db.t", "output.schema=main.db"]
    )
    assert config.source.table == "main.db.t"
    assert config.output.schema_name == "main.db"


@pytest.mark.parametrize("name", ["a..b", "a.b.c.d", ".a", "a b", "`a", "a`b`", "``"])
def test_table_name_must_be_one_to_three_parts(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"source": {"table": name}, "output": {"path": "o"}})
    assert caught.value.key == "source.table"


def test_backticks_protect_dots_in_table_names() -> None:
    assert split_identifier("main.`my.db`.`a``b`") == ("main", "my.db", "a`b")
    assert split_identifier("t") == ("t",)


@pytest.mark.parametrize("name", [*sorted(RESERVED_COLUMNS), "Run_ID", "TAG"])
def test_id_may_not_be_an_output_column(name: str) -> None:
    error = refused(AuditConfig, f"source.id={name}")
    assert error.key == "source.id"
    assert name in error.message


@pytest.mark.parametrize("char", list(" ,;{}()\n\t="))
def test_id_may_not_hold_what_delta_refuses(char: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config({"source": {"path": "a", "id": f"x{char}y"}, "output": {"path": "o"}})
    assert caught.value.key == "source.id"
    assert "Delta" in caught.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31 10:11:12", "2024-01-31 10:11:12"),
        ("2024-01-31T10:11:12.5Z", "2024-01-31T10:11:12.5Z"),
        ("'2024-01-31 10:11+02:00'", "2024-01-31 10:11+02:00"),
        ("!!timestamp 2024-01-31", "2024-01-31"),
        ("null", None),
    ],
)
def test_versions_are_numbers_or_timestamps(text: str, value: int | str | None) -> None:
    assert load_config(None, [*PLACES, f"source.version={text}"]).source.version == value


def test_classes_come_from_a_file_with_one_per_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tags.txt").write_bytes("\ufeffno\r\nüber, alles\r\n2024\r\n".encode())
    config = load_config(None, [*PLACES, "source.classes=tags.txt"])
    assert config.source.classes == ("no", "über, alles", "2024")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a\n\nb\n", "line 2 is empty"),
        (b"a\na", "given twice"),
        (b"", "names no class"),
        (b"\xff", "not UTF-8"),
    ],
)
def test_faulty_class_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "tags.txt"
    path.write_bytes(content)
    assert said in refused(AuditConfig, f"source.classes={path}").message


def test_python_arguments_name_columns() -> None:
    columns = ColumnsConfig.from_arguments(id="key", classes=np.array(["a", "b"]))
    assert (columns.id, columns.classes) == ("key", ("a", "b"))
    with pytest.raises(ConfigError) as caught:
        ColumnsConfig.from_arguments(id="tag")
    assert caught.value.key == "source.id"


def test_numbered_rows_have_their_number_for_an_id() -> None:
    config = load_config(None, [*PLACES, "source.row_numbers=true"])
    assert (config.source.id, config.source.row_numbers) == ("row_number", True)
    # what a run keeps of its config is a config again
    assert parse_config(config.to_mapping()).source == config.source
    assert load_config(None, [*PLACES, "source.row_numbers=false"]).source.id == "id"


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["source.row_numbers=true", "source.id=key"], "source.row_numbers"),
        (["source.row_numbers=true", "source.format=delta"], "source.row_numbers"),
        (["source.row_numbers=true", "source.version=3"], "source.row_numbers"),
        (["source.row_numbers=true", "source.decisions=./d"], "source.decisions"),
        (["source.row_numbers=1"], "source.row_numbers"),
        (["source.empty_labels=null"], "source.empty_labels"),
        (["source.pred_probs_from=''"], "source.pred_probs_from"),
        (["source.path=null", "source.table=a.b", "source.format=csv"], "source.format"),
        (["source.format=jsonl", "source.version=3"], "source.version"),
    ],
)
def test_keys_of_files_that_do_not_fit_are_refused(overrides: list[str], key: str) -> None:
    assert refused(AuditConfig, *overrides).key == key


def test_a_format_that_is_told_changes_no_fingerprint_of_tables() -> None:
    first = load_config(None, PLACES).fingerprint()
    # delta was the default before formats were told by name and content
    assert load_config(None, [*PLACES, "source.format=delta"]).fingerprint() == first
    assert load_config(None, [*PLACES, "source.empty_labels=not_annotated"]).fingerprint() != first
