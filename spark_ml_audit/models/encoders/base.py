"""What an encoder is: a pretrained network, or a function, that turns contents into vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

from spark_ml_audit.models.design import BoolArray, Float32Array

KEY = "model.encoder"
"""Config key that errors of encoders name."""

RECIPE = 1
"""Part of every identity: raised when the same network and settings would give other vectors."""


class Described(Protocol):
    """What is known of a network, or a function, before it makes vectors.

    Layers are numbered from 1, the one above the network's input embeddings.
    """

    @property
    def identity(self) -> str:
        """Stable hash of the network's files and of the settings: the key of stored vectors."""

    @property
    def num_layers(self) -> int:
        """Layers of the network."""

    @property
    def candidates(self) -> tuple[int, ...]:
        """Middle layers that are tried, ascending; one alone where there is nothing to choose."""

    @property
    def width(self) -> int:
        """Numbers of a vector."""

    @property
    def about(self) -> str:
        """What it is, for people: the clause after 'encoded by'."""


class Encoder(Described, Protocol):
    """Turns contents (texts, images) into vectors, each by itself.

    A content's vectors do not depend on the contents beside it beyond 1e-5: batches have one shape and one
    precision.
    """

    def encode(self, values: Sequence[Any], layers: Sequence[int]) -> Float32Array:
        """Vectors of shape (n, len(layers), width).

        Args:
            values: Contents, none of them empty.
            layers: Layers asked for, each of `candidates`.
        """

    def too_long(self, values: Sequence[Any]) -> BoolArray:
        """Which contents are read in part only, shape (n,)."""


def middle_layers(num_layers: int) -> tuple[int, ...]:
    """The layers that are tried: at half, two thirds and five sixths of the depth.

    The last layers of a pretrained network serve what it was trained for; those in the middle carry more of
    what other tasks need (Tenney et al. 2019; Liu et al. 2019, section 4).

    >>> middle_layers(6), middle_layers(12), middle_layers(2)
    ((3, 4, 5), (6, 8, 10), (1,))
    """
    found = {(num_layers + 1) // 2, round(num_layers * 2 / 3), num_layers * 5 // 6}
    return tuple(sorted({max(layer, 1) for layer in found}))


def identity_of(*parts: str) -> str:
    """Identity of an encoder: a hash of what decides its vectors, with the version of the recipe.

    >>> identity_of("name", "256") == identity_of("name", "256"), len(identity_of("name"))
    (True, 32)
    """
    found = hashlib.sha256()
    for part in (str(RECIPE), *parts):
        found.update(f"{len(part)}:{part}".encode())
    return found.hexdigest()[:32]
