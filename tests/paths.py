"""Where the project's files and the shared data lie."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "spark_ml_audit"
CONF = PROJECT / "conf"
SHARED_DATA = PROJECT.parent / "shared" / "data"
