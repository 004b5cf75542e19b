"""By which thresholds a loaded model's probabilities become tags, and what defends them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.errors import InputError
from spark_ml_audit.kernels.tagging import NEVER, choose_thresholds
from spark_ml_audit.outcomes.tagging import Tagging, nothing_given
from spark_ml_audit.predicting.loaded_model import LoadedModel
from spark_ml_audit.predicting.tagging import expected_shares, tagging_of, tagging_rows

_DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class TagRule:
    """Thresholds of K classes, and what is known of them.

    Attributes:
        thresholds: Probability from which each tag is given, float32, shape (K,).
        tagging: Which classes are given, which not, and why.
        class_rows: One record per class, for the table `tag_classes`.
        expected: Share of the labelled rows that get each tag out of fold, shape (K,); None: not known.
        num_labelled: Number of those rows.
        warnings: Sentences.
    """

    thresholds: npt.NDArray[np.float32]
    tagging: Tagging
    class_rows: Sequence[dict[str, Any]]
    expected: npt.NDArray[np.float64] | None
    num_labelled: int
    warnings: Sequence[str]


def rule_of(loaded: LoadedModel, classes: Sequence[str], min_precision: float | None) -> TagRule:
    """Choose the thresholds of a model that carries what it takes; else take those that it has, or 0.5.

    Args:
        loaded: The model.
        classes: Its classes, K.
        min_precision: Least lower bound of a class's precision; None for what the model was kept with.

    Raises:
        InputError: A least precision is asked for, and the model has nothing to judge it by.
    """
    if loaded.rule is None:
        return _undefended(loaded, classes, min_precision)
    evidence = loaded.rule.evidence
    least = loaded.rule.min_precision if min_precision is None else min_precision
    choice = choose_thresholds(evidence, least)
    said = tagging_of(classes, evidence, choice)
    expected = expected_shares(evidence, choice)
    rows = [
        {**row, "min_precision": least, "expected_share": float(share), "model_uri": loaded.uri}
        for row, share in zip(tagging_rows(classes, evidence, choice), expected, strict=True)
    ]
    thresholds = choice.threshold.astype(np.float32)
    return TagRule(thresholds, said, rows, expected, evidence.num_rows, nothing_given(said))


def _undefended(loaded: LoadedModel, classes: Sequence[str], min_precision: float | None) -> TagRule:
    if min_precision is not None:
        raise InputError(
            f"found {min_precision:g}, but the model at {loaded.uri} carries no counts out of fold to choose "
            "thresholds by.",
            key="tag.min_precision",
            fix="Leave it out to take the model's own thresholds, or train one by `predict --fit-final`.",
        )
    own = None if loaded.model is None else loaded.model.thresholds
    if own is None:
        thresholds = np.full(len(classes), _DEFAULT_THRESHOLD, dtype=np.float32)
        how = f"every tag is given from a probability of {_DEFAULT_THRESHOLD} on"
    else:
        thresholds = np.asarray(own, dtype=np.float32)
        how = "its thresholds are those of the best F1, as an older version of this package chose them"
    said = (
        f"Nothing defends these tags: the model at {loaded.uri} carries no counts out of fold, and {how}. "
        "Models of predict --fit-final carry them."
    )
    rows = [
        {
            "tag": tag,
            "class_index": k,
            "decision_threshold": float(thresholds[k]) if thresholds[k] < NEVER else None,
            "not_tagged": None if thresholds[k] < NEVER else "the model's threshold says so",
            "model_uri": loaded.uri,
        }
        for k, tag in enumerate(classes)
    ]
    given = int((thresholds < NEVER).sum())
    return TagRule(thresholds, Tagging.without_bounds(given), rows, None, 0, [said])
