"""The command line."""

from __future__ import annotations

from spark_ml_audit.cli.program import main

__all__ = ["main"]
