"""The Java that Spark would start is examined before Spark is."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_ml_audit.engines.java import require_java, require_spark
from spark_ml_audit.errors import ExitCode, SetupError

NO_JAVA = {"PATH": "/nonexistent"}


def install_java(folder: Path, prints: str, status: int = 0) -> Path:
    """Put a program named java into bin/ of `folder` and return bin/."""
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{prints}\nEND\nexit {status}\n")
    java.chmod(0o755)
    return java.parent


def on_path(folder: Path) -> dict[str, str]:
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def refused(environ: dict[str, str]) -> SetupError:
    with pytest.raises(SetupError) as caught:
        require_java(environ)
    assert caught.value.exit_code == ExitCode.USAGE
    assert "Java 17 or newer" in str(caught.value)
    assert "JAVA_HOME" in caught.value.fix
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "prints",
    [
        'openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6)',
        'Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21-ea" 2023-09-19',
        'java version "25" 2025-09-16 LTS',
        "a vendor's own words",
    ],
)
def test_new_enough_java_passes(tmp_path: Path, prints: str) -> None:
    require_java(on_path(install_java(tmp_path, prints)))


@pytest.mark.parametrize(
    ("prints", "major"),
    [
        ('java version "1.8.0_392"', "8"),
        ('openjdk version "11.0.21" 2023-10-17', "11"),
        ('x version "16"', "16"),
    ],
)
def test_old_java_is_refused_with_what_was_found(tmp_path: Path, prints: str, major: str) -> None:
    folder = install_java(tmp_path, prints)
    error = refused(on_path(folder))
    assert f"{folder}/java is Java {major}, but" in error.message


def test_missing_java_is_refused() -> None:
    assert "JAVA_HOME is not set and PATH has none" in refused(NO_JAVA).message


def test_java_home_wins_over_path_as_in_spark(tmp_path: Path) -> None:
    new = install_java(tmp_path / "new", 'openjdk version "17"')
    install_java(tmp_path / "old", 'openjdk version "11"')
    assert "is Java 11" in refused({**on_path(new), "JAVA_HOME": str(tmp_path / "old")}).message
    assert "no bin/java below JAVA_HOME" in refused({**on_path(new), "JAVA_HOME": str(tmp_path)}).message
    require_java({**on_path(new), "JAVA_HOME": ""})


def test_java_that_fails_is_refused(tmp_path: Path) -> None:
    folder = install_java(tmp_path, "Unable to locate a Java Runtime.", status=1)
    assert "status 1 (Unable to locate a Java Runtime.)" in refused(on_path(folder)).message
    (folder / "java").write_bytes(b"\x7fELFbroken")
    assert "cannot be run" in refused(on_path(folder)).message


def test_java_set_for_spark_itself_is_left_to_spark(tmp_path: Path) -> None:
    (tmp_path / "spark-env.sh").write_text("# export JAVA_HOME=/a\n")
    refused({**NO_JAVA, "SPARK_CONF_DIR": str(tmp_path)})
    (tmp_path / "spark-env.sh").write_text("export JAVA_HOME=/a\n")
    require_java({**NO_JAVA, "SPARK_CONF_DIR": str(tmp_path)})


@pytest.mark.parametrize(
    "environ",
    [
        {"DATABRICKS_RUNTIME_VERSION": "16.4"},
        {"SPARK_REMOTE": "sc://host:15002"},
        {"SPARK_CONNECT_MODE_ENABLED": "1"},
    ],
)
def test_no_java_is_needed_where_spark_runs_elsewhere(environ: dict[str, str]) -> None:
    require_spark({**NO_JAVA, **environ})


def test_local_connect_server_needs_java() -> None:
    with pytest.raises(SetupError):
        require_spark({**NO_JAVA, "SPARK_REMOTE": "local[2]", "SPARK_CONNECT_MODE_ENABLED": "1"})
