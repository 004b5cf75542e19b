"""Whether Spark can start on this machine, found out before a JVM fails with a trace."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from spark_ml_audit.engines.extras import install_command
from spark_ml_audit.engines.session import active_session
from spark_ml_audit.errors import SetupError

LEAST_JAVA = 17
_FIX = (
    f"Install Java {LEAST_JAVA} or newer (on Debian and Ubuntu the package openjdk-17-jre-headless) and set "
    "JAVA_HOME to its folder, or put its java first on PATH."
)


def require_spark(environ: Mapping[str, str] | None = None) -> None:
    """Check that a Spark session is there or can be started.

    Args:
        environ: Environment of a process to be started; by default this process, with the session it has.

    Raises:
        SetupError: pyspark is not installed, or a local Spark would find no Java, or one too old.
    """
    here = environ is None
    environ = os.environ if environ is None else environ
    if "pyspark" not in sys.modules and importlib.util.find_spec("pyspark") is None:
        raise SetupError(
            "pyspark is not installed.",
            key="pyspark",
            fix=f"Install it with: {install_command('spark')}",
        )
    if not (_runs_elsewhere(environ) or (here and active_session() is not None)):
        require_java(environ)


def require_java(environ: Mapping[str, str]) -> None:
    """Check the Java that pyspark would start.

    Raises:
        SetupError: There is none, it does not run, or it is older than Java 17.
    """
    if _spark_env_sets_java(environ):
        return  # read by Spark's own launcher only, so which Java it starts is not known here
    java, version = java_of(environ)
    if version is not None and version < LEAST_JAVA:
        raise SetupError(
            f"{java} is Java {version}, but Spark needs Java {LEAST_JAVA} or newer.",
            key="JAVA_HOME",
            fix=_FIX,
        )


def java_of(environ: Mapping[str, str]) -> tuple[str, int | None]:
    """The Java that pyspark would start, and its version; None where it does not say.

    Raises:
        SetupError: There is none, or it does not run.
    """
    java = _find_java(environ)
    match = re.search(r'version "(?:1\.)?([0-9]+)', _version_text(java, environ))
    return java, None if match is None else int(match[1])


def _runs_elsewhere(environ: Mapping[str, str]) -> bool:
    if environ.get("DATABRICKS_RUNTIME_VERSION"):
        return True
    remote = environ.get("SPARK_REMOTE", "")
    if remote.startswith("local"):
        return False  # a Connect server of our own, started with the local Java
    return bool(remote or environ.get("SPARK_CONNECT_MODE_ENABLED"))


def _spark_env_sets_java(environ: Mapping[str, str]) -> bool:
    """Tell whether Spark's spark-env.sh, which its launcher reads, names a Java of its own."""
    home = environ.get("SPARK_HOME")
    folder = environ.get("SPARK_CONF_DIR") or (str(Path(home) / "conf") if home else "")
    if not folder:
        return False
    try:
        script = (Path(folder) / "spark-env.sh").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return re.search(r"^[^#\n]*\bJAVA_HOME=", script, re.MULTILINE) is not None


def _find_java(environ: Mapping[str, str]) -> str:
    """Find java as Spark's launcher does: below JAVA_HOME if that is set, else on PATH."""
    home = environ.get("JAVA_HOME")
    if home:
        java = shutil.which("java", path=str(Path(home) / "bin"))
        if java is None:
            raise SetupError(f"there is no bin/java below JAVA_HOME, {home!r}.", key="JAVA_HOME", fix=_FIX)
        return java
    java = shutil.which("java", path=environ.get("PATH", os.defpath))
    if java is None:
        raise SetupError(
            "no java was found: JAVA_HOME is not set and PATH has none.", key="JAVA_HOME", fix=_FIX
        )
    return java


def _version_text(java: str, environ: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the very program Spark is about to start
            [java, "-version"],
            capture_output=True,
            check=False,
            env=dict(environ),
            errors="replace",
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or "it did not answer in 60 s"
        raise SetupError(f"{java} cannot be run: {reason}.", key="JAVA_HOME", fix=_FIX) from None
    text = f"{done.stderr}\n{done.stdout}"
    if done.returncode != 0:
        first = next((line.strip() for line in text.splitlines() if line.strip()), "no message")
        raise SetupError(
            f"`{java} -version` failed with status {done.returncode} ({first[:200]}).",
            key="JAVA_HOME",
            fix=_FIX,
        )
    return text


if __name__ == "__main__":
    try:
        require_spark()
    except SetupError as error:
        sys.exit(f"error: {error}")
