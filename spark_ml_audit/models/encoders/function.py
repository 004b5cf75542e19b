"""An encoder that somebody else wrote: a function from texts to an array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.models.design import BoolArray, Float32Array
from spark_ml_audit.models.encoders.base import KEY, identity_of
from spark_ml_audit.models.loading import import_named

BLOCK = 256
"""Texts that a function gets at once."""

_PROBE = ["spark", "delta lake"]


@dataclass(frozen=True, eq=False)
class FunctionEncoder:
    """`module:function`, called with lists of texts; one layer.

    Attributes:
        name: As it was given.
        function: The function.
        width: Numbers of a vector, as found by calling it.
        identity: Hash of its name and of the file of its module: an edit makes new vectors.
    """

    name: str
    function: Callable[[list[Any]], Any]
    width: int
    identity: str
    num_layers: int = 1
    candidates: tuple[int, ...] = (1,)

    @staticmethod
    def load(name: str) -> FunctionEncoder:
        """Import the function and try it.

        Raises:
            ConfigError: It cannot be imported or called, or gives no array of one row per text.
        """
        function, source = imported(name)
        vectors = _called(name, function, _PROBE)
        return FunctionEncoder(name, function, vectors.shape[1], identity_of("function", name, source))

    @property
    def about(self) -> str:
        """What it is, for people."""
        return f"{self.name} ({self.width} numbers)"

    def encode(self, values: Sequence[Any], layers: Sequence[int]) -> Float32Array:
        """Vectors of shape (n, 1, width).

        Raises:
            ConfigError: The function fails, or gives another shape than when it was tried.
        """
        found = np.empty((len(values), len(layers), self.width), dtype=np.float32)
        for start in range(0, len(values), BLOCK):
            block = list(values[start : start + BLOCK])
            vectors = _called(self.name, self.function, block)
            if vectors.shape[1] != self.width:
                raise _shape_error(self.name, vectors.shape, len(block))
            found[start : start + len(block)] = vectors[:, None, :]
        return found

    def too_long(self, values: Sequence[Any]) -> BoolArray:
        """What the function leaves out, nobody knows."""
        return np.zeros(len(values), dtype=bool)


def imported(name: str) -> tuple[Callable[[list[Any]], Any], str]:
    """The function of ``module:function``, and the contents of the file of its module.

    Raises:
        ConfigError: It cannot be imported.
    """
    module_name, _, function_name = name.partition(":")
    module = import_named(module_name, KEY)
    function: Any = module
    for part in function_name.split("."):
        function = getattr(function, part, None)
    if not callable(function):
        raise ConfigError(
            f"module '{module_name}' has no function '{function_name}'.",
            key=KEY,
            fix="Correct the name after the colon.",
        )
    file = getattr(module, "__file__", None)
    source = Path(file).read_bytes().hex() if file and Path(file).is_file() else ""
    return function, source


def _called(name: str, function: Callable[[list[Any]], Any], values: list[Any]) -> Float32Array:
    try:
        vectors = np.asarray(function(values), dtype=np.float32)
    except Exception as error:
        raise ConfigError(
            f"'{name}' fails on {len(values)} texts ({type(error).__name__}: {error}).",
            key=KEY,
            fix="Name a function that takes a list of texts and returns an array of one row for each.",
        ) from error
    if vectors.ndim != 2 or len(vectors) != len(values) or not vectors.shape[1]:
        raise _shape_error(name, vectors.shape, len(values))
    return vectors


def _shape_error(name: str, shape: tuple[int, ...], num_texts: int) -> ConfigError:
    return ConfigError(
        f"'{name}' returns an array of shape {shape} for {num_texts} texts.",
        key=KEY,
        fix="It must return one row of a fixed number of values per text.",
    )
