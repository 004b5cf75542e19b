"""The vectors of a layer as a column that models read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spark_ml_audit.errors import InputError
from spark_ml_audit.models.encoders.base import KEY, Encoder
from spark_ml_audit.models.encoders.choose import load_encoder
from spark_ml_audit.models.text import joined_texts

# Texts that are encoded at once by a model that finds no vectors beside its rows.
_AT_ONCE = 4096


@dataclass(frozen=True)
class EncoderRef:
    """An encoder as it travels to tasks and is kept in models: by name, never with its weights.

    Attributes:
        value: Folder, hub name or `module:function`.
        identity: Of the encoder that the value named when it was first opened.
    """

    value: str
    identity: str

    def open(self) -> Encoder:
        """The encoder, opened once per process.

        Raises:
            ConfigError: There is no such encoder here.
            InputError: Another one goes by that name here.
        """
        found = load_encoder(self.value)
        if found.identity != self.identity:
            raise InputError(
                f"'{self.value}' is another encoder here than the one that the model was trained with.",
                key=KEY,
                fix="Put the files there that were there in training, the same on every machine.",
            )
        return found


@dataclass(frozen=True)
class Encoding:
    """Which vectors a model reads beside its columns.

    Attributes:
        encoder: Makes them.
        layer: The layer.
        columns: Text columns whose joined texts are encoded.

    Example:
        >>> ref = EncoderRef("package.module:embed", "")
        >>> Encoding(ref, layer=1, columns=("title",)).column
        '__encoded_1'
    """

    encoder: EncoderRef
    layer: int
    columns: tuple[str, ...]

    @property
    def column(self) -> str:
        """Name of the column of vectors; no source's column begins so."""
        return column_of(self.layer)

    def added(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with the column of vectors: as it is where it has them, else encoded now."""
        if self.column in frame.columns:
            return frame
        texts = joined_texts(frame, self.columns)
        known = [row for row, text in enumerate(texts) if text.strip()]
        vectors = np.empty(len(texts), dtype=object)
        vectors[:] = None
        for start in range(0, len(known), _AT_ONCE):
            rows = known[start : start + _AT_ONCE]
            found = self.encoder.open().encode([texts[row] for row in rows], [self.layer])[:, 0]
            for row, vector in zip(rows, found, strict=True):
                vectors[row] = vector
        return frame.assign(**{self.column: pd.Series(vectors, index=frame.index, dtype=object)})


def column_of(layer: int) -> str:
    """Name of the column of a layer's vectors in frames."""
    return f"__encoded_{layer}"


def columns_of(layers: Sequence[int]) -> tuple[str, ...]:
    """Names of the columns of several layers.

    >>> columns_of([3, 4])
    ('__encoded_3', '__encoded_4')
    """
    return tuple(column_of(layer) for layer in layers)
