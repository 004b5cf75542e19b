"""A standalone Spark cluster of separate processes on this machine, and `spark-submit` to run jobs there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pyspark
import pytest

from tests.paths import PROJECT

SPARK_HOME = Path(pyspark.__file__).parent
# What differs from the installed package, to see that it is the one shipped that runs.
SHIPPED_VERSION = "0.0.0+shipped"
LOG_SETTINGS = PROJECT / "spark_ml_audit" / "engines" / "log4j2.properties"
SETTINGS = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "700m",
    # few lines: a reader that waits for one must not block the driver
    "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={LOG_SETTINGS.as_uri()}",
    "spark.executor.cores": "1",
    "spark.cores.max": "2",
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
}


def environment() -> dict[str, str]:
    """The environment of a machine where the project is not on the path."""
    hidden = ("PYTHONPATH", "PYTEST", "SPARK_", "PYSPARK", "MLFLOW")
    found = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    return found | {
        "SPARK_HOME": str(SPARK_HOME),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }


def end(process: subprocess.Popen[str]) -> None:
    """End a process and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as a wheel, as `python -m build` makes it, of a version of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    marked = folder / f"marked-{built.name}"
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(marked, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "spark_ml_audit/_version.py":
                content = re.sub(
                    rb'__version__ = "[^"]+"', f'__version__ = "{SHIPPED_VERSION}"'.encode(), content
                )
            target.writestr(name, content)
    built.unlink()
    return marked.rename(built)


class Daemon:
    """A process of the cluster whose log says when it is ready."""

    def __init__(self, name: str, folder: Path, arguments: list[str], ready: str) -> None:
        self.log = folder / f"{name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(SPARK_HOME / "bin" / "spark-class"), *arguments],
                cwd=folder,
                env=environment(),
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._ready = ready

    def wait(self) -> str:
        """The match of the ready line's first group, or the line."""
        deadline = time.monotonic() + 120
        while not (found := re.search(self._ready, self.log.read_text(errors="replace"))):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.2)
        return found[found.lastindex or 0]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a standalone master with two workers of one core and 700 MB each."""
    folder = tmp_path_factory.mktemp("cluster")
    deploy = "org.apache.spark.deploy"
    daemons = [
        Daemon(
            "master",
            folder,
            [f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"],
            r"Starting Spark master at (spark://\S+)",
        )
    ]
    try:
        address = daemons[0].wait()
        for number in (1, 2):
            command = [f"{deploy}.worker.Worker", "--host", "127.0.0.1", "--webui-port", "0", "--cores", "1"]
            command += ["--memory", "700m", "--work-dir", str(folder / f"work-{number}"), address]
            daemons.append(
                Daemon(f"worker-{number}", folder, command, r"Successfully registered with master")
            )
        for daemon in daemons[1:]:
            daemon.wait()
        yield address
    finally:
        for daemon in daemons:
            end(daemon.process)


@pytest.fixture
def submit(wheel: Path, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a script of `jobs/` through spark-submit, the package shipped as a wheel."""
    from spark_ml_audit.engines.session import delta_jars

    def start(
        job: str,
        master: str,
        arguments: list[str],
        settings: Mapping[str, str] | None = None,
        stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        command = [str(SPARK_HOME / "bin" / "spark-submit"), "--master", master, "--py-files", str(wheel)]
        for key, value in {**SETTINGS, **delta_jars(), **(settings or {})}.items():
            command += ["--conf", f"{key}={value}"]
        return subprocess.Popen(
            [*command, str(PROJECT / "jobs" / f"{job}.py"), *arguments],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

    return start
