"""`doctor`: what is installed, which engines can start, what is missing for which command."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from spark_ml_audit._version import __version__
from spark_ml_audit.cli.render_parts import pairs
from spark_ml_audit.engines.extras import install_command, requirements
from spark_ml_audit.engines.probe import EngineState, chosen_engine, engine_mend, probe_engines
from spark_ml_audit.errors import ExitCode
from spark_ml_audit.text import enumerated, for_terminal

if TYPE_CHECKING:
    from spark_ml_audit.config.doctor import DoctorConfig
    from spark_ml_audit.progress import Progress

# Distribution -> what it is imported as, where that differs.
_MODULES = {
    "faiss-cpu": "faiss",
    "mlflow-skinny": "mlflow",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}
_LEARNING = ("scikit-learn", "scipy", "pandas", "joblib", "threadpoolctl")
_DRAWING = ("jinja2", "markupsafe", "matplotlib")
# What single commands need of the base install; all need the rest of it.
_NEEDED_BY: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_LEARNING, ("demo", "predict", "tag")),
    **dict.fromkeys(_DRAWING, ("demo", "audit", "trend")),
    "faiss-cpu": (),  # near-duplicates and outliers, where they are asked for
}
_PAGE = ("fastapi", "uvicorn")  # where this package is on the path without being installed
_TRACKED = ("demo", "audit", "predict", "tag")


@dataclass(frozen=True)
class Need:
    """Something that is missing.

    Attributes:
        what: A sentence without its full stop.
        mend: The command or setting that mends it.
        commands: Commands that lack it.
        stops: Whether they cannot run without it.
    """

    what: str
    mend: str
    commands: tuple[str, ...]
    stops: bool = True


@dataclass(frozen=True)
class Diagnosis:
    """What `doctor` found.

    Attributes:
        package: Version of this package, and its folder.
        python: Version, executable and platform.
        engines: The engines.
        chosen: The engine that would run; None where none can.
        mlflow: Which MLflow there is: full, skinny or none; and its version.
        libraries: Distribution -> version of what the base install needs; None: not installed.
        folder: The current folder, and whether it can be written to.
        bytecode: Whether compiled Python is kept, and what is said of it.
        needs: What is missing.
        commands: All commands but this one.
    """

    package: Mapping[str, str]
    python: Mapping[str, str]
    engines: tuple[EngineState, ...]
    chosen: str | None
    mlflow: Mapping[str, str | None]
    libraries: Mapping[str, str | None]
    folder: Mapping[str, str | bool]
    bytecode: Mapping[str, str | bool]
    needs: tuple[Need, ...]
    commands: tuple[str, ...]

    @property
    def exit_code(self) -> ExitCode:
        """0 where commands can run, else 2, as those commands would exit."""
        return ExitCode.OK if self.chosen is not None else ExitCode.USAGE

    def missing_for(self, command: str) -> list[Need]:
        """What a command lacks."""
        return [need for need in self.needs if command in need.commands]

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        engines = [
            {
                "kind": engine.kind,
                "can_start": engine.can_start,
                "found": engine.found,
                "mend": engine.mend,
                "packages": dict(engine.packages),
                "seconds": None if engine.seconds is None else round(engine.seconds, 3),
                "settings": dict(engine.settings),
            }
            for engine in self.engines
        ]
        commands = {
            name: {
                "can_run": not any(need.stops for need in self.missing_for(name)),
                "missing": [{"what": need.what, "mend": need.mend} for need in self.missing_for(name)],
            }
            for name in self.commands
        }
        return {
            "status": "ok" if self.chosen is not None else "no_engine",
            "package": dict(self.package),
            "python": dict(self.python),
            "engines": engines,
            "engine": self.chosen,
            "mlflow": dict(self.mlflow),
            "libraries": dict(self.libraries),
            "folder": dict(self.folder),
            "bytecode": dict(self.bytecode),
            "commands": commands,
        }


def run_doctor(
    config: DoctorConfig, commands: Sequence[str], progress: Progress, *, start: bool = False
) -> Diagnosis:
    """Look at what is installed here.

    Args:
        config: Says how much memory the embedded engine may use, and which engine is wanted.
        commands: Names of the commands to tell of.
        progress: Shows the stages.
        start: Whether Spark is started too.
    """
    with progress.stage("engines"):
        engines = probe_engines(config.engine, start=start)
    libraries = {name: _version(name) for name in requirements() or _MODULES}
    needs = [*_of_engine(engines, config, commands), *_of_libraries(libraries, commands), *_of_page(commands)]
    kind, mlflow_needs = _mlflow()
    can_run = [name for name in commands if name in _TRACKED]
    needs += [Need(what, mend, tuple(can_run), stops=False) for what, mend in mlflow_needs]
    return Diagnosis(
        package={"version": __version__, "folder": str(Path(__file__).parents[1])},
        python={
            "version": platform.python_version(),
            "executable": sys.executable,
            "platform": f"{platform.system()} {platform.machine()}",
        },
        engines=engines,
        chosen=chosen_engine(engines, config.engine),
        mlflow={"kind": kind, "version": _version("mlflow-skinny") or _version("mlflow")},
        libraries=libraries,
        folder=_folder(),
        bytecode=_bytecode(),
        needs=tuple(needs),
        commands=tuple(commands),
    )


def _version(name: str) -> str | None:
    """Version of a distribution; of one that a platform put there without saying so, that it is there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        module = _MODULES.get(name, name.replace("-", "_"))
        return "unknown" if importlib.util.find_spec(module) is not None else None


def _of_engine(engines: Sequence[EngineState], config: DoctorConfig, commands: Sequence[str]) -> list[Need]:
    mend = engine_mend(engines, config.engine)
    return [] if mend is None else [Need("an engine that can start", mend, tuple(commands))]


def _of_libraries(libraries: Mapping[str, str | None], commands: Sequence[str]) -> Iterable[Need]:
    missing = [name for name, version in libraries.items() if version is None and name != "mlflow-skinny"]
    for name in missing:
        needed = _NEEDED_BY.get(name, tuple(commands))
        mend = install_command(packages=(name,))
        yield Need(f"{name}, of the base install", mend, tuple(c for c in commands if c in needed))


def _of_page(commands: Sequence[str]) -> Iterable[Need]:
    missing = [name for name in requirements("app") or _PAGE if importlib.util.find_spec(name) is None]
    serving = tuple(command for command in commands if command == "serve")
    if missing and serving:
        yield Need(f"{', '.join(missing)}, of the extra app", install_command("app"), serving)


def _mlflow() -> tuple[str, list[tuple[str, str]]]:
    """Which MLflow there is, and what that means where runs go to a store of this machine."""
    from spark_ml_audit.tracking.destination import (
        Destination,
        missing_requirement,
        resolve_tracking_uri,
    )

    if importlib.util.find_spec("mlflow") is None:
        kind = "none"
    else:
        database = missing_requirement(Destination("sqlite:///mlflow.db"))
        kind = "full" if database is None else "skinny"
    said = missing_requirement(Destination(*resolve_tracking_uri(None, ".")))
    if said is None:
        return kind, []
    what = "MLflow in full: runs are written, and not recorded in MLflow (exit status 4); no model is kept"
    mend = f"{install_command('local', packages=('mlflow',))}, or set tracking.uri to a server's address"
    return kind, [(what, mend)]


def _folder() -> dict[str, str | bool]:
    folder = Path.cwd()
    try:
        with TemporaryFile(dir=folder):
            return {"path": str(folder), "is_writable": True}
    except OSError:
        return {"path": str(folder), "is_writable": False}


def _bytecode() -> dict[str, str | bool]:
    """Whether Python compiles the packages anew at every start."""
    names = ("spark_ml_audit", "pandas", "mlflow", "sklearn")
    files = [
        spec.origin
        for name in names
        if (spec := importlib.util.find_spec(name)) is not None and spec.origin is not None
    ]
    compiled = [Path(importlib.util.cache_from_source(file)).exists() for file in files]
    if all(compiled):
        return {"is_kept": True, "said": "compiled Python is there"}
    where = "; ".join(sorted({str(Path(file).parents[1]) for file in files}))
    if sys.dont_write_bytecode:
        said = (
            "compiled Python is not there and not kept (PYTHONDONTWRITEBYTECODE), which costs seconds at "
            f"every start: unset it, or compile once: {sys.executable} -m compileall -q {where}"
        )
        return {"is_kept": False, "said": said}
    can_write = bool(sys.pycache_prefix) or all(os.access(Path(file).parent, os.W_OK) for file in files)
    if can_write:
        return {"is_kept": True, "said": "compiled Python will be there after the first start"}
    said = (
        f"compiled Python cannot be kept, which costs seconds at every start: {where} is not writable; "
        "set PYTHONPYCACHEPREFIX to a folder that is"
    )
    return {"is_kept": False, "said": said}


# ---- as text ---------------------------------------------------------------------------------------


def render_doctor(found: Diagnosis) -> str:
    """Write what was found as text of several lines, without a final newline."""
    python, folder = found.python, found.folder
    about = [
        ("package", f"{found.package['version']} ({found.package['folder']})"),
        ("Python", f"{python['version']} ({python['executable']}), {python['platform']}"),
        ("MLflow", _said_of_mlflow(found)),
        ("libraries", _said_of_libraries(found.libraries)),
        ("folder", f"{folder['path']} is {'writable' if folder['is_writable'] else 'NOT writable'}"),
        ("bytecode", str(found.bytecode["said"])),
    ]
    lines = ["spark-ml-audit", *pairs(about), "", "Engines"]
    for engine in found.engines:
        lines += _engine_lines(engine)
    lines.append(
        "  no engine can start" if found.chosen is None else f"  commands take the engine {found.chosen}"
    )
    lines += ["", "Commands", *_command_lines(found)]
    return "\n".join(lines)


def _said_of_mlflow(found: Diagnosis) -> str:
    kind = found.mlflow["kind"]
    return "not installed" if kind == "none" else f"{found.mlflow['version']} ({kind})"


def _said_of_libraries(libraries: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version or '(missing)'}" for name, version in libraries.items())


def _engine_lines(engine: EngineState) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in engine.packages.items() if version)
    took = "" if engine.seconds is None else f" in {engine.seconds:.1f} s"
    state = "can start" if engine.can_start else "cannot start"
    lines = [f"  {engine.kind}: {state}: {for_terminal(engine.found)}{took}"]
    if versions:
        lines.append(f"    packages  {versions}")
    if engine.settings:
        used = engine.settings
        lines.append(
            f"    uses      {used['threads']} threads, {used['memory']} of memory, then files below "
            f"{for_terminal(used['spill'])} (engine.memory, engine.spill)"
        )
    if engine.mend:
        lines.append(f"    mend      {for_terminal(engine.mend)}")
    return lines


def _command_lines(found: Diagnosis) -> list[str]:
    whole = [name for name in found.commands if not found.missing_for(name)]
    lines = [f"  can run: {', '.join(whole)}"] if whole else []
    for need in found.needs:
        if need.commands:
            who = "all" if need.commands == found.commands else enumerated(need.commands)
            verb = "cannot run" if need.stops else "can run in part"
            lines += [
                f"  {verb}: {who}: missing {for_terminal(need.what)}",
                f"    mend  {for_terminal(need.mend)}",
            ]
    return lines
