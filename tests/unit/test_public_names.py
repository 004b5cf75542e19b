"""What the package promises by name is there, and stays callable after everything was imported."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import spark_ml_audit
from tests.paths import PROJECT

NAMES = sorted(set(spark_ml_audit.__all__) - {"__version__"})


def test_every_public_name_is_callable_after_all_submodules_were_imported() -> None:
    # importing spark_ml_audit/audit/ would put the module in the place of the function `audit`
    script = f"""
import importlib, pkgutil, spark_ml_audit
for module in pkgutil.walk_packages(spark_ml_audit.__path__, "spark_ml_audit."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
wrong = [name for name in {NAMES!r} if not callable(getattr(spark_ml_audit, name))]
raise SystemExit(f"not callable: {{wrong}}" if wrong else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_module_or_package_is_named_like_a_public_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules(spark_ml_audit.__path__)}
    assert modules.isdisjoint(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_says_what_it_does_with_an_example(name: str) -> None:
    found = getattr(spark_ml_audit, name)
    text = inspect.getdoc(found)
    assert text, name
    assert ">>>" in text or "Example" in text, name


@pytest.mark.parametrize(
    "name",
    [
        "spark_ml_audit.ml",
        "spark_ml_audit.integrations.dqx",
        "spark_ml_audit.integrations.mlflow_evaluator",
        "spark_ml_audit.models",
        "spark_ml_audit.predicting.model_store",
    ],
)
def test_what_is_stored_or_configured_by_its_path_is_there(name: str) -> None:
    """Saved pipelines, pickled models, entry points and other people's configs name these paths."""
    assert importlib.import_module(name).__doc__
