"""Which store an audit goes to, and what is printed of it."""

from __future__ import annotations

import shlex
from pathlib import Path

import mlflow
import pytest

from spark_ml_audit.tracking import Destination, resolve_tracking_uri


def test_configured_uri_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other:5000")
    assert resolve_tracking_uri("http://mine:5000", "/out") == ("http://mine:5000", None)


def test_environment_then_databricks_then_a_store_under_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "16.4")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other:5000")
    assert resolve_tracking_uri(None, "/out") == ("http://other:5000", None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert resolve_tracking_uri(None, "/out") == ("databricks", None)
    monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION")
    assert resolve_tracking_uri(None, "/out") == ("sqlite:////out/mlflow.db", "file:///out/mlartifacts")


def test_uri_set_in_this_process_is_used() -> None:
    mlflow.set_tracking_uri("http://set:5000")
    try:
        assert resolve_tracking_uri(None, "/out") == ("http://set:5000", None)
    finally:
        mlflow.set_tracking_uri(None)


@pytest.mark.parametrize("output", [None, "", "s3://b/out", "dbfs:/out", "abfss://c@a/out", "/what?/out"])
def test_output_that_is_no_local_folder_keeps_the_store_in_the_working_directory(
    output: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_tracking_uri(None, output)[0] == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize("output", ["file:/a%20b/out", "file:///a%20b/out", "/a b/out"])
def test_local_outputs_give_absolute_paths(output: str) -> None:
    assert resolve_tracking_uri(None, output) == (
        "sqlite:////a b/out/mlflow.db",
        "file:///a%20b/out/mlartifacts",
    )


def test_relative_output_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_tracking_uri(None, "out")[0] == f"sqlite:///{tmp_path}/out/mlflow.db"


@pytest.mark.parametrize(
    "uri",
    [
        "http://user:pa55word@host:5000/path",
        "https://pa55wordtoken@host",
        "postgresql+psycopg2://user:pa/55word@@host/db",
        "https://host/api?token=pa55word",
    ],
)
def test_credentials_are_never_shown(uri: str) -> None:
    destination = Destination(uri)
    for text in (destination.shown, destination.redact(f"request to {uri} failed; Bearer abcdefgh12345")):
        assert "55word" not in text
        assert "abcdefgh12345" not in text
    assert "host" in destination.shown


def test_secrets_of_the_environment_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "dapi123456")
    assert Destination("http://host").redact("header dapi123456 refused") == "header *** refused"


@pytest.mark.parametrize(
    ("uri", "local", "file"),
    [
        ("sqlite:////a/mlflow.db", True, Path("/a/mlflow.db")),
        ("sqlite:///rel.db?timeout=5", True, Path("rel.db")),
        ("sqlite:///:memory:", True, None),
        ("sqlite://", True, None),
        ("file:/a", True, None),
        ("http://h", False, None),
        ("databricks", False, None),
        ("databricks://profile", False, None),
        ("mysql+pymysql://h/db", False, None),
    ],
)
def test_local_stores_are_told_from_remote_ones(uri: str, local: bool, file: Path | None) -> None:
    assert (Destination(uri).is_local, Destination(uri).sqlite_file) == (local, file)


def test_a_local_store_is_opened_by_a_command_for_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "python"
    monkeypatch.setattr("sys.executable", str(program))
    monkeypatch.setattr("shutil.which", lambda _: str(tmp_path / "bin" / "mlflow"))
    store = Destination("sqlite:////data/o'brien audits/mlflow.db")
    command = store.how_to_open
    assert command is not None
    assert shlex.split(command) == [
        *("mlflow", "ui", "--backend-store-uri"),
        "sqlite:////data/o'brien audits/mlflow.db",
    ]
    # the one of another environment is not meant
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/mlflow")
    command = store.how_to_open
    assert command is not None
    assert shlex.split(command)[:3] == [str(program), "-m", "mlflow"]
    monkeypatch.chdir(tmp_path)
    relative = Destination("sqlite:///mlflow.db").how_to_open
    assert relative is not None
    assert f"sqlite:///{tmp_path}/mlflow.db" in relative


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://host:5000", "http://host:5000"),
        ("https://ann:s3cret@host", "https://***@host"),
        ("databricks", None),
        ("postgresql://ann:s3cret@db/mlflow", None),
        ("sqlite:///:memory:", None),
    ],
)
def test_other_stores_are_named_by_their_address_or_not_at_all(uri: str, shown: str | None) -> None:
    assert Destination(uri).how_to_open == shown
