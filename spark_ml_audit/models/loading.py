"""Estimators of someone else, named by import path."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from spark_ml_audit.errors import ConfigError

KEY = "model.kind"


def load_estimator(path: str, seed: int, built_in: Sequence[str] = ()) -> Any:
    """Build the estimator that an import path names.

    Args:
        path: `package.module.Name` of a class, or of a function without arguments that returns an estimator.
        seed: Becomes `random_state` where the estimator has one that is unset, steps of pipelines included.
        built_in: Names to suggest when `path` is no import path.

    Returns:
        An unfitted estimator with `fit` and `predict_proba`.

    Raises:
        ConfigError: Nothing usable is there; the key is `model.kind`.

    Example:
        >>> load_estimator("sklearn.linear_model.LogisticRegression", seed=7)
        LogisticRegression(random_state=7)
    """
    module_name, _, name = path.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in path.split(".")):
        near = difflib.get_close_matches(path, built_in, n=1)
        raise ConfigError(
            f"'{path}' is neither a built-in model nor an import path.",
            key=KEY,
            fix=(f"Did you mean '{near[0]}'? " if near else "")
            + f"Use one of {', '.join(built_in)}, or package.module.Class.",
        )
    try:
        factory = getattr(import_named(module_name, KEY), name)
    except AttributeError:
        raise ConfigError(
            f"module '{module_name}' has no '{name}'.", key=KEY, fix="Correct the name after the last dot."
        ) from None
    return _built(factory, path, seed)


def import_named(module_name: str, key: str) -> ModuleType:
    """Import a module that a config names.

    Args:
        module_name: The module.
        key: The config key, for errors.

    Raises:
        ConfigError: It cannot be imported.
    """
    try:
        return importlib.import_module(module_name)
    except Exception as error:  # a module may raise anything while it is imported
        raise ConfigError(
            f"'{module_name}' cannot be imported ({type(error).__name__}: {error}).",
            key=key,
            fix="Install the package on the driver and on every worker, or correct the path.",
        ) from error


def _built(factory: Any, path: str, seed: int) -> Any:
    if not callable(factory):
        raise ConfigError(
            f"'{path}' is a {type(factory).__name__}, not a class or function.",
            key=KEY,
            fix="Name a scikit-learn compatible class, or a function without arguments that returns one.",
        )
    try:
        estimator = factory()
    except Exception as error:
        raise ConfigError(
            f"'{path}()' fails ({type(error).__name__}: {error}).",
            key=KEY,
            fix="Name a function without arguments that returns the estimator as you want it.",
        ) from error
    # Some classes offer predict_proba only under a setting (support vector machines), so the instance counts.
    for method in ("fit", "predict_proba"):
        if not hasattr(estimator, method):
            raise ConfigError(
                f"'{path}' has no {method}.",
                key=KEY,
                fix="Use one with predict_proba, or a function that wraps it in CalibratedClassifierCV.",
            )
    if hasattr(estimator, "get_params") and hasattr(estimator, "set_params"):
        unset = {
            key: seed % 2**32
            for key, value in sorted(estimator.get_params(deep=True).items())
            if key.split("__")[-1] == "random_state" and value is None
        }
        estimator.set_params(**unset)
    return estimator
