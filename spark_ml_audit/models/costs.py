"""What training the built-in kinds costs, in seconds of one core.

Each is a sum of terms that follow from the code (texts are read once, every tag's weights pass over them, the
network makes a fixed number of steps), times constants fitted to measured times on three real sets of 21 to
130 classes and 2,000 to 18,000 rows (`python -m tests.benchmarks.auto`, CPU seconds of one core
of a shared server of 2026; tests/benchmarks/README.md says how far off they are). Their purpose is to tell
seconds from minutes from hours beforehand: the same for the same table, whatever the clock says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spark_ml_audit.models.cnn import epochs_of as cnn_epochs
from spark_ml_audit.models.encoders.text import MAX_TOKENS
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.finetune.settings import MAX_TOKENS as TUNED_TOKENS
from spark_ml_audit.models.finetune.settings import NUM_TRAINED, Training
from spark_ml_audit.models.stacked import MAX_NETWORK_CELLS, UPDATES

TEXT = ("per character", "per character and tag", "per row and tag")
NETWORK = ("per row and epoch", "per row, epoch and tag")
DENSE = ("per row and square of the width",)
TREES = ("per tag and round", "per tag, round, row and column")
"""Names of the terms."""

SECONDS = {
    "per character": 2.7e-7,
    "per character and tag": 2.6e-9,
    "per row and tag": 9.4e-7,
    "per row and epoch": 2.1e-6,
    "per row, epoch and tag": 4.0e-8,
    "per row and square of the width": 2e-10,
    "per image and pass": 9e-4,
    "per tag and round": 3.6e-4,
    "per tag, round, row and column": 6.0e-9,
}
"""Seconds of one core per term."""

START_SECONDS = 2.0
"""What a fold costs beside: a process that loads its libraries."""

ENCODER_SPEED = 5e10
"""Additions and multiplications of an encoder per second of one core: 49 to 70 billion were measured with
MiniLM (6 layers, 384 numbers) on texts of 19 to 125 tokens, the least on short ones."""

CHARACTERS_PER_TOKEN = 3.6
IMAGE_TOKENS = 197
"""Patches of an image of 224 pixels, 16 pixels each, and one more."""

TUNING_FACTOR = 4.0
"""An epoch of fine-tuning costs a layer so many times its pass forward: backward, and the optimiser."""

COLUMN_CHARACTERS = 16
"""A column that is no text counts as that much text."""


def text_terms(characters: float, num_rows: float, num_tags: int) -> tuple[float, ...]:
    """Terms of the linear layer and the calibrations."""
    return characters, characters * num_tags, num_rows * num_tags


def network_terms(num_rows: float, num_tags: int) -> tuple[float, ...]:
    """Terms of the network over all tags; its epochs are those of `stacked`."""
    rows = min(num_rows, max(MAX_NETWORK_CELLS // max(num_tags, 1), 1))
    batch = min(rows, 256 if rows < 200_000 else 1024)
    epochs = float(np.clip(round(UPDATES * batch / max(rows, 1)), 5, 40))
    return rows * epochs, rows * epochs * num_tags


def tree_terms(num_rows: float, num_tags: int, num_columns: int) -> tuple[float, ...]:
    """Terms of boosted trees, one forest per tag; their rounds are those of `registry`."""
    rounds = float(np.clip(num_rows // 250, 50, 150)) * num_tags
    return rounds, rounds * num_rows * num_columns


@dataclass(frozen=True)
class EncoderSize:
    """What an encoder's cost follows from.

    Attributes:
        width: Numbers of a vector.
        layers: Layers that are run for frozen vectors.
        all_layers: Layers that are run for fine-tuning.
        tokens: Tokens of an image; None for texts.
    """

    width: int
    layers: int
    all_layers: int
    tokens: float | None = None

    def frozen_seconds(self, characters: float, num_rows: float) -> float:
        """Seconds of one core to encode so many texts.

        Example:
            >>> round(EncoderSize(384, 5, 6).frozen_seconds(454.0, 1000), 1)  # 32 were measured
            45.3
        """
        tokens = _tokens(characters, MAX_TOKENS) if self.tokens is None else self.tokens
        return num_rows * tokens * self.layers * self._per_token

    def finetune_seconds(self, characters: float, num_rows: float, folds: int) -> float:
        """Seconds of one core to fine-tune per fold and predict, the frozen vectors not counted."""
        lower = max(self.all_layers - NUM_TRAINED, 0)
        trained = (folds - 1) * Training().epochs * TUNING_FACTOR * NUM_TRAINED
        passes = lower + trained + NUM_TRAINED
        return num_rows * _tokens(characters, TUNED_TOKENS) * passes * self._per_token

    @property
    def _per_token(self) -> float:
        # attention and feed-forward matrices of a layer: 12 width**2 weights, two operations each
        return 24.0 * self.width**2 / ENCODER_SPEED


def _tokens(characters: float, most: int) -> float:
    return min(characters / CHARACTERS_PER_TOKEN + 2, most)


def dense_terms(num_rows: float, width: int) -> tuple[float, ...]:
    """Terms of columns that are solved for exactly, such as the vectors of an encoder."""
    return (num_rows * width**2,)


def fit_seconds(
    kind: str, spec: FeatureSpec, characters: float, num_rows: float, num_tags: int, width: int = 0
) -> float:
    """Seconds of one core for one fold: a model of so many rows trained, and a quarter of them predicted.

    Args:
        kind: "joint", "linear", "tabular" or "prior".
        spec: Feature columns.
        characters: Mean characters of a row's texts.
        num_rows: Training rows.
        num_tags: Tags that are learned.
        width: Numbers of an encoder's vector that is read beside the columns.

    Example:
        >>> spec = FeatureSpec(text=("text",))
        >>> linear, joint = (fit_seconds(kind, spec, 200.0, 10_000, 30) for kind in ("linear", "joint"))
        >>> 2 < linear < joint < 30
        True
    """
    if kind == "prior":
        return 0.0
    if kind == "cnn":
        seconds = START_SECONDS + SECONDS["per image and pass"] * num_rows * cnn_epochs(num_rows)
        if not spec.plain_columns:
            return seconds
        plain = replace(spec, image=())
        return seconds + fit_seconds("joint", plain, characters, num_rows, num_tags)
    if kind == "tabular":
        return START_SECONDS + _seconds(TREES, tree_terms(num_rows, num_tags, len(spec.columns)))
    read = (characters + COLUMN_CHARACTERS * len(spec.columns)) * num_rows
    terms = text_terms(read, num_rows, num_tags)
    seconds = _seconds(TEXT, terms)
    if kind == "joint" and num_tags > 1:
        seconds += _seconds(NETWORK, network_terms(num_rows, num_tags))
    if width and spec.plain_columns:  # a model with the vectors and one without; the text is read once
        seconds = 2 * seconds - _seconds(TEXT[:1], terms[:1])
    if width:
        seconds += _seconds(DENSE, dense_terms(num_rows, width))
    return START_SECONDS + seconds


def _seconds(names: tuple[str, ...], terms: tuple[float, ...]) -> float:
    return sum(SECONDS[name] * term for name, term in zip(names, terms, strict=True))
