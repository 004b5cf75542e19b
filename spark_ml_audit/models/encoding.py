"""All feature columns of a table as one design matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from spark_ml_audit.errors import InputError
from spark_ml_audit.models.columns import (
    Categories,
    Embedding,
    Ramps,
    calendar,
    category_keys,
    cyclic,
    flagged_truths,
    numbers,
    truths,
)
from spark_ml_audit.models.design import BoolArray, Design, Float32Array, Float64Array
from spark_ml_audit.models.features import FeatureSpec
from spark_ml_audit.models.text import HashedText, joined_texts

MIN_TEXT_FEATURES = 1024
"""Text keeps this many columns at least, however many tags share the size a model may have."""


def require_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise InputError for the first feature column that the frame lacks.

    >>> require_columns(pd.DataFrame({"text": ["a"]}), ["text", "price"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    spark_ml_audit.errors.InputError: price: the table has no column 'price', which the model reads. ...
    """
    for column in columns:
        if column not in frame.columns:
            raise InputError(
                f"the table has no column '{column}', which the model reads.",
                key=column,
                fix=f"Give it the columns {', '.join(columns)}, or train without this one.",
            )


@dataclass(frozen=True, eq=False)
class DesignEncoder:
    """Fitted encoders of all columns, for linear models and scikit-learn estimators.

    Sparse columns: text, then categories. Dense columns: numbers, dates, booleans, embeddings.

    >>> frame = pd.DataFrame({"kind": ["film", "film", "book"], "new": [True, False, None]})
    >>> spec = FeatureSpec(categorical=("kind",), boolean=("new",))
    >>> encoder, design, notes = DesignEncoder.fit_transform(frame, spec, max_width=1000)
    >>> design.sparse.toarray().tolist()  # missing, other, film
    [[0.0, 0.0, 0.5], [0.0, 0.0, 0.5], [0.0, 0.5, 0.0]]
    >>> design.dense.tolist()  # new, missing
    [[0.5, 0.0], [0.0, 0.0], [0.0, 0.5]]
    """

    spec: FeatureSpec
    text: HashedText | None
    categories: tuple[Categories, ...]
    numeric: tuple[Ramps, ...]
    days: tuple[Ramps, ...]
    embeddings: tuple[Embedding, ...]

    @staticmethod
    def fit_transform(
        frame: pd.DataFrame, spec: FeatureSpec, max_width: int
    ) -> tuple[DesignEncoder, Design, tuple[str, ...]]:
        """Fit all encoders on the training rows.

        Args:
            frame: Training rows.
            spec: Their feature columns.
            max_width: Columns the design should have at most; text gives way.

        Returns:
            The encoder, the design of the training rows, and what their columns lack, one sentence each.
        """
        require_columns(frame, spec.plain_columns)
        notes: list[str] = []
        categories = tuple(Categories.fit(category_keys(frame[name])) for name in spec.categorical)
        numeric = tuple(Ramps.fit(numbers(frame[name])) for name in spec.numeric)
        days = tuple(Ramps.fit(calendar(frame[name])[:, 0]) for name in spec.date)
        embeddings = tuple(Embedding.fit(frame[name]) for name in spec.embedding)
        for name, ramps in zip(spec.numeric + spec.date, numeric + days, strict=True):
            if len(ramps.knots) < 2:
                held = "no value" if not len(ramps.knots) else "one value only"
                notes.append(f"Column '{name}' holds {held} in the training rows and teaches nothing.")
        for name, values in zip(spec.categorical, categories, strict=True):
            if not values.positions:
                notes.append(
                    f"Column '{name}' holds no value twice in the training rows and teaches nothing."
                )
        notes.extend(_embedding_notes(spec, embeddings, len(frame)))

        others = sum(len(values.positions) + 2 for values in categories) + sum(
            e.width + 1 for e in embeddings
        )
        text, matrix = None, None
        if spec.text:
            texts = joined_texts(frame, spec.text)
            text, matrix = HashedText.fit_transform(texts, max(max_width - others, MIN_TEXT_FEATURES))
            if not text.num_features:
                notes.append(f"The text of {_listed(spec.text)} has no word in two training rows.")
        encoder = DesignEncoder(spec, text, categories, numeric, days, embeddings)
        return encoder, encoder._design(frame, matrix), tuple(notes)

    def transform(self, frame: pd.DataFrame) -> Design:
        """Design of any rows."""
        require_columns(frame, self.spec.plain_columns)
        matrix = self.text.transform(joined_texts(frame, self.spec.text)) if self.text is not None else None
        return self._design(frame, matrix)

    def _design(self, frame: pd.DataFrame, text: sp.csr_matrix | None) -> Design:
        spec, n = self.spec, len(frame)
        sparse = [text] if text is not None else []
        sparse += [
            fitted.transform(category_keys(frame[name]))
            for name, fitted in zip(spec.categorical, self.categories, strict=True)
        ]
        dense: list[Float32Array] = [
            fitted.transform(numbers(frame[name]))
            for name, fitted in zip(spec.numeric, self.numeric, strict=True)
        ]
        for name, fitted in zip(spec.date, self.days, strict=True):
            parts = calendar(frame[name])
            dense += [fitted.transform(parts[:, 0]), cyclic(parts[:, 1], 12), cyclic(parts[:, 2], 7)]
        dense += [flagged_truths(truths(frame[name])) for name in spec.boolean]
        dense += [
            fitted.transform(frame[name])
            for name, fitted in zip(spec.embedding, self.embeddings, strict=True)
        ]
        return Design(
            sparse=sp.csr_matrix(sp.hstack(sparse, format="csr", dtype=np.float32))
            if sparse
            else sp.csr_matrix((n, 0), dtype=np.float32),
            dense=np.concatenate(dense, axis=1) if dense else np.zeros((n, 0), dtype=np.float32),
        )


@dataclass(frozen=True, eq=False)
class TableEncoder:
    """Columns as trees take them: numbers with NaN for missing, categories as codes.

    Attributes:
        spec: Feature columns, no text or embedding among them.
        categories: One per categorical column.
        empty: Columns of the table without a value in training, which read as 0.

    Example:
        >>> frame = pd.DataFrame({"price": [1.0, 2.0, None], "kind": ["film", "film", "book"]})
        >>> spec = FeatureSpec(numeric=("price",), categorical=("kind",))
        >>> encoder, table, notes = TableEncoder.fit_transform(frame, spec)
        >>> table.tolist(), encoder.category_mask
        ([[2.0, 1.0], [2.0, 2.0], [1.0, nan]], [True, False])
    """

    spec: FeatureSpec
    categories: tuple[Categories, ...]
    empty: BoolArray

    MAX_CODES = 250  # histogram trees hold 255 bins

    @staticmethod
    def fit_transform(
        frame: pd.DataFrame, spec: FeatureSpec
    ) -> tuple[TableEncoder, Float64Array, tuple[str, ...]]:
        """Learn the categories of the training rows; also their table and what its columns lack."""
        require_columns(frame, spec.columns)
        categories = tuple(
            Categories.fit(category_keys(frame[name]), limit=TableEncoder.MAX_CODES)
            for name in spec.categorical
        )
        width = len(spec.categorical + spec.numeric + spec.boolean) + 3 * len(spec.date)
        table = TableEncoder(spec, categories, np.zeros(width, dtype=bool)).transform(frame)
        empty: BoolArray = np.asarray(np.isnan(table).all(axis=0))  # scikit-learn's binning fails on these
        table[:, empty] = 0.0
        parts = spec.categorical + spec.numeric + spec.boolean + tuple(np.repeat(spec.date, 3).tolist())
        level = dict.fromkeys(parts, True)
        for position, name in enumerate(parts):
            level[name] &= bool((table[:, position] == table[0, position]).all())
        notes = tuple(
            f"Column '{name}' tells the training rows not apart and teaches nothing."
            for name, same in level.items()
            if same
        )
        return TableEncoder(spec, categories, empty), table, notes

    @property
    def category_mask(self) -> list[bool]:
        """Which columns of the table are codes of categories."""
        spec = self.spec
        others = len(spec.numeric) + len(spec.boolean) + 3 * len(spec.date)
        return [True] * len(spec.categorical) + [False] * others

    def transform(self, frame: pd.DataFrame) -> Float64Array:
        """Table of shape (n, columns): categories, numbers, booleans, calendar parts."""
        require_columns(frame, self.spec.columns)
        spec = self.spec
        columns = [
            fitted.codes(category_keys(frame[name])).astype(np.float64)[:, None]
            for name, fitted in zip(spec.categorical, self.categories, strict=True)
        ]
        columns += [numbers(frame[name])[:, None] for name in spec.numeric]
        columns += [truths(frame[name])[:, None] for name in spec.boolean]
        columns += [calendar(frame[name]) for name in spec.date]
        table = np.concatenate(columns, axis=1)
        table[:, self.empty] = 0.0
        return table


def _embedding_notes(spec: FeatureSpec, embeddings: Sequence[Embedding], n: int) -> list[str]:
    notes = []
    for name, fitted in zip(spec.embedding, embeddings, strict=True):
        if not fitted.width:
            notes.append(f"Column '{name}' holds no embedding in the training rows and teaches nothing.")
        elif fitted.num_unusable:
            notes.append(
                f"{fitted.num_unusable:,} of {n:,} training rows hold an embedding '{name}' of a width other "
                f"than {fitted.width} or with values that are not finite; they count as missing."
            )
    return notes


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
