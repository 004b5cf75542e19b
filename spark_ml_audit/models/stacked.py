"""Tags predicted jointly: one ridge per tag, then a calibration per tag and a network over all tags' scores.

The network's shared layer lets the evidence for one tag speak for or against another (co-occurrence), from
the model's own scores only. The tags given to the row itself are never an input: with them a model repeats
errors that come in runs within a row.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from spark_ml_audit.models.design import BoolArray, Design, Float32Array, Float64Array, IntArray, in_blocks
from spark_ml_audit.models.logits import LOGIT_LIMIT, probabilities_of
from spark_ml_audit.models.ridge import EXACT_WIDTH, Ridge, fit_ridge

ALPHA = 3.0
"""Ridge penalty for rows of unit norm (TF-IDF); other features are scaled to suit it."""

TOLERANCE = 0.1
TOLERANCE_WITH_DENSE = 0.02
"""Correlated dense columns need more steps than sparse ones."""

TOLERANCE_ELIMINATED = 0.05
"""Where the dense columns are solved for exactly: a step more than 0.1 takes."""

HIDDEN = 256
UPDATES = 2000
"""Gradient steps of the network, whatever the number of rows (kept within 5 to 40 epochs)."""

MAX_NETWORK_CELLS = 50_000_000
"""Rows x tags the network is trained on at most; beyond it takes a share of the rows."""


@dataclass(frozen=True, eq=False)
class Network:
    """One hidden layer with ReLU, logits out.

    >>> out_weights = np.array([[1.0, 0.0], [1.0, 1.0]])
    >>> network = Network(np.eye(2), np.zeros(2), out_weights, np.zeros(2))
    >>> network.logits(np.array([[2.0, 3.0], [-1.0, 3.0]])).tolist()
    [[5.0, 3.0], [3.0, 3.0]]
    """

    hidden_weights: Float64Array
    hidden_offsets: Float64Array
    out_weights: Float64Array
    out_offsets: Float64Array

    def logits(self, scores: Float64Array) -> Float64Array:
        """Logits of shape (n, K) from standardised scores of shape (n, K); row-stable bits."""
        return in_blocks(self._block, scores, self.out_offsets.shape[0])

    def _block(self, scores: Float64Array) -> Float64Array:
        hidden = np.maximum(scores @ self.hidden_weights + self.hidden_offsets, 0.0)
        return np.asarray(hidden @ self.out_weights + self.out_offsets, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class StackedTags:
    """Fitted stack over K tags that each have rows of both kinds.

    Attributes:
        ridge: First layer, trained on all rows.
        means: Mean of the inner out-of-fold scores, shape (K,).
        deviations: Their standard deviation, shape (K,).
        slopes: Calibration per tag, >= 0, shape (K,).
        offsets: Its intercepts, shape (K,).
        network: None where tags are predicted one by one.

    Example:
        >>> from scipy.sparse import csr_matrix
        >>> values = np.array([[0.0], [0.0], [1.0], [1.0]] * 2, dtype=np.float32)
        >>> design = Design(sparse=csr_matrix((8, 0), dtype=np.float32), dense=values)
        >>> stack = StackedTags.fit(design, values > 0.5, np.arange(8) % 2, joint=False, seed=0)
        >>> (stack.predict_proba(design)[:4] > 0.5).tolist()
        [[False], [False], [True], [True]]
    """

    ridge: Ridge
    means: Float64Array
    deviations: Float64Array
    slopes: Float64Array
    offsets: Float64Array
    network: Network | None

    @staticmethod
    def fit(
        design: Design,
        given: BoolArray,
        inner_fold: IntArray,
        joint: bool,
        seed: int,
    ) -> StackedTags:
        """Train the stack.

        Args:
            design: Features of n rows.
            given: Given tags, shape (n, K); every column has at least two rows of both kinds.
            inner_fold: Fold of each row for the scores the second layer learns from, shape (n,).
            joint: Whether to add the network over all tags.
            seed: Seed of the network.

        Returns:
            The fitted stack; the same bits for the same rows in the same order.
        """
        return FirstLayer.fit(design, given, inner_fold).completed(design, given, joint, seed)

    def predict_proba(self, design: Design) -> Float32Array:
        """Probabilities of shape (n, K); a row's bits do not depend on the rows beside it."""
        return probabilities_of(self.logits(design))

    def logits(self, design: Design) -> Float64Array:
        """Log-odds of shape (n, K); a row's bits do not depend on the rows beside it."""
        scores = _standardised(self.ridge.scores(design), self.means, self.deviations)
        logits = scores * self.slopes + self.offsets
        if self.network is not None:
            # a saturated network must not outvote the calibration
            logits = (logits + np.clip(self.network.logits(scores), -LOGIT_LIMIT, LOGIT_LIMIT)) / 2
        return logits


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """Scores that the first layer gives rows of the other inner folds, from which the second one learns.

    Attributes:
        scores: Standardised, float32, shape (n, K).
        means: As in `StackedTags`, and so are deviations, slopes and offsets.
        deviations: See means.
        slopes: See means.
        offsets: See means.
        tolerance: Relative residual at which its ridges stop.
        eliminate: As for `fit_ridge`.
    """

    scores: Float32Array
    means: Float64Array
    deviations: Float64Array
    slopes: Float64Array
    offsets: Float64Array
    tolerance: float
    eliminate: bool

    @staticmethod
    def fit(design: Design, given: BoolArray, inner_fold: IntArray, *, eliminate: bool = False) -> FirstLayer:
        """Score every row by the other inner folds.

        Args:
            design: As for `StackedTags.fit`, and so are given and inner_fold.
            given: See design.
            inner_fold: See design.
            eliminate: As for `fit_ridge`: for designs with the vectors of an encoder.
        """
        targets = given.astype(np.float32)
        eliminate = eliminate and design.dense.shape[1] <= EXACT_WIDTH
        with_dense = TOLERANCE_ELIMINATED if eliminate else TOLERANCE_WITH_DENSE
        tolerance = with_dense if design.dense.shape[1] else TOLERANCE
        raw = np.zeros(given.shape, dtype=np.float32)
        for fold in np.unique(inner_fold):
            held_out = inner_fold == fold
            half = fit_ridge(
                design.take(~held_out), targets[~held_out], ALPHA, tolerance, eliminate=eliminate
            )
            raw[held_out] = half.scores(design.take(held_out))
        means = raw.mean(axis=0, dtype=np.float64)
        deviations = np.maximum(raw.std(axis=0, dtype=np.float64), 1e-6)
        scores = _standardised(raw, means, deviations).astype(np.float32)
        return FirstLayer(scores, means, deviations, *_calibrations(scores, given), tolerance, eliminate)

    @property
    def logits(self) -> Float32Array:
        """Calibrated log-odds of the rows, by the other inner folds, shape (n, K)."""
        found = self.scores * self.slopes.astype(np.float32) + self.offsets.astype(np.float32)
        return np.asarray(found, dtype=np.float32)

    def completed(self, design: Design, given: BoolArray, joint: bool, seed: int) -> StackedTags:
        """The stack of all rows; design and given are those it was fitted to."""
        targets = given.astype(np.float32)
        return StackedTags(
            ridge=fit_ridge(design, targets, ALPHA, self.tolerance, eliminate=self.eliminate),
            means=self.means,
            deviations=self.deviations,
            slopes=self.slopes,
            offsets=self.offsets,
            network=_fit_network(self.scores, given, seed) if joint and given.shape[1] > 1 else None,
        )


def _standardised(
    raw: Float32Array | Float64Array, means: Float64Array, deviations: Float64Array
) -> Float64Array:
    # A rare tag's scores are one tight cluster and a few far out: the upper limit leaves those apart.
    return np.asarray(np.clip((raw - means) / deviations, -10.0, 30.0), dtype=np.float64)


def _calibrations(scores: Float32Array, given: BoolArray) -> tuple[Float64Array, Float64Array]:
    """Platt scaling per tag; a slope below zero would turn a ranking over, so it becomes the share alone."""
    num_tags = given.shape[1]
    slopes, offsets = np.zeros(num_tags), np.zeros(num_tags)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for k in range(num_tags):
            present = given[:, k].astype(np.int64)
            fitted = LogisticRegression(C=1.0).fit(scores[:, [k]].astype(np.float64), present)
            slopes[k], offsets[k] = fitted.coef_[0, 0], fitted.intercept_[0]
            if not slopes[k] > 0:
                num_present = int(present.sum())
                slopes[k] = 0.0
                offsets[k] = np.log((num_present + 0.5) / (len(present) - num_present + 0.5))
    return slopes, offsets


def _fit_network(scores: Float32Array, given: BoolArray, seed: int) -> Network:
    n, num_tags = given.shape
    rows = min(n, max(MAX_NETWORK_CELLS // num_tags, 1))
    picked = np.linspace(0, n - 1, rows).astype(np.int64)  # rows come in hash order: an even share is random
    batch = min(rows, 256 if rows < 200_000 else 1024)
    epochs = int(np.clip(round(UPDATES * batch / rows), 5, 40))
    # Never int8 targets: label binarising corrupts them from 128 tags on. Never early stopping: it scores
    # exact sets of tags, which is no measure of probabilities.
    network = MLPClassifier(
        (HIDDEN,),
        alpha=1e-3,
        batch_size=batch,
        max_iter=epochs,
        n_iter_no_change=10_000,
        random_state=seed % 2**32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a fixed number of epochs is the intention
        network.fit(scores[picked], given[picked].astype(np.int32))
    first, second = (weights.astype(np.float64) for weights in network.coefs_)
    hidden, out = (offsets.astype(np.float64) for offsets in network.intercepts_)
    return Network(first, hidden, second, out)
