"""The kinds of models, and how each is trained and applied."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from spark_ml_audit.errors import ConfigError
from spark_ml_audit.models.averaged import AveragedTags
from spark_ml_audit.models.design import BLOCK_ROWS, BoolArray, Float32Array, IntArray
from spark_ml_audit.models.encoding import DesignEncoder, TableEncoder
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.image_learner import KIND, ImageLearner
from spark_ml_audit.models.loading import KEY, load_estimator
from spark_ml_audit.models.stacked import StackedTags

BUILT_IN = ("auto", "joint", "linear", "tabular", "cnn", "prior")
"""Built-in kinds: anything else is an import path."""

MAX_BOOSTED_TAGS = 64
"""Tags up to which columns without text or embeddings get boosted trees, one forest per tag."""

MAX_WEIGHT_BYTES = 64 * 2**20
"""Bytes of a linear model's first layer; text features are dropped to keep within it."""


class Learner(Protocol):
    """What predicts the tags that can be learned."""

    def predict_proba(self, frame: pd.DataFrame) -> Float32Array:
        """Probabilities of shape (n, K) for n >= 1 rows."""


def resolve_kind(kind: str, spec: FeatureSpec, num_tags: int, *, reads_pixels: bool = False) -> str:
    """The kind that is trained: `auto` is `joint`, or `tabular` for a table without text and embeddings.

    Boosted trees find interactions that the linear layer cannot, but train tag by tag, so `tabular` is
    `joint` as well where there is text, an embedding or more than 64 tags. Images without a pretrained
    encoder are learned from by a network of their own: `cnn`.

    >>> resolve_kind("auto", FeatureSpec(numeric=("price",)), num_tags=3)
    'tabular'
    >>> resolve_kind("auto", FeatureSpec(numeric=("price",), text=("title",)), num_tags=3)
    'joint'
    """
    if kind in ("auto", "tabular") and spec.image:
        return KIND if reads_pixels else "joint"
    if kind in ("auto", "tabular"):
        return "tabular" if spec.is_tabular and num_tags <= MAX_BOOSTED_TAGS else "joint"
    return kind


def check_kind(kind: str, seed: int = 0) -> None:
    """Raise ConfigError unless the kind is built in or an importable estimator.

    >>> check_kind("joint")
    >>> check_kind("jiont")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    spark_ml_audit.errors.ConfigError: model.kind: 'jiont' is neither a built-in model nor an import path. ...
    """
    if kind not in BUILT_IN:
        load_estimator(kind, seed, BUILT_IN)


def fit_learner(
    frame: pd.DataFrame,
    given: BoolArray,
    spec: FeatureSpec,
    kind: str,
    seed: int,
    inner_fold: IntArray,
    *,
    max_weight_bytes: int = MAX_WEIGHT_BYTES,
    has_vectors: bool = False,
    pixels: str | None = None,
) -> tuple[Learner, tuple[str, ...]]:
    """Train one of the kinds (resolved, not `prior`).

    Args:
        frame: Training rows in a stable order.
        given: Given tags, shape (n, K), K >= 1; every column has at least two rows of both kinds.
        spec: Feature columns, at least one.
        kind: "joint", "linear", "tabular", "cnn" or an import path.
        seed: Seed of everything random.
        inner_fold: Inner folds of the rows, shape (n,), for kinds that stack.
        max_weight_bytes: Bytes of a linear model's first layer, of which there are two where it has vectors.
        pixels: Column of images' pixels, for a network.
        has_vectors: Whether the last embedding column holds the vectors of an encoder: these are solved for
            exactly (see `fit_ridge`), and linear models averaged with what they are without (`AveragedTags`).

    Returns:
        The learner and what is to be said about its columns.

    Raises:
        ConfigError: An estimator of someone else cannot be loaded, trained or applied.

    Example:
        >>> frame = pd.DataFrame({"price": [1.0, 2.0, 3.0, 4.0] * 2})
        >>> given, folds = frame[["price"]].to_numpy() > 2.5, np.arange(8) % 2
        >>> spec = FeatureSpec(numeric=("price",))
        >>> learner, notes = fit_learner(frame, given, spec, "linear", seed=0, inner_fold=folds)
        >>> (learner.predict_proba(pd.DataFrame({"price": [1.5, 3.5]})) > 0.5).tolist()
        [[False], [True]]
    """
    if kind == "tabular":
        return _BoostedLearner.fit(frame, given, spec, seed)
    max_width = max_weight_bytes // (4 * given.shape[1])
    if kind == KIND:
        if pixels is None:
            raise ConfigError(
                "a model of kind cnn learns from images, and there is no column of images.",
                key=KEY,
                fix="Name one under source.features.image, or take another kind.",
            )
        return ImageLearner.fit(frame, given, spec, pixels, seed, inner_fold, max_width)
    encoder, design, notes = DesignEncoder.fit_transform(frame, spec, max_width)
    if kind in ("joint", "linear"):
        joint = kind == "joint"
        if has_vectors:
            num_vectors = encoder.embeddings[-1].width + 1
            return _StackedLearner(
                encoder, AveragedTags.fit(design, num_vectors, given, inner_fold, joint, seed)
            ), notes
        return _StackedLearner(encoder, StackedTags.fit(design, given, inner_fold, joint, seed)), notes
    estimator = _fit_estimator(kind, design.as_matrix(), given, seed)
    return _EstimatorLearner(encoder, kind, estimator, given.shape[1]), notes


@dataclass(frozen=True, eq=False)
class _StackedLearner:
    encoder: DesignEncoder
    stack: StackedTags | AveragedTags

    def predict_proba(self, frame: pd.DataFrame) -> Float32Array:
        return self.stack.predict_proba(self.encoder.transform(frame))


@dataclass(frozen=True, eq=False)
class _BoostedLearner:
    encoder: TableEncoder
    forests: tuple[Any, ...]

    @staticmethod
    def fit(
        frame: pd.DataFrame, given: BoolArray, spec: FeatureSpec, seed: int
    ) -> tuple[_BoostedLearner, tuple[str, ...]]:
        encoder, table, notes = TableEncoder.fit_transform(frame, spec)
        forests = []
        for k in range(given.shape[1]):
            forest = HistGradientBoostingClassifier(
                max_iter=int(np.clip(len(frame) // 250, 50, 150)),
                max_leaf_nodes=8,
                categorical_features=encoder.category_mask,
                early_stopping=False,
                random_state=seed % 2**32,
            )
            forests.append(forest.fit(table, given[:, k].astype(np.int64)))
        return _BoostedLearner(encoder, tuple(forests)), notes

    def predict_proba(self, frame: pd.DataFrame) -> Float32Array:
        table = self.encoder.transform(frame)
        return np.column_stack([forest.predict_proba(table)[:, 1] for forest in self.forests]).astype(
            np.float32
        )


@dataclass(frozen=True, eq=False)
class _EstimatorLearner:
    encoder: DesignEncoder
    kind: str
    estimator: Any
    num_tags: int

    def predict_proba(self, frame: pd.DataFrame) -> Float32Array:
        matrix = self.encoder.transform(frame).as_matrix()
        parts = []
        # Blocks of one shape, as for our own dense products: what is inside may be a dense product too.
        for start in range(0, matrix.shape[0], BLOCK_ROWS):
            block = matrix[start : start + BLOCK_ROWS]
            rows = block.shape[0]
            parts.append(self._block(_padded(block))[:rows])
        return np.concatenate(parts)

    def _block(self, block: Any) -> Float32Array:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self.estimator.predict_proba(block)
        columns = self._columns(found)
        if columns.shape != (block.shape[0], self.num_tags):
            raise ConfigError(
                f"predict_proba of '{self.kind}' returns shape {columns.shape} for {block.shape[0]} rows and "
                f"{self.num_tags} tags.",
                key=KEY,
                fix="It must return (rows, tags), or one (rows, 2) per tag.",
            )
        return columns

    def _columns(self, found: Any) -> Float32Array:
        """Estimators return one (n, 2) per tag, or (n, K) for several tags, or (n, 2) for a single one."""
        if isinstance(found, list):
            classes = getattr(self.estimator, "classes_", [None] * len(found))
            return np.column_stack(
                [_present(np.asarray(part), known) for part, known in zip(found, classes, strict=True)]
            )
        table = np.asarray(found, dtype=np.float32)
        if self.num_tags == 1 and table.ndim == 2 and table.shape[1] == 2:
            return _present(table, getattr(self.estimator, "classes_", None))[:, None]
        return table


class _OnePerTag:
    """Copies of an estimator, one per tag; asks less of it than scikit-learn's own wrappers do."""

    def __init__(self, copies: list[Any]) -> None:
        self.copies = copies

    @property
    def classes_(self) -> list[Any]:
        return [getattr(estimator, "classes_", None) for estimator in self.copies]

    def fit(self, matrix: Any, targets: IntArray) -> _OnePerTag:
        # Some return nothing from fit.
        for k, estimator in enumerate(self.copies):
            estimator.fit(matrix, targets[:, k])
        return self

    def predict_proba(self, matrix: Any) -> list[Any]:
        return [estimator.predict_proba(matrix) for estimator in self.copies]


def _present(table: NDArray[Any], classes: Any) -> Float32Array:
    """Column of the class 1."""
    known = [0, 1] if classes is None or len(classes) != table.shape[1] else [int(c) for c in classes]
    if 1 not in known:
        return np.zeros(table.shape[0], dtype=np.float32)
    return np.asarray(table[:, known.index(1)], dtype=np.float32)


def _padded(block: Any) -> Any:
    missing = BLOCK_ROWS - block.shape[0]
    if not missing:
        return block
    if sp.issparse(block):
        empty = sp.csr_matrix((missing, block.shape[1]), dtype=block.dtype)
        return sp.csr_matrix(sp.vstack([block, empty], format="csr"))
    return np.concatenate([block, np.zeros((missing, block.shape[1]), dtype=block.dtype)])


def _fit_estimator(kind: str, matrix: Any, given: BoolArray, seed: int) -> Any:
    estimator: Any = load_estimator(kind, seed, BUILT_IN)
    # int64: scikit-learn's label binarising corrupts int8 targets from 128 tags on.
    targets: NDArray[np.int64] = given.astype(np.int64)
    if targets.shape[1] == 1:
        targets = targets[:, 0]
    elif not _takes_many_tags(estimator):
        estimator = _OnePerTag([copy.deepcopy(estimator) for _ in range(targets.shape[1])])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(matrix, targets)
    except Exception as error:
        form = "a sparse matrix" if sp.issparse(matrix) else "a dense array"
        said = (str(error).strip().splitlines() or [""])[0]
        raise ConfigError(
            f"'{kind}' cannot be trained on {form} of {matrix.shape[0]:,} rows and {matrix.shape[1]:,} "
            f"columns ({type(error).__name__}: {said}).",
            key=KEY,
            fix="Name a function that returns an estimator for this, such as a pipeline that begins with "
            "TruncatedSVD where it takes no sparse matrix.",
        ) from error
    return estimator


def _takes_many_tags(estimator: Any) -> bool:
    try:
        from sklearn.utils import get_tags

        tags = get_tags(estimator)
        return bool(tags.classifier_tags is not None and tags.classifier_tags.multi_label)
    except ImportError:  # before scikit-learn 1.6
        older: dict[str, Any] = estimator._get_tags() if hasattr(estimator, "_get_tags") else {}
        return bool(older.get("multilabel", False))
    except Exception:  # noqa: BLE001 - an estimator without scikit-learn's tags: one copy per tag serves any
        return False
