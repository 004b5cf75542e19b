"""Config files and overrides: what is read, and what is refused with which place."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_ml_audit.config import load_config
from spark_ml_audit.errors import ConfigError

GOOD = "source: {path: a}\noutput: {path: o}\n"


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / "audit.yaml"


def refused(path: Path | str | None, *overrides: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_config(None if path is None else str(path), overrides)
    error = caught.value
    assert error.fix
    assert "\n" not in str(error)
    return error


def test_overrides_win_over_the_file_in_order(config_file: Path) -> None:
    config_file.write_text(GOOD + "audit:\n  alpha: 0.5\n  temperature: 1e-2\ngate:\n")
    config = load_config(
        str(config_file), ["audit.alpha=0.6", "audit.alpha=null", "gate.min_rows=5", "source={path: b}"]
    )
    assert (config.audit.alpha, config.audit.temperature) == (None, 0.01)
    assert config.gate.min_rows is not None
    assert (config.gate.min_rows.limit, config.source.path) == (5, "b")


def test_base_lies_below_the_file(config_file: Path) -> None:
    config_file.write_text("source: {id: key}\naudit:\n")
    base = {"source": {"path": "shipped", "id": "name"}, "output": {"path": "o"}, "audit": {"alpha": 0.5}}
    config = load_config(str(config_file), ["output.path=p"], base=base)
    assert (config.source.path, config.source.id) == ("shipped", "key")
    assert (config.output.path, config.audit.alpha) == ("p", 0.5)
    assert base["output"] == {"path": "o"}


def test_timestamps_in_files_stay_as_written(config_file: Path) -> None:
    config_file.write_text("source: {path: a, version: 2024-01-31 10:00:00}\noutput: {path: o}\n")
    assert load_config(str(config_file)).source.version == "2024-01-31 10:00:00"


def test_byte_order_mark_is_skipped(config_file: Path) -> None:
    config_file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_config(str(config_file)).source.path == "a"


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    assert "there is no file" in refused(tmp_path / "none.yaml").message
    assert "cannot be read" in refused(tmp_path).message
    assert refused("a\0b").key == "--config"


@pytest.mark.parametrize(
    ("content", "key", "said"),
    [
        (b"source: [", "--config", "not usable YAML at line 1, column 10"),
        (b"a: b: c", "--config", "line 1, column 5"),
        (b"\tsource: a", "--config", "not usable YAML"),
        (b"- a\n- b", "--config", "not a mapping of sections"),
        (b"text", "--config", "holds 'text', not a mapping"),
        (b"\xff\xfe", "--config", "not UTF-8 (byte 0)"),
        (b"a: \x07", "--config", "not usable YAML"),
        (b"source: !!python/object/apply:os.system [ls]", "--config", "python/object"),
        (b"source: !mine {a: 1}", "--config", "!mine"),
        (b"--- {}\n--- {}\n", "--config", "not usable YAML at line 2"),
        (b"source: {path: a}\nsource: {path: b}", "source", "twice, in lines 1 and 2"),
        (b"source:\n  path: a\n  path: b", "source.path", "twice, in lines 2 and 3"),
        (b"source: &a {path: *a}", "source.path", "contains itself"),
        (b"source: &a [*a]", "source", "contains itself"),
        (b"source: {? [1]: 2}", "--config", "not usable YAML"),
        (b"gate: {min_rows: 0x_}", "--config", "not usable YAML"),
        (b"gate: {min_rows: " + b"9" * 5000 + b"}", "--config", "not usable YAML"),
        (b"source: " + b"[" * 5000, "--config", "not usable YAML"),
        (b"", "source.path", "no source is given"),
        (b"# nothing\n", "source.path", "no source is given"),
        (b"1: 2\n", "1", "unknown key"),
    ],
)
def test_faulty_file_is_refused(config_file: Path, content: bytes, key: str, said: str) -> None:
    config_file.write_bytes(content)
    error = refused(config_file)
    assert error.key == key
    assert said in error.message


def test_nested_aliases_take_no_time(config_file: Path) -> None:
    lines = ["source: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"k{depth}: &l{depth} [{', '.join([f'*l{depth - 1}'] * 9)}]" for depth in range(1, 40)]
    config_file.write_text("\n".join(lines))
    assert "unknown key" in refused(config_file).message


@pytest.mark.parametrize(
    ("override", "key", "said"),
    [
        ("audit.alpha", "--set", "found 'audit.alpha', not key=value"),
        ("=1", "--set", "not key=value"),
        ("", "--set", "not key=value"),
        ("audit..alpha=1", "--set", "not key=value"),
        ("audit.alpha=[", "audit.alpha", "not usable YAML"),
        ("audit.alpha=!!python/name:os.system", "audit.alpha", "python/name"),
        ("audit={alpha: 0.5, alpha: 0.6}", "audit.alpha", "twice"),
        ("source.path.x=1", "source.path.x", "source.path is 'a', not a mapping"),
        ("audit.alfa=1", "audit.alfa", "unknown key"),
        ("audit.alpha.beta=1", "audit.alpha", "found {'beta': 1}"),
    ],
)
def test_faulty_override_is_refused(config_file: Path, override: str, key: str, said: str) -> None:
    config_file.write_text(GOOD)
    error = refused(config_file, override)
    assert error.key == key
    assert said in error.message


def test_messages_hold_no_password() -> None:
    assert "hunter2" not in str(refused(None, "tracking.uri=[http://me:hunter2@host]"))
    assert "hunter2" not in str(refused(None, "http://me:hunter2@host"))


@given(st.text(max_size=60) | st.text(alphabet="{}[]:,&*!|>'\"#%@`- \nab=.1", max_size=40))
def test_any_override_is_read_or_refused(text: str) -> None:
    for override in (text, f"audit.alpha={text}"):
        with suppress(ConfigError):
            load_config(None, ["source.path=a", "output.path=o", override])
