"""Vectors of a source's texts as the models of a run read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_ml_audit.lake.vectors import StoredVectors
from spark_ml_audit.models.encoders.encoding import Encoding, columns_of

if TYPE_CHECKING:
    from spark_ml_audit.engines.base import Frame

FINAL = -1
"""Number of the model that is trained on the whole table."""


@dataclass(frozen=True)
class EncodedTexts:
    """Stored vectors, and the layer that each model reads.

    Attributes:
        stored: The vectors.
        layers: Number of a model (its fold, or `FINAL`) -> layer.
        scores: Layer -> mean average precision of a cheap model by it, for the model of the whole table.
        num_texts: Distinct texts that the table holds vectors of, by this encoder.
        num_cut: Of these, how many are longer than what the encoder reads.
    """

    stored: StoredVectors
    layers: Mapping[int, int]
    scores: Mapping[int, float]
    num_texts: int = 0
    num_cut: int = 0

    @property
    def used(self) -> tuple[int, ...]:
        """The layers that any model reads, ascending."""
        return tuple(sorted(set(self.layers.values())))

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of vectors of a joined frame."""
        return columns_of(self.used)

    @property
    def encodings(self) -> dict[int, Encoding]:
        """Number of a model -> the vectors it reads."""
        stored = self.stored
        return {
            number: Encoding(stored.encoder, layer, stored.columns) for number, layer in self.layers.items()
        }

    def joined(self, frame: Frame) -> Frame:
        """A frame of the source with these columns."""
        return self.stored.joined(frame, self.used)

    def to_mapping(self) -> dict[str, Any]:
        """What tables and MLflow record of them."""
        return {
            "encoder": self.stored.encoder.value,
            "identity": self.stored.encoder.identity,
            "columns": list(self.stored.columns),
            "layers": list(self.stored.layers),
            "layer_of_fold": {
                str(number): self.layers[number] for number in sorted(self.layers) if number >= 0
            },
            "layer": self.layers[FINAL],
            "num_texts": self.num_texts,
            "num_texts_cut": self.num_cut,
            "layer_scores": {str(layer): round(score, 4) for layer, score in self.scores.items()},
        }
