"""What predicts inside a task: models travel as bytes and are opened once per process."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from spark_ml_audit.errors import InputError
from spark_ml_audit.models.bundle import TagModel

Probabilities = npt.NDArray[np.float32]

# Models a process keeps open: those of 20 folds, and one to apply.
_MAX_OPEN = 24
_open_models: OrderedDict[str, TagModel] = OrderedDict()
# threads of one process share the models; opening one twice would cost its memory twice
_opening = threading.Lock()


class Scorer(Protocol):
    """Predicts K probabilities for each row; picklable."""

    def predict(self, frame: pd.DataFrame) -> Probabilities:
        """Probabilities of shape (n, K), float32 in [0, 1]."""
        ...


@dataclass(frozen=True)
class TagScorer:
    """A model of this package.

    Attributes:
        payload: The `TagModel` as bytes, made by this package in this run or checked before (it is a pickle).
        shift: Added to the log-odds, shape (K,): takes a training sample's prevalence back; None: nothing.

    Example:
        >>> from spark_ml_audit.models.features import FeatureSpec
        >>> frame, pair, keys = pd.DataFrame({"text": ["a", "b", "c"]}), np.array([0]), np.arange(3)
        >>> model = TagModel.fit(frame, pair, pair, ["sport"], FeatureSpec(), "prior", order_keys=keys)
        >>> model.predict_proba(frame[:1]).tolist()  # (1 + 1/2) / (3 + 1)
        [[0.375]]
        >>> TagScorer(model.to_bytes(), shift=np.log([5.0])).predict(frame[:1]).tolist()
        [[0.75]]
    """

    payload: bytes
    shift: npt.NDArray[np.float64] | None = None

    @cached_property
    def digest(self) -> str:
        """Name of the model among those a process has open."""
        return hashlib.sha256(self.payload).hexdigest()

    @property
    def model(self) -> TagModel:
        """The model, opened."""
        with _opening:
            found = _open_models.get(self.digest)
            if found is None:
                found = _open_models[self.digest] = TagModel.from_bytes(self.payload)
                while len(_open_models) > _MAX_OPEN:
                    _open_models.popitem(last=False)
        return found

    def predict(self, frame: pd.DataFrame) -> Probabilities:
        """Probabilities of shape (n, K)."""
        return shift_log_odds(self.model.predict_proba(frame), self.shift)


def shift_log_odds(probs: Probabilities, shift: npt.NDArray[np.float64] | None) -> Probabilities:
    """Add to the log-odds of every class; 0 and 1 stay what they are.

    Args:
        probs: Shape (n, K), float32.
        shift: Shape (K,), or None.

    Example:
        >>> probs = np.array([[0.5], [0.0], [1.0]], dtype=np.float32)
        >>> shift_log_odds(probs, np.log([3.0])).tolist()  # odds of 1:1 become 3:1
        [[0.75], [0.0], [1.0]]
    """
    if shift is None:
        return probs
    exact = probs.astype(np.float64)
    # p e^s / (p e^s + 1 - p), which needs no logarithm of 0
    raised = exact * np.exp(shift)
    shifted: Probabilities = (raised / (raised + (1 - exact))).astype(np.float32)
    return shifted


def check_width(found: object, num_rows: int, classes: Sequence[str], uri: str) -> Probabilities:
    """What a model of any origin returned, as probabilities of these classes.

    A DataFrame whose columns are the class names is put in class order.

    Raises:
        InputError: Another number of columns or rows, or no probabilities.

    Example:
        >>> found = pd.DataFrame({"sport": [0.25], "news": [0.75]})
        >>> check_width(found, 1, ["news", "sport"], "models:/tags/1").tolist()
        [[0.75, 0.25]]
    """
    if isinstance(found, pd.DataFrame):
        if set(found.columns) >= set(classes):
            found = found[list(classes)]
        elif found.shape[1] == 1 and found.dtypes.iloc[0].kind == "O":
            found = np.stack([np.asarray(row, dtype=np.float64) for row in found.iloc[:, 0]])
    values = np.asarray(found)
    if values.dtype.kind == "O" and values.ndim == 1 and len(values):
        values = np.stack([np.asarray(row, dtype=np.float64) for row in values])
    if values.ndim != 2 or values.shape != (num_rows, len(classes)):
        if values.ndim == 2 and len(values) == num_rows:
            said = f"{values.shape[1]} values per row, but there are {len(classes)} classes"
        else:
            said = f"an array of shape {values.shape} for {num_rows} rows and {len(classes)} classes"
        raise InputError(
            f"the model at {uri} returns {said}.",
            key="model.uri",
            fix="Name a model that returns one probability per class, or its classes under source.classes.",
        )
    numbers = values.astype(np.float32)
    if not ((numbers >= 0) & (numbers <= 1)).all():
        raise InputError(
            f"the model at {uri} returns values that are no probabilities from 0 to 1.",
            key="model.uri",
            fix="Name a model that returns probabilities, not scores or classes.",
        )
    return numbers + np.float32(0.0)
