"""Paths as every part of Spark understands them."""

from __future__ import annotations

import os
import re

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def absolute(path: str) -> str:
    """Complete a relative path from the working directory; addresses and absolute paths stay as they are.

    Delta's SQL takes absolute paths only, and the JVM may have another working directory.
    """
    return path if _SCHEME.match(path) or os.path.isabs(path) else os.path.abspath(path)
