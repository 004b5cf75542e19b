"""Whether the engines can start here: really asked, without work and without a trace."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from spark_ml_audit.engines.choose import EMBEDDED, SPARK, choose_engine, engine_kind, packages_of
from spark_ml_audit.engines.extras import install_command
from spark_ml_audit.errors import AuditError, SetupError, reason_of

if TYPE_CHECKING:
    from spark_ml_audit.config.engine import EngineConfig


_LEAST_PYTHON = (3, 11)


@dataclass(frozen=True)
class EngineState:
    """What is known of an engine on this machine.

    Attributes:
        kind: embedded or spark.
        packages: What it is made of, with versions; None for what is not installed.
        can_start: Whether it can.
        found: How it would start, or why it cannot.
        mend: What makes it start; empty where it can.
        seconds: How long starting it took; None where it was not started.
        settings: What it would use.
    """

    kind: str
    packages: Mapping[str, str | None]
    can_start: bool
    found: str
    mend: str = ""
    seconds: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def probe_engines(wanted: EngineConfig, *, start: bool = False) -> tuple[EngineState, ...]:
    """Ask both engines; the embedded one is opened for a moment.

    Args:
        wanted: The `engine` section.
        start: Whether Spark is started too, which takes seconds.
    """
    return _embedded(wanted), _spark(wanted, start=start)


def chosen_engine(engines: Sequence[EngineState], wanted: EngineConfig) -> str | None:
    """The engine that a command would take; None where it cannot start.

    Args:
        engines: From `probe_engines`.
        wanted: The `engine` section.
    """
    try:
        kind = engine_kind(wanted)
    except SetupError:
        return None
    return next((kind for engine in engines if engine.kind == kind and engine.can_start), None)


def engine_mend(engines: Sequence[EngineState], wanted: EngineConfig) -> str | None:
    """What makes the engine start that a command would take; None where it can.

    Args:
        engines: From `probe_engines`.
        wanted: The `engine` section.
    """
    if chosen_engine(engines, wanted) is not None:
        return None
    by_kind = {engine.kind: engine for engine in engines}
    kind = EMBEDDED if wanted.kind == "auto" else wanted.kind
    if kind == EMBEDDED and sys.version_info < _LEAST_PYTHON:
        return "use Python 3.11 or newer, which the embedded engine needs"
    if kind == EMBEDDED and None in by_kind[kind].packages.values():
        return install_command("local")
    return by_kind[kind].mend


def _embedded(wanted: EngineConfig) -> EngineState:
    packages = packages_of(EMBEDDED)
    missing = tuple(name for name, version in packages.items() if version is None)
    if missing:
        found, mend = f"not installed: {', '.join(missing)}", install_command("local", packages=missing)
        return EngineState(EMBEDDED, packages, can_start=False, found=found, mend=mend)
    settings = {}
    try:
        from spark_ml_audit.engines.limits import Limits

        limits = Limits.of_machine(wanted.memory_bytes, wanted.spill)
        settings = {
            "threads": str(limits.threads),
            "memory": f"{limits.memory_bytes / (1 << 30):.1f} GiB",
            "spill": limits.spill,
        }
        seconds = _time_to_start(wanted, EMBEDDED)
    except Exception as error:  # noqa: BLE001 - a broken install fails in its own ways
        mend = error.fix if isinstance(error, AuditError) else install_command("local")
        found = f"does not open: {reason_of(error)}"
        return EngineState(EMBEDDED, packages, can_start=False, found=found, mend=mend, settings=settings)
    return EngineState(EMBEDDED, packages, True, "opened in this process", "", seconds, settings)


def _spark(wanted: EngineConfig, *, start: bool) -> EngineState:
    packages = packages_of(SPARK)
    missing = tuple(name for name, version in packages.items() if version is None)
    # a platform brings its own, which pip need not know
    is_there = importlib.util.find_spec("pyspark") is not None and _is_on_a_platform()
    if missing and not is_there:
        found, mend = f"not installed: {', '.join(missing)}", install_command("spark", packages=missing)
        return EngineState(SPARK, packages, can_start=False, found=found, mend=mend)
    try:
        from spark_ml_audit.engines.java import require_spark

        require_spark()
        found = _how_spark_starts()
        seconds = _time_to_start(wanted, SPARK) if start else None
    except Exception as error:  # noqa: BLE001 - see above
        found = error.message.rstrip(".") if isinstance(error, AuditError) else reason_of(error)
        mend = error.fix if isinstance(error, AuditError) else ""
        return EngineState(SPARK, packages, can_start=False, found=found, mend=mend)
    said = "started" if start else "not started, only looked at"
    return EngineState(SPARK, packages, True, f"{found}; {said}", "", seconds)


def _is_on_a_platform() -> bool:
    from spark_ml_audit.engines.session import runs_on_a_platform

    return runs_on_a_platform()


def _how_spark_starts() -> str:
    if _is_on_a_platform():
        remote = os.environ.get("SPARK_REMOTE")
        return "the session of the platform" + (" (SPARK_REMOTE is set)" if remote else "")
    from spark_ml_audit.engines.java import java_of
    from spark_ml_audit.engines.session import delta_jars

    java, version = java_of(os.environ)
    jars = "Delta's JARs are here" if "spark.jars" in delta_jars() else "Delta's JARs are fetched at first"
    return f"Java {version if version is not None else 'of unknown version'} ({java}); {jars}"


def _time_to_start(wanted: EngineConfig, kind: str) -> float:
    """Seconds until an engine has answered a query."""
    import pyarrow as pa

    from spark_ml_audit.engines.base import count_rows

    started = time.monotonic()
    engine = choose_engine(wanted.model_copy(update={"kind": kind}))
    try:
        count_rows(engine, engine.from_arrow(pa.table({"id": [1, 2, 3]})))
        return time.monotonic() - started
    finally:
        engine.close()
