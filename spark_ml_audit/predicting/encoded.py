"""Vectors of a source's texts as the models of a run read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spark_ml_audit.lake.vectors import StoredVectors
from spark_ml_audit.models.encoders.encoding import Encoding, columns_of
from spark_ml_audit.models.images import ImageFiles

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
        num_cut: Of these, how many are longer than what the encoder reads, or images that cannot be read.
        num_unread: Rows of the source without an image, or with one that cannot be read.
    """

    stored: StoredVectors
    layers: Mapping[int, int]
    scores: Mapping[int, float]
    num_texts: int = 0
    num_cut: int = 0
    num_unread: int = 0

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
            number: Encoding(stored.encoder, layer, stored.columns, stored.images)
            for number, layer in self.layers.items()
        }

    @property
    def warnings(self) -> list[str]:
        """Sentences on images that are not there."""
        if not self.num_unread:
            return []
        return [
            f"{self.num_unread:,} rows have no image in column '{self.stored.columns[0]}' that can be read "
            "(missing, broken, or no image): they are predicted by their other columns, or by the tags' "
            "shares."
        ]

    def joined(self, frame: Frame) -> Frame:
        """A frame of the source with these columns."""
        return self.stored.joined(frame, self.used)

    def _of_images(self, images: ImageFiles) -> dict[str, Any]:
        return {
            "of": self.stored.encoder.of,
            "image_folder": images.folder,
            "num_images": self.num_texts,
            "num_rows_without_image": self.num_unread,
        }

    def to_mapping(self) -> dict[str, Any]:
        """What tables and MLflow record of them."""
        is_text = self.stored.images is None
        return {
            "encoder": self.stored.encoder.value,
            "identity": self.stored.encoder.identity,
            "columns": list(self.stored.columns),
            "layers": list(self.stored.layers),
            "layer_of_fold": {
                str(number): self.layers[number] for number in sorted(self.layers) if number >= 0
            },
            "layer": self.layers[FINAL],
            "num_texts": self.num_texts if is_text else 0,
            "num_texts_cut": self.num_cut if is_text else 0,
            **({} if self.stored.images is None else self._of_images(self.stored.images)),
            "layer_scores": {str(layer): round(score, 4) for layer, score in self.scores.items()},
        }
