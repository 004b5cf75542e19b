"""Tags learned from images by a network trained on them, averaged with what the other columns say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from spark_ml_audit.errors import SetupError
from spark_ml_audit.models.cnn import WIDTH, Cnn
from spark_ml_audit.models.design import BoolArray, Float32Array, Float64Array, IntArray
from spark_ml_audit.models.encoding import DesignEncoder
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.logits import LOGIT_LIMIT, probabilities_of
from spark_ml_audit.models.stacked import StackedTags

KIND = "cnn"
"""Kind of model: a small convolutional network, see `models.cnn`."""

MIN_IMAGES = 16
"""Images below which no network is trained."""


@dataclass(frozen=True, eq=False)
class ImageLearner:
    """A network on images, and a joint model of the other columns where there are any.

    Attributes:
        column: Column of the images' pixels.
        network: None where there were too few images to train one.
        encoder: Encoder of the other columns; None without any.
        stack: Joint model of them; None without any.
        num_tags: Tags K.
    """

    column: str
    network: Cnn | None
    encoder: DesignEncoder | None
    stack: StackedTags | None
    num_tags: int

    @staticmethod
    def fit(
        frame: pd.DataFrame,
        given: BoolArray,
        spec: FeatureSpec,
        column: str,
        seed: int,
        inner_fold: IntArray,
        max_width: int,
    ) -> tuple[ImageLearner, tuple[str, ...]]:
        """Train both.

        Args:
            frame: Training rows in a stable order, with the pixels.
            given: Given tags, shape (n, K).
            spec: The other columns.
            column: Column of the pixels.
            seed: Seed of the network.
            inner_fold: Inner folds of the rows for the joint model, shape (n,).
            max_width: Columns that the joint model's design should have at most.

        Returns:
            The learner and what is to be said about its columns.
        """
        values, is_there = pixel_matrix(frame[column])
        network, notes = None, list[str]()
        if is_there.sum() >= MIN_IMAGES:
            network = Cnn.fit(values[is_there], given[is_there], seed)
        else:
            notes.append(f"Fewer than {MIN_IMAGES} training rows have an image, so no network was trained.")
        encoder, stack = None, None
        if spec.plain_columns:
            encoder, design, said = DesignEncoder.fit_transform(frame, spec, max_width)
            stack = StackedTags.fit(design, given, inner_fold, joint=True, seed=seed)
            notes += said
        return ImageLearner(column, network, encoder, stack, given.shape[1]), tuple(notes)

    def predict_proba(self, frame: pd.DataFrame) -> Float32Array:
        """Probabilities of shape (n, K); NaN where a row has nothing that says anything.

        The two are averaged in log-odds where a row has an image, else the other columns speak alone.
        """
        values, is_there = pixel_matrix(frame[self.column])
        found: Float64Array | None = None
        if self.encoder is not None and self.stack is not None:
            probs = self.stack.predict_proba(self.encoder.transform(frame)).astype(np.float64)
            cut = np.clip(probs, 1e-6, 1 - 1e-6)
            found = np.log(cut) - np.log1p(-cut)
        if self.network is not None:
            logits = np.full((len(frame), self.num_tags), np.nan)
            seen = self.network.logits(values[is_there]).astype(np.float64)
            logits[is_there] = np.clip(seen, -LOGIT_LIMIT, LOGIT_LIMIT)
            found = logits if found is None else np.where(is_there[:, None], (found + logits) / 2, found)
        if found is None:
            found = np.full((len(frame), self.num_tags), np.nan)
        return probabilities_of(found)


def pixel_matrix(values: pd.Series) -> tuple[Float32Array, BoolArray]:
    """Pixels of a column of vectors, shape (n, WIDTH), and which rows have an image.

    >>> pixel_matrix(pd.Series([None, np.ones(WIDTH)]))[1].tolist()
    [False, True]
    """
    matrix = np.zeros((len(values), WIDTH), dtype=np.float32)
    is_there = np.zeros(len(values), dtype=bool)
    for row, value in enumerate(values):
        if _is_vector(value):
            matrix[row] = value
            is_there[row] = np.isfinite(matrix[row]).all()
    return matrix, is_there


def _is_vector(value: Any) -> bool:
    return value is not None and not isinstance(value, float) and len(value) == WIDTH


def require_torch() -> None:
    """Raise SetupError where no network can be trained."""
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        raise SetupError(
            "a network is trained on images by torch, which is not installed.",
            key="source.features.image",
            fix="Install the extra torch of spark-ml-audit.",
        )
