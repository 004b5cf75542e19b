"""How good the labels of each example are: as `cleanlab.multilabel_classification.rank`.

Scores lie between 0 and 1; low ones are likely errors (Thyagarajan et al., "Identifying Incorrect Annotations
in Multi-Label Classification Data", 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from spark_ml_audit.arrays.labelled import Labelled
from spark_ml_audit.arrays.options import choice, refuse_adjusted_entropy, refuse_unknown, yes_or_no
from spark_ml_audit.arrays.scores import scores_of_cells, scores_of_rows, thresholds_if
from spark_ml_audit.errors import ConfigError
from spark_ml_audit.kernels.cell_scores import CELL_SCORES
from spark_ml_audit.kernels.float_keys import FloatArray
from spark_ml_audit.kernels.label_quality import DEFAULT_TEMPERATURE, ema, softmin
from spark_ml_audit.kernels.profile import Thresholds

FloatRows = npt.NDArray[np.float64]
# Arguments of each built-in method.
_ARGUMENTS = {"exponential_moving_average": ("alpha",), "softmin": ("temperature",)}
_KEY = "aggregator_kwargs"
_DEFAULT = {"method": "exponential_moving_average", "alpha": 0.8}
Aggregate = Callable[[FloatArray], FloatRows]


def get_label_quality_scores(
    labels: Any,
    pred_probs: Any,
    *,
    method: str = "self_confidence",
    adjust_pred_probs: bool = False,
    aggregator_kwargs: Mapping[str, Any] | None = None,
) -> FloatRows:
    """One score per example, from 0 (worst) to 1, drawn from the scores of its classes.

    Args:
        labels: Given labels of n examples: lists of class indices, a multi-hot array or a SciPy sparse
            matrix (`inputs.as_labels`).
        pred_probs: Predicted probabilities, best out of sample, shape (n, K) (`inputs.as_pred_probs`).
        method: Score of a class's label: self_confidence, normalized_margin (the same for two outcomes) or
            confidence_weighted_entropy.
        adjust_pred_probs: Whether probabilities are first shifted by the thresholds of their classes; not
            with the entropy.
        aggregator_kwargs: ``{"method": "exponential_moving_average", "alpha": 0.8}`` (if None; without
            `alpha` it is 2 / (K + 1)), ``{"method": "softmin", "temperature": 0.1}``, or a function as
            `method`, called once with the cell scores (float64, shape (n, K)), ``axis=1`` and the other
            entries.

    Returns:
        Scores of shape (n,).

    Raises:
        InputError: Labels or probabilities cannot be used.
        ConfigError: Another argument cannot, or would be ignored.

    Example:
        >>> labels, pred_probs = [[1], [0, 2]], np.array([[0.1, 0.9, 0.1], [0.4, 0.1, 0.9]])
        >>> get_label_quality_scores(labels, pred_probs).round(3).tolist()
        [0.9, 0.5]
        >>> worst = {"method": np.min}
        >>> get_label_quality_scores(labels, pred_probs, aggregator_kwargs=worst).round(3).tolist()
        [0.9, 0.4]
    """
    method, adjust = _scoring(method, adjust_pred_probs)
    aggregating = aggregator_kwargs or _DEFAULT
    if not isinstance(aggregating, Mapping):
        raise ConfigError(f"found {aggregating!r}.", key=_KEY, fix="Give a dict.")
    own = _own(aggregating)
    aggregate = own or _built_in(aggregating)
    data = Labelled.from_arguments(labels, pred_probs)
    thresholds = thresholds_if(data, adjust)
    if own is not None:
        return own(_scores_of_all_cells(data, method, thresholds))
    return scores_of_rows(data, method, thresholds, aggregate)


def get_label_quality_scores_per_class(
    labels: Any, pred_probs: Any, *, method: str = "self_confidence", adjust_pred_probs: bool = False
) -> FloatRows:
    """One score per example and class, from 0 (worst) to 1, for a label that is given as for one that is not.

    Args:
        labels: As for `get_label_quality_scores`.
        pred_probs: As for `get_label_quality_scores`.
        method: As for `get_label_quality_scores`.
        adjust_pred_probs: As for `get_label_quality_scores`.

    Returns:
        Scores of shape (n, K).

    Raises:
        InputError: Labels or probabilities cannot be used.
        ConfigError: Another argument cannot.

    Example:
        >>> labels, pred_probs = [[1], [0, 2]], np.array([[0.1, 0.9, 0.1], [0.4, 0.1, 0.9]])
        >>> get_label_quality_scores_per_class(labels, pred_probs).round(3).tolist()
        [[0.9, 0.9, 0.9], [0.4, 0.9, 0.9]]
    """
    method, adjust = _scoring(method, adjust_pred_probs)
    data = Labelled.from_arguments(labels, pred_probs)
    return _scores_of_all_cells(data, method, thresholds_if(data, adjust))


def _scores_of_all_cells(data: Labelled, method: str, thresholds: Thresholds | None) -> FloatRows:
    return data.fill(
        np.empty(data.pred_probs.shape, dtype=np.float64),
        lambda block: scores_of_cells(block, method, thresholds),
    )


def _scoring(method: Any, adjust_pred_probs: Any) -> tuple[str, bool]:
    name = choice("method", method.lower() if isinstance(method, str) else method, CELL_SCORES)
    adjust = yes_or_no("adjust_pred_probs", adjust_pred_probs)
    refuse_adjusted_entropy(name, adjust)
    return name, adjust


def _built_in(given: Mapping[str, Any]) -> Aggregate:
    options = dict(given)
    method = choice(f"{_KEY}['method']", options.pop("method", None), tuple(_ARGUMENTS))
    refuse_unknown(f"{_KEY} of {method}", options, _ARGUMENTS[method])
    if method == "softmin":
        temperature = _number("temperature", options.get("temperature", DEFAULT_TEMPERATURE))
        if not temperature > 0:
            raise ConfigError(f"found {temperature}.", key=f"{_KEY}['temperature']", fix="Set it above 0.")
        return lambda cells: softmin(cells, temperature)
    alpha = options.get("alpha")
    if alpha is not None and not 0 <= _number("alpha", alpha) <= 1:
        raise ConfigError(f"found {alpha}.", key=f"{_KEY}['alpha']", fix="Set it to a number from 0 to 1.")
    return lambda cells: ema(cells, alpha)


def _own(given: Mapping[str, Any]) -> Aggregate | None:
    """The caller's function, if there is one."""
    options = dict(given)
    function = options.pop("method", None)
    if not callable(function):
        return None
    if "axis" in options:
        raise ConfigError("axis is always 1.", key=_KEY, fix="Leave it out.")
    return lambda cells: function(cells, **options, axis=1)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise ConfigError(f"found {value!r}.", key=f"{_KEY}['{name}']", fix="Give a number.")
    return float(value)
