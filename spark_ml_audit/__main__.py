"""Runs the command line: ``python -m spark_ml_audit``."""

from __future__ import annotations

import sys

from spark_ml_audit.cli import main

if __name__ == "__main__":
    sys.exit(main())
