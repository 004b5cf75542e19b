"""Estimators of somebody else, named by their import path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sklearn.neighbors import KNeighborsClassifier

MARKER = "TESTS_ESTIMATORS_FAIL"
"""Environment variable that names a file: while it is there, one fit that sees it removes it and fails."""

_FITS = {"count": 0}


class FailsOnce(KNeighborsClassifier):  # type: ignore[misc]
    """Fails in one of the second fits of all processes, as a task does that is killed."""

    def fit(self, matrix: Any, targets: Any) -> Any:
        _FITS["count"] += 1
        marker = Path(os.environ.get(MARKER, "none"))
        if _FITS["count"] % 2 == 0 and marker.exists():
            marker.unlink()
            raise RuntimeError("out of memory, say")
        return super().fit(matrix, targets)
