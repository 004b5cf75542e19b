"""Out-of-fold probabilities of the demo: TF-IDF of word 1-2-grams, one logistic regression per class."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

NUM_FOLDS = 5
_INVERSE_REGULARIZATION = 5.0
_SEED = 0

_log = logging.getLogger(__name__)


def fold_of(key: str) -> int:
    """Fold 0 to 4 of a package, by a hash of its name: the same on any machine and in any order of rows."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % NUM_FOLDS


def out_of_fold(
    texts: Sequence[str], given: NDArray[np.bool_], folds: NDArray[np.int8]
) -> NDArray[np.float64]:
    """Predicts every row by models that have not seen the row.

    Args:
        texts: N texts.
        given: (N, K) which tags are given; every class needs a positive and a negative outside each fold.
        folds: (N,) fold of each row.

    Returns:
        (N, K) probabilities of presence.
    """
    pred_probs = np.empty(given.shape)
    for fold in range(NUM_FOLDS):
        train, test = np.flatnonzero(folds != fold).tolist(), np.flatnonzero(folds == fold).tolist()
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        seen: Any = vectorizer.fit_transform([texts[row] for row in train])
        unseen: Any = vectorizer.transform([texts[row] for row in test])
        for index in range(given.shape[1]):
            # The dual solver reaches the same optimum about five times as fast as the primal one here.
            model = LogisticRegression(
                C=_INVERSE_REGULARIZATION,
                solver="liblinear",
                dual=True,
                tol=1e-3,
                max_iter=1000,
                random_state=_SEED,
            )
            model.fit(seen, given[train, index])
            pred_probs[test, index] = model.predict_proba(unseen)[:, 1]
        _log.info("fold %d of %d: %d rows, %d n-grams", fold + 1, NUM_FOLDS, len(test), seen.shape[1])
    return pred_probs


def ranking_quality(given: NDArray[np.bool_], pred_probs: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Macro averages over the classes of the area under the ROC curve and of average precision."""
    columns = range(given.shape[1])
    auc = [roc_auc_score(given[:, index], pred_probs[:, index]) for index in columns]
    precision = [average_precision_score(given[:, index], pred_probs[:, index]) for index in columns]
    return float(np.mean(auc)), float(np.mean(precision))
