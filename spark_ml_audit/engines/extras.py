"""What the extras of this package bring, and the command that installs it, wherever the package came from."""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from importlib import metadata

PACKAGE = "spark-ml-audit"

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+)\s*(\[[^\]]*\])?\s*([^;]*)(?:;(.*))?")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_PYTHON = re.compile(r"python_version\s*>=\s*['\"](\d+)\.(\d+)['\"]")


def requirements(extra: str | None = None) -> dict[str, str]:
    """Package -> what pip is to be told, of the base install or of an extra, for this Python.

    Args:
        extra: Name of the extra; None for what every install needs.

    Returns:
        Nothing where this package was not installed, only put on the path.
    """
    try:
        listed = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return {}
    found = {}
    for text in listed:
        match = _REQUIREMENT.match(text)
        if match is None:
            continue
        name, extras, versions, marker = match[1], match[2] or "", match[3].strip(), match[4] or ""
        own, python = _EXTRA.search(marker), _PYTHON.search(marker)
        is_meant = (own[1] if own else None) == extra
        if is_meant and (python is None or sys.version_info[:2] >= (int(python[1]), int(python[2]))):
            found[name] = f"{name}{extras}{','.join(reversed(versions.split(',')))}"
    return found


def how_to_use_spark() -> str:
    """What to do where only Spark can: install it if it is missing, and choose it."""
    if all(importlib.util.find_spec(name) is not None for name in ("pyspark", "delta")):
        return "Set engine.kind to spark (--engine spark)."
    return f"Set engine.kind to spark (--engine spark), which is installed by `{install_command('spark')}`."


def install_command(*extras: str, packages: tuple[str, ...] = ()) -> str:
    """The command that installs what extras bring, into the Python that runs.

    It names the packages, not the extra: that works whether this package came from an index, a wheel or a
    clone.

    Args:
        *extras: Names of the extras; none stands for the base install.
        packages: Only these of them; all by default.
    """
    wanted = {name: text for extra in extras or (None,) for name, text in requirements(extra).items()}
    chosen = [text for name, text in wanted.items() if not packages or name in packages]
    if not chosen:  # this package is on the path without being installed
        chosen = list(packages) or [f"{PACKAGE}[{','.join(extras)}]"]
    python = shlex.quote(sys.executable)
    if importlib.util.find_spec("pip") is not None:
        pip = f"{python} -m pip install"
    else:  # an environment that uv made
        pip = f"uv pip install --python {python}"
    return f"{pip} {' '.join(shlex.quote(text) for text in chosen)}"
