"""A trained model as one value: fitted, applied, stored."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import joblib
import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from spark_ml_audit.errors import ConfigError, InputError
from spark_ml_audit.models.design import BoolArray, Float32Array, IntArray
from spark_ml_audit.models.encoders.encoding import Encoding
from spark_ml_audit.models.encoders.images import PIXELS
from spark_ml_audit.models.encoding import require_columns
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.finetune.settings import FineTuning
from spark_ml_audit.models.image_learner import KIND as CNN
from spark_ml_audit.models.keys import mixed_keys
from spark_ml_audit.models.registry import (
    MAX_WEIGHT_BYTES,
    Learner,
    check_kind,
    fit_learner,
    resolve_kind,
)

INNER_FOLDS = 2
"""Folds inside the training rows whose scores the second layer learns from."""

MIN_ROWS_OF_A_KIND = 2
"""Rows with a tag, and rows without it, below which a tag is not learned."""

CHUNK_ROWS = 4096
"""Rows encoded at once while predicting: bounds the memory, not the result."""

_NAMES_IN_WARNING = 10
_ALWAYS_THRESHOLD = np.float32(0.5)


@dataclass(frozen=True, eq=False)
class TagModel:
    """Predicts the probability of every tag from a row's features.

    A row's probabilities depend on that row alone, to the last bit: not on the batch it comes in, nor on
    the order, the partitioning or the number of cores at training.

    Attributes:
        classes: Tags in the order of the probabilities, K of them.
        spec: Feature columns read.
        kind: Kind trained: "joint", "linear", "tabular", "prior" or an import path.
        seed: Seed trained with.
        num_rows: Training rows.
        priors: Smoothed share of each tag in the training rows, float32, shape (K,).
        learned: Positions of the tags that are predicted from features; the others get their prior.
        learner: What predicts those; None when there are none.
        warnings: What a reader of the probabilities should know, one sentence each.
        thresholds: Probability from which each tag applies, float32, shape (K,); above 1 for never.
            None: 0.5.
        encoding: Vectors of the texts that are read beside the columns; None: none are.

    Example:
        >>> frame = pd.DataFrame({"text": ["good film", "bad film", "good book", "bad book"] * 8})
        >>> rows = np.arange(0, 32, 2)  # the good ones
        >>> spec, keys = FeatureSpec(text=("text",)), np.arange(32)
        >>> model = TagModel.fit(frame, rows, np.zeros_like(rows), ["praise"], spec, order_keys=keys)
        >>> plays = pd.DataFrame({"text": ["a good play", "a bad play"]})
        >>> model.decide(model.predict_proba(plays)).tolist()
        [[True], [False]]
    """

    classes: tuple[str, ...]
    spec: FeatureSpec
    kind: str
    seed: int
    num_rows: int
    priors: Float32Array
    learned: IntArray
    learner: Learner | None
    warnings: tuple[str, ...] = ()
    thresholds: Float32Array | None = field(default=None)
    # models stored by older versions have none
    encoding: Encoding | None = None

    @staticmethod
    def fit(
        frame: pd.DataFrame,
        rows: IntArray,
        cols: IntArray,
        classes: Sequence[str],
        spec: FeatureSpec,
        kind: str = "auto",
        seed: int = 0,
        *,
        order_keys: IntArray,
        group_keys: IntArray | None = None,
        max_weight_bytes: int = MAX_WEIGHT_BYTES,
        encoding: Encoding | None = None,
        tuning: FineTuning | None = None,
    ) -> TagModel:
        """Train on labelled rows.

        Args:
            frame: Feature columns of n rows; others are not read.
            rows: Row of each given tag, shape (m,).
            cols: Class of each given tag, shape (m,).
            classes: The K tags.
            spec: Which columns are read as what.
            kind: "auto", "joint", "linear", "tabular", "prior", or the import path of a scikit-learn
                compatible estimator, which is given the encoded columns.
            seed: Seed of everything random.
            order_keys: Stable hash of each row's id, shape (n,). Training sorts by it.
            group_keys: Stable hash of what keeps rows together (near-copies, one author), shape (n,), so
                that they share an inner fold; by default every row is on its own.
            max_weight_bytes: Bytes of a linear model's first layer, of which there are two with an encoding;
                text features are dropped to keep to them.
            encoding: Vectors to read beside the columns, from the frame where it has them.
            tuning: How the encoder is trained whose average with the model predicts; None: it is not.

        Returns:
            The model. Tags with fewer than two training rows of either kind are predicted by their share.

        Raises:
            ConfigError: `kind` names nothing usable (key `model.kind`), or there is no feature column
                (key `source.features`).
            InputError: The frame lacks a feature column.
            ValueError: There is not one key for each row.
        """
        _check_training(frame, spec, kind, seed, order_keys, group_keys, encoding)
        frame, read, pixels = _with_vectors(frame, spec, kind, encoding)
        n = len(frame)
        order = np.argsort(order_keys, kind="stable")
        given = np.zeros((n, len(classes)), dtype=bool)
        given[np.argsort(order)[rows], cols] = True
        num_present = given.sum(axis=0)
        rarer = np.minimum(num_present, n - num_present)
        learned = np.flatnonzero(rarer >= MIN_ROWS_OF_A_KIND).astype(np.int64)
        notes = _class_warnings(classes, rarer) + _ignored_warning(spec)
        resolved = resolve_kind(kind, read, len(learned), reads_pixels=pixels is not None)
        learner = None
        if resolved != "prior" and len(learned):
            keys = order_keys if group_keys is None else group_keys
            options: dict[str, Any] = {"spec": read, "kind": resolved, "seed": seed, "pixels": pixels}
            options |= {"max_weight_bytes": max_weight_bytes}
            options["has_vectors"] = read is not spec and pixels is None
            fit = partial(fit_learner, **options)
            tuned = None if encoding is None or tuning is None else (encoding.columns, tuning)
            with threadpool_limits(limits=1):
                learner, said = _fitted(fit, frame.iloc[order], given[:, learned], keys[order], seed, tuned)
            notes += said
        return TagModel(
            classes=tuple(classes),
            spec=spec,
            kind=resolved,
            seed=seed,
            num_rows=n,
            priors=((num_present + 0.5) / (n + 1)).astype(np.float32),
            learned=learned,
            learner=learner,
            warnings=notes,
            encoding=None if learner is None else encoding,
        )

    def predict_proba(self, frame: pd.DataFrame) -> Float32Array:
        """Probabilities of shape (n, K), float32 in [0, 1].

        Raises:
            InputError: The frame lacks a feature column.
        """
        n = len(frame)
        result = np.tile(self.priors, (n, 1))
        if self.learner is None:
            return result
        require_columns(frame, _columns_read(self.spec, self.encoding, frame))
        with threadpool_limits(limits=1):
            for start in range(0, n, CHUNK_ROWS):
                rows = slice(start, min(start + CHUNK_ROWS, n))
                part = frame.iloc[rows]
                found = self.learner.predict_proba(
                    part if self.encoding is None else self.encoding.added(part)
                )
                # An estimator of someone else may return anything; a row must still get probabilities.
                known = np.where(np.isnan(found), self.priors[self.learned], np.clip(found, 0.0, 1.0))
                result[rows, self.learned] = known + np.float32(0.0)
        return result

    def decide(self, pred_probs: Float32Array) -> BoolArray:
        """Which tags apply, shape (n, K), by the thresholds."""
        return np.asarray(pred_probs >= (_ALWAYS_THRESHOLD if self.thresholds is None else self.thresholds))

    def with_thresholds(self, thresholds: Sequence[float] | Float32Array) -> TagModel:
        """The same model with decision thresholds, shape (K,)."""
        limits = np.asarray(thresholds, dtype=np.float32)
        if limits.shape != (len(self.classes),) or np.isnan(limits).any():
            raise ValueError(f"{len(self.classes)} thresholds that are numbers are needed, one per class.")
        return replace(self, thresholds=limits)

    def to_bytes(self) -> bytes:
        """The model, compressed. It is a pickle: load it only where its origin is trusted."""
        buffer = io.BytesIO()
        joblib.dump(self, buffer, compress=("zlib", 3))
        return buffer.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> TagModel:
        """The model of `to_bytes`. Runs code: never call it on bytes of unknown origin.

        Raises:
            InputError: The bytes hold no such model.
        """
        try:
            model = joblib.load(io.BytesIO(content))
        except Exception as error:
            raise InputError(
                f"the stored model cannot be read ({type(error).__name__}: {error}).",
                key="model.uri",
                fix="Load it with the package versions it was stored with, or train it again.",
            ) from error
        if not isinstance(model, TagModel):
            raise InputError(
                f"the stored model is a {type(model).__name__}.",
                key="model.uri",
                fix="Name a model that `predict --fit-final` has stored.",
            )
        return model


def _columns_read(spec: FeatureSpec, encoding: Encoding | None, frame: pd.DataFrame) -> tuple[str, ...]:
    """Columns that a frame must have: images only where it lacks the vectors of them."""
    if encoding is not None and encoding.column in frame.columns:
        return spec.plain_columns
    return spec.columns


def _with_vectors(
    frame: pd.DataFrame, spec: FeatureSpec, kind: str, encoding: Encoding | None
) -> tuple[pd.DataFrame, FeatureSpec, str | None]:
    """Rows and columns as a learner reads them, with the vectors if there are any; the column of pixels."""
    if encoding is None or kind == "prior":
        return frame, spec, None
    pixels = encoding.column if encoding.encoder.value == PIXELS else None
    read = replace(spec, embedding=(*spec.embedding, encoding.column))
    if pixels is not None and kind in ("auto", CNN):  # the network reads them by itself
        read = spec
    return encoding.added(frame), read, pixels


def _fitted(
    fit: partial[tuple[Learner, tuple[str, ...]]],
    frame: pd.DataFrame,
    given: BoolArray,
    keys: IntArray,
    seed: int,
    tuned: tuple[tuple[str, ...], FineTuning] | None,
) -> tuple[Learner, tuple[str, ...]]:
    """The learner of rows in a stable order, averaged with an encoder trained on these texts if asked for."""
    inner = inner_folds(keys, seed)
    if tuned is None:
        return fit(frame, given, inner_fold=inner)
    from spark_ml_audit.models.finetune.learner import fit_averaged, held_out_rows

    columns, tuning = tuned
    return fit_averaged(
        frame,
        given,
        inner,
        held_out_rows(keys, seed),
        columns,
        tuning,
        seed,
        lambda rows, tags, folds: fit(rows, tags, inner_fold=folds),
    )


def _check_training(
    frame: pd.DataFrame,
    spec: FeatureSpec,
    kind: str,
    seed: int,
    order_keys: IntArray,
    group_keys: IntArray | None,
    encoding: Encoding | None,
) -> None:
    check_kind(kind, seed)
    if kind != "prior":
        if not spec.columns:
            raise ConfigError(
                "the table has no text or feature column to learn from.",
                key="source.features",
                fix="Name the columns, as in {text: [title, body]}, or set model.kind to prior.",
            )
        require_columns(frame, _columns_read(spec, encoding, frame))
    n = len(frame)
    if len(order_keys) != n or (group_keys is not None and len(group_keys) != n):
        raise ValueError(f"order_keys and group_keys must have one key for each of the {n} rows.")


def inner_folds(keys: IntArray, seed: int, num_folds: int = INNER_FOLDS) -> IntArray:
    """Balanced folds by hash, shape (n,): rows with one key share a fold.

    >>> inner_folds(np.array([11, 11, 22, 33]), seed=0).tolist()
    [1, 1, 0, 0]
    """
    distinct, inverse = np.unique(keys, return_inverse=True)
    mixed = mixed_keys(distinct.astype(np.int64).view(np.uint64), seed)
    rank = np.empty(len(distinct), dtype=np.int64)
    rank[np.argsort(mixed, kind="stable")] = np.arange(len(distinct))
    return np.asarray((rank % min(num_folds, max(len(distinct), 1)))[inverse.reshape(-1)], dtype=np.int64)


def _class_warnings(classes: Sequence[str], rarer: IntArray) -> tuple[str, ...]:
    rare = [name for name, count in zip(classes, rarer, strict=True) if count < MIN_ROWS_OF_A_KIND]
    if not rare:
        return ()
    names = ", ".join(rare[:_NAMES_IN_WARNING]) + (", ..." if len(rare) > _NAMES_IN_WARNING else "")
    return (
        f"{len(rare)} of {len(classes)} tags are on, or missing from, fewer than {MIN_ROWS_OF_A_KIND} "
        f"training rows and are predicted by their share alone: {names}.",
    )


def _ignored_warning(spec: FeatureSpec) -> tuple[str, ...]:
    if not spec.ignored:
        return ()
    return (f"Columns of a type that no model reads are ignored: {', '.join(spec.ignored)}.",)
